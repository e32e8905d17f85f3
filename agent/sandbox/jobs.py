"""What goes into the sandbox and what comes out: plain data."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

from pydantic import Field, model_validator

from agent.types import Frozen

Outcome = Literal["pass", "fail", "void", "error"]
"""`void`: the tests prove nothing. `error`: the sandbox or the tests are broken, not the program."""

Limit = Literal["seconds", "processor", "memory", "output", "data", "processes"]


MOST_TESTS = 5_000_000
"""Bytes of tests, as JSON."""


class Limits(Frozen):
    """What one candidate may use."""

    seconds: float = Field(default=5.0, gt=0, le=3600)
    """By the clock, from start to verdict."""
    memory: int = Field(default=512, ge=64)
    """Megabytes of address space of each of its processes."""
    disk: int = Field(default=16, ge=0)
    """Megabytes of a temporary folder that only it sees."""


class Tests(Frozen):
    """Tests in any of the usual forms; several may be given together."""

    __test__ = False  # pytest: not one of ours

    code: str = ""
    """Python: plain asserts, `test_*` functions, `unittest` classes, or `check(candidate)`."""
    doctest: str = ""
    """A text with `>>>` examples."""
    cases: tuple[dict[str, Any], ...] = ()
    """`{"args": [...], "expected": ...}` for the entry, or `{"input": ..., "output": ...}`."""
    entry: str | None = None
    """The function asked for; in `code` also under the name `candidate`."""
    hidden: bool = False
    """No critique says anything of their text or values."""
    trusted: bool = True
    """False for tests that a model wrote: the process that runs them is not used again."""

    @model_validator(mode="after")
    def _make_sense(self) -> Tests:
        kinds = {"input" in case for case in self.cases}
        if len(kinds) > 1:
            raise ValueError("cases are either of arguments or of inputs, not both")
        if kinds == {False} and not self.entry:
            raise ValueError("cases with arguments need an entry, the function to call")
        for case in self.cases:
            needed = {"input", "output"} if "input" in case else {"args", "expected"}
            if missing := needed - case.keys():
                raise ValueError(f"a case lacks {' and '.join(sorted(missing))}: {case!r:.120}")
        try:
            size = len(self.model_dump_json())
            json.dumps(self.cases)
        except (TypeError, ValueError):
            raise ValueError("the tests hold what JSON has no word for") from None
        if size > MOST_TESTS:
            raise ValueError(f"the tests are larger than {MOST_TESTS:,} bytes")
        if not (self.code.strip() or self.doctest.strip() or self.cases):
            raise ValueError("there are no tests")
        return self

    @property
    def stdio(self) -> bool:
        """The program is a script that reads and prints."""
        return bool(self.cases) and "input" in self.cases[0]

    @property
    def key(self) -> str:
        """The same for tests that ask the same."""
        asked = self.model_dump(exclude={"hidden", "trusted"})
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


class Result(Frozen):
    """What the tests say of a program."""

    outcome: Outcome
    """See `Outcome`."""
    critique: str = ""
    """What a model can be told of a failure: the first failing test, cut to a budget."""
    got: str = ""
    """What the program gave at the first failure, as `repr` and cut; of hidden tests nothing."""
    reason: str = ""
    """Why it is void or an error."""
    tests: int = 0
    """How many ran."""
    passed: int = 0
    """How many of them passed."""
    weak: int = 0
    """Answers that count for little: of the program's own special methods, or to tests that evaluate
    text."""
    limit: Limit | None = None
    """The limit that was hit."""
    failure: str | None = None
    """The kind of the first failure: `wrong_answer`, `exception`, `syntax`, `missing`, `died`,
    `not_data`, or `limit_` and the limit."""
    isolation: str
    """The level of the box."""
    seconds: float
    """By the clock."""
