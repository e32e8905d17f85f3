"""The isolation that this machine gives: how a fork server is started inside it.

Strongest first: bubblewrap; namespaces of our own; a process that can open nothing at all
("sealed"). Each has seccomp and limits inside. Which one is used is decided by trying.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from agent.errors import UsageError
from agent.sandbox import seccomp
from agent.sandbox.jobs import Limits

Level = Literal["bubblewrap", "namespaces", "sealed", "container", "none"]

LEVELS: dict[Level, str] = {
    "bubblewrap": "bwrap round the fork server, seccomp and a private disk for each candidate",
    "namespaces": "the same from namespaces of our own, where bwrap is not installed",
    "sealed": "seccomp alone: no file can be opened, there is no disk",
    "container": "a container of podman, sealed inside; only when asked for",
    "none": "limits alone; only with --allow-unsafe-exec",
}

AUTOMATIC: tuple[Level, ...] = ("bubblewrap", "namespaces", "sealed")
"""In this order, the first one that works."""

IMAGE = "docker.io/library/python:3-slim"
"""Of a container, unless ERRATA_CONTAINER_IMAGE names another; it needs a Python of 3.11 or newer."""

NOBODY = 65534
INSIDE = Path(__file__).with_name("inside")
_ROOT = "/box"
"""Where the box shows this package's own inside, and packages that were asked for."""

_START = "import sys; sys.path.insert(0, {root!r}); from inside.server import main; main()"
_BUILD = "import sys; sys.path.insert(0, {root!r}); from inside.rooms import enter; enter()"
_STEP_DOWN = (
    "import sys; sys.path.insert(0, {root!r}); from inside.rooms import step_down; step_down()"
)

_FIRST_TO_GO = ["/bin/sh", "-c", 'echo 1000 >/proc/self/oom_score_adj; exec "$@"', "sh"]
"""Where the machine runs out of memory, the kernel takes what is in a box, not what started it."""

TASKS_IN_A_BOX, TASKS_OF_A_USER = 256, 4096
"""Threads and processes at most. The kernel counts those of one user in one user namespace, which a
box has to itself; without, it counts all that the user runs, on a desktop a thousand and more."""


@dataclass(frozen=True)
class Box:
    """A level on this machine, ready to start a server in."""

    level: Level
    limits: Limits
    packages: tuple[str, ...] = ()
    """Top-level modules outside the standard library that programs and tests may import."""

    def command(self, control: int) -> list[str]:
        """What to run; `control` is the descriptor of the server's socket."""
        argv = [str(control), json.dumps(self.settings())]
        if self.level == "container":
            return [*_podman(control), *_python(_START, _ROOT)[1:], "3", argv[1]]
        if self.level not in ("bubblewrap", "namespaces"):
            return [*_python(_START, str(INSIDE.parent)), *argv]
        then = [*_python(_START, _ROOT), *argv]
        if self.level == "bubblewrap":
            entered = [*self._bubblewrap(), *then]
        else:
            # The first Python builds the room, from what it is told; the second one lives in it.
            room = json.dumps({"show": list(self._shown()), "then": then})
            entered = [*_unshare(), *_python(_BUILD, str(INSIDE.parent)), room]
        if os.getuid() != 0:
            return entered
        told = {"show": [path for path, _ in self._shown()], "uid": NOBODY, "then": entered}
        return [*_python(_STEP_DOWN, str(INSIDE.parent)), json.dumps(told)]

    def settings(self) -> dict[str, Any]:
        """What the server is told."""
        boxed = self.level in ("bubblewrap", "namespaces")
        contained = self.level == "container"
        filtered = self.level != "none"
        # Root without a room of its own becomes nobody, once everything is loaded that nobody
        # could not read.
        bare_root = not boxed and not contained and os.getuid() == 0
        closed = bare_root and not _open_to_all(Path(sysconfig.get_path("stdlib")))
        return {
            "seccomp": seccomp.program(files=boxed).hex() if filtered else "",
            "files": self.level not in ("sealed", "container") and not closed,
            "limits": {
                "seconds": int(self.limits.seconds) + 1,
                "memory": self.limits.memory << 20,
                "disk": self.limits.disk << 20 if boxed else 0,
                "tasks": TASKS_IN_A_BOX if boxed else TASKS_OF_A_USER,
            },
            "paths": [f"{_ROOT}/packages"] if boxed or contained else self._package_folders(),
            "uid": NOBODY if bare_root else None,
        }

    def start(self, control: int) -> subprocess.Popen[bytes]:
        """Start the server; it has a clean environment and no descriptor but its socket."""
        return subprocess.Popen(
            [*_FIRST_TO_GO, *self.command(control)], pass_fds=[control], cwd="/",
            # What starts a container needs its settings; nothing of them is seen inside.
            env=dict(os.environ) if self.level == "container" else _ENVIRONMENT,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip

    def _bubblewrap(self) -> list[str]:
        bwrap = shutil.which("bwrap")
        if bwrap is None:
            raise UsageError("bubblewrap is not installed: apt-get install bubblewrap")
        command = [
            bwrap, "--unshare-all", "--unshare-user", "--die-with-parent", "--new-session",
            "--uid", str(NOBODY), "--gid", str(NOBODY), "--hostname", "box",
            # For the private disk of each candidate, which then gives it up.
            "--cap-drop", "ALL", "--cap-add", "CAP_SYS_ADMIN",
            "--dir", "/tmp",
        ]  # fmt: skip
        for source, target in self._shown():
            command += ["--ro-bind", source, target]
        for device in ("null", "zero", "urandom"):
            command += ["--dev-bind", f"/dev/{device}", f"/dev/{device}"]
        # Nothing else is to be written: not even the box's own empty folders.
        return [*command, "--remount-ro", "/", "--chdir", "/tmp", "--"]

    def _shown(self) -> Iterator[tuple[str, str]]:
        """(path here, path in the box) of everything that it shows, to be read only."""
        for path in _python_paths():
            yield path, path
        yield str(INSIDE), f"{_ROOT}/inside"
        for package in self._package_paths():
            yield str(package), f"{_ROOT}/packages/{package.name}"

    def _package_paths(self) -> list[Path]:
        found = [p for name in self.packages for p in _locations(name)]
        return list(dict.fromkeys(found))

    def _package_folders(self) -> list[str]:
        return sorted({str(p.parent) for p in self._package_paths()})


def installed(modules: Sequence[str]) -> list[str]:
    """Those of these top-level modules that there are here."""
    return [m for m in modules if importlib.util.find_spec(m) is not None]


def _locations(name: str) -> list[Path]:
    """Folder or file of a module, and the libraries that its wheel keeps beside it."""
    specification = importlib.util.find_spec(name)
    if specification is None:
        raise UsageError(f"package {name!r} is not installed here")
    folders = list(specification.submodule_search_locations or ())
    paths = [Path(f) for f in folders] or [Path(specification.origin or "")]
    return [p for path in paths for p in (path, path.with_name(f"{name}.libs")) if p.exists()]


def _open_to_all(path: Path) -> bool:
    return all(folder.stat().st_mode & 0o001 for folder in (path, *path.parents))


def _python(start: str, root: str) -> list[str]:
    # -s -S -P: nothing of the user, of site-packages or of the current folder is imported. Not -I,
    # which would ignore PYTHONHASHSEED too: the same program is to get the same verdict.
    python = os.path.realpath(sys.executable)
    return [python, "-s", "-S", "-P", "-c", start.format(root=root)]


_ENVIRONMENT = {
    "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "LANG": "C.UTF-8", "PATH": "/usr/bin:/bin",
    # One arena and no library threads: address space is what is limited.
    "MALLOC_ARENA_MAX": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1",
}  # fmt: skip


def _python_paths() -> list[str]:
    """What the interpreter needs: itself, the standard library, the system's libraries."""
    paths = {os.path.realpath(sys.executable)}
    paths |= {sysconfig.get_path(p) for p in ("stdlib", "platstdlib")}
    library = sysconfig.get_config_var("LDLIBRARY") or ""
    folder = sysconfig.get_config_var("LIBDIR") or ""
    if library.endswith(".so") or ".so." in library:
        paths |= {str(p) for p in Path(folder).glob("libpython*.so*")}
    paths |= {"/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache", "/usr/share/zoneinfo"}
    shown = sorted(p for p in paths if p and os.path.exists(p))
    # What lies inside another one is shown with it.
    return [p for p in shown if not any(p.startswith(q + "/") for q in shown)]


def _unshare() -> list[str]:
    unshare = shutil.which("unshare")
    if unshare is None:
        raise UsageError("unshare is not installed: apt-get install util-linux")
    return [unshare, "--user", "--map-root-user", "--mount", "--pid", "--net", "--ipc", "--uts",
            "--cgroup", "--fork", "--kill-child", "--propagation", "private"]  # fmt: skip


def _podman(control: int) -> list[str]:
    """A container with the server's socket as descriptor 3. Docker hands over no descriptors."""
    podman = shutil.which("podman")
    if podman is None:
        raise UsageError("podman is not installed: apt-get install podman")
    handed = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.execv(sys.argv[2], sys.argv[2:])"
    environment = [
        f"--env={name}={value}" for name, value in _ENVIRONMENT.items() if name != "PATH"
    ]
    return [
        sys.executable, "-c", handed, str(control), podman, "run", "--rm", "--interactive",
        "--network", "none", "--read-only", "--read-only-tmpfs=false", "--cap-drop", "ALL",
        "--security-opt", "no-new-privileges", "--user", f"{NOBODY}:{NOBODY}", "--preserve-fds", "1",
        "--ulimit", "nofile=4096:4096", "--ulimit", f"nproc={TASKS_OF_A_USER}:{TASKS_OF_A_USER}",
        *environment, "--volume", f"{INSIDE}:{_ROOT}/inside:ro", "--workdir", "/tmp",
        os.environ.get("ERRATA_CONTAINER_IMAGE", IMAGE), "python3",
    ]  # fmt: skip
