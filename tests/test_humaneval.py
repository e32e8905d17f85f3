"""Every reference solution of HumanEval passes, and a mutant of each fails."""

from __future__ import annotations

import asyncio

import pytest
from humaneval import FILE, code_of, problems, wrong

from agent.errors import MissingTool
from agent.sandbox import Limits, Result, Sandbox, Tests

pytestmark = pytest.mark.skipif(not FILE.exists(), reason=f"there is no {FILE}")


def test_all_solutions_of_humaneval_pass_and_a_mutant_of_each_fails() -> None:
    rows = problems()
    right = [row["prompt"] + row["canonical_solution"] for row in rows]
    tests = [Tests(code=code_of(row), entry=row["entry_point"], hidden=True) for row in rows]

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
