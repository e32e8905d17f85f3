"""The recorded right and wrong programs of the shipped problems, as a model that draws among them.

It takes no notice of what it is told: with it every kind of feedback is worth the same, by
construction. It serves to try the task, its verifier and its tables without a language model.
"""

from __future__ import annotations

import random
from functools import cache

from agent.types import Question
from tasks.code.problems import Function, Problem, shipped


def reply(question: Question, seed: int) -> str:
    """One of the recorded programs, right half of the time: `scripted:tasks.code.recorded:reply`."""
    function = _function(question.state["problem"], question.state["step"])
    rng = random.Random(f"recorded:{seed}")
    wrong = rng.random() < 0.5 and function.wrong
    return f"```python\n{rng.choice(function.wrong) if wrong else function.solution}\n```"


def _function(problem: str, step: int) -> Function:
    return _problems()[problem].steps[step]


@cache
def _problems() -> dict[str, Problem]:
    return {p.id: p for kind in ("functions", "programs") for p in shipped(kind)}
