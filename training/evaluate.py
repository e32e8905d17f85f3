"""The figures of the model card: legal moves by ply, and what a retry achieves.

    python training/evaluate.py [--episodes 200] [--horizon 80]

Temperature 1, random openings of 4 plies, the model moves both sides; after an illegal move the
context shows a legal substitute, so that every ply is judged on a sound history.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from agent.api import arms_for, header, measure
from agent.experiment import Experiment
from agent.measure.statistics import by_episode, rate
from agent.measure.table import from_traces
from agent.models.tiny import Tiny
from agent.report.cells import percent, with_n
from agent.store import Store
from tasks.chess.task import Chess

ARMS = ("baseline", "resample", "flag", "critique", "hint")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--episodes", type=int, default=200)
    parser.add_argument("--horizon", type=int, default=80)
    parser.add_argument("--temperature", type=float, default=1.0)
    args = parser.parse_args()
    task = Chess(style="lan", horizon=args.horizon, quality_nodes=0)
    model = Tiny(temperature=args.temperature)
    arms = arms_for(task, ARMS, max_attempts=3, after_error="repair")
    seeds = range(10_000, 10_000 + args.episodes)
    with tempfile.TemporaryDirectory() as temporary:
        store = Store(Path(temporary) / "run", header(task, model, arms, seeds))
        asyncio.run(Experiment(task, model, arms, seeds, store, 64).run())
        table = from_traces(store.episodes(), ARMS)
        comparison = measure(store)
    print("| plies after the opening | legal at the first attempt |\n|---|---|")
    base = table.where(table.arm == "baseline")
    blocks = [(1, 10), (11, 20), (21, 40), (41, 60), (61, 80), (1, 40), (1, 80)]
    for low, high in blocks:
        if high > args.horizon:
            continue
        inside = (base["step"] >= low) & (base["step"] <= high)
        right = base["first_correct"][inside] == 1
        print(f"| {low}-{high} | {with_n(rate(*by_episode(base['episode'][inside], right)))} |")
    print(
        "\n| told | right at attempt 2 | right at attempt 3 | same answer again | wrong after 3 |"
    )
    print("|---|---|---|---|---|")
    for name in ARMS[1:]:
        arm = comparison.arms[name]
        tries = arm.attempts
        print(f"| {name} | {with_n(tries.recovery.get(2))} | {with_n(tries.recovery.get(3))} | "
              f"{with_n(tries.repeats)} | {' '.join(percent(arm.error_rate))} |")  # fmt: skip


if __name__ == "__main__":
    main()
