"""Seconds and memory of `errata measure` on a log of a million rows.

    python benchmarks/million_rows.py

1,000 episodes x 1,000 steps: two arms that play the same 500 episodes, from two models of
differing error, on and off track by a two-state chain. The command is run as a user would,
so that starting Python counts; the second run also draws the plots and writes the page.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

PAIRS, STEPS = 500, 1000
RETURN = 0.3
ERROR = {("baseline", "small"): 0.04, ("baseline", "large"): 0.02,
         ("critique", "small"): 0.03, ("critique", "large"): 0.01}  # fmt: skip
COLUMNS = ["--episode", "game", "--step", "turn", "--correct", "legal", "--arm", "mode",
           "--stratum", "model"]  # fmt: skip


def games(rng: np.random.Generator, arm: str) -> pd.DataFrame:
    """All steps of one arm; odd games are those of the small model."""
    model = np.where(np.arange(PAIRS) % 2, "small", "large")
    e = np.array([ERROR[arm, m] for m in model])
    on, legal = np.ones(PAIRS, bool), np.empty((PAIRS, STEPS), int)
    for step in range(STEPS):
        chance = rng.random(PAIRS)
        on = np.where(on, chance >= e, chance < RETURN)
        legal[:, step] = on
    game = [f"game{i:03}" for i in range(PAIRS)]
    return pd.DataFrame({
        "game": np.repeat(game, STEPS), "turn": np.tile(np.arange(1, STEPS + 1), PAIRS),
        "legal": legal.ravel(), "mode": arm, "model": np.repeat(model, STEPS),
        "tokens": rng.integers(5, 50, PAIRS * STEPS),
    })  # fmt: skip


def timed(*arguments: str) -> float:
    began = time.perf_counter()
    command = [sys.executable, "-m", "agent.cli", "measure", *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def peak() -> float:
    """GB, of the hungriest child so far; macOS counts bytes, others KiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit / 1e9


def main() -> None:
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log.csv"
        pd.concat(games(rng, arm) for arm in ("baseline", "critique")).to_csv(log, index=False)
        print(f"{log.stat().st_size / 1e6:.0f} MB of CSV, {2 * PAIRS * STEPS:,} rows\n")
        print("| errata measure | seconds | peak memory |")
        print("|---|---|---|")
        for what, options in (("tables", []), ("and report.html", ["--out", f"{folder}/report"])):
            seconds = timed(str(log), *COLUMNS, *options)
            print(f"| {what} | {seconds:.1f} | {peak():.2f} GB |", flush=True)


if __name__ == "__main__":
    main()
