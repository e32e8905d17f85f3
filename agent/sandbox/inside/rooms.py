"""A root of our own, where bubblewrap is not installed to build one.

Started by `unshare`, as root of new namespaces: shows what it is told, hides the rest, and
becomes the fork server.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)
_RDONLY, _NOSUID, _NODEV, _REMOUNT, _BIND, _REC = 1, 2, 4, 32, 4096, 16384
_MNT_DETACH = 2
_ROOM = "/tmp"
"""Any folder that there is everywhere: in these namespaces alone it becomes the new root."""


def enter() -> None:
    """Build the room and run the rest of the command line in it; never returns."""
    told = json.loads(sys.argv[1])
    _mount("tmpfs", _ROOM, "tmpfs", _NOSUID | _NODEV, "size=1m,mode=0755")
    for source, target in told["show"]:
        _show(source, _ROOM + target)
    for device in ("null", "zero", "urandom"):
        _show(f"/dev/{device}", f"{_ROOM}/dev/{device}", writable=True)
    for folder in ("tmp", "old"):
        Path(_ROOM, folder).mkdir()
    os.chdir(_ROOM)
    _checked(_libc.syscall(_pivot_root(), b".", b"old"))
    os.chdir("/")
    _checked(_libc.umount2(b"/old", _MNT_DETACH))
    os.rmdir("/old")
    _mount(None, "/", None, _REMOUNT | _RDONLY | _NOSUID | _NODEV | _BIND, None)
    os.execv(told["then"][0], told["then"])


def _show(source: str, target: str, writable: bool = False) -> None:
    at = Path(target)
    at.parent.mkdir(parents=True, exist_ok=True)
    if os.path.isdir(source):
        at.mkdir(exist_ok=True)
    else:
        at.touch()
    _mount(source, target, None, _BIND | _REC, None)
    if not writable:
        # A mount from outside keeps the flags it came with: the kernel lets none be taken off.
        flags = os.statvfs(target).f_flag & (_NOSUID | _NODEV | 8 | 1024 | 2048)
        _mount(None, target, None, _REMOUNT | _BIND | _RDONLY | flags, None)


def _mount(source: str | None, target: str, kind: str | None, flags: int, data: str | None) -> None:
    words = [None if w is None else w.encode() for w in (source, target, kind, data)]
    _checked(_libc.mount(words[0], words[1], words[2], ctypes.c_ulong(flags), words[3]))


def _pivot_root() -> int:
    """Its number: the C library has no function for it."""
    return {"x86_64": 155, "aarch64": 41}[os.uname().machine]


def _checked(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
