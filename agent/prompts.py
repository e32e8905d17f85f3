"""The words of the loop: what a model is told after a rejected answer.

The first question of a step is the task's own and the same for every arm; only what is
added here differs. Each text is named; `VERSION` goes up with any change of a character.
"""

from __future__ import annotations

from collections.abc import Sequence

from agent.arms import Arm
from agent.selection import best
from agent.types import Attempt, Message, Question

VERSION = 1

FLAG = "That answer is wrong. Try again."
REASON = "{critique} Try again."
HISTORY = "Answers already rejected:\n{critiques}\nTry again."
CANDIDATES = "Answers that pass: {candidates}."


def ask(
    question: Question, attempts: Sequence[Attempt], arm: Arm, candidates: Sequence[str] = ()
) -> Question:
    """The question as put at the next attempt.

    The first question is always kept; what is added is a rejected answer, the last or the best
    one, and what the arm says of it. Without feedback nothing is added: a retry is a resample.
    """
    if not attempts or arm.feedback == "none":
        return question
    rejected = attempts[best(attempts) if arm.base == "best" else -1]
    told = _feedback(attempts, rejected, arm, candidates)
    given = str(rejected.answer if rejected.answer is not None else rejected.text.strip())
    given = given.removeprefix(question.opening)
    quoted = arm.fence.replace("{critique}", told)
    inline = " ".join(told.replace("{", "(").replace("}", ")").split())
    space = "" if question.prefix[-1:].isspace() or not question.prefix else " "
    return question.model_copy(
        update={
            "messages": (
                *question.messages,
                Message(role="assistant", content=rejected.text),
                Message(role=arm.role, content=quoted),
            ),
            "prefix": f"{question.prefix}{space}{given}"
            + question.aside.replace("{critique}", inline),
        }
    )


def _feedback(
    attempts: Sequence[Attempt], rejected: Attempt, arm: Arm, candidates: Sequence[str]
) -> str:
    if arm.feedback == "flag":
        told = FLAG
    elif arm.feedback == "history":
        lines = [f"{a.answer or a.text.strip()}: {critique_of(a)}" for a in attempts]
        told = HISTORY.format(critiques="\n".join(lines))
    else:
        told = REASON.format(critique=critique_of(rejected))
    if arm.hint and candidates:
        told = f"{told} {CANDIDATES.format(candidates=', '.join(candidates))}"
    return told


def critique_of(attempt: Attempt) -> str:
    """All that its verifiers said against an attempt, in order."""
    return " ".join(v.critique or f"{v.verifier} rejects it." for v in attempt.failed)
