"""Running the attacks, and saying which were stopped."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from agent.sandbox.attacks.canaries import Canaries
from agent.sandbox.attacks.case import PLUS_ONE, Attack, Kind
from agent.sandbox.attacks.doors import ESCAPING, NETWORK, READING
from agent.sandbox.attacks.forge import FORGERIES
from agent.sandbox.attacks.remains import EXHAUSTING, PERSISTING
from agent.sandbox.boxes import Level
from agent.sandbox.critiques import BUDGET
from agent.sandbox.jobs import Limits, Result
from agent.sandbox.pool import Sandbox
from agent.types import Frozen

ATTACKS: tuple[Attack, ...] = (
    *FORGERIES, *READING, *ESCAPING, *NETWORK, *PERSISTING, *EXHAUSTING,
)  # fmt: skip

LIMITS = Limits(seconds=3, memory=256)
"""Small ones: many attacks go up to them, and wait for it together."""

GONE_WITHIN = 5.0
"""Seconds that a killed process may take to leave the list of processes."""


class Held(Frozen):
    """What became of one attack."""

    kind: Kind
    """What it wanted."""
    name: str
    """How it went about it."""
    problems: tuple[str, ...]
    """What it achieved; nothing if it was stopped."""
    seconds: float
    """By the clock."""

    @property
    def held(self) -> bool:
        """It was stopped."""
        return not self.problems


async def run_attacks(
    sandbox: Sandbox,
    attacks: Iterable[Attack] = ATTACKS,
    told: Callable[[Held], None] = lambda held: None,
    every: int = 1,
) -> list[Held]:
    """Run attacks, one after the other; `told` hears of each.

    An attack is stopped if its verdict is the due one, no secret shows in it, no connection, file,
    process or descriptor is left, and the same workers still judge a right and a wrong program;
    after `every` so many attacks that is looked at, and what is found counts against the last one.
    """
    attacks = list(attacks)
    one_by_one = [a for a in attacks if not a.together]
    found = []

    def add(held: Held, *left: str) -> None:
        found.append(held.model_copy(update={"problems": (*held.problems, *left)}))
        told(found[-1])

    sandbox.close()  # its workers are to start where the secrets are
    with Canaries() as canaries:
        watch = _Watch(sandbox, canaries)
        await watch.honest()
        while any(len(worker.ended) > len(worker.idle) for worker in sandbox.workers):
            await asyncio.sleep(0.01)  # a candidate is still on its way out
        watch.settled = watch.counts()
        for number, attack in enumerate(one_by_one, start=1):
            held = await watch.attack(attack)
            look = number % every == 0 or number == len(one_by_one)
            add(held, *(await watch.after() if look else ()))
        at_once = await asyncio.gather(*(watch.attack(a) for a in attacks if a.together))
        left = await watch.after()
        for held in at_once:
            add(held, *left)
    return found


async def siege(level: Level | None, tell: Callable[[str], None], every: int = 1) -> bool:
    """Run all attacks at a level, the strongest here by default; tells what got through, and at
    the end how many were stopped. Is it all of them. `every`: see `run_attacks`."""
    began = time.perf_counter()

    def told(held: Held) -> None:
        if not held.held:
            tell(f"{held.kind}, {held.name}: {'; '.join(held.problems)}")

    async with Sandbox(isolation=level, limits=LIMITS, jobs=24) as sandbox:
        found = await run_attacks(sandbox, ATTACKS, told, every)
        used = sandbox.isolation
    all_, held = Counter(h.kind for h in found), Counter(h.kind for h in found if h.held)
    parts = ", ".join(f"{kind} {held[kind]} of {all_[kind]}" for kind in all_)
    tell(f"{used}: {held.total()} of {all_.total()} attacks stopped ({parts}) "
         f"in {time.perf_counter() - began:.0f} s")  # fmt: skip
    return held == all_


class _Watch:
    """A sandbox under attack."""

    def __init__(self, sandbox: Sandbox, canaries: Canaries) -> None:
        self.sandbox, self.canaries = sandbox, canaries
        self.settled = (0, 0)
        """What `counts` says at rest."""

    async def attack(self, attack: Attack) -> Held:
        """Run its programs; what their verdicts give away."""
        began = time.perf_counter()
        problems = []
        for program, tests in ((attack.program, attack.tests), *attack.then):
            filled = self.canaries.fill(program), self.canaries.tests(tests)
            try:
                result = await self.sandbox.run(*filled)
            except Exception as error:
                problems.append(f"the host raises {error!r}")
                break
            problems += self._given_away(result)
        else:
            if result.outcome not in attack.outcomes:
                problems.append(f"{result.outcome}: {result.critique or result.reason}")
        seconds = time.perf_counter() - began
        return Held(kind=attack.kind, name=attack.name, problems=tuple(problems), seconds=seconds)

    def _given_away(self, result: Result) -> Iterator[str]:
        told = result.critique + result.reason + result.got
        if self.canaries.secret in told:
            yield "a secret came out"
        if not told.isprintable() or len(result.critique) > 2 * BUDGET:
            yield f"a critique that is no line of text: {result.critique[:200]!r}"

    async def after(self) -> list[str]:
        """What is left of an attack once it is over."""
        problems = [*self.canaries.touched(), *await self.honest()]
        until = time.monotonic() + GONE_WITHIN
        while (now := self.counts()) != self.settled:
            if time.monotonic() > until:
                problems.append(f"(processes, descriptors) are {now}, not {self.settled}")
                self.settled = now
            await asyncio.sleep(0.01)
        return problems

    async def honest(self) -> list[str]:
        """Are a right and a wrong program still told apart."""
        problems = []
        for program, outcome in (
            ("def f(x): return x + 1", "pass"),
            ("def f(x): return 2", "fail"),
        ):
            result = await self.sandbox.run(program, PLUS_ONE)
            if result.outcome != outcome:
                problems.append(
                    f"an honest program: {result.outcome} {result.critique}{result.reason}"
                )
        return problems

    def counts(self) -> tuple[int, int]:
        """Processes in the boxes, and descriptors of this one, but for judges that wait for work."""
        workers = self.sandbox.workers
        idle = sum(len(worker.idle) for worker in workers)
        processes = _descendants({worker.process.pid for worker in workers})
        return processes - idle, len(os.listdir("/proc/self/fd")) - idle


def _descendants(pids: set[int]) -> int:
    """How many processes stem from these."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended just now
        if fields[0] != "Z":
            parents[int(path.parent.name)] = int(fields[1])
    found, new = set[int](), pids
    while new:
        found |= new
        new = {pid for pid, parent in parents.items() if parent in new}
    return len(found)
