"""The sandbox from the outside: jobs in, results out, workers that are replaced when they die."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from agent.errors import ErrataError, MissingTool, UsageError
from agent.sandbox.boxes import AUTOMATIC, LEVELS, Box, Level, installed
from agent.sandbox.critiques import critique, failure_of, limit_of
from agent.sandbox.jobs import Limit, Limits, Result, Tests
from agent.sandbox.probe import PROBE, Probe
from agent.sandbox.workers import NotStarted, TooLong, Worker, WorkerDied, started

RUNS = 3
"""How often a job is begun whose worker died before its verdict."""

PYTEST = ("pytest", "_pytest", "pluggy", "iniconfig", "packaging", "pygments", "py")
"""What `import pytest` in tests needs in the box."""

MOST_PROGRAM = 500_000
"""Characters of a program."""

MOST_KNOWN = 256
"""Tests that are kept taken to pieces, the last ones."""


class _Known(NamedTuple):
    """What was learnt of tests before any program met them."""

    pieces: dict[str, Any]
    void: Result | None
    """The result for any program, where they can't judge one."""


class Sandbox:
    """Runs programs against tests, many at once.

    isolation: a level, or None for the strongest one that works here.
    workers: fork servers; jobs: candidates at once in all, default the processors.
    packages: third-party modules that programs and tests may import (they are loaded before).
    allow_unsafe_exec: go on without isolation where there is none.

    Use it with `async with`, or `close()` it. Raises `MissingTool` on first use where no level
    works, with what would mend that.
    """

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        isolation: Level | None = None,
        workers: int = 1,
        jobs: int | None = None,
        packages: Sequence[str] = (),
        allow_unsafe_exec: bool = False,
    ) -> None:
        if isolation is not None and isolation not in LEVELS:
            raise UsageError(f"isolation {isolation!r} is not one of: {', '.join(LEVELS)}")
        if isolation == "none" and not allow_unsafe_exec:
            raise UsageError("isolation 'none' needs --allow-unsafe-exec")
        self.limits = limits or Limits()
        self.wished, self.allow_unsafe_exec = isolation, allow_unsafe_exec
        self.packages = tuple(packages)
        self.box: Box | None = None
        self._count = workers
        self._jobs = jobs or os.cpu_count() or 1
        self._workers: list[Worker | None] = [None] * workers
        self._next = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._known: dict[str, asyncio.Future[_Known]] = {}

    async def __aenter__(self) -> Sandbox:
        await self.prepare()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    @property
    def isolation(self) -> Level:
        """The level in use. Raises `UsageError` before the first job."""
        if self.box is None:
            raise UsageError("the sandbox has not been started yet")
        return self.box.level

    @property
    def workers(self) -> list[Worker]:
        """The fork servers that run."""
        return [w for w in self._workers if w is not None and w.alive]

    async def prepare(self) -> None:
        """Choose the box by trying, and start the workers."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            # Sockets and locks belong to a loop; a second asyncio.run gets workers of its own.
            self._drop()
            self._loop = loop
            self._choosing = asyncio.Lock()
            self._slots = asyncio.Semaphore(self._jobs)
            self._starting = [asyncio.Lock() for _ in range(self._count)]
            self._known.clear()
        async with self._choosing:
            if self.box is None:
                self.box = await self._choose()

    async def _choose(self) -> Box:
        packages = tuple(dict.fromkeys([*self.packages, *installed(PYTEST)]))
        failures = []
        for level in [self.wished] if self.wished else AUTOMATIC:
            box = Box(level, self.limits, packages)
            try:
                await self._try(box)
                return box
            except (ErrataError, OSError, TimeoutError) as error:
                failures.append(f"{level}: {error}")
        if self.allow_unsafe_exec:
            return Box("none", self.limits, packages)
        raise MissingTool(
            "no isolation works on this machine, so no program is run ("
            + "; ".join(failures)
            + "). Install bubblewrap (Debian, Ubuntu: apt-get install bubblewrap) on a Linux machine "
            "that allows user namespaces, or run without protection: --allow-unsafe-exec"
        )

    async def _try(self, box: Box) -> None:
        """Does the level hold: a program that tries every door must find it shut."""
        self.box = box
        try:
            result = await self._probe(PROBE)
        finally:
            self.box = None
        if result.outcome != "pass":
            self._drop()
            raise UsageError(f"its self-test fails: {result.critique or result.reason}")

    async def _probe(self, probe: Probe) -> Result:
        known = await self._learn(probe.tests)
        program = probe.program()
        return known.void or await self._result_of("run", program, probe.tests, known)

    async def run(self, program: str, tests: Tests) -> Result:
        """The verdict of `tests` on `program`.

        Tests that a program passes which does nothing are void: they prove nothing.
        """
        await self.prepare()
        if len(program) > MOST_PROGRAM:
            told = f"The program is longer than {MOST_PROGRAM:,} characters."
            return self._result(outcome="fail", limit="data", failure="limit_data", critique=told)
        known = await self._knowledge(tests)
        return known.void or await self._result_of("run", program, tests, known)

    async def _knowledge(self, tests: Tests) -> _Known:
        """What `_learn` finds out, once for the same tests."""
        key = tests.key
        if key not in self._known:
            self._known[key] = asyncio.ensure_future(self._learn(tests))
            while len(self._known) > MOST_KNOWN:
                del self._known[next(iter(self._known))]
        known = await asyncio.shield(self._known[key])
        if known.void is not None and known.void.outcome == "error":
            self._known.pop(key, None)  # it may be better next time
        return known

    async def _learn(self, tests: Tests) -> _Known:
        """Take tests to pieces, and see whether they fail a program that does nothing."""
        asked = {"code": tests.code, "doctest": tests.doctest, "entry": tests.entry}
        try:
            said = await self._said("prepare", asked)
        except TooLong:
            said = {"wrong": "they take too long"}
        except WorkerDied as error:
            said = {"wrong": str(error)}
        if said["wrong"]:
            reason = f"the tests can't be read: {said['wrong']}"
            return _Known({}, self._result(outcome="error", reason=reason))
        known = _Known(said, None)
        result = await self._result_of("stub", "", tests, known)
        if result.outcome in ("error", "void"):
            return _Known(said, result)
        if result.outcome == "pass":
            reason = "a program that does nothing passes these tests"
            return _Known(said, result.model_copy(update={"outcome": "void", "reason": reason}))
        return known

    async def _result_of(self, do: str, program: str, tests: Tests, known: _Known) -> Result:
        began = time.perf_counter()
        job = {
            "program": program, "doctest": tests.doctest, "cases": tests.cases,
            "entry": tests.entry, "stdio": tests.stdio, "trusted": tests.trusted, **known.pieces,
        }  # fmt: skip
        try:
            said = await self._said(do, job)
        except TooLong:
            limit: Limit | None = "seconds"
            told = f"The program took longer than {self.limits.seconds:g} s."
            return self._result(
                began, outcome="fail", limit=limit, failure="limit_seconds", critique=told
            )
        except WorkerDied as error:
            if do == "run" and not isinstance(error, NotStarted) and await self._sound(job):
                told = "The program brings down the process that runs its tests."
                return self._result(
                    began, outcome="fail", limit="data", failure="limit_data", critique=told
                )
            reason = f"the sandbox died at it {RUNS} times: {error}"
            return self._result(began, outcome="error", reason=reason)
        limit = limit_of(said)
        return self._result(
            began, outcome=said["outcome"], reason=said["reason"], tests=said["tests"],
            passed=said["passed"], weak=said["weak"], limit=limit, failure=failure_of(said, limit),
            critique=critique(said, program, tests, limit, self.limits),
            got="" if tests.hidden or not said["failures"] else said["failures"][0]["got"],
        )  # fmt: skip

    async def _said(self, do: str, job: dict[str, Any]) -> dict[str, Any]:
        """What the judge of a job says; begun again where its worker dies.

        Raises `TooLong` at the limit of time, `WorkerDied` when nothing helps.
        """
        died = WorkerDied("it never began")
        async with self._slots:
            for _ in range(RUNS):
                slot = self._next = (self._next + 1) % self._count
                try:
                    worker = await self._worker(slot)
                    return await worker.said(do, job)
                except WorkerDied as error:
                    died = error
        raise died

    async def _sound(self, job: dict[str, Any]) -> bool:
        """Does the same job end well with a program that does nothing."""
        try:
            await self._said("stub", job)
        except WorkerDied:
            return False
        except TooLong:
            pass
        return True

    async def _worker(self, slot: int) -> Worker:
        async with self._starting[slot]:
            worker = self._workers[slot]
            if worker is None or not worker.alive:
                assert self.box is not None
                worker = self._workers[slot] = await started(self.box)
            return worker

    def _result(self, began: float = 0.0, **fields: Any) -> Result:
        seconds = round(time.perf_counter() - began, 6) if began else 0.0
        return Result(isolation=self.isolation, seconds=seconds, **fields)

    def _drop(self) -> None:
        for worker in self._workers:
            if worker is not None:
                worker.close()
        self._workers = [None] * self._count

    def close(self) -> None:
        """End every worker; the next job would start new ones."""
        self._drop()
        self._loop = None
