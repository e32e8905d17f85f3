"""What an attack is: a program, and tests that only its success could pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from agent.sandbox.jobs import Outcome, Tests

Kind = Literal["forge", "read", "escape", "network", "persist", "exhaust"]

PLUS_ONE = Tests(code="assert f(1) == 2\nassert f(2) == 3", entry="f")
"""The task of most forgeries: `f(x)` is x + 1."""

OPEN = Tests(code='assert attack() == "open"', entry="attack")
"""Passed by the program that came through a door and says so."""


@dataclass(frozen=True)
class Attack:
    """One attack. It is stopped if its last program fails its tests and nothing else happens.

    In programs and tests `$NAME` stands for a canary or a number of this machine, see `Canaries`.
    """

    kind: Kind
    name: str
    program: str
    tests: Tests = OPEN
    then: tuple[tuple[str, Tests], ...] = ()
    """Programs and tests that run after it, which find what it left."""
    together: bool = False
    """It only waits for its limit, and may do so beside others."""
    outcomes: tuple[Outcome, ...] = ("fail",)
    """Of the last program, if the attack is stopped."""


DOORS = '''
import ctypes, os, platform, socket, sys

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long


def system(number, *arguments):
    """A system call by its number; raises OSError."""
    words = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result = libc.syscall(ctypes.c_long(number), *words)
    if result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def mapped(size, protection=3, shared=False):
    """Address of fresh memory."""
    libc.mmap.restype = ctypes.c_void_p
    at = libc.mmap(None, ctypes.c_size_t(size), protection, 0x21 if shared else 0x22, -1, ctypes.c_long(0))
    if at == ctypes.c_void_p(-1).value:
        raise MemoryError
    return at


def first_open(*attempts):
    """'open' if any attempt comes through, without an error and with more than nothing."""
    for attempt in attempts:
        try:
            if attempt() not in (None, False, -1):
                return "open"
        except Exception:
            pass
    return "shut"
'''
"""Before the programs that try doors."""

CALLS = {
    "add_key": (248, 217), "bpf": (321, 280), "clock_settime": (227, 112), "clone": (56, 220),
    "clone3": (435, 435), "close_range": (436, 436), "fanotify_init": (300, 262), "finit_module": (313, 273),
    "fsopen": (430, 430), "fsmount": (432, 432), "get_mempolicy": (239, 236), "init_module": (175, 105),
    "inotify_init1": (294, 26), "io_uring_setup": (425, 425), "kcmp": (312, 272),
    "kexec_load": (246, 104), "keyctl": (250, 219), "kill": (62, 129), "landlock_create_ruleset": (444, 444),
    "memfd_create": (319, 279), "memfd_secret": (447, 447), "migrate_pages": (256, 238),
    "mount": (165, 40), "mount_setattr": (442, 442), "move_mount": (429, 429), "mq_open": (240, 180),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "open_tree": (428, 428),
    "openat2": (437, 437), "perf_event_open": (298, 241), "personality": (135, 92),
    "pidfd_getfd": (438, 438), "pidfd_open": (434, 434), "pidfd_send_signal": (424, 424),
    "pivot_root": (155, 41), "prctl": (157, 167), "prlimit64": (302, 261),
    "process_madvise": (440, 440), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "ptrace": (101, 117), "quotactl": (179, 60), "reboot": (169, 142), "request_key": (249, 218),
    "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240), "sched_setattr": (314, 274),
    "sched_setaffinity": (203, 122), "sched_setscheduler": (144, 119), "seccomp": (317, 277),
    "setns": (308, 268), "setpriority": (141, 140), "setsid": (112, 157), "setuid": (105, 146), "shmget": (29, 194),
    "semget": (64, 190), "msgget": (68, 186), "signalfd4": (289, 74), "splice": (275, 76), "swapon": (167, 224),
    "syslog": (103, 116), "tgkill": (234, 131), "timer_create": (222, 107),
    "timerfd_create": (283, 85), "tkill": (200, 130), "umount2": (166, 39), "unshare": (272, 97),
    "userfaultfd": (323, 282), "vmsplice": (278, 75), "chroot": (161, 51), "mknodat": (259, 33),
    "setxattr": (188, 5), "acct": (163, 89), "sethostname": (170, 161), "io_setup": (206, 0),
    "lookup_dcookie": (212, 18), "vhangup": (153, 58), "sendmsg": (46, 211), "execve": (59, 221),
    "execveat": (322, 281), "socket": (41, 198), "connect": (42, 203), "bind": (49, 200),
    "capset": (126, 91), "setresuid": (117, 147), "nfsservctl": (180, 42),
}  # fmt: skip
"""Number of a system call on x86_64 and on aarch64: `$NR_name` in a program."""


def doors(kind: Kind, name: str, program: str, **more: object) -> Attack:
    """An attack by a program that has `DOORS` to try."""
    return Attack(kind, name, DOORS + program, **more)  # type: ignore[arg-type]
