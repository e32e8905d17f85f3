"""The self-test of a level: a program that tries every door, and tests that expect it shut."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from agent.sandbox.jobs import Tests

_PROGRAM = '''
import ctypes, os, socket, subprocess, threading

CANARY, PARENT = {canary!r}, {parent}


def shut(attempt):
    """'shut', or what came out of the door."""
    try:
        return repr(attempt())
    except Exception:
        return "shut"


def read_file():
    return shut(lambda: open(CANARY).read(10))


def read_home():
    return shut(lambda: os.listdir(os.path.expanduser("~root")) + os.listdir("/home"))


def write_file():
    return shut(lambda: open("/usr/lib/errata-probe", "w").write("x"))


def connect():
    return shut(lambda: socket.create_connection(("127.0.0.1", 9), 0.2))


def make_socket():
    return shut(socket.socket)


def fork():
    pid = -1
    try:
        pid = os.fork()
    except OSError:
        return "shut"
    if pid == 0:
        os._exit(0)
    return "open"


def execute():
    return shut(lambda: subprocess.run(["/bin/true"]))


def kill_parent():
    return shut(lambda: os.kill(os.getppid() or PARENT, 0))


def trace():
    return "shut" if ctypes.CDLL(None).ptrace(16, PARENT, 0, 0) == -1 else "open"


def environment():
    return "shut" if not {{k for k in os.environ if k.startswith(("ERRATA", "OPENAI"))}} else "open"


def memory():
    return shut(lambda: len(bytearray(1 << 40)))


def thread():
    seen = []
    t = threading.Thread(target=seen.append, args=("works",))
    t.start()
    t.join()
    return seen[0]
'''

DOORS = (
    "read_file", "read_home", "write_file", "connect", "make_socket", "fork", "execute",
    "kill_parent", "trace", "environment", "memory",
)  # fmt: skip
"""Functions of the program, each of which must find its door shut."""


@dataclass(frozen=True)
class Probe:
    """The program and its tests."""

    tests: Tests

    def program(self) -> str:
        """With the secrets of this very process to look for."""
        return _PROGRAM.format(canary=str(Path(__file__).resolve()), parent=os.getpid())


PROBE = Probe(Tests(code="\n".join([f'assert {d}() == "shut"' for d in DOORS]
                                   + ['assert thread() == "works"'])))  # fmt: skip
