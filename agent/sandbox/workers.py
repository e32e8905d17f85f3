"""Fork servers and judges as the host sees them: processes in a box, and messages with them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import socket
import struct
from collections.abc import Sequence
from typing import Any

from agent.errors import ErrataError
from agent.sandbox.boxes import Box
from agent.sandbox.inside.wire import MAX_FRAME
from agent.sandbox.said import read

STARTS_WITHIN = 20.0
"""Seconds that a server may take to come up; on an idle machine it takes a third of one."""

GRACE = 0.25
"""Seconds to learn how a process ended that is known to be gone."""

STOPS_WITHIN = 5.0
"""Seconds that a killed process may take to be gone; if it is not by then, its server hangs."""

LINGER = 0.1
"""Seconds that a candidate may stay after its verdict."""

JOBS_OF_A_JUDGE = 500
"""After so many jobs a judge is replaced, whatever its tests may have left behind."""


class WorkerDied(ErrataError):
    """A fork server or a judge is gone without a word; what it had begun is begun again."""


class NotStarted(WorkerDied):
    """There was no process for a candidate: no program had a part in that."""


class TooLong(Exception):
    """The time of a job is over."""


class Worker:
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
        self.idle: list[Judge] = []
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

        Raises `TooLong` at the limit of time, `WorkerDied` where there is no word.
        """
        await self.load(job.get("modules", ()))
        # Tests of a stranger see nothing of other tests, and leave nothing to them.
        alone = not job.get("trusted", True) or job.get("evaluates", False)
        judge = self.idle.pop() if self.idle and not alone else Judge(self)
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
                raise NotStarted(said["reason"])
        except BaseException as error:
            judge.end()
            if link is not None:
                link.close()
            if candidate is not None and not await self._killed(candidate):
                self.close()
                raise WorkerDied("its fork server hangs") from None
            if isinstance(error, TimeoutError):
                raise TooLong from None
            raise
        if candidate is not None:
            if any(f["kind"] == "died" for f in said["failures"]):
                with contextlib.suppress(TimeoutError):  # how it died is told a moment later
                    said["ended"] = await asyncio.wait_for(asyncio.shield(ending), GRACE)
            # It ends by itself when its judge hangs up; one that does not is ended.
            self.loop.call_later(LINGER, self._end, candidate)
        judge.jobs += 1
        knows_all = judge.modules == len(self.loaded)
        if judge.jobs < JOBS_OF_A_JUDGE and knows_all and not alone:
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


class Judge:
    """A process that runs tests, job after job."""

    def __init__(self, worker: Worker) -> None:
        self.worker, self.jobs = worker, 0
        self.modules = len(worker.loaded)
        """How many its server had loaded when it was forked."""
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


async def started(box: Box) -> Worker:
    """A server in a box, once it is there. Raises `WorkerDied`."""
    worker = Worker(box)
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
