"""Where is the white rook? The same boards and questions, described in different words.

python examples/board_styles.py [MODEL] [BOARDS]
"""

import asyncio
import sys

from agent import Arm, rollout
from agent.experiment import score_trace
from agent.measure import compare
from agent.measure.table import from_traces
from agent.resolve import model as model_of
from tasks.board_reading.prompts import STYLES
from tasks.board_reading.task import BoardReading


async def main(name: str = "tiny", boards: int = 12) -> None:
    model, played = model_of(name), []
    for style in STYLES:
        task = BoardReading(style=style, horizon=4)
        arm = Arm(name=style, max_attempts=1, verified=False)
        for seed in range(int(boards)):
            trace = await rollout(task, model, arm, seed)
            played.append((trace, score_trace(task, trace)))
    figures = compare(from_traces(played, STYLES), horizon=4)
    for style in STYLES:
        error = figures.arms[style].error_rate
        print(f"{style:<8} {error.value:6.1%} wrong of {error.n}")
    paired = figures.differences["squares-words"].error_rate
    print(f"empty squares named instead of counted in words: {paired.value:+.1%} errors, "
          f"p = {paired.p}")  # fmt: skip


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
