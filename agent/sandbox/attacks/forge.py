"""Programs that are wrong and want to be called right."""

from __future__ import annotations

from typing import Any

from agent.sandbox.attacks.case import OPEN, PLUS_ONE, Attack
from agent.sandbox.jobs import Tests

PYTEST = Tests(
    code="from solution import f\n\ndef test_f():\n    assert f(1) == 2\n    assert f(2) == 3\n"
)
UNITTEST = Tests(
    code="import unittest\nfrom solution import f\n\nclass T(unittest.TestCase):\n"
    "    def test_one(self):\n        self.assertEqual(f(1), 2)\n"
    "    def test_two(self):\n        self.assertTrue(f(2) == 3)\n"
)
CHECK = Tests(
    code="def check(candidate):\n    assert candidate(1) == 2\n    assert candidate(2) == 3\n",
    entry="f",
)
CASES = Tests(entry="f", cases=({"args": [1], "expected": 2}, {"args": [2], "expected": 3}))
DOCTEST = Tests(doctest=">>> f(1)\n2\n>>> f(2)\n3\n", entry="f")
SCRIPT = Tests(cases=({"input": "1", "output": "2"}, {"input": "2", "output": "3"}))
CLOSE = Tests(
    code="import math\nassert abs(f(1) - 2.5) < 1e-6\nassert math.isclose(f(2), 3.5)", entry="f"
)
FORGOTTEN = Tests(code="assert math.isclose(f(1), 2.5)", entry="f")
LIBRARY = Tests(code="import numpy_of_the_tests as np\nassert np.allclose(f(1), [1, 2])", entry="f")
SORTED = Tests(
    code="xs = [3, 1, 2]\nassert f(xs) == sorted(xs)\nassert f([2, 1]) == [1, 2]", entry="f"
)
ITEMS = Tests(code="assert list(f(3)) == [0, 1, 2]", entry="f")
MEMBER = Tests(code="assert 2 in f(1)\nassert 7 in f(2)", entry="f")
STACK = Tests(code="s = Stack()\ns.push(3)\nassert s.pop() == 3\nassert s.empty() is True")
TIMER = Tests(code="with Timer() as t:\n    assert t.ticks == 3\nassert Timer().ticks == 3")
CAUGHT = Tests(
    code="try:\n    f(1)\nexcept BaseException:\n    pass\nelse:\n    raise ValueError('no error')",
    entry="f",
)
SKIPS = Tests(
    code="import unittest\n\nclass T(unittest.TestCase):\n    def test_f(self):\n"
    "        if f(1) is None:\n            self.skipTest('not there')\n        self.assertEqual(f(1), 2)\n"
)
CALLBACK = Tests(code="assert f(lambda x: x + 1, 3) == 4", entry="f")
LARGE = Tests(code="assert f(['x' * 1000] * 5000) == 7", entry="f")

_LINK = '''
import gc, json, os, socket, struct, sys, threading


def link():
    """The runtime's own end of the line to the tests."""
    return next(o for o in gc.get_objects() if type(o).__name__ == "Link")


def frame(message):
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    return struct.pack("!I", len(body)) + body


def write(*messages):
    for message in messages:
        os.write(3, frame(message))
'''


def _plain(name: str, program: str, tests: Tests = PLUS_ONE, **more: Any) -> Attack:
    return Attack("forge", name, program, tests, **more)


def _frames(name: str, program: str, tests: Tests = PLUS_ONE, **more: Any) -> Attack:
    return Attack("forge", name, _LINK + program, tests, **more)


def _raises(name: str, raised: str, tests: Tests) -> Attack:
    return _plain(f"raises {name}", f"def f(x):\n    raise {raised}\n", tests)


def _returns(
    name: str, body: str, made: str = "Lie(x)", tests: Tests = PLUS_ONE, **more: Any
) -> Attack:
    return _plain(f"returns {name}", f"{body}\n\ndef f(x):\n    return {made}\n", tests, **more)


FORGERIES: list[Attack] = [
    # -- ends before the tests do -------------------------------------------------------
    _plain("exits with success at import", "import os\nos._exit(0)"),
    _plain("exits with success in the call", "import os\ndef f(x):\n    os._exit(0)", PYTEST),
    _plain("sys.exit(0) at import", "import sys\nsys.exit(0)", UNITTEST),
    _plain("exits at the end of its script", "import os\nprint(2)\nos._exit(0)", SCRIPT),
    _plain("leaves an exit for later", "import atexit, os\natexit.register(os._exit, 0)\ndef f(x):\n    raise SystemExit(0)"),
    _plain("dies where the tests catch all", "import os\ndef f(x):\n    os._exit(0)", CAUGHT),
    _plain("crashes", "import ctypes\ndef f(x):\n    ctypes.string_at(0)"),
    _plain("aborts", "import os\ndef f(x):\n    os.abort()"),
    _plain("forks and both return", "import os\ndef f(x):\n    os.fork()\n    return x"),
    _plain("recurses without end", "import sys\nsys.setrecursionlimit(10**9)\ndef f(x):\n    return f(x)", together=True),
    # -- says that it passed ------------------------------------------------------------
    _plain("prints the words of success", "print('2 passed in 0.01s')\nprint('OK')\ndef f(x):\n    print('PASSED')"),
    _plain("prints both outputs", "print(2)\nprint(3)", SCRIPT),
    _plain("writes past its output", "import os\nos.write(1, b'2\\n')\nos.write(2, b'3\\n')", SCRIPT),
    _plain("defines the tests itself", "def test_f():\n    pass\ndef check(c):\n    pass\ndef f(x):\n    pass", PYTEST),
    _plain("defines what the tests use inside", "__errata_failed = AssertionError = None\ncandidate = lambda x: 0\ndef f(x):\n    pass", CHECK),
    # -- control ------------------------------------------------------------------------
    _raises("SystemExit", "SystemExit(0)", PYTEST),
    _raises("StopIteration", "StopIteration", ITEMS),
    _raises("GeneratorExit", "GeneratorExit", CHECK),
    _raises("KeyboardInterrupt", "KeyboardInterrupt", UNITTEST),
    _raises("SkipTest", "__import__('unittest').SkipTest('not today')", UNITTEST),
    _raises("AssertionError", "AssertionError('f(1) == 2')", CASES),
    _plain("raises a skip with pytest's name",
           "class Skipped(BaseException):\n    pass\nSkipped.__module__ = '_pytest.outcomes'\ndef f(x):\n    raise Skipped", PYTEST),
    _plain("raises an error that says it is another",
           "class E(BaseException):\n    __class__ = property(lambda s: StopIteration)\n    def __str__(s):\n        raise s\ndef f(x):\n    raise E"),
    _plain("has the tests skip themselves", "def f(x):\n    return None", SKIPS),
    # -- objects that lie ---------------------------------------------------------------
    _returns("an object equal to all", "class Lie:\n    def __init__(s, x): pass\n    def __eq__(s, o): return True\n    __hash__ = None"),
    _returns("an int that lies", "class Lie(int):\n    def __eq__(s, o): return True\n    def __ne__(s, o): return False\n    __hash__ = int.__hash__", tests=CHECK),
    _returns("a str that lies", "class Lie(str):\n    def __eq__(s, o): return True\n    def __hash__(s): return hash('b')", tests=Tests(code="assert f('a') == 'b'", entry="f")),
    _returns("a list that lies", "class Lie(list):\n    def __eq__(s, o): return True\n    def __len__(s): return 2\n    def __getitem__(s, i): return i", tests=SORTED),
    _returns("a dict that lies", "class Lie(dict):\n    def __missing__(s, k): return 2\n    def __eq__(s, o): return True\n    def items(s): return [('a', 2)]", "Lie()", Tests(code="assert f(1) == {'a': 2}\nassert f(1)['a'] == 2", entry="f")),
    _returns("what says it is an int", "class Lie:\n    def __init__(s, x): pass\n    __class__ = int\n    def __eq__(s, o): return True", tests=CASES),
    _returns("a number that subtracts to nothing", "class Lie:\n    def __init__(s, x): pass\n    def __sub__(s, o): return 0.0\n    def __float__(s): return 0.0", tests=CLOSE),
    _returns("a set that has everything", "class Lie:\n    def __init__(s, x): pass\n    def __contains__(s, o): return True", tests=MEMBER),
    _returns("text for the doctest", "class Lie:\n    def __init__(s, x): pass\n    def __repr__(s): return '...'", tests=DOCTEST),
    _plain("is a class where a function is due", "class f:\n    def __init__(s, x): pass\n    def __eq__(s, o): return True\n    def __bool__(s): return True"),
    _plain("is a class with a lying class",
           "class M(type):\n    def __eq__(s, o): return True\n    def __call__(s, x): return s\n    def __instancecheck__(s, o): return True\n    __hash__ = type.__hash__\nclass f(metaclass=M):\n    pass", UNITTEST),
    _plain("is an exception where a function is due", "class f(Exception):\n    def __eq__(s, o): return True", Tests(code="assert f(1)\nassert f(2) == 3", entry="f")),
    _plain("gives objects where a class gives data",
           "class Any:\n    def __eq__(s, o): return True\n    def __bool__(s): return True\nclass Stack:\n    def push(s, x): pass\n    def pop(s): return Any()\n    def empty(s): return Any()", STACK),
    _plain("swallows the assertion on leaving", "class Timer:\n    ticks = 1\n    def __enter__(s): return s\n    def __exit__(s, *e):\n        Timer.ticks = 3\n        return True", TIMER),
    _returns("an iterator without end", "import itertools", "itertools.repeat(x)", ITEMS, together=True),
    _returns("an iterator that lies on its length", "class Lie:\n    def __init__(s, x): s.n = 0\n    def __iter__(s): return s\n    def __next__(s): raise StopIteration\n    def __len__(s): return 3\n    def __eq__(s, o): return True", tests=ITEMS),
    _returns("a function that lies", "def lie(o): return True", "lie", Tests(code="assert f(1) == 2", entry="f")),
    _returns("a coroutine", "async def lie(x): return x + 1", "lie(x)"),
    _returns("NotImplemented", "", "NotImplemented"),
    # -- changes the world around it ----------------------------------------------------
    _plain("patches the builtins",
           "import builtins\nfor name in ('all', 'any', 'len', 'isinstance', 'sorted', 'abs', 'repr'):\n    setattr(builtins, name, lambda *a, **k: True)\nbuiltins.AssertionError = type('A', (BaseException,), {})\ndef f(x):\n    return x", UNITTEST),
    _plain("patches json and socket",
           "import json, socket\njson.dumps = lambda *a, **k: '[\"value\", 2]'\nsocket.socket.sendall = lambda *a: None\ndef f(x):\n    return x", together=True),
    _plain("patches sys.modules",
           "import sys, types\nfake = types.ModuleType('unittest')\nfake.TestCase = object\nfor name in ('unittest', 'pytest', '_pytest', 'tests', 'inside.judge'):\n    sys.modules[name] = fake\ndef f(x):\n    return 2", UNITTEST),
    _plain("patches the runtime it runs in",
           "import sys\nw, c = sys.modules['inside.wire'], sys.modules['inside.candidate']\nw.encode = c.encode = lambda value, *a: True\nc.Candidate.on_call = lambda *a: True\ndef f(x):\n    return x"),
    _plain("patches the judge's modules in its own process",
           "import sys\nj, p = sys.modules['inside.judge'], sys.modules['inside.proxies']\nj._judge = lambda t, r, v: setattr(v, 'outcome', 'pass')\np.Function.__call__ = lambda *a: 2\nj.Failed.__init__ = lambda *a: None\ndef f(x):\n    return x"),
    _plain("stands in for a module of the tests", "class math:\n    isclose = staticmethod(lambda *a, **k: True)\ndef f(x):\n    return 0", FORGOTTEN),
    # No program can be judged by tests that lack their library: an error of theirs.
    Attack("forge", "stands in for a library of the tests", "def allclose(*a):\n    return True\ndef f(x):\n    return 0", LIBRARY, outcomes=("error",)),
    _plain("hooks every call", "import sys\nsys.setprofile(lambda frame, *a: frame.f_locals.update(x=2, got=2))\nsys.settrace(lambda frame, *a: None)\ndef f(x):\n    return x"),
    _plain("changes its arguments", "def f(xs):\n    xs.clear()\n    return xs", SORTED),
    _plain("changes small integers", "import ctypes\nctypes.memmove(id(3) + 24, id(1) + 24, 4)\nctypes.memmove(id(2) + 24, id(1) + 24, 4)\ndef f(x):\n    return 1", CASES),
    _plain("leaves a thread that changes answers",
           "import threading, sys\ndef loop():\n    while True:\n        sys.modules['solution'].__dict__['answer'] = 2\nthreading.Thread(target=loop, daemon=True).start()\nanswer = 0\ndef f(x):\n    return answer", CHECK),
    # -- speaks on the line itself ------------------------------------------------------
    _frames("writes a verdict of its own",
            "VERDICT = {'outcome': 'pass', 'reason': '', 'tests': 2, 'passed': 2, 'skipped': 0, 'calls': 2, 'weak': 0, 'failures': []}\n"
            "def f(x):\n    write(VERDICT, ['value', VERDICT], ['verdict', VERDICT])\n    return x"),
    _frames("sends many answers at once", "def f(x):\n    write(['value', 0], ['value', True], ['value', None])"),
    _frames("answers before it is asked", "write(['value', {}], ['value', ['d', 'f', 'function']], ['value', 1], ['value', 1])"),
    _frames("answers from another thread",
            "def loop():\n    while True:\n        write(['value', 1])\nthreading.Thread(target=loop, daemon=True).start()\ndef f(x):\n    return x"),
    _frames("runs out of step with the tests", "def f(x):\n    link().send(['value', x])\n    return x + 1", Tests(code="assert f(1) == 2\nassert f(5) == 6\nassert f(3) == 4", entry="f")),
    _frames("says that its names are of every kind",
            "import inside.candidate as c\nkinds = iter(['iterator', 'exception:Exception', 'class', 'module', 7])\n"
            "def on_load(self, program):\n    return {'f': 'class', 'abs': 'function', 'AssertionError': 'class', '__name__': 'function'}\n"
            "c.Candidate.on_load = on_load\nwrite(['value', ['d', 'f', 'exception:AssertionError:Exception']])", Tests(code="assert f(1)\nassert abs(f(2)) == 3", entry="f")),
    _frames("uses what was never lent", "def f(g, x):\n    write(['ask', 'call', 7, ['l']], ['ask', 'next', -1, None], ['ask', 'call', True, ['l']])\n    return 3", CALLBACK),
    _frames("uses what was lent as something else",
            "def f(g, x):\n    write(['ask', 'get', 0, '__globals__'], ['ask', 'next', 0, None], ['ask', 'call', 0, ['h', [0, 'object', 'X']]])\n    return 3", CALLBACK),
    _frames("sends what is no message", "def f(x):\n    write(['pass'])\n    return x"),
    _frames("sends an empty list", "def f(x):\n    write([])\n    return x"),
    _frames("sends no JSON", "def f(x):\n    write(b'\\xff\\xfe[', b'')\n    return x"),
    _frames("sends JSON nested without end", "def f(x):\n    write(b'[' * 200_000)\n    return x"),
    _frames("sends data nested without end", "def f(x):\n    word = ['l']\n    for _ in range(900):\n        word = ['l', word]\n    write(['value', word])"),
    _frames("promises four gigabytes", "def f(x):\n    os.write(3, b'\\xff\\xff\\xff\\xff[')\n    return x"),
    _frames("sends a number of a million digits", "def f(x):\n    write(b'[\"value\", ' + b'9' * 1_000_000 + b']')"),
    _frames("sends tags with what they can't hold",
            "BAD = [['s', ['l']], ['d', ['l'], 1], ['d', 1], ['dt', 'x'], ['D', 'x'], ['F', 1, 0], ['q', 'x'], ['r', 1, 1, 0], ['b', '\\u1234'], ['td', 10**12, 0, 0], ['?'], [['l']], ['h'], ['h', [0, 1]], {}]\n"
            "def f(x):\n    link().send(['value', BAD[x]])\n    return 2", Tests(code="\n".join(f"assert f({i}) == 2" for i in range(15)), entry="f")),
    _frames("closes the line and opens its own",
            "def f(x):\n    a, b = socket.socketpair()\n    os.dup2(a.fileno(), 3)\n    b.sendall(frame(['value', 2]))\n    return 2\n"),
    _frames("closes the line and lives on", "import time\ndef f(x):\n    os.close(3)\n    time.sleep(60)"),
    _frames("shuts the line down", "def f(x):\n    socket.socket(fileno=os.dup(3)).shutdown(2)\n    return 2"),
    # -- makes its judge fail, to be no one's fault -------------------------------------
    _plain("an error with a name of megabytes", "class E(Exception):\n    pass\nE.__name__ = 'A' * 3_000_000\ndef f(x):\n    raise E"),
    _frames("an error on line ten to the thousands", "def f(x):\n    link().send(['raise', ['ValueError'], 'm', [10**5000] * 3])"),
    _plain("an error in words that no file can hold", "def f(x):\n    raise ValueError('\\ud800\\x1b[2J\\r\\u202e' * 50)"),
    _plain("a name that no file can hold", "globals()['\\ud800\\x1b'] = 1", CASES),
    _frames("a value too large for its judge", "def f(x):\n    link().sock.sendall(frame(b'[\"value\",[\"l\"' + b',[\"l\"]' * 2_600_000 + b']]'))", together=True),
    _frames("a text too large for its judge", "def f(x):\n    link().sock.sendall(frame(b'[\"value\",[\"l\"' + b',\"\xf0\x9f\x98\x80' + b'\x7f' * 15_900_000 + b'\"]]'))", together=True),
    _frames("keys that all collide", "def f(x):\n    link().sock.sendall(frame(['value', ['s', *(i * (2**61 - 1) for i in range(100_000))]]))", together=True),
    _frames("a number too long to print", "def f(x):\n    write(b'[\"value\",' + b'9' * 99_000 + b']')", Tests(code="assert f(1) * f(1) == 3", entry="f")),
    _plain("a decimal beyond all bounds", "from decimal import Decimal\ndef f(x):\n    return Decimal('1e999999999')", Tests(code="assert int(f(1)) == 2", entry="f")),
    _plain("a program of megabytes", "x = '" + "a" * 600_000 + "'\ndef f(x):\n    pass"),
    _plain("a program nested without end", "x = " + "(" * 5_000 + ")" * 5_000),
    _plain("a program that breaks the compiler", "x = " + "-" * 200_000 + "1"),
    _plain("a program of one long sum", "x = " + "+".join("1" * 60_000)),
    _plain("a program with no text", "\0"),
    # -- knows that it is judged --------------------------------------------------------
    _plain("looks for the expected value in its memory",
           "import gc, sys\n\ndef expected():\n    for thing in gc.get_objects():\n        if isinstance(thing, dict) and 'units' in thing:\n            return 'open'\n    frame = sys._getframe()\n    while frame:\n        if 'tests' in frame.f_locals or frame.f_code.co_filename == 'tests.py':\n            return 'open'\n        frame = frame.f_back\n    return 'shut'\n\ndef attack():\n    return expected()", OPEN),
    _plain("steals the frames of the tests",
           "import os\ndef attack():\n    os.set_blocking(3, False)\n    try:\n        return 'open' if b'assert' in os.read(3, 100_000) else 'shut'\n    except BlockingIOError:\n        return 'shut'", OPEN),
    _plain("reads the tests as a file", "import linecache\ndef attack():\n    return 'open' if linecache.getlines('tests.py') else 'shut'", OPEN),
]  # fmt: skip
"""Each fails; none is an error, void, or a pass."""
