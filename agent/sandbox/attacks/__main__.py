"""`python -m agent.sandbox.attacks [LEVEL]`: which attacks this machine's sandbox stops."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter

from agent.sandbox import Limits, Sandbox
from agent.sandbox.attacks import ATTACKS, Held, run_attacks


def _told(held: Held) -> None:
    if not held.held or "-v" in sys.argv:
        print(f"{held.kind:<8} {held.name}: {'; '.join(held.problems) or 'held'} ({held.seconds:.2f} s)", flush=True)


async def _main(level: str | None) -> int:
    async with Sandbox(isolation=level, limits=Limits(seconds=2, memory=256), jobs=8) as sandbox:  # type: ignore[arg-type]
        found = await run_attacks(sandbox, ATTACKS, _told)
        all_, held = Counter(h.kind for h in found), Counter(h.kind for h in found if h.held)
        parts = ", ".join(f"{kind} {held[kind]}/{all_[kind]}" for kind in all_)
        print(f"{sandbox.isolation}: {held.total()} of {all_.total()} stopped ({parts})")
    return 0 if held == all_ else 1


if __name__ == "__main__":
    levels = [a for a in sys.argv[1:] if a != "-v"]
    raise SystemExit(asyncio.run(_main(levels[0] if levels else None)))
