"""A model that says what it is told to: for tests, demonstrations and replays.

It complains about a call too many and, when closed, about a reply that nobody asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from agent.errors import UsageError
from agent.types import Completion, Json, Question, Usage

Reply = Callable[[Question, int], str]


class ScriptedModel:
    """Replies in order from a list, or by a function of question and seed.

    >>> import asyncio
    >>> model = ScriptedModel(["e4"])
    >>> asyncio.run(model.generate(Question(messages=(), prefix=""), 1, 0))[0].text
    'e4'
    """

    def __init__(
        self, replies: Sequence[str] | Reply, *, name: str = "scripted", tokens: int = 1
    ) -> None:
        self.name = name
        self._tokens = tokens
        self._function = replies if callable(replies) else None
        self._replies = [] if callable(replies) else list(replies)
        self._used = 0

    @classmethod
    def from_file(cls, path: str) -> ScriptedModel:
        """One reply a line. Raises `UsageError` for a file that can't be read."""
        if not path:
            raise UsageError("scripted: needs a file, as in scripted:replies.txt")
        try:
            return cls(Path(path).read_text("utf-8").splitlines())
        except OSError as error:
            raise UsageError(f"script {path!r}: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise UsageError(f"script {path!r} is not UTF-8: {error}") from None

    def configuration(self) -> dict[str, Json]:
        """How many replies it holds."""
        return {"replies": None if self._function else len(self._replies)}

    async def generate(self, question: Question, n: int, seed: int) -> list[Completion]:
        """The next `n` replies. Raises `UsageError` when the script is at its end."""
        return [self._completion(self._next(question, seed + i)) for i in range(n)]

    def _next(self, question: Question, seed: int) -> str:
        self._used += 1
        if self._function:
            return self._function(question, seed)
        if self._used > len(self._replies):
            raise UsageError(
                f"call {self._used} of a scripted model that has {len(self._replies)} replies; "
                f"it was asked: {(question.prefix or str(question.messages))[-200:]!r}"
            )
        return self._replies[self._used - 1]

    def _completion(self, text: str) -> Completion:
        usage = Usage(prompt_tokens=self._tokens, completion_tokens=self._tokens, calls=1)
        return Completion(text=text, usage=usage, finish_reason="stop")

    def close(self) -> None:
        """Raises `UsageError` if a reply was never asked for."""
        unused = self._replies[self._used :]
        if unused:
            raise UsageError(f"{len(unused)} scripted replies were never asked for: {unused[:3]!r}")
