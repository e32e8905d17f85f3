"""The sandbox judges programs rightly, whatever the form of the tests."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agent.errors import MissingTool
from agent.sandbox import Limits, Result, Sandbox, Tests


@pytest.fixture(scope="module")
def judge() -> Any:
    """`judge(program, **tests)` -> Result, by one sandbox for the whole file."""
    runner = asyncio.Runner()
    sandbox = Sandbox(limits=Limits(seconds=10))
    try:
        runner.run(sandbox.prepare())
    except MissingTool as error:
        pytest.skip(str(error))

    def run(program: str, **tests: Any) -> Result:
        return runner.run(sandbox.run(program, Tests(**tests)))

    yield run
    sandbox.close()
    runner.close()


FIRST = "def f(x):\n    return x + 1\n"

FORMS: list[tuple[str, str, dict[str, Any], str, int, str]] = [
    ("plain asserts", FIRST, {"code": "assert f(1) == 2\nassert f(2) == 4"}, "fail", 1,
     "f(2) should be 4, got 3."),
    ("pytest functions", FIRST, {"code": "from solution import f\n\ndef test_one():\n    assert f(1) == 2\n\n"
     "def test_two():\n    assert f(2) == 3\n"}, "pass", 2, ""),
    ("pytest's own tools", FIRST, {"code": "import pytest\nimport solution\n\n@pytest.mark.parametrize('a, b', [(1, 2), (2, 3)])\n"
     "def test_f(a, b):\n    assert solution.f(a) == pytest.approx(b)\n"}, "pass", 2, ""),
    ("pytest.raises", FIRST, {"code": "import pytest\n\ndef test_f():\n    with pytest.raises(TypeError):\n        f('a')\n"},
     "pass", 1, ""),
    ("unittest", FIRST, {"code": "import unittest\nfrom program import f\n\nclass T(unittest.TestCase):\n"
     "    def test_a(self):\n        self.assertEqual(f(1), 3)\n    def test_b(self):\n"
     "        self.assertEqual(f(1), 2)\n"}, "fail", 1, "f(1) gave 2"),
    ("check(candidate)", FIRST, {"code": "def check(candidate):\n    assert candidate(1) == 2\n", "entry": "f"}, "pass", 1, ""),
    ("doctest", FIRST, {"doctest": ">>> y = f(1)\n>>> y\n2\n>>> f(2)\n4\n"}, "fail", 1, "f(2)"),
    ("cases of arguments", FIRST, {"entry": "f", "cases": [{"args": [1], "expected": 2}, {"args": [2], "expected": 2}]},
     "fail", 1, "f(2) should be 2, got 3."),
    ("cases of input and output", "print(2 * int(input()))", {"cases": [{"input": "2", "output": "4"}, {"input": "3", "output": "5"}]},
     "fail", 1, "The program with the input '3' should print '5', got '6'."),
]  # fmt: skip


@pytest.mark.parametrize(
    ("form", "program", "tests", "outcome", "passed", "told"), FORMS, ids=[f[0] for f in FORMS]
)
def test_every_form_of_tests_gives_its_verdict(
    judge: Any, form: str, program: str, tests: dict[str, Any], outcome: str, passed: int, told: str
) -> None:
    result = judge(program, **tests)
    assert (result.outcome, result.passed) == (outcome, passed), result
    assert told in result.critique
