"""The sandbox under attack: every attack is stopped at every level, as root and as another user."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from agent.errors import MissingTool
from agent.sandbox import Limits, Sandbox, Tests
from agent.sandbox.attacks import ATTACKS, Attack, Held, run_attacks
from agent.sandbox.attacks.canaries import Canaries
from agent.sandbox.attacks.run import LIMITS
from agent.sandbox.boxes import AUTOMATIC, Box, Level

ROOT = Path(__file__).parents[1]
PLUS_ONE = Tests(code="assert f(1) == 2\nassert f(2) == 3", entry="f")
RIGHT, WRONG = "def f(x):\n    return x + 1", "def f(x):\n    return x"


async def _at(level: Level, **settings: Any) -> Sandbox:
    sandbox = Sandbox(isolation=level, **{"limits": Limits(seconds=20), **settings})
    try:
        await sandbox.prepare()
    except MissingTool as error:
        pytest.skip(str(error))
    return sandbox


def _named(*names: str) -> list[Attack]:
    found = [a for a in ATTACKS if a.name in names]
    assert len(found) == len(names)
    return found


# -- the whole suite ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def of_another_user() -> Iterator[Callable[[Level], str]]:
    """What is told of all attacks at a level, when another user than root runs them."""
    if os.getuid() != 0:
        pytest.skip("these tests are run by an ordinary user already")
    python = Path("/usr/bin/python3")
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    if not shutil.which("runuser") or python.resolve().name != version:
        pytest.skip(f"an ordinary user needs runuser, and /usr/bin/python3 to be {version}")
    with tempfile.TemporaryDirectory(prefix="errata-attacks-") as folder:
        os.chmod(folder, 0o755)
        shutil.copytree(ROOT / "agent", f"{folder}/agent")
        for name in ("pydantic", "pydantic_core", "annotated_types", "typing_extensions",
                     "typing_inspection", "pyseccomp"):  # fmt: skip
            _copy(name, folder)
        environment = {
            "PYTHONPATH": folder,
            "PYTHONDONTWRITEBYTECODE": "1",
            "PATH": os.environ["PATH"],
        }
        command = ["runuser", "-u", "nobody", "--", str(python), "-m", "agent.sandbox.attacks"]

        def run(level: Level) -> str:
            done = subprocess.run([*command, level, "8"], env=environment, cwd="/",
                                  capture_output=True, text=True)  # fmt: skip
            if "no isolation works" in done.stderr:
                pytest.skip(done.stderr.splitlines()[-1])
            return done.stdout + done.stderr

        yield run


def _copy(name: str, folder: str) -> None:
    specification = importlib.util.find_spec(name)
    assert specification is not None and specification.origin is not None
    path = Path(specification.origin)
    if specification.submodule_search_locations:
        shutil.copytree(path.parent, f"{folder}/{name}")
    else:
        shutil.copy(path, folder)


@pytest.mark.parametrize("level", AUTOMATIC)
def test_every_attack_is_stopped(level: Level) -> None:
    async def attacked() -> list[Held]:
        async with await _at(level, limits=LIMITS, jobs=24) as sandbox:
            return await run_attacks(sandbox, every=8)

    found = asyncio.run(attacked())
    assert len(found) == len(ATTACKS)
    assert [h for h in found if not h.held] == []


@pytest.mark.parametrize("level", AUTOMATIC)
def test_every_attack_is_stopped_where_an_ordinary_user_runs_it(
    of_another_user: Callable[[Level], str], level: Level
) -> None:
    told = of_another_user(level)
    assert f"{len(ATTACKS)} of {len(ATTACKS)} attacks stopped" in told, told


def test_the_attacks_are_many_and_no_two_are_called_the_same() -> None:
    assert len({(a.kind, a.name) for a in ATTACKS}) == len(ATTACKS) >= 70


# -- they would do harm elsewhere ---------------------------------------------------------


@pytest.mark.parametrize("attack", _named(
    "the environment", "a file in the home folder", "a file in the host's /tmp",
    "the command line of the host", "everything in its own heap", "TCP to the host", "UDP",
    "an abstract socket of the host"), ids=lambda a: a.name)  # fmt: skip
def test_without_a_box_the_secret_is_found_and_the_connection_arrives(attack: Attack) -> None:
    with Canaries() as canaries:
        program = canaries.fill(attack.program) + "\n" + canaries.tests(attack.tests).code
        done = subprocess.run([sys.executable, "-c", program], cwd="/", timeout=60)
        arrived = list(canaries.touched())
    assert done.returncode == 0
    assert bool(arrived) == (attack.kind == "network")


class Unfiltered(Box):
    """A box whose programs may make every system call."""

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "seccomp": ""}


@pytest.mark.parametrize("attack", _named(
    "fork", "clone as a process", "kill its parent and its neighbours", "kill by other calls",
    "trace its parent", "other namespaces", "its own leash", "calls with a history of holes",
    "memory outside its limits", "calls of 32 bits", "sockets of the kernel", "a pair turned into a connection",
    "a descriptor handed to the judge", "larger pipes", "descriptors in tables of threads"), ids=lambda a: a.name)  # fmt: skip
def test_without_the_filter_the_door_is_open(attack: Attack) -> None:
    if attack.name == "calls of 32 bits" and platform.machine() != "x86_64":
        pytest.skip("an attack on x86_64 alone")

    async def outcome() -> str:
        async with await _at("bubblewrap") as sandbox:
            sandbox.close()
            sandbox.box = Unfiltered("bubblewrap", sandbox.limits)
            with Canaries() as canaries:
                return (await sandbox.run(canaries.fill(attack.program), attack.tests)).outcome

    assert asyncio.run(outcome()) == "pass"


def test_a_runner_that_trusts_the_exit_code_is_fooled_by_many_forgeries() -> None:
    forged = 0
    for attack in ATTACKS:
        code = attack.tests.code
        if attack.kind == "forge" and not attack.together and code and "from solution" not in code:
            program = f"{attack.program}\n{code}" + "\ncheck(f)" * ("def check" in code)
            try:
                done = subprocess.run([sys.executable, "-"], input=program.encode(), cwd="/",
                                      timeout=5, capture_output=True)  # fmt: skip
                forged += done.returncode == 0
            except subprocess.TimeoutExpired:
                pass
    assert forged >= 12


# -- many at once, and workers that die ---------------------------------------------------


def test_a_hundred_hostile_programs_at_once_change_no_verdict_on_honest_ones() -> None:
    simple = [a for a in ATTACKS if not a.then and not a.together and a.outcomes == ("fail",)]
    hostile = random.Random(4).sample(simple, 100)

    async def outcomes() -> tuple[list[str], list[str]]:
        async with await _at("bubblewrap", workers=2, jobs=6) as sandbox:
            with Canaries() as canaries:
                jobs = [
                    sandbox.run(canaries.fill(a.program), canaries.tests(a.tests)) for a in hostile
                ]
                honest = [sandbox.run(p, PLUS_ONE) for p in (RIGHT, WRONG) * 25]
                mixed = random.Random(4).sample(range(150), 150)
                tasks = [asyncio.ensure_future([*jobs, *honest][i]) for i in mixed]
                done = dict(
                    zip(mixed, [r.outcome for r in await asyncio.gather(*tasks)], strict=True)
                )
                assert list(canaries.touched()) == []
        return [done[i] for i in range(100)], [done[i] for i in range(100, 150)]

    against, of_honest = asyncio.run(outcomes())
    assert [a.name for a, o in zip(hostile, against, strict=True) if o != "fail"] == []
    assert of_honest == ["pass", "fail"] * 25


@pytest.mark.parametrize("level", AUTOMATIC)
def test_a_program_with_all_the_threads_there_are_leaves_its_neighbours_alone(level: Level) -> None:
    bomb = """
import threading, time
threading.stack_size(32768)

def f(x):
    try:
        for _ in range(6000):
            threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    except RuntimeError:
        pass
    time.sleep(60)
"""

    async def outcomes() -> list[str]:
        async with await _at(level, limits=Limits(seconds=4), jobs=4) as sandbox:
            hostile = [asyncio.ensure_future(sandbox.run(bomb, PLUS_ONE)) for _ in range(2)]
            await asyncio.sleep(1.5)
            honest = [await sandbox.run(RIGHT, PLUS_ONE) for _ in range(8)]
            return [r.outcome for r in [*honest, *await asyncio.gather(*hostile)]]

    assert asyncio.run(outcomes()) == ["pass"] * 8 + ["fail"] * 2


SLOW = "import time\ndef f(x):\n    time.sleep(0.5)\n    return x + 1"


def _children(pid: int) -> list[int]:
    try:
        return [int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _server(pid: int) -> int:
    """The deepest process that has children: the fork server, whatever box is round it."""
    return next((_server(c) for c in _children(pid) if _children(c)), pid)


@pytest.mark.parametrize("level", AUTOMATIC)
@pytest.mark.parametrize("victim", ["server", "judge", "box"])
def test_a_program_is_run_again_when_what_runs_it_is_killed(level: Level, victim: str) -> None:
    async def outcome() -> tuple[str, int]:
        async with await _at(level) as sandbox:
            running = asyncio.ensure_future(sandbox.run(SLOW, PLUS_ONE))
            [worker] = sandbox.workers
            while len(_children(_server(worker.process.pid))) < 2:
                await asyncio.sleep(0.01)  # until its judge and its candidate are there
            server = _server(worker.process.pid)
            judge = min(_children(server))
            os.kill(
                {"server": server, "judge": judge, "box": worker.process.pid}[victim],
                signal.SIGKILL,
            )
            return (await running).outcome, len(sandbox.workers)

    assert asyncio.run(outcome()) == ("pass", 1)


@pytest.mark.parametrize("level", AUTOMATIC)
def test_nothing_runs_on_when_the_host_is_killed(level: Level, tmp_path: Path) -> None:
    host = (
        "import asyncio, sys\nfrom agent.sandbox import Limits, Sandbox, Tests\n"
        "async def main():\n    async with Sandbox(isolation=sys.argv[1], limits=Limits(seconds=60)) as s:\n"
        "        job = asyncio.ensure_future(s.run('import time\\ndef f(x): time.sleep(50)', Tests(code='assert f(1) == 2')))\n"
        "        await asyncio.sleep(0)\n        print(s.workers[0].process.pid, flush=True)\n        await job\n"
        "asyncio.run(main())\n"
    )
    asyncio.run(_at(level)).close()  # or skip
    started = subprocess.Popen(
        [sys.executable, "-c", host, level], cwd=ROOT, stdout=subprocess.PIPE
    )
    with started:
        assert started.stdout is not None
        box = int(started.stdout.readline())
        while len(_children(_server(box))) < 2:
            time.sleep(0.01)
        everyone = [box, _server(box), *_children(_server(box))]
        started.kill()
    until = time.monotonic() + 20
    while alive := [pid for pid in everyone if _runs(pid)]:
        assert time.monotonic() < until, alive
        time.sleep(0.01)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_closed_sandbox_leaves_no_process_and_no_descriptor() -> None:
    async def used() -> None:
        async with await _at("bubblewrap", workers=2) as sandbox:
            await asyncio.gather(*(sandbox.run(RIGHT, PLUS_ONE) for _ in range(4)))

    asyncio.run(used())
    before = len(os.listdir("/proc/self/fd")), len(_children(os.getpid()))
    for _ in range(3):
        asyncio.run(used())
    assert (len(os.listdir("/proc/self/fd")), len(_children(os.getpid()))) == before


# -- what is no program's fault, and what is ------------------------------------------------


def test_tests_that_kill_their_judge_where_a_program_is_right_fail_it_and_are_no_error() -> None:
    """A program that could crash its judge would else escape from being wrong."""
    crash = Tests(
        code="import os\nif f(1) == 2:\n    os._exit(1)\nassert f(1) == 3", entry="f", trusted=False
    )

    async def results() -> list[Any]:
        async with await _at("bubblewrap") as sandbox:
            return [await sandbox.run(program, crash) for program in (RIGHT, WRONG)]

    fatal, wrong = asyncio.run(results())
    assert (fatal.outcome, fatal.limit) == ("fail", "data")
    assert "brings down" in fatal.critique
    assert "f(1) should be 3" in wrong.critique


@pytest.mark.parametrize(
    ("tests", "program", "outcome"),
    [
        ("for a, b in [(1, 2), (2, 3)]:\n    assert f(a) == b", RIGHT, "pass"),
        ("def check(g):\n    assert g(1) == 2\ncheck(f)", RIGHT, "pass"),
        ("assert math.floor(f(1) + 0.5) == 2", RIGHT, "pass"),
        ("from f_module import f\nassert f(1) == 2", RIGHT, "pass"),
        ("import numeric_library\nassert numeric_library.same(f(1), 2)", "def same(*a): return True", "error"),
        ("assert eval('f(1)') == 2", RIGHT, "pass"),
        ("import unittest\nraise unittest.SkipTest", RIGHT, "void"),
        ("v = Vector(1) + Vector(2)\nassert v == Vector(3)\nassert v.x == 3 and v != None",
         "class Vector:\n    def __init__(s, x): s.x = x\n    def __add__(s, o): return Vector(s.x + o.x)\n    def __eq__(s, o): return s.x == o.x", "pass"),
        ("import copy\nv = Vector(1)\nassert copy.copy(v).x == 1",
         "class Vector:\n    def __init__(s, x): s.x = x", "pass"),
        ("with Timer() as t:\n    assert t.ticks == 1", "class Timer:\n    ticks = 1\n    def __enter__(s): return s\n    def __exit__(s, *e): return False", "pass"),
        ("from concurrent.futures import ThreadPoolExecutor\nassert f(1) == 2",
         "from concurrent.futures import ThreadPoolExecutor\ndef f(x):\n    with ThreadPoolExecutor(16) as pool:\n        return sum(pool.map(int, [x, 1]))", "pass"),
    ],
)  # fmt: skip
def test_what_stops_the_attacks_lets_honest_programs_through(
    tests: str, program: str, outcome: str
) -> None:
    async def result() -> Any:
        async with await _at("bubblewrap") as sandbox:
            return await sandbox.run(
                program, Tests(code=tests, entry="f" if "f(" in tests else None)
            )

    found = asyncio.run(result())
    assert found.outcome == outcome, found


def test_tests_that_json_has_no_word_for_are_refused() -> None:
    with pytest.raises(ValidationError, match="no word for"):
        Tests(entry="f", cases=({"args": [{1, 2}], "expected": 3},))
    with pytest.raises(ValidationError, match="larger than"):
        Tests(code="x = 1\n" * 1_000_000)
