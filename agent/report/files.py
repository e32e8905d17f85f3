"""What a measured run leaves in its directory: summary.json and report.html."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

from agent.measure import Comparison, StepTable
from agent.report.page import page
from agent.report.plots import plots
from agent.report.summary import summarise
from agent.store import write_text
from agent.types import Answer, Json, Question, Score, Trace

SUMMARY, REPORT = "summary.json", "report.html"


def write(
    directory: Path,
    title: Json,
    table: StepTable,
    comparison: Comparison,
    episodes: Iterable[tuple[Trace, list[list[Score]]]] = (),
    sketch: Callable[[Question, Answer], Json] | None = None,
) -> Json:
    """Write both; returns the summary. `title` is the header of a run directory."""
    summary = summarise(title, comparison)
    directory.mkdir(parents=True, exist_ok=True)
    write_text(directory / SUMMARY, json.dumps(summary, indent=1, allow_nan=False))
    arms = title["identity"]["arms"]
    factors = {name: arm.get("factors", {}) for name, arm in arms.items()}
    figures = plots(table, comparison, factors)
    html = page(title, comparison, figures, table, episodes, sketch)
    write_text(directory / REPORT, html)
    return summary
