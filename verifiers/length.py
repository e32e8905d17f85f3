"""Is the answer short enough, or long enough?"""

from __future__ import annotations

import re

from agent.errors import UsageError
from agent.types import Answer, Question


class Length:
    """Counts the characters of the answer as text.

    >>> Length("3")(Question(messages=(), prefix=""), "Nf3+")
    'The answer has 4 characters; 3 are allowed.'
    """

    def __init__(self, limits: str) -> None:
        """limits: `MAX`, or `MIN-MAX`. Raises `UsageError` for anything else."""
        found = re.fullmatch(r"(?:([0-9]{1,9})-)?([0-9]{1,9})", limits)
        self.least, self.most = (int(found[1] or 0), int(found[2])) if found else (1, 0)
        if self.least > self.most:
            raise UsageError(f"length {limits!r} is not MAX or MIN-MAX characters, as 200 or 1-200")
        self.name = f"length:{limits}"
        question = Question(messages=(), prefix="")
        self.known_good = [(question, "x" * self.most), (question, "x" * self.least)]
        self.known_bad = [(question, "x" * (self.most + 1))]

    def __call__(self, question: Question, answer: Answer) -> str | None:
        """Pass a length within the limits."""
        count = len("" if answer is None else str(answer))
        if self.least <= count <= self.most:
            return None
        allowed = f"{self.most} are allowed" if count > self.most else f"{self.least} are needed"
        return f"The answer has {count} characters; {allowed}."
