"""The tables of the demo run, word for word: what they say may change on purpose only."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from agent.api import arms_for, checks_of, compare, measure_run
from agent.report.terminal import tables
from agent.store import Store
from tasks.chess.task import Chess

GOLDEN = Path(__file__).with_name("golden") / "demo.txt"


def demo(directory: Path) -> str:
    """The demo of the README but for the engine's judgement of moves, which is no part of it."""
    task = Chess(style="lan", horizon=60, quality_nodes=0)
    arms = arms_for(task, ["baseline", "resample", "critique"])
    assert [c.name for c in checks_of(arms)] == ["chess-legality"]
    compare(task, "tiny", arms=arms, episodes=40, horizon=60, seed=1, out=directory)
    store = Store(directory)
    _, comparison = measure_run(store)
    store.close()
    # Time is the only figure that two runs do not share.
    still = {n: a.model_copy(update={"seconds": 0.0}) for n, a in comparison.arms.items()}
    comparison = comparison.model_copy(update={"arms": still})
    page = io.StringIO()
    Console(file=page, width=150).print(tables(comparison, oracle_verifiers=["chess-legality"]))
    return "\n".join(line.rstrip() for line in page.getvalue().splitlines()) + "\n"


def test_the_demo_prints_the_tables_that_are_published(tmp_path: Path) -> None:
    assert demo(tmp_path / "run") == GOLDEN.read_text("utf-8")
