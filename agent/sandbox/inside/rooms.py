"""On the way into a box: root becomes nobody; a root folder of our own is built.

The latter where bubblewrap is not installed to do it: started by `unshare`, as root of new
namespaces, it shows what it is told, hides the rest, and becomes the fork server.
"""

from __future__ import annotations

import ctypes
import json
import os
import struct
import sys
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)
_NOSUID, _NODEV, _BIND, _REC, _PRIVATE = 2, 4, 4096, 16384, 1 << 18
_MNT_DETACH = 2
_CLONE_NEWNS = 0x00020000
_AT_FDCWD, _AT_RECURSIVE, _ATTR_RDONLY = -100, 0x8000, 1
_MOUNT_SETATTR = 442
"""Its number, on every machine; Linux 5.12 or newer."""
_ROOM = "/tmp"
"""Any folder that there is everywhere: in these namespaces alone it becomes the new root."""


def step_down() -> None:
    """Become nobody for good and run the rest of the command line; never returns.

    What is to be shown and lies in a folder of root's own, as a Python in /root does, is mounted
    where nobody can reach it, in a view of the disk that is this process's alone.
    """
    told = json.loads(sys.argv[1])
    closed: dict[Path, list[str]] = {}
    for path in told["show"]:
        shut = [f for f in reversed(Path(path).parents) if not f.stat().st_mode & 0o001]
        if shut:
            closed.setdefault(shut[0], []).append(path)
    if closed:
        _checked(_libc.unshare(_CLONE_NEWNS))
        _mount(None, "/", None, _REC | _PRIVATE, None)
    for folder, paths in closed.items():
        kept = {path: os.open(path, os.O_PATH) for path in paths}
        _mount("tmpfs", str(folder), "tmpfs", _NOSUID | _NODEV, "size=1m,mode=0755")
        for path, descriptor in kept.items():
            _show(f"/proc/self/fd/{descriptor}", path)
            os.close(descriptor)
    os.setgroups([])
    os.setresgid(*[told["uid"]] * 3)
    os.setresuid(*[told["uid"]] * 3)
    os.execv(told["then"][0], told["then"])


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
    _read_only("/", 0)
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
        _read_only(target, _AT_RECURSIVE)  # what is mounted below it, too


def _read_only(path: str, how: int) -> None:
    attributes = struct.pack("QQQQ", _ATTR_RDONLY, 0, 0, 0)
    number, size = ctypes.c_long(_MOUNT_SETATTR), ctypes.c_size_t(len(attributes))
    _checked(_libc.syscall(number, _AT_FDCWD, path.encode(), how, attributes, size))


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
