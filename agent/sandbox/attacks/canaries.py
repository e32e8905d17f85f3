"""What must stay unseen and untouched while strangers run, and whether it did."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import secrets
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from agent.sandbox.attacks.case import CALLS
from agent.sandbox.boxes import INSIDE
from agent.sandbox.jobs import Tests


class Canaries:
    """A secret in every place where a program might look, and listeners for what it might call.

    In the environment, a file of the home folder, one of /tmp, an open descriptor, this memory, and
    the command line of another process. Use it with `with`; starts before the sandbox does.
    """

    def __init__(self) -> None:
        self.token = secrets.token_hex(8)
        self.secret = f"canary-{self.token[::-1]}"
        self._buffer = ctypes.create_string_buffer(self.secret.encode())
        self._things = contextlib.ExitStack()

    def __enter__(self) -> Canaries:
        os.environ["ERRATA_CANARY"] = self.secret
        self._things.callback(os.environ.pop, "ERRATA_CANARY", None)
        self.files = [self._file(_home()), self._file(Path(tempfile.gettempdir()))]
        self.files += [self._file(f) for f in [Path("/dev/shm")] if os.access(f, os.W_OK)]
        kept = self._things.enter_context(open(self.files[1]))
        os.set_inheritable(kept.fileno(), True)
        self._things.enter_context(
            subprocess.Popen(
                [sys.executable, "-c", "input()", self.secret],
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )
        )  # fmt: skip
        self.listeners = [self._things.enter_context(s) for s in _listening(self.token)]
        self.port = self.listeners[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._things.close()

    def _file(self, folder: Path) -> Path:
        path = folder / f".errata-{self.secret}"
        path.write_text(self.secret)
        self._things.callback(path.unlink)
        return path

    def fill(self, text: str) -> str:
        """`text` with the values of this machine for its `$NAME`s."""
        home, tmp = self.files[:2]
        values = {
            "HOME_FILE": home, "HOME_NAME": home.name, "TMP_FILE": tmp, "HOME": home.parent,
            "TOKEN": self.token, "PORT": self.port, "ABSTRACT": _abstract(self.token),
            "HOST": os.getpid(), "ADDRESS": ctypes.addressof(self._buffer), "SECRET": self.secret,
            "LENGTH": len(self.secret), "DIGEST": hashlib.sha256(self.secret.encode()).hexdigest(),
        }  # fmt: skip
        arm = os.uname().machine == "aarch64"
        values |= {f"NR_{name}": numbers[arm] for name, numbers in CALLS.items()}
        for name in sorted(values, key=len, reverse=True):  # $HOME_FILE before $HOME
            text = text.replace(f"${name}", str(values[name]))
        return text

    def tests(self, tests: Tests) -> Tests:
        """The same with their values."""
        return tests.model_copy(update={"code": self.fill(tests.code)})

    def touched(self) -> Iterator[str]:
        """What has come to the listeners or lies on the disk since the last time."""
        for listener in self.listeners:
            with contextlib.suppress(BlockingIOError):
                if listener.type == socket.SOCK_DGRAM:
                    listener.recv(100)
                else:
                    listener.accept()[0].close()
                yield "a connection arrived"
        folders = {p.parent for p in self.files} | {Path("/var/tmp"), Path("/"), Path.cwd(), INSIDE}
        for folder in folders:
            for name in os.listdir(folder):
                if self.token in name:
                    yield f"a file was written: {folder / name}"
        for path in self.files:
            if path.read_text() != self.secret:
                yield f"a file was changed: {path}"


def _home() -> Path:
    home = Path.home()
    return home if os.access(home, os.W_OK) else Path(tempfile.gettempdir())


def _abstract(token: str) -> str:
    return f"errata-{token}"


def _listening(token: str) -> Iterator[socket.socket]:
    tcp = socket.create_server(("127.0.0.1", 0))
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", tcp.getsockname()[1]))
    stream = socket.socket(socket.AF_UNIX)
    stream.bind(f"\0{_abstract(token)}")
    stream.listen()
    for sock in (tcp, udp, stream):
        sock.setblocking(False)
        yield sock
