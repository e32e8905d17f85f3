"""The fork server: warm, with the common modules loaded; every candidate is a fork of it.

It sees neither programs nor tests: the host hands it a socket, which goes to the new process, a
judge or a candidate, and is not kept here.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import random
import select
import signal
import socket
import sys
from typing import Any

from . import candidate, judge
from .confine import Limits, confine, settle

COMMON = (
    "abc", "bisect", "collections", "contextlib", "copy", "dataclasses", "datetime", "decimal",
    "enum", "fractions", "functools", "heapq", "itertools", "json", "math", "operator", "random",
    "re", "statistics", "string", "types", "typing",
)  # fmt: skip
"""Loaded before any fork: what programs mostly import. More would make each fork dearer."""

OTHERS = (
    "argparse", "array", "ast", "asyncio", "base64", "binascii", "calendar", "cmath", "csv",
    "difflib", "doctest", "graphlib", "hashlib", "html", "inspect", "io", "keyword", "numbers",
    "pathlib", "pprint", "queue", "secrets", "struct", "tempfile", "textwrap", "threading", "time",
    "timeit", "tokenize", "traceback", "unicodedata", "unittest", "urllib.parse", "uuid",
    "warnings", "weakref", "xml.etree.ElementTree", "zlib", "zoneinfo", "encodings.latin_1",
    "encodings.idna", "encodings.utf_8_sig", "inside.rewrite",
)  # fmt: skip
"""Loaded too where no file can be opened later: beside `COMMON` all the modules that there are."""


class Server:
    """Waits for jobs on `control`, a socket of packets from the host."""

    def __init__(self, control: socket.socket, settings: dict[str, Any]) -> None:
        self.control = control
        self.seccomp = bytes.fromhex(settings["seccomp"])
        self.limits = Limits(**settings["limits"])
        self.children: dict[int, int] = {}
        """Process id by the number that the host gave."""
        self.watched: dict[int, int] = {}
        """Number of a child by the descriptor that tells of its end."""
        self.poll = select.poll()

    def run(self) -> None:
        """Until the host is gone."""
        control = self.control.fileno()
        self.poll.register(control, select.POLLIN)
        while True:
            for descriptor, _ in self.poll.poll():
                if descriptor != control:
                    self._reap(descriptor)
                elif not self._command():
                    return

    def _command(self) -> bool:
        data, descriptors, _, _ = socket.recv_fds(self.control, 65536, 1)
        if not data:
            return False
        command = json.loads(data)
        if command["do"] == "load":
            self._load(command["modules"])
        elif command["do"] == "kill":
            self._kill(command["child"])
        else:
            self._start(command, descriptors[0])
        return True

    def _load(self, modules: list[str]) -> None:
        missing = [m for m in modules if not _imported(m)]
        gc.freeze()
        self._tell({"loaded": modules, "missing": missing})

    def _start(self, command: dict[str, Any], descriptor: int) -> None:
        me = os.getpid()
        try:
            pid = _fork()
        except OSError:  # no memory, or too many processes
            os.close(descriptor)
            self._tell({"ended": command["child"], "status": 1})
            return
        if pid == 0:
            self._become(command["do"], me, descriptor, command["disk"])
        os.close(descriptor)
        self.children[command["child"]] = pid
        ending = os.pidfd_open(pid)
        self.watched[ending] = command["child"]
        self.poll.register(ending, select.POLLIN)

    def _become(self, role: str, parent: int, descriptor: int, disk: bool) -> None:
        """The rest of a child's life; never returns."""
        code = 1
        try:
            # 0 to 2 lead nowhere, 3 to the other side, and there is nothing else.
            os.dup2(1, 2)
            if descriptor != 3:
                os.dup2(descriptor, 3, inheritable=False)
            os.closerange(4, 4096)
            confine(self.limits, self.seccomp, parent, disk=disk, judge=role == "judge")
            gc.enable()
            {"candidate": candidate, "judge": judge}[role].serve(socket.socket(fileno=3))
            code = 0
        finally:
            os._exit(code)

    def _reap(self, ending: int) -> None:
        """Tell the host that one of its processes is gone."""
        child = self.watched.pop(ending)
        self.poll.unregister(ending)
        os.close(ending)
        _, status = os.waitpid(self.children.pop(child), 0)
        self._tell({"ended": child, "status": os.waitstatus_to_exitcode(status)})

    def _kill(self, child: int) -> None:
        if child in self.children:
            os.kill(self.children[child], signal.SIGKILL)

    def _tell(self, message: dict[str, Any]) -> None:
        self.control.send(json.dumps(message).encode())


def _fork() -> int:
    """As `os.fork`, without the hooks of `threading`, `logging` and `random`.

    They cost as much as the fork itself, and serve programs with threads; this one has none.
    """
    if _without_hooks is None:
        pid = os.fork()
        if pid == 0:
            random.seed(0)  # what a hook has just undone
        return pid
    pid = int(_without_hooks())
    if pid < 0:  # never to be taken for a process: -1 stands for all of them
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return pid


_without_hooks = getattr(ctypes.PyDLL(None, use_errno=True), "_Fork", None)  # glibc from 2.34 on


def _imported(module: str) -> bool:
    try:
        importlib.import_module(module)
    except ImportError:
        return False
    return True


def main() -> None:
    """`python -s -S -P -c ... CONTROL SETTINGS`: descriptor of the socket, settings as JSON."""
    control = socket.socket(fileno=os.dup(int(sys.argv[1])))
    os.close(int(sys.argv[1]))  # a low number now: children close a few thousand of them
    signal.pthread_sigmask(signal.SIG_SETMASK, [])  # whatever its host waits for
    settings = json.loads(sys.argv[2])
    sys.path.extend(settings["paths"])
    sys.argv[:] = [""]
    sys.dont_write_bytecode = True
    sys.set_int_max_str_digits(100_000)
    for module in (*COMMON, *(() if settings["files"] else OTHERS)):
        _imported(module)
    random.seed(0)  # every child draws the same: the same program gets the same verdict
    gc.collect()
    gc.disable()  # a collection in a child would copy every page of the parent
    gc.freeze()
    if settings["uid"] is not None:
        os.setgroups([])
        os.setresgid(*[settings["uid"]] * 3)
        os.setresuid(*[settings["uid"]] * 3)
    server = Server(control, settings)
    settle(server.limits)
    server._tell({"ready": os.getpid()})
    server.run()
