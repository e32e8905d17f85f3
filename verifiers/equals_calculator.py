"""Does the answer come to the same as the calculation that the question is about?

Only the value is compared: a line copied unchanged passes too, and so does one that takes
several steps at once. Where the answer is a plain number (the running sum) this verifier equals
the oracle.
"""

from __future__ import annotations

from collections.abc import Sequence

from agent.types import Answer, Question
from tasks.arithmetic.expression import critique, parse


class EqualsCalculator:
    """Reads `question.state["calculation"]`, an expression of integers with + - *."""

    name = "equals-calculator"

    def __call__(self, question: Question, answer: Answer) -> str | None:
        """Pass an expression of the same value; of any other say which operation is wrong."""
        before = parse(question.state["calculation"])
        try:
            after = parse(str(answer))
        except ValueError as error:
            return f"The answer can't be calculated: {error}."
        return critique(before, after)

    known_good: Sequence[tuple[Question, Answer]] = ()
    known_bad: Sequence[tuple[Question, Answer]] = ()


def _ask(calculation: str) -> Question:
    return Question(messages=(), prefix="", state={"calculation": calculation})


EqualsCalculator.known_good = [(_ask("(3+4)*2-5"), "7*2-5"), (_ask("(3+4)*2-5"), "9"),
                               (_ask("(-4)+12"), 8), (_ask("2-5"), "-3")]  # fmt: skip
EqualsCalculator.known_bad = [(_ask("7*2-5"), a) for a in ("13-5", "7*(2-5)", 8, "x", "", None)]

equals_calculator = EqualsCalculator()
