"""Where is the white rook? The same boards and questions, described in different words.

python examples/board_styles.py [MODEL] [BOARDS]   (without: a reader of the first square it meets)
"""

import asyncio
import re
import sys

from agent import Arm, rollout
from agent.experiment import score_trace
from agent.measure import compare
from agent.measure.table import from_traces
from agent.models.scripted import ScriptedModel
from agent.resolve import model as model_of
from tasks.board_reading.prompts import STYLES
from tasks.board_reading.task import BoardReading


def first_square(question, seed):
    return (re.findall("[a-h][1-8]", question.messages[-1].content) or ["a1"])[0]


async def main(name: str = "", boards: int = 12) -> None:
    model, played = (model_of(name) if name else ScriptedModel(first_square)), []
    for style in STYLES:
        task = BoardReading(style=style, horizon=4)
        arm = Arm(name=style, max_attempts=1, verified=False)
        traces = [await rollout(task, model, arm, seed) for seed in range(int(boards))]
        played += [(trace, score_trace(task, trace)) for trace in traces]
    figures = compare(from_traces(played, STYLES), horizon=4)
    for style in STYLES:
        error = figures.arms[style].error_rate
        print(f"{style:<8} {error.value:6.1%} wrong of {error.n}")
    paired = figures.differences["squares-words"].error_rate
    print(f"empty squares named instead of counted in words: {paired.value:+.1%} errors")


asyncio.run(main(*sys.argv[1:]))
