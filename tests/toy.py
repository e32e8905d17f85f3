"""A task for tests: say the number after the last one. Small enough to reckon by hand."""

from __future__ import annotations

from agent.errors import ParseFailure
from agent.types import AfterError, Answer, Message, Question, Score


class Counting:
    """The state is (seed, steps taken, last number said)."""

    name = "counting"
    verifiers = ()
    oracle_verifiers = ()

    def __init__(self, horizon: int = 3) -> None:
        self.horizon = horizon

    def configuration(self) -> dict:
        return {"horizon": self.horizon}

    def start(self, seed: int) -> tuple[int, int, int]:
        return seed, 0, 10 * seed

    def question(self, state: tuple[int, int, int]) -> Question:
        seed, _, last = state
        return Question(
            messages=(Message(role="user", content=f"What comes after {last}?"),),
            prefix=f"{last},",
            state={"last": last, "seed": seed},
        )

    def parse(self, text: str, state: tuple[int, int, int]) -> int:
        try:
            return int(text)
        except ValueError:
            raise ParseFailure(f"{text!r} is no number.") from None

    def advance(
        self, state: tuple[int, int, int], answer: Answer, after_error: AfterError
    ) -> tuple[int, int, int]:
        seed, steps, last = state
        kept = answer if answer is not None and after_error == "leave" else last + 1
        return seed, steps + 1, kept

    def done(self, state: tuple[int, int, int]) -> str | None:
        return None

    def score(self, question: Question, answer: Answer) -> Score:
        right = answer == question.state["last"] + 1
        return Score(correct=right, error_class=None if right else "wrong number")


def is_next(question: Question, answer: Answer) -> str | None:
    wanted = question.state["last"] + 1
    return None if answer == wanted else f"{answer} does not follow {question.state['last']}."
