"""What a judge says, read as the word of a stranger: tests that a model wrote ran in it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from agent.sandbox.inside.proxies import printable
from agent.types import Frozen

Text = Annotated[str, Field(max_length=1_200), AfterValidator(printable)]
Count = Annotated[int, Field(ge=0, le=1_000_000_000)]


class _Failure(Frozen, strict=True):
    """Of one test; which fields there are depends on its kind."""

    test: Text
    kind: Literal["assertion", "raised", "died", "data", "missing", "test"]
    call: Text = ""
    text: Text = ""
    operator: Text = ""
    got: Text = ""
    expected: Text = ""
    message: Text = ""
    direct: bool = False
    imports: bool = False
    lines: Annotated[list[Count], Field(max_length=3)] = []
    classes: Annotated[list[Text], Field(max_length=5)] = []


class _Verdict(Frozen, strict=True):
    """Of a program."""

    outcome: Literal["pass", "fail", "void", "error"]
    reason: Text
    tests: Count
    passed: Count
    skipped: Count
    calls: Count
    weak: Count
    failures: Annotated[list[_Failure], Field(max_length=20)]


class _Prepared(Frozen, strict=True):
    """Tests taken to pieces, or what is wrong with them."""

    wrong: Text = ""
    units: list[tuple[str, str, bool]] = []
    names: list[str] = []
    wholes: list[str] = []
    modules: list[str] = []
    libraries: list[str] = []
    evaluates: bool = False


def read(do: str, message: bytes) -> dict[str, Any]:
    """The answer to a job. Raises `ValueError` for anything that is none."""
    kind = _Prepared if do == "prepare" else _Verdict
    return kind.model_validate_json(message).model_dump()
