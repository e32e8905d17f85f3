"""The report as one self-contained page: no request leaves it, nothing in it can run but its script.

What models and verifiers wrote goes into the page as data, compressed, and is shown as text.
"""

from __future__ import annotations

import base64
import gzip
import json
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agent.measure import Comparison, StepTable
from agent.report.drawing import Missing, Plot
from agent.report.sheets import Sheet, missing, sheets
from agent.report.terminal import header, name
from agent.report.words import verdict
from agent.types import Answer, Json, Question, Score, Step, Trace

ASSETS = Path(__file__).with_name("assets")

MOST_STRIPS = 3_000
"""Episodes that the page draws; more than a browser likes to."""

ROOM = 2_200_000
"""Characters of the page that the details of steps may take; later episodes go without."""

Sketch = Callable[[Question, Answer], Json]
Details = dict[tuple[str, int], list[Json]]


def page(
    title: Json,
    comparison: Comparison,
    figures: Sequence[Plot | Missing],
    table: StepTable,
    episodes: Iterable[tuple[Trace, list[list[Score]]]] = (),
    sketch: Sketch | None = None,
) -> str:
    """The whole page. `title` is the header of a run directory; without `episodes` it has the
    strip of every episode but no step to open."""
    from jinja2 import Environment, FileSystemLoader

    title = _filled(title, comparison.horizon)
    order = {arm: i for i, arm in enumerate(comparison.arms)}
    every = sorted(_strips(table), key=lambda strip: order[strip["arm"]])
    strips = _first_of_each(every, MOST_STRIPS // max(1, len(order)))
    blobs, detailed, chess = _details(episodes, {(s["arm"], s["pair"]) for s in strips}, sketch)
    place = {(arm, pair): i for i, (arm, pair) in enumerate(detailed)}
    for strip in strips:
        strip["detail"] = place.get((strip["arm"], strip["pair"]))
    tables = [_html(t) for t in sheets(comparison)]
    first, *rest = verdict(comparison, title["oracle_verifiers"]) or ["Nothing was measured."]
    environment = Environment(
        loader=FileSystemLoader(ASSETS), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("page.html.j2").render(
        name=name(title),
        command=shlex.join(title["command"]),
        header=header(title, comparison).plain,
        primary=first,
        sentences=rest,
        first=tables[:2],
        others=tables[2:],
        plots=[p for p in figures if isinstance(p, Plot)],
        undrawn=[m for m in figures if isinstance(m, Missing)],
        missing=missing(comparison),
        data=_data_url,
        arms=comparison.arms,
        episodes=len(every),
        strips_shown=len(strips),
        detailed=len(detailed),
        strips=_packed(strips),
        blobs=blobs,
        symbols=_pieces() if chess else {},
        plain=title["identity"]["model"].get("api") == "completions",
        style=(ASSETS / "page.css").read_text("utf-8"),
        script=(ASSETS / "page.js").read_text("utf-8"),
    )


def _filled(title: Json, horizon: int) -> Json:
    """`title` with a stand-in for all that a measured file or an older run may not tell."""
    identity = {"arms": {}, "seeds": [], "horizon": horizon, **title.get("identity", {})}
    identity["task"] = {"name": "?", **identity.get("task", {})}
    identity["model"] = {"name": "", **identity.get("model", {})}
    return {"errata": "?", "command": [], "oracle_verifiers": [], **title, "identity": identity}


# -- tables -----------------------------------------------------------------------------------


def _html(sheet: Sheet) -> dict[str, Any]:
    """A table with the class of each of its columns."""
    return {
        "title": " ".join(sheet.title.split()),
        "note": sheet.note,
        "columns": [
            (c, "" if i == 0 or c in sheet.texts else "number") for i, c in enumerate(sheet.columns)
        ],
        "rows": sheet.rows,
    }


def _data_url(text: str) -> str:
    return "data:text/csv;base64," + base64.b64encode(text.encode()).decode()


# -- strips -----------------------------------------------------------------------------------


def _strips(table: StepTable) -> list[dict[str, Any]]:
    """One an episode: what became of each of its steps, a letter each.

    g right at once, a right after a correction, r wrong, u not judged.
    """
    letters = np.where(
        ~table.judged, "u",
        np.where(table.correct == 0, "r",
                 np.where((table.attempts > 1) & (table.first_correct != 1), "a", "g")),
    )  # fmt: skip
    if not len(letters):
        return []
    first = np.unique(table.episode, return_index=True)[1]
    ends = np.append(first[1:], len(letters))
    return [
        {
            "arm": str(table.arm[a]),
            "pair": int(table.pair[a]),
            "stratum": str(table.stratum[a]),
            "steps": _runs(letters[a:b]),
        }
        for a, b in zip(first.tolist(), ends.tolist(), strict=True)
    ]


def _first_of_each(strips: list[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    seen: Counter[str] = Counter()
    out = []
    for strip in strips:
        seen[strip["arm"]] += 1
        if seen[strip["arm"]] <= most:
            out.append(strip)
    return out


def _runs(letters: Any) -> str:
    """Run lengths: `ggga` is `3g1a`."""
    starts = np.flatnonzero(np.append(True, letters[1:] != letters[:-1]))
    lengths = np.diff(np.append(starts, len(letters)))
    return "".join(f"{n}{c}" for n, c in zip(lengths, letters[starts], strict=True))


# -- details ----------------------------------------------------------------------------------


def _details(
    episodes: Iterable[tuple[Trace, list[list[Score]]]],
    known: set[tuple[str, int]],
    sketch: Sketch | None,
) -> tuple[list[str], list[tuple[str, int]], bool]:
    """Compressed steps of each episode while there is room; which ones; is there a chessboard."""
    blobs: list[str] = []
    detailed: list[tuple[str, int]] = []
    room, chess = ROOM, False
    for trace, scores in episodes:
        if (trace.arm, trace.seed) not in known:
            continue
        steps = _Delta(sketch).steps(trace, scores)
        blob = _packed(steps)
        room -= len(blob)
        if room < 0:
            break
        blobs.append(blob)
        detailed.append((trace.arm, trace.seed))
        chess = chess or any((t["k"] or {}).get("kind") == "chess" for s in steps for t in s["t"])
    return blobs, detailed, chess


class _Delta:
    """Writes the steps of one episode; a prompt as its difference from the one before."""

    def __init__(self, sketch: Sketch | None) -> None:
        self._sketch = sketch
        self._before: dict[str, str] = {}

    def steps(self, trace: Trace, scores: list[list[Score]]) -> list[dict[str, Any]]:
        """All of them, with short names, since each stands in the page thousands of times."""
        return [self._step(s, row) for s, row in zip(trace.steps, scores, strict=True)]

    def _step(self, step: Step, scores: list[Score]) -> dict[str, Any]:
        question = step.question
        return {
            "m": [[m.role, self._text(f"m{i}", m.content)] for i, m in enumerate(question.messages)],
            "p": self._text("p", question.prefix),
            "a": step.accepted,
            "x": int(step.exhausted),
            "t": [
                {
                    "w": attempt.text,
                    "v": [[v.verifier, v.outcome, v.critique] for v in attempt.verdicts],
                    "n": attempt.usage.total + sum(v.usage.total for v in attempt.verdicts),
                    "s": round(attempt.seconds, 3),
                    "c": score.correct,
                    "e": score.error_class,
                    "k": self._sketch(question, attempt.answer) if self._sketch else None,
                }
                for attempt, score in zip(step.attempts, scores, strict=True)
            ],
        }  # fmt: skip

    def _text(self, place: str, text: str) -> list[Any]:
        """[length of the common beginning, length of the common end, what is between]."""
        before, self._before[place] = self._before.get(place, ""), text
        most = min(len(before), len(text))
        begin = _common(before, text, most)
        end = _common(before[::-1], text[::-1], most - begin)
        return [begin, end, text[begin : len(text) - end]]


def _common(a: str, b: str, most: int) -> int:
    """Length of the common beginning, by halving: prompts are long and mostly the same."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _packed(value: Json) -> str:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def _pieces() -> Mapping[str, str]:
    """The drawing of each piece, by its letter in FEN."""
    from chess import svg

    return svg.PIECES
