"""Every reference solution of HumanEval passes, and a mutant of each fails."""

from __future__ import annotations

import asyncio

import pytest
from humaneval import FILE, problems, wrong

from agent.errors import MissingTool
from agent.sandbox import Limits, Result, Sandbox
from tasks.code.problems import load

pytestmark = pytest.mark.skipif(not FILE.exists(), reason=f"there is no {FILE}")


def test_all_solutions_of_humaneval_pass_and_a_mutant_of_each_fails() -> None:
    rows = problems()
    right = [row["prompt"] + row["canonical_solution"] for row in rows]
    tests = [problem.steps[0].hidden for problem in load(FILE)]

    async def judged(programs: list[str]) -> list[Result]:
        async with Sandbox(limits=Limits(seconds=30)) as sandbox:
            return await asyncio.gather(*map(sandbox.run, programs, tests))

    try:
        solutions = asyncio.run(judged(right))
    except MissingTool as error:
        pytest.skip(str(error))
    assert len(solutions) == 164
    assert {
        row["task_id"]: r for row, r in zip(rows, solutions, strict=True) if r.outcome != "pass"
    } == {}
    assert sum(r.weak for r in solutions) == 0
    mutants = asyncio.run(judged(wrong(seed=1)))
    assert {
        row["task_id"]: r for row, r in zip(rows, mutants, strict=True) if r.outcome != "fail"
    } == {}


def test_an_answer_that_brings_the_helper_of_its_tests_does_not_judge_itself() -> None:
    """HumanEval/32, 38 and 50 check a function by another one of the prompt."""
    lies = {"find_zero": ("poly", "0"), "decode_cyclic": ("encode_cyclic", "args[0]"),
            "decode_shift": ("encode_shift", "args[0]")}  # fmt: skip
    asked = [p.steps[0] for p in load(FILE) if p.steps[0].entry in lies]
    programs = [
        f"def {f.entry}(x):\n    return x\n\ndef {lies[f.entry][0]}(*args):\n    return {lies[f.entry][1]}\n"
        for f in asked
    ]

    async def outcomes() -> list[str]:
        async with Sandbox(limits=Limits(seconds=30)) as sandbox:
            tests = [f.hidden for f in asked]
            return [r.outcome for r in await asyncio.gather(*map(sandbox.run, programs, tests))]

    try:
        assert asyncio.run(outcomes()) == ["fail"] * 3
    except MissingTool as error:
        pytest.skip(str(error))
