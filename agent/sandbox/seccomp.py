"""The system calls that a stranger's code may make, as a filter for the kernel.

An allow-list by libseccomp: no process, no socket to elsewhere, no signal to others, no file
outside what the box shows. What is not listed fails with EPERM.
"""

from __future__ import annotations

import errno
import os
from functools import cache
from typing import Any

from agent.errors import MissingTool

_MEMORY_AND_TIME = """
brk mmap mprotect munmap mremap madvise futex futex_time64 set_robust_list get_robust_list rseq
sched_yield sched_getaffinity membarrier set_tid_address restart_syscall
clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time times getrusage
getitimer setitimer alarm pause rt_sigaction rt_sigprocmask rt_sigreturn rt_sigtimedwait
rt_sigpending sigaltstack getpid getppid gettid getuid geteuid getgid getegid getresuid getresgid
getgroups getpgrp getsid uname sysinfo getrandom getrlimit getcpu arch_prctl exit exit_group
wait4 waitid
"""

_DESCRIPTORS = """
read readv pread64 preadv write writev pwrite64 pwritev lseek close dup dup2 dup3
fstat poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait
epoll_pwait eventfd2 pipe pipe2 recvfrom recvmsg shutdown getsockopt getsockname getpeername
"""

_FILES = """
open openat stat lstat newfstatat statx access faccessat faccessat2 readlink readlinkat
getcwd chdir fchdir getdents getdents64 statfs fstatfs umask flock ftruncate truncate fallocate
fsync fdatasync mkdir mkdirat rmdir unlink unlinkat rename renameat renameat2 link linkat symlink
symlinkat chmod fchmod fchmodat utimensat utime utimes futimesat fadvise64 copy_file_range sendfile
"""

# Not F_SETOWN and F_SETSIG, which have the kernel send any signal to any process of the same user;
# no notices, leases, seals, nor bigger pipes.
_FCNTL = {
    "F_DUPFD": 0, "F_GETFD": 1, "F_SETFD": 2, "F_GETFL": 3, "F_SETFL": 4, "F_GETLK": 5,
    "F_SETLK": 6, "F_SETLKW": 7, "F_OFD_GETLK": 36, "F_OFD_SETLK": 37, "F_OFD_SETLKW": 38,
    "F_DUPFD_CLOEXEC": 1030, "F_GETPIPE_SZ": 1032,
}  # fmt: skip

_CLONE_VM, _CLONE_FS, _CLONE_FILES, _CLONE_THREAD = 0x100, 0x200, 0x400, 0x10000
_A_THREAD = _CLONE_VM | _CLONE_FS | _CLONE_FILES | _CLONE_THREAD
_AF_UNIX, _SOCK_STREAM, _SOCK_KIND = 1, 1, 0xF
_TCGETS, _FIOCLEX, _FIONBIO, _FIONREAD = 0x5401, 0x5451, 0x5421, 0x541B
_PR_SET_NAME, _PR_GET_NAME, _PR_SET_VMA = 15, 16, 0x53564D41


@cache
def program(*, files: bool) -> bytes:
    """The filter as BPF; without `files` nothing can be opened at all.

    Raises `MissingTool` where there is no libseccomp.
    """
    seccomp = _library()
    rules = seccomp.SyscallFilter(seccomp.ERRNO(errno.EPERM))
    for name in (_MEMORY_AND_TIME + _DESCRIPTORS + (_FILES if files else "")).split():
        _allow(rules, name)
    # Threads, but no process: flags lie in memory for clone3, so the C library must use clone. With
    # a table of descriptors for each thread, there and by close_range, their number had no bound.
    _allow(rules, "clone", seccomp.Arg(0, seccomp.MASKED_EQ, _A_THREAD, _A_THREAD))
    _allow(rules, "close_range", seccomp.Arg(2, seccomp.EQ, 0))
    rules.add_rule(seccomp.ERRNO(errno.ENOSYS), "clone3")
    rules.add_rule(seccomp.ERRNO(errno.ENOSYS), "openat2")
    # A pair of its own, for asyncio; a packet socket could send to any address.
    _allow(rules, "socketpair", seccomp.Arg(0, seccomp.EQ, _AF_UNIX),
           seccomp.Arg(1, seccomp.MASKED_EQ, _SOCK_KIND, _SOCK_STREAM))  # fmt: skip
    _allow(rules, "sendto", seccomp.Arg(4, seccomp.EQ, 0))
    _allow(rules, "prlimit64", seccomp.Arg(0, seccomp.EQ, 0))
    for request in (_TCGETS, _FIOCLEX, _FIONBIO, _FIONREAD):
        _allow(rules, "ioctl", seccomp.Arg(1, seccomp.EQ, request))
    for command in _FCNTL.values():
        _allow(rules, "fcntl", seccomp.Arg(1, seccomp.EQ, command))
    for option in (_PR_SET_NAME, _PR_GET_NAME, _PR_SET_VMA):
        _allow(rules, "prctl", seccomp.Arg(0, seccomp.EQ, option))
    return _exported(rules)


def _library() -> Any:
    try:
        import pyseccomp
    except (ImportError, OSError, RuntimeError) as error:
        raise MissingTool(
            f"libseccomp can't be loaded ({error}): install it, e.g. apt-get install libseccomp2"
        ) from None
    return pyseccomp


def _allow(rules: Any, name: str, *conditions: Any) -> None:
    try:
        rules.add_rule(_library().ALLOW, name, *conditions)
    except OSError:
        return  # this machine's architecture has no such call


def _exported(rules: Any) -> bytes:
    read, write = os.pipe()
    with open(read, "rb") as out, open(write, "wb") as into:
        rules.export_bpf(into)
        into.close()
        return out.read()
