"""GPT-4 lost its picture of the board on move 25 and offered three illegal moves.

Each is criticised as a player would; then the embedded model is asked in the same position.
"""

import asyncio

from agent import ARMS, rollout
from agent.models.tiny import Tiny
from agent.verification import Check
from tasks.chess.task import Chess
from verifiers.chess_legality import chess_legality


def main() -> None:
    task = Chess(start="seed", horizon=1, style="lan")
    question = task.question(task.start(1))
    print(task.picture(question), "\n")
    for move in ("Kxd8", "Qxd8", "Rxd8"):
        verdict = chess_legality(question, move)
        print(f"GPT-4: {move:<6} {verdict.outcome}: {verdict.critique}")
    print("legal:", ", ".join(chess_legality.candidates(question)), "\n")
    arm = ARMS["critique"].model_copy(update={"max_attempts": 8})
    arm = arm.with_checks([Check.of(chess_legality)])
    trace = asyncio.run(rollout(task, Tiny(), arm, seed=1))
    for attempt in trace.steps[0].attempts:
        told = " ".join(v.critique for v in attempt.failed) or "legal"
        print(f"tiny:  {attempt.text:<6} {told}")


if __name__ == "__main__":
    main()
