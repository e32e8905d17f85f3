"""`python -m agent.sandbox.attacks [LEVEL] [--json]`: which attacks this machine's sandbox stops."""

from __future__ import annotations

import asyncio
import sys

from agent.sandbox import Limits, Sandbox
from agent.sandbox.attacks import counted, run_attacks

LIMITS = Limits(seconds=3, memory=256)
"""Small ones: many attacks go up to them."""


async def _main(level: str | None, as_json: bool) -> int:
    async with Sandbox(isolation=level, limits=LIMITS, jobs=24) as sandbox:  # type: ignore[arg-type]
        found = await run_attacks(sandbox, every=8 if as_json else 1)
    for held in found:
        if as_json:
            print(held.model_dump_json())
        elif not held.held:
            print(f"{held.kind} {held.name}: {'; '.join(held.problems)}")
    if not as_json:
        print(f"{sandbox.isolation}: {counted(found)}")
    return 0 if all(held.held for held in found) else 1


if __name__ == "__main__":
    levels = [a for a in sys.argv[1:] if a != "--json"]
    raise SystemExit(asyncio.run(_main(levels[0] if levels else None, "--json" in sys.argv)))
