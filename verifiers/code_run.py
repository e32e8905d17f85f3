"""Does a program pass its tests: run in the sandbox, told in the words of the first failure.

It sees the tests that a question shows. Hidden tests belong to the task's score, never here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agent.sandbox import Limits, Result, Tests, runner
from agent.types import Answer, Outcome, Question, Verdict


class CodeRun:
    """Reads `question.state["tests"]`, a text or the fields of `agent.sandbox.Tests`, and
    `["before"]`, code that the program stands on, where there is any.

    limits: of each candidate.
    """

    name = "code-run"
    timeout = 60.0
    """More than the limits allow, waiting for a free worker included."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()

    async def __call__(self, question: Question, answer: Answer) -> Verdict:
        """Pass, or fail with the first failing test; error where nothing could be judged."""
        state = question.state
        if not state.get("tests"):
            return Verdict(verifier=self.name, outcome="abstain", evidence={"reason": "no tests"})
        program = "\n\n".join(part for part in (state.get("before"), str(answer)) if part)
        result = await runner(self.limits).judge(program, tests_of(state))
        return verdict(self.name, result)

    @property
    def isolation(self) -> str:
        """The level of the box; starts it."""
        return runner(self.limits).prepare()

    async def withstands(self, tell: Callable[[str], None]) -> bool:
        """Run the attacks on its sandbox, a minute or more; tells what got through. Did none."""
        from agent.sandbox.attacks import siege

        return await siege(runner(self.limits).sandbox.wished, tell)

    known_good: Sequence[tuple[Question, Answer]] = ()
    known_bad: Sequence[tuple[Question, Answer]] = ()


def tests_of(state: Mapping[str, Any]) -> Tests:
    """The tests that the state of a question shows."""
    given = state["tests"]
    if isinstance(given, str):
        given = {"code": given, "entry": state.get("entry")}
    return Tests.model_validate(given)


def verdict(name: str, result: Result) -> Verdict:
    """A result as a verdict. Tests that prove nothing judge nothing."""
    outcome: Outcome = "abstain" if result.outcome == "void" else result.outcome
    evidence = {
        "isolation": result.isolation, "tests": result.tests, "passed": result.passed,
        "weak": result.weak, "limit": result.limit,
        "class": result.failure,
    }  # fmt: skip
    if result.reason:
        evidence["error" if outcome == "error" else "reason"] = result.reason
    return Verdict(
        verifier=name, outcome=outcome, critique=result.critique, evidence=evidence,
        score=result.passed / result.tests if result.tests else None,
    )  # fmt: skip


def _ask(tests: str) -> Question:
    return Question(messages=(), prefix="", state={"tests": tests, "entry": "double"})


_EXAMPLE = _ask("assert double(2) == 4\nassert double(-1) == -2")
CodeRun.known_good = [(_EXAMPLE, "def double(x):\n    return 2 * x")]
CodeRun.known_bad = [
    (_EXAMPLE, program)
    for program in (
        "def double(x):\n    return x * x",
        "def double(x)\n    return 2 * x",
        "import sys\nsys.exit(0)",
        "print('2 of 2 tests pass')",
    )
]

code_run = CodeRun()
