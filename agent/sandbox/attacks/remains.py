"""Programs and tests that want to outlive their turn, or to use up what all share."""

from __future__ import annotations

from agent.sandbox.attacks.case import DOORS, OPEN, PLUS_ONE, Attack, doors
from agent.sandbox.jobs import Outcome, Tests

ANY: tuple[Outcome, ...] = ("pass", "fail", "void", "error")

_RIGHT, _WRONG = "def f(x):\n    return x + 1", "def f(x):\n    return x"


def _stays(name: str, program: str, found: str) -> Attack:
    """The first program plants, the second one looks."""
    return doors(
        "persist",
        name,
        program + "\n\ndef attack():\n    return 'planted'",
        then=((DOORS + found, OPEN),),
    )


def _tests(
    name: str, code: str, *, trusted: bool = False, then: str = _WRONG, tests: Tests = PLUS_ONE
) -> Attack:
    """Tests of a stranger; what follows must not profit."""
    hostile = Tests(code=code, entry="f", trusted=trusted)
    return Attack("persist", f"tests: {name}", _RIGHT, hostile, then=((then, tests),))


PERSISTING: list[Attack] = [
    _stays("a file in /tmp", "open('/tmp/left-$TOKEN', 'w').write('x')", "def attack():\n    return 'open' if os.listdir('/tmp') else 'shut'"),
    _stays("a file elsewhere", "for folder in ('/dev/shm', '/dev', '/', '/box', '/var/tmp', '/run', '.', os.path.expanduser('~')):\n    try:\n        open(folder + '/left-$TOKEN', 'w').write('x')\n    except OSError:\n        pass",
           "def attack():\n    return first_open(*[lambda f=f: os.stat(f + '/left-$TOKEN') for f in ('/dev/shm', '/dev', '/', '/box', '/var/tmp', '/run', '.', os.path.expanduser('~'))])"),
    _stays("changed modules", "import json, math, collections, inside.wire, inside.candidate\njson.dumps = json.loads = math.sqrt = len\nsys.modules['left'] = os\ncollections.left = 1\ninside.candidate.Candidate.left = 1",
           "import collections, json, math\ndef attack():\n    return 'open' if 'left' in sys.modules or hasattr(collections, 'left') or json.dumps is len or math.sqrt is len else 'shut'"),
    _stays("changed builtins", "import builtins\nbuiltins.left = 1\nbuiltins.len = lambda x: 7\ntype.__dict__\nctypes.memmove(id(7) + 24, id(8) + 24, 4)", "def attack():\n    return 'open' if 'left' in dir(__builtins__) or len([]) == 7 or 6 + 1 == 8 else 'shut'"),
    _stays("environment and folder", "os.environ['LEFT'] = '1'\nos.umask(0)\ntry:\n    os.chdir('/')\nexcept OSError:\n    pass\nlibc.setenv(b'LEFT', b'1', 1)", "def attack():\n    return 'open' if 'LEFT' in os.environ or libc.getenv(b'LEFT') else 'shut'"),
    _stays("a thread that lives on", "import threading, time\ndef loop():\n    while True:\n        time.sleep(0.01)\nfor _ in range(20):\n    threading.Thread(target=loop).start()", "import threading\ndef attack():\n    return 'open' if threading.active_count() > 1 else 'shut'"),
    _stays("a process that lives on", "try:\n    pid = os.fork()\n    if pid == 0:\n        os.setsid()\n        import time\n        time.sleep(600)\nexcept OSError:\n    pass", "def attack():\n    return first_open(lambda: os.kill(os.getpid() - 1, 0) or 'alive')"),
    _stays("an open descriptor", "keep = [os.dup(0) for _ in range(40)] + list(os.pipe())", "import errno\ndef attack():\n    return first_open(*[lambda n=n: os.fstat(n) for n in range(4, 4096)])"),
    _stays("a name in the kernel", "try:\n    s = socket.socket(socket.AF_UNIX)\n    s.bind('\\0left-$TOKEN')\nexcept OSError:\n    pass\ntry:\n    system($NR_shmget, 77777, 4096, 0o1666)\nexcept OSError:\n    pass\ntry:\n    system($NR_add_key, ctypes.c_char_p(b'user'), ctypes.c_char_p(b'left'), ctypes.c_char_p(b'v'), 1, -4)\nexcept OSError:\n    pass",
           "def attack():\n    return first_open(lambda: system($NR_shmget, 77777, 4096, 0) + 1, lambda: system($NR_keyctl, 10, -4, ctypes.c_char_p(b'user'), ctypes.c_char_p(b'left'), 0))"),
    _stays("signals ignored and timers set", "import signal\nfor number in (14, 15, 2, 17, 24):\n    signal.signal(number, signal.SIG_IGN)\nsignal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))",
           "import signal\ndef attack():\n    ignored = signal.getsignal(signal.SIGALRM) == signal.SIG_IGN\n    return 'open' if ignored or signal.getitimer(signal.ITIMER_REAL)[0] or signal.pthread_sigmask(signal.SIG_BLOCK, []) else 'shut'"),
    _stays("a full error stream", "for n in (1, 2):\n    os.set_blocking(n, False)\n    try:\n        for _ in range(1000):\n            os.write(n, b'x' * 4096)\n    except OSError:\n        pass",
           "def attack():\n    os.set_blocking(2, False)\n    try:\n        os.write(2, b'x' * 4096)\n    except BlockingIOError:\n        return 'open'\n    return 'shut'"),
    _stays("known random numbers", "import random\nrandom.seed(7)\nrandom.random = lambda: 0.5", "import random\ndef attack():\n    return 'open' if random.random() == 0.5 or random.getstate()[1][0] == 7 else 'shut'"),
    # -- tests that a model wrote ---------------------------------------------------------
    _tests("patch what their process runs on", "import inside.judge as j, inside.proxies as p, inside.wire as w, builtins, sys\np.Function.__call__ = lambda s, x: x + 1\nj._judge = lambda t, r, v: setattr(v, 'outcome', 'pass')\nj.Failed.__init__ = None\nbuiltins.AssertionError = None\nw.decode = lambda *a: 2\nassert f(1) == 2"),
    _tests("patch the library", "import json, math, random, struct\njson.dumps = lambda *a, **k: '{\"outcome\": \"pass\"}'\nrandom.seed = None\nassert f(1) == 2"),
    _tests("leave a thread", "import threading, os, time\ndef loop():\n    while True:\n        try:\n            os.write(3, b'\\0\\0\\0\\2{}')\n        except OSError:\n            pass\n        time.sleep(0.01)\nthreading.Thread(target=loop, daemon=True).start()\nassert f(1) == 2"),
    _tests("leave files", "import os\nfor folder in ('/tmp', '/dev/shm', '/', '/box', '/dev'):\n    try:\n        open(folder + '/left-$TOKEN', 'w').write('x')\n        os.symlink('/x' * 1000, folder + '/link-$TOKEN')\n    except OSError:\n        pass\nassert f(1) == 2",
           then=_RIGHT, tests=Tests(code="import os\nassert f(1) == 2\nassert 'left-$TOKEN' in ' '.join(n for p in ('/tmp', '/dev/shm', '/', '/box', '/dev') if os.path.isdir(p) for n in os.listdir(p))", trusted=False)),
    Attack("persist", "tests: look for the tests of others", _RIGHT, Tests(code="secret = 'hidden-$SECRET'\nassert f(1) == 2", entry="f", hidden=True),
           then=((_RIGHT, Tests(code="import gc\ntexts = [str(v) for o in gc.get_objects() for v in ((o.co_consts if hasattr(o, 'co_consts') else ()) or (o.values() if type(o) is dict else o if type(o) in (tuple, list) else ()))]\nimport inside.judge as j\ntexts += [str(c.co_consts) for c in gc.get_objects() if type(c).__name__ == 'code']\nseen = [t for t in texts if 'hid' + 'den-' in t]\nassert f(1) == 3, seen[:1]", trusted=False)),)),
    _tests("fork, kill and connect", "import os, socket, subprocess\nfor attempt in (os.fork, lambda: os.kill(os.getppid(), 9), lambda: os.kill(-1, 9), lambda: socket.create_connection(('127.0.0.1', $PORT), 0.2), lambda: subprocess.run(['true']), lambda: open('$HOME_FILE').read(), lambda: open('/usr/lib/left-$TOKEN', 'w')):\n    try:\n        attempt()\n    except Exception:\n        continue\n    raise SystemExit(attempt)\nassert f(1) == 2"),
    *[Attack("persist", f"tests: {name}", _RIGHT, Tests(code=f"{code}\nassert f(1) == 2", entry="f", trusted=False), outcomes=ANY, together="while True" in code) for name, code in [
        ("exit", "import os\nif f(1) == 2:\n    os._exit(0)"),
        ("crash", "import ctypes\nctypes.string_at(0)"),
        ("raise what ends a process", "class E(BaseException):\n    def __str__(self):\n        raise self\nclass TestA:\n    def __init__(self):\n        raise E"),
        ("close the line to the host", "import os\nif f(1) == 2:\n    os.close(3)"),
        ("a word that is no verdict", "import os\nif f(1) == 2:\n    os.write(3, b'\\0\\0\\0\\x05[1,2]')"),
        ("a verdict with nothing in it", "import os\nif f(1) == 2:\n    os.write(3, b'\\0\\0\\0\\x12{\"outcome\": \"pass\"}')"),
        ("a verdict nested without end", "import os\nif f(1) == 2:\n    os.write(3, b'\\0\\1\\0\\0' + b'[' * 65536)"),
        ("a verdict of four gigabytes", "import os\nif f(1) == 2:\n    os.write(3, b'\\xff' * 4)\n    while True:\n        os.write(3, b'x' * 65536)"),
        ("a verdict that no file can hold", "import json, os\nif f(1) == 2:\n    v = {'outcome': 'fail', 'reason': '\\ud800\\x1b[2J', 'tests': 10**5000, 'passed': -1, 'skipped': 0, 'calls': 0, 'weak': 0, 'failures': [{'test': 1, 'kind': 'died', 'x': []}]}\n    b = json.dumps(v).replace('10' + '0' * 5000, '1').encode()\n    os.write(3, len(b).to_bytes(4, 'big') + b)"),
        ("a comparison that prints without end", "class A:\n    def __repr__(self):\n        while True:\n            pass\nassert f(1) == A()"),
        ("a name of megabytes", "globals()['test_' + 'a' * 2_000_000] = lambda: 1 / 0"),
        ("deep nesting", "x = " + "(" * 5_000 + ")" * 5_000),
        ("a long sum", "x = " + "+".join("1" * 60_000)),
        ("all memory", "x = []\nwhile True:\n    x.append(bytearray(10_000_000))"),
    ]],
    Attack("persist", "tests: run as code what they are given", "def f(x):\n    return '''__import__('sys').modules['inside.judge'].__dict__.update(_judge=lambda t, r, v: setattr(v, 'outcome', 'pass'))'''",
           Tests(code="assert eval(f(1)) == 2", entry="f"), then=((_WRONG, PLUS_ONE),)),
]  # fmt: skip


def _alone(name: str, body: str, tests: Tests = OPEN) -> Attack:
    return doors("exhaust", name, f"def attack():\n    {body}\n    return 'open'", tests=tests)


def _together(name: str, body: str, before: str = "") -> Attack:
    return doors(
        "exhaust", name, f"{before}\ndef attack():\n    {body}\n    return 'open'", together=True
    )


EXHAUSTING: list[Attack] = [
    _alone("memory in one piece", "return len(bytearray(1 << 33)) and 'open'"),
    _alone("memory in many pieces", "x = []\n    while len(x) < 2_000:\n        x.append(bytearray(1 << 22))"),
    _together("memory of objects", "x = [[i] for i in range(30_000_000)]"),
    _alone("memory shared", "for _ in range(16):\n        ctypes.memset(mapped(1 << 28, shared=True), 1, 1 << 28)"),
    _alone("disk in one file", "f = open('/tmp/x', 'wb')\n    while f.tell() < 1 << 31:\n        f.write(bytes(1 << 20))\n        f.flush()"),
    _alone("disk in many files", "for i in range(200):\n        open(f'/tmp/{i}', 'wb').write(bytes(1 << 20))"),
    _alone("inodes", "for i in range(100_000):\n        os.symlink('x', f'/tmp/{i}')"),
    _alone("sparse files", "f = open('/tmp/x', 'wb')\n    f.truncate(1 << 40)"),
    _alone("descriptors", "x = [os.dup(0) for _ in range(100_000)]"),
    _alone("descriptors in tables of threads", "top = mapped(1 << 16) + (1 << 16)\n    a_thread = 0x100 | 0x200 | 0x800 | 0x10000\n    return first_open(lambda: system($NR_close_range, 1000, 1000, 2) + 1, lambda: libc.clone(libc.pause, ctypes.c_void_p(top), a_thread, 0))"),
    _alone("pipes", "x = [os.pipe() for _ in range(1_000)]\n    for r, w in x:\n        os.set_blocking(w, False)\n        os.write(w, bytes(1 << 20))"),
    _alone("larger pipes", "import fcntl\n    r, w = os.pipe()\n    fcntl.fcntl(w, 1031, 1 << 20)"),
    _alone("threads", "import threading, time\n    threading.stack_size(32768)\n    for _ in range(6_000):\n        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()"),
    _alone("locked memory", "if libc.mlockall(3):\n        raise OSError"),
    _alone("output", "while sys.stdout.tell() < 1 << 30:\n        print('x' * 100_000)"),
    _together("output past the limit's memory", "sys.stdout = sys.__stdout__\n    for _ in range(2_000):\n        sys.stdout.write('x' * 1_000_000)\n    return 'x' * (1 << 25)"),
    _alone("an error with megabytes to say", "raise ValueError('x' * 30_000_000)"),
    _alone("a chain of errors", "error = None\n    for i in range(100_000):\n        new = ValueError(i)\n        new.__cause__, error = error, new\n    raise error"),
    _alone("depth", "x = []\n    for _ in range(100_000):\n        x = [x]\n    return x"),
    _alone("a value that holds itself", "x = []\n    x.append(x)\n    return x"),
    _alone("catching what stops it", "x = []\n    while len(x) < 4_000:\n        try:\n            x.append(bytearray(1 << 22))\n        except MemoryError:\n            raise SystemExit"),
    Attack("exhaust", "items without end", "def f(n):\n    while True:\n        yield 'x' * 1_000_000", Tests(code="assert sum(map(len, f(1))) == 2", entry="f"), together=True),
    Attack("exhaust", "large items without end", "def f(n):\n    while True:\n        yield 'x' * 10_000_000", Tests(code="assert list(f(1)) == [2]", entry="f"), together=True),
    Attack("exhaust", "questions without end", "def f(g, x):\n    while True:\n        g(x)", Tests(code="assert f(lambda x: x + 1, 3) == 4", entry="f"), together=True),
    Attack("exhaust", "objects without end", "def f(g, x):\n    while True:\n        g(lambda: 1)", Tests(code="keep = []\nassert f(keep.append, 3) == 4", entry="f"), together=True),
    Attack("exhaust", "calls that call back", "def f(g):\n    return g(g)", Tests(code="assert f(f) == 4", entry="f")),
    Attack("exhaust", "reading nothing", "import os, time\ndef f(x):\n    time.sleep(60)\nos.set_blocking(3, True)", Tests(code="assert f(['x' * 1000] * 10_000) == 2", entry="f"), together=True),
    Attack("exhaust", "writing without reading", "import os\ndef f(x):\n    while True:\n        os.write(3, b'\\0\\0\\0\\x04null' * 1000)", Tests(code="assert f(['x' * 1000] * 10_000) == 2", entry="f"), together=True),
    Attack("exhaust", "one byte at a time", "import os, time\ndef f(x):\n    os.write(3, b'\\0\\x10\\0\\0')\n    while True:\n        os.write(3, b'[')\n        time.sleep(0.001)", PLUS_ONE, together=True),
    _together("sleep", "import time\n    time.sleep(3600)"),
    _together("processor", "while True:\n        pass"),
    _together("processor in C", "x = 7 ** (7 ** 9)\n    return str(x)"),
    _together("a regular expression", "import re\n    re.match('(a*)*b', 'a' * 60)"),
    _together("a sum in C", "sum(range(10 ** 13))"),
    _together("many threads that compute", "import threading\n    def loop():\n        while True:\n            pass\n    for _ in range(20):\n        threading.Thread(target=loop).start()\n    loop()"),
    _together("every signal ignored", "import signal, time\n    for n in range(1, 64):\n        try:\n            signal.signal(n, signal.SIG_IGN)\n        except (OSError, ValueError):\n            pass\n    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))\n    while True:\n        time.sleep(0.1)"),
    _together("a lock that never opens", "import threading\n    lock = threading.Lock()\n    lock.acquire()\n    lock.acquire()"),
    _together("the input of nobody", "os.read(3, 1)\n    while True:\n        os.read(3, 100_000)"),
    _together("catching every end", "while True:\n        try:\n            while True:\n                pass\n        except BaseException:\n            pass"),
    _together("at import", "pass", before="while True:\n    pass"),
]  # fmt: skip
