"""The sandbox from the outside: jobs in, results out, workers that are replaced when they die."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import socket
import struct
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from agent.errors import ErrataError, MissingTool, UsageError
from agent.sandbox.boxes import AUTOMATIC, LEVELS, Box, Level, installed
from agent.sandbox.critiques import critique, failure_of, limit_of
from agent.sandbox.inside.wire import MAX_FRAME
from agent.sandbox.jobs import Limit, Limits, Result, Tests
from agent.sandbox.probe import PROBE, Probe
from agent.sandbox.said import read

STARTS_WITHIN = 20.0
"""Seconds that a server may take to come up; on an idle machine it takes a third of one."""

GRACE = 0.25
"""Seconds to learn how a process ended that is known to be gone."""

STOPS_WITHIN = 5.0
"""Seconds that a killed process may take to be gone; if it is not by then, its server hangs."""

RUNS = 3
"""How often a job is begun whose worker died before its verdict."""

LINGER = 0.1
"""Seconds that a candidate may stay after its verdict."""

JOBS_OF_A_JUDGE = 500
"""After so many jobs a judge is replaced, whatever its tests may have left behind."""

PYTEST = ("pytest", "_pytest", "pluggy", "iniconfig", "packaging", "pygments", "py")
"""What `import pytest` in tests needs in the box."""


MOST_PROGRAM = 500_000
"""Characters of a program."""

MOST_KNOWN = 256
"""Tests that are kept taken to pieces, the last ones."""


class WorkerDied(ErrataError):
    """A fork server or a judge is gone without a word; what it had begun is begun again."""


class _NotStarted(WorkerDied):
    """There was no process for a candidate: no program had a part in that."""


class _TooLong(Exception):
    """The time of a job is over."""


class _Known(NamedTuple):
    """What was learnt of tests before any program met them."""

    pieces: dict[str, Any]
    void: Result | None
    """The result for any program, where they can't judge one."""


class _Worker:
    """One fork server in its box, and its judges."""

    def __init__(self, box: Box) -> None:
        self.box = box
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        self.control = ours
        with theirs:
            try:
                self.process = box.start(theirs.fileno())
            except BaseException:
                ours.close()
                raise
        self.loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = self.loop.create_future()
        self.ended: dict[int, asyncio.Future[int]] = {}
        """By number of a child: how its process ended, once it has."""
        self.loaded: dict[str, asyncio.Future[bool]] = {}
        self.idle: list[_Judge] = []
        self.alive = True
        self._children = 0
        self.loop.add_reader(ours.fileno(), self._hear)

    def _hear(self) -> None:
        try:
            data = self.control.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        message = json.loads(data)
        if "ready" in message:
            self.ready.set_result(None)
        elif "loaded" in message:
            for module in message["loaded"]:
                self.loaded[module].set_result(module not in message["missing"])
        else:
            self.ended.pop(message["ended"]).set_result(message["status"])

    def fork(self, role: str, descriptor: int, *, disk: bool = False) -> int:
        """A new process in the box, with one socket; its number. Raises `WorkerDied`."""
        self._children += 1
        self.ended[self._children] = self.loop.create_future()
        command = json.dumps({"do": role, "child": self._children, "disk": disk}).encode()
        try:
            socket.send_fds(self.control, [command], [descriptor])
        except OSError:
            raise WorkerDied("its fork server is gone") from None
        return self._children

    def tell(self, **command: Any) -> None:
        """Send a command, if anybody is there; a server that takes none is given up."""
        try:
            self.control.send(json.dumps(command).encode())
        except OSError:
            self.close()

    async def said(self, do: str, job: dict[str, Any]) -> dict[str, Any]:
        """Have a job done by a judge, with a candidate where it needs one.

        Raises `_TooLong` at the limit of time, `WorkerDied` where there is no word.
        """
        await self.load(job.get("modules", ()))
        # Tests of a stranger see nothing of other tests, and leave nothing to them.
        alone = not job.get("trusted", True) or job.get("evaluates", False)
        judge = self.idle.pop() if self.idle and not alone else _Judge(self)
        candidate, link = None, None
        try:
            async with asyncio.timeout(self.box.limits.seconds):
                if do == "run":
                    link, theirs = socket.socketpair()
                    with theirs:
                        candidate = self.fork(
                            "candidate", theirs.fileno(), disk=_writes(job["program"])
                        )
                    ending = self.ended[candidate]
                said = await judge.said({**job, "do": do, "known": self.box.packages}, link)
            if do == "run" and said["outcome"] == "error":
                raise _NotStarted(said["reason"])
        except BaseException as error:
            judge.end()
            if link is not None:
                link.close()
            if candidate is not None and not await self._killed(candidate):
                self.close()
                raise WorkerDied("its fork server hangs") from None
            if isinstance(error, TimeoutError):
                raise _TooLong from None
            raise
        if candidate is not None:
            if any(f["kind"] == "died" for f in said["failures"]):
                with contextlib.suppress(TimeoutError):  # how it died is told a moment later
                    said["ended"] = await asyncio.wait_for(asyncio.shield(ending), GRACE)
            # It ends by itself when its judge hangs up; one that does not is ended.
            self.loop.call_later(LINGER, self._end, candidate)
        judge.jobs += 1
        if judge.jobs < JOBS_OF_A_JUDGE and not alone:
            self.idle.append(judge)
        else:
            judge.end()
        return said

    def _end(self, child: int) -> None:
        if child in self.ended and self.alive:
            self.tell(do="kill", child=child)

    async def _killed(self, child: int) -> bool:
        """End a process; is it gone."""
        ending = self.ended.get(child)
        self.tell(do="kill", child=child)
        if ending is not None:
            try:
                await asyncio.wait_for(asyncio.shield(ending), STOPS_WITHIN)
            except TimeoutError:
                return False
        return True

    async def load(self, modules: Sequence[str]) -> None:
        """Import modules in the server, once, so that every job has them."""
        new = [m for m in modules if m not in self.loaded]
        if new:
            for module in new:
                self.loaded[module] = self.loop.create_future()
            self.tell(do="load", modules=new)
            while self.idle:  # they were forked without
                self.idle.pop().end()
        try:
            async with asyncio.timeout(STARTS_WITHIN):
                await asyncio.gather(*(asyncio.shield(self.loaded[m]) for m in modules))
        except TimeoutError:
            self.close()
            raise WorkerDied(f"it can't load {', '.join(modules)}") from None

    def close(self) -> None:
        """End the server and everything in its box."""
        if not self.alive:
            return
        self.alive = False
        self.loop.remove_reader(self.control.fileno())
        self.control.close()
        while self.idle:
            self.idle.pop().end()
        self.process.kill()
        self.process.wait()
        why = f"its fork server is gone{self._last_words()}"
        waiting: list[asyncio.Future[Any]] = [self.ready, *self.ended.values()]
        for future in [*waiting, *self.loaded.values()]:
            if not future.done():
                future.set_exception(WorkerDied(why))
                future.exception()  # looked at: nobody may be waiting for it

    def _last_words(self) -> str:
        with self.process.stderr or contextlib.nullcontext() as stderr:
            if stderr is None:
                return ""
            os.set_blocking(stderr.fileno(), False)
            said = (stderr.read() or b"").decode("utf-8", "replace").strip()
        return f": {said.splitlines()[-1][:300]}" if said else ""


class _Judge:
    """A process that runs tests, job after job."""

    def __init__(self, worker: _Worker) -> None:
        self.worker, self.jobs = worker, 0
        self.sock, theirs = socket.socketpair()
        self.sock.setblocking(False)
        with theirs:
            try:
                self.number = worker.fork("judge", theirs.fileno())
            except WorkerDied:
                self.sock.close()
                raise

    async def said(self, job: dict[str, Any], link: socket.socket | None) -> dict[str, Any]:
        """Hand over a job with its end of the link to the candidate; its answer."""
        framed = _framed(job)
        loop = self.worker.loop
        try:
            if link is not None:
                with link:
                    sent = socket.send_fds(self.sock, [framed], [link.fileno()])
                framed = framed[sent:]
            await loop.sock_sendall(self.sock, framed)
            return read(job["do"], await _received(loop, self.sock))
        except OSError:
            raise WorkerDied("its judge is gone") from None
        except ValueError:
            raise WorkerDied("its judge said what is no message") from None

    def end(self) -> None:
        """End its process."""
        self.sock.close()
        self.worker.tell(do="kill", child=self.number)


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
        self._workers: list[_Worker | None] = [None] * workers
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
    def workers(self) -> list[_Worker]:
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
            return self._result(outcome="fail", limit="data", critique=told)
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
        except _TooLong:
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
        except _TooLong:
            limit: Limit | None = "seconds"
            told = f"The program took longer than {self.limits.seconds:g} s."
            return self._result(
                began, outcome="fail", limit=limit, failure="limit_seconds", critique=told
            )
        except WorkerDied as error:
            if do == "run" and not isinstance(error, _NotStarted) and await self._sound(job):
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

        Raises `_TooLong` at the limit of time, `WorkerDied` when nothing helps.
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
        except _TooLong:
            pass
        return True

    async def _worker(self, slot: int) -> _Worker:
        async with self._starting[slot]:
            worker = self._workers[slot]
            if worker is None or not worker.alive:
                assert self.box is not None
                worker = self._workers[slot] = await _started(self.box)
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


async def _started(box: Box) -> _Worker:
    worker = _Worker(box)
    try:
        await asyncio.wait_for(asyncio.shield(worker.ready), STARTS_WITHIN)
    except BaseException as error:
        worker.close()
        if isinstance(error, TimeoutError):
            raise WorkerDied(f"its fork server did not start in {STARTS_WITHIN:g} s") from None
        raise
    return worker


_WRITERS = re.compile(
    r"\b(?:open|os|io|tempfile|pathlib|shutil|sqlite3|dbm|shelve|codecs|fileinput|logging|zipfile"
    r"|tarfile|exec|eval|compile|importlib|__\w+__)\b"
)


def _writes(program: str) -> bool:
    """Whether a program may want a disk. It is a millisecond dearer; without one a write fails."""
    return _WRITERS.search(program) is not None


_HEAD = struct.Struct("!I")


def _framed(message: Any) -> bytes:
    body = json.dumps(message).encode()
    return _HEAD.pack(len(body)) + body


async def _received(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> bytes:
    """The one message of a judge, undecoded. Raises `WorkerDied` where it ends without one."""
    data = bytearray()
    while len(data) < _HEAD.size or len(data) < _HEAD.size + _HEAD.unpack_from(data)[0]:
        part = await loop.sock_recv(sock, 65536)
        if not part:
            raise WorkerDied("its judge is gone")
        data += part
        if len(data) > MAX_FRAME:
            raise WorkerDied("its judge says too much")
    return bytes(data[_HEAD.size :])
