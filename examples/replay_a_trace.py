"""A run directory holds everything: read it back, score it again, look at each correction.

python examples/replay_a_trace.py RUN     # any directory that `errata compare` wrote
"""

import sys
import tempfile

from agent import compare
from agent.experiment import score_trace
from agent.store import Store
from tasks.chess.task import Chess


def replay(directory: str) -> None:
    for trace, stored in Store(directory).episodes():
        task = Chess(**options(trace.configuration["task"]))
        assert score_trace(task, trace) == stored, "the oracle says the same again"
        corrected = [s for s in trace.steps if len(s.attempts) > 1]
        print(f"{trace.arm}, seed {trace.seed}: {len(trace.steps)} steps, {trace.stop_reason}, "
              f"{len(corrected)} with a correction")  # fmt: skip
        for step in corrected:
            print(f"  step {step.index + 1}: " + " -> ".join(a.text for a in step.attempts))


def options(configuration: dict) -> dict:
    return {k: v for k, v in configuration.items() if k != "prompts"}


if __name__ == "__main__":
    if len(sys.argv) > 1:
        replay(sys.argv[1])
    else:
        with tempfile.TemporaryDirectory() as temporary:
            compare("chess", "tiny", arms=["critique"], episodes=2, horizon=20, out=temporary)
            replay(temporary)
