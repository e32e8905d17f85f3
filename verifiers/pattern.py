"""Does the whole answer match a regular expression?"""

from __future__ import annotations

import regex

from agent.errors import UsageError
from agent.types import Answer, Question


class Pattern:
    """A regular expression, in the syntax of `re`, that the answer as text must match in full.

    >>> Pattern("[a-h][1-8]")(Question(messages=(), prefix=""), "i9")
    'The answer must have the form [a-h][1-8].'
    """

    timeout = 5.0

    def __init__(self, pattern: str) -> None:
        """Raises `UsageError` for what is no regular expression."""
        try:
            self._pattern = regex.compile(pattern)
        except regex.error as error:
            raise UsageError(f"regex {pattern!r} is no regular expression: {error}") from None
        self.name = f"regex:{pattern}"

    def __call__(self, question: Question, answer: Answer) -> str | None:
        """Pass a full match. Raises `TimeoutError` where the pattern can't decide in time."""
        text = "" if answer is None else str(answer)
        # The engine of the standard library would hold up the whole program meanwhile.
        if self._pattern.fullmatch(text, timeout=self.timeout / 2, concurrent=True):
            return None
        return f"The answer must have the form {self._pattern.pattern}."
