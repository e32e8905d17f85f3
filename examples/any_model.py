"""Any OpenAI-compatible server: yours by OPENAI_BASE_URL, OPENAI_API_KEY and a name, or ours.

OPENAI_BASE_URL=http://localhost:11434/v1 python examples/any_model.py llama3.2
python examples/any_model.py        # starts the embedded model's server on loopback
"""

import asyncio
import os
import sys

from agent import ARMS, rollout
from agent.models.openai import OpenAIModel
from agent.server import running
from agent.verification import Check
from tasks.chess.task import Chess
from verifiers.chess_legality import chess_legality


def play(name: str, base_url: str | None) -> None:
    model = OpenAIModel(name, base_url=base_url)
    arm = ARMS["critique"].with_checks([Check.of(chess_legality)])
    trace = asyncio.run(rollout(Chess(horizon=8), model, arm, seed=1))
    for step in trace.steps:
        tries = " -> ".join(a.text.strip().splitlines()[-1] for a in step.attempts)
        print(f"{step.index + 1:>2}. {tries}")
    usage = trace.usage
    print(f"{usage.prompt_tokens} tokens read, {usage.completion_tokens} written")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        play(sys.argv[1], os.environ.get("OPENAI_BASE_URL"))
    else:
        with running() as url:
            play("tiny", url)
