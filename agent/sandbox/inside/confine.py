"""What a child of the fork server gives up for good before a stranger's code runs in it."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from dataclasses import dataclass

_libc = ctypes.CDLL(None, use_errno=True)
_prctl, _capset = _libc.prctl, _libc.capset

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP = 1, 4, 22
_PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 24, 38
_SECCOMP_MODE_FILTER = 2
_MS_NOSUID, _MS_NODEV, _MS_PRIVATE, _MS_REC = 2, 4, 1 << 18, 1 << 14
_CLONE_NEWNS = 0x00020000
_LAST_CAPABILITY = 63


# struct __user_cap_header_struct of version 3 for the caller, and two empty sets.
_OF_THIS = ctypes.byref((ctypes.c_uint32 * 2)(0x20080522, 0))
_NONE = ctypes.byref((ctypes.c_uint32 * 6)())


class _Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


@dataclass(frozen=True)
class Limits:
    """Of one process."""

    seconds: int
    """Of processor time; the host watches the clock."""
    memory: int
    """Bytes of address space."""
    disk: int
    """Bytes of the private temporary folder; 0 where there is none."""
    tasks: int
    """Processes and threads of its user, with all others in the box."""


def settle(limits: Limits) -> None:
    """What the fork server gives up for itself and for every child of its, once.

    Each thing that is left for the children costs each of them some fresh pages.
    """
    _limit(resource.RLIMIT_AS, limits.memory)
    _limit(resource.RLIMIT_FSIZE, limits.disk, soft=0)
    for nothing in (resource.RLIMIT_CORE, resource.RLIMIT_MEMLOCK, resource.RLIMIT_MSGQUEUE):
        _limit(nothing, 0)
    for capability in range(_LAST_CAPABILITY + 1):
        if _prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            break  # past the last one that the kernel knows, or none to drop
    # No core dump, which on many systems goes to a program of root's; no look by its like.
    _checked(_prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0))
    _checked(_prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


def confine(limits: Limits, seccomp: bytes, parent: int, *, disk: bool, judge: bool) -> None:
    """A private disk where one is wanted, no capability, and the system calls of `seccomp` alone.

    A judge serves many candidates, one after the other: it has no limit of processor time, the
    host ends it. Raises `OSError` where any of it fails: then nothing may run.
    """
    _checked(_prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
    if os.getppid() != parent:
        os._exit(1)  # it died before the signal was arranged
    if limits.disk and disk:
        _private_disk(limits.disk)
        _limit(resource.RLIMIT_FSIZE, limits.disk)
    if not judge:
        _limit(resource.RLIMIT_CPU, limits.seconds)
    _limit(resource.RLIMIT_NOFILE, 64)
    # Of the children alone: while one of them has all the threads that it may, the server forks on.
    _limit(resource.RLIMIT_NPROC, limits.tasks)
    _checked(_capset(_OF_THIS, _NONE))
    if seccomp:
        program = _Program(len(seccomp) // 8, seccomp)
        _checked(_prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0))


def _private_disk(size: int) -> None:
    _checked(_libc.unshare(_CLONE_NEWNS))
    _checked(_libc.mount(None, b"/", None, _MS_REC | _MS_PRIVATE, None))
    options = f"size={size},nr_inodes=1000,mode=0700".encode()
    _checked(_libc.mount(b"tmpfs", b"/tmp", b"tmpfs", _MS_NOSUID | _MS_NODEV, options))
    os.chdir("/tmp")


def _limit(what: int, value: int, soft: int | None = None) -> None:
    most = resource.getrlimit(what)[1]
    if most != resource.RLIM_INFINITY:  # no one may raise it
        value = min(value, most)
    resource.setrlimit(what, (value if soft is None else soft, value))


def _checked(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
