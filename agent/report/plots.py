"""P1 to P9 as vector pictures, each with its caption and its data.

Colours are placeholders that the page replaces by its own, so that one picture serves light,
dark and paper; arms differ by dash and marker as well, so that grey serves too.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from agent.measure import Comparison, StepTable
from agent.measure.curves import Curves, curves
from agent.measure.statistics import Estimate, by_episode

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, GRID = "#010203", "#040506"
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8f6b00", "#56b4e9", "#7f3fbf", "#777777")
DASHES = (
    "-",
    (0, (6, 2)),
    (0, (3, 1.5)),
    (0, (6, 2, 1, 2)),
    (0, (1, 1)),
    (0, (8, 1, 1, 1)),
    "-",
    "-",
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
MOST_STRATA = 6


@dataclass(frozen=True)
class Plot:
    """One picture of the report."""

    name: str
    """P1, P2, ..."""
    title: str
    """What it shows."""
    caption: str
    """Definition of everything drawn."""
    svg: str
    """Markup with ids of its own and colours as CSS variables."""
    csv: str
    """Its data, with a header line."""


@dataclass(frozen=True)
class Missing:
    """A picture that the data do not give."""

    name: str
    """P1, P2, ..."""
    reason: str
    """Why."""


Rows = list[dict[str, Any]]


def plots(
    table: StepTable, c: Comparison, factors: Mapping[str, Mapping[str, float]] | None = None
) -> list[Plot | Missing]:
    """Every plot, or why there is none; `factors` are the settings of arms that were varied."""
    lines = {name: _curves(table, c, name) for name in c.arms}
    seen = {name: line for name, line in lines.items() if line is not None}
    return [
        _claim(seen), _hazard(c), _recovery(seen), _spells(seen, c), _attempts(c), _tokens(c),
        _varied(c, factors or {}, "P7", "inject", "share of the shown history that is wrong",
                "Error against injected past errors"),
        _pairs(table, c), _drift(c),
        _varied(c, factors or {}, "P11", "false_accept", "false-accept rate of the verifier",
                "Error against the noise of the verifier: wrong answers passed"),
        _varied(c, factors or {}, "P12", "false_reject", "false-reject rate of the verifier",
                "Error against the noise of the verifier: right answers failed"),
    ]  # fmt: skip


def _curves(table: StepTable, c: Comparison, name: str) -> Curves | None:
    rows = table.where((table.arm == name) & table.judged)
    moves = c.arms[name].transitions
    return curves(
        rows["episode"], rows["step"], rows["correct"], rows["on_track"],
        moves.e.value, moves.r.value,
    )  # fmt: skip


# -- the pictures -----------------------------------------------------------------------------


def _claim(seen: Mapping[str, Curves]) -> Plot | Missing:
    if not seen:
        return Missing("P1", "no step could be judged")
    figure, axes = _axes(len(seen), sharey=True)
    rows: Rows = []
    for i, ((name, line), ax) in enumerate(zip(seen.items(), axes, strict=True)):
        t = np.arange(1, len(line.survival.value) + 1)
        for curve, dash, label in (
            (line.accuracy, "-", "A(t), on track"), (line.survival, (0, (4, 1.5)), "S(t), no error yet"),
        ):  # fmt: skip
            ax.fill_between(t, curve.low, curve.high, color=SERIES[i % 8], alpha=0.18, lw=0)
            ax.plot(t, curve.value, color=SERIES[i % 8], ls=dash, lw=1.6, label=label)
        ax.plot(t, line.geometric, color=INK, ls=(0, (5, 3)), lw=1, label="(1-e)^t of steps 1-5")
        ax.plot(t, line.two_state, color=INK, ls=(0, (1, 2)), lw=1, label="two-state fit")
        ax.set(title=name, xlabel="step t", ylim=(-0.02, 1.02))
        if i == 0:
            ax.set_ylabel("share of episodes")
            ax.legend(fontsize=7.5)
        rows += [
            {"arm": name, "step": int(t[j]), "at_risk": line.at_risk[j],
             **{f"A{p}": getattr(line.accuracy, a)[j] for p, a in _PARTS},
             **{f"S{p}": getattr(line.survival, a)[j] for p, a in _PARTS},
             "geometric": line.geometric[j], "two_state": line.two_state[j]}
            for j in range(len(t))
        ]  # fmt: skip
    return _plot(
        "P1", "The claim: does being right decay as (1-e)^t?",
        "A(t): share of running episodes that are on track after step t. S(t): P(no error in steps "
        "1..t), Kaplan-Meier. Bands: 95 %, episodes resampled. Dashed: (1-e)^t, e fitted on steps 1 "
        "to 5 only. Dotted: the two-state chain of the arm's e and r.", figure, rows,
    )  # fmt: skip


_PARTS = (("", "value"), ("_low", "low"), ("_high", "high"))


def _hazard(c: Comparison) -> Plot | Missing:
    arms = {n: a.growth.blocks for n, a in c.arms.items() if a.growth.blocks}
    if not arms:
        return Missing("P2", "no step could be judged")
    strata = list(dict.fromkeys(s for bs in arms.values() for b in bs for s in b.strata))
    figure, axes = _axes(2 if strata else 1)
    rows: Rows = []
    for i, (name, blocks) in enumerate(arms.items()):
        middle = np.array([(b.first + b.last) / 2 for b in blocks])
        shift = (i - (len(arms) - 1) / 2) * 0.012 * blocks[-1].last
        _errorbars(axes[0], middle + shift, [b.hazard for b in blocks], i, name)
        if strata:
            axes[1].plot(middle, [np.nan if b.within is None else b.within for b in blocks],
                         label=f"{name}, averaged", lw=2, **_style(i))  # fmt: skip
            for stratum in strata[:MOST_STRATA]:
                axes[1].plot(middle, [_value(b.strata.get(stratum)) for b in blocks],
                             color=SERIES[i % 8], lw=0.7, alpha=0.6)  # fmt: skip
        rows += [
            {"arm": name, "first": b.first, "last": b.last, "at_risk": b.hazard.n,
             **_columns("hazard", b.hazard), **_columns("error", b.error), "within": b.within,
             **{f"hazard[{s}]": b.strata[s].value for s in b.strata}}
            for b in blocks
        ]  # fmt: skip
    top = axes[0].get_ylim()[1]
    for b in next(iter(arms.values())):
        at = (b.first + b.last) / 2, -0.1 * top
        axes[0].annotate(f"{b.hazard.n}", at, fontsize=6.5, ha="center", color=INK)
    axes[0].set(title="pooled", xlabel="step", ylabel="P(first error | none before)")
    axes[0].set_ylim(-0.14 * top, top)
    axes[0].legend(fontsize=7.5)
    if strata:
        axes[1].set(title=f"within {len(strata)} strata", xlabel="step")
        axes[1].legend(fontsize=7.5)
    return _plot(
        "P2", "Hazard by step, pooled and within stratum",
        "h: first errors among the episodes still without one, by tenths of the horizon, with Wilson "
        f"intervals. Numbers at the foot: steps at risk in {next(iter(arms))}. Pooled hazard falls "
        "where easy episodes outlive hard ones; "
        + ("thin lines are strata, thick ones their average by share of episodes."
           if strata else "there is one stratum here, so that can't be told apart."), figure, rows,
    )  # fmt: skip


def _recovery(seen: Mapping[str, Curves]) -> Plot | Missing:
    if not seen:
        return Missing("P3", "no step could be judged")
    figure, [ax] = _axes(1)
    rows: Rows = []
    for i, (name, line) in enumerate(seen.items()):
        t = np.arange(1, len(line.recovery.value) + 1)
        low, high = 100 * np.array(line.recovery.low), 100 * np.array(line.recovery.high)
        ax.fill_between(t, low, high, color=SERIES[i % 8], alpha=0.18, lw=0)
        ax.plot(t, 100 * np.array(line.recovery.value), label=name, lw=1.6, color=SERIES[i % 8],
                ls=DASHES[i % 8])  # fmt: skip
        rows += [
            {"arm": name, "step": int(t[j]),
             **{f"recovery{p}": getattr(line.recovery, a)[j] for p, a in _PARTS}}
            for j in range(len(t))
        ]  # fmt: skip
    ax.axhline(0, color=INK, lw=0.8)
    ax.set(xlabel="step t", ylabel="points")
    ax.legend(fontsize=7.5)
    return _plot(
        "P3", "Recovery curve: how much of the error was undone",
        "A(t) - S(t) in points: episodes that erred and are on track again. (1-e)^n says that it "
        "is zero at every t. Bands: 95 %, episodes resampled.", figure, rows,
    )  # fmt: skip


def _spells(seen: Mapping[str, Curves], c: Comparison) -> Plot | Missing:
    some = {n: line for n, line in seen.items() if line.spells}
    if not some:
        return Missing("P4", "no spell off track came to its end")
    figure, [ax] = _axes(1)
    rows: Rows = []
    for i, (name, line) in enumerate(some.items()):
        total, r = sum(line.spells.values()), c.arms[name].transitions.r.value or 0.0
        lengths = np.arange(1, min(20, max(line.spells)) + 1)
        share = np.array([line.spells.get(int(k), 0) / total for k in lengths])
        expected = (1 - r) ** (lengths - 1) * r
        ax.plot(lengths, share, label=f"{name}, {total} spells", ls="", **_marks(i))
        ax.plot(lengths, expected, color=SERIES[i % 8], ls=(0, (1, 2)), lw=1.2)
        rows += [
            {"arm": name, "length": int(k), "spells": line.spells.get(int(k), 0),
             "geometric": float(g), "unfinished": line.unfinished}
            for k, g in zip(lengths, expected, strict=True)
        ]  # fmt: skip
    ax.set(xlabel="steps off track", ylabel="share of spells")
    ax.legend(fontsize=7.5)
    return _plot(
        "P4", "How long an error lasts",
        "Lengths of finished spells off track (marks) against the geometric distribution of the "
        "arm's r (dotted). Spells that the end of the episode cut short are not drawn; the data "
        "count them.", figure, rows,
    )  # fmt: skip


def _attempts(c: Comparison) -> Plot | Missing:
    arms = {n: a.attempts for n, a in c.arms.items() if a.attempts.recovery}
    if not arms:
        return Missing("P5", "no arm made a second attempt")
    figure, axes = _axes(2)
    rows: Rows = []
    for i, (name, a) in enumerate(arms.items()):
        ks = np.array(sorted(a.recovery))
        _errorbars(axes[0], ks + 0.06 * i, [a.recovery[int(k)] for k in ks], i, name)
        e, n = a.first_attempt_error.value or 0.0, len(a.unsolved)
        k = np.arange(1, n + 1)
        axes[1].plot(k, a.unsolved, label=name, **_style(i))
        axes[1].plot(k, e**k, color=SERIES[i % 8], ls=(0, (1, 2)), lw=1.2)
        rows += [
            {"arm": name, "attempts": int(j), "unsolved": a.unsolved[j - 1], "independent": e**j,
             **_columns("recovery", a.recovery.get(int(j), Estimate(value=None)))}
            for j in k
        ]  # fmt: skip
    axes[0].set(xlabel="attempt k", ylabel="P(right | attempt k-1 was wrong)")
    axes[0].set_ylim(-0.02, 1.02)
    axes[1].set(xlabel="attempts k", ylabel="P(none of k attempts is right)")
    if any(x > 0 for a in arms.values() for x in a.unsolved):
        axes[1].set_yscale("log")
    most = max(len(a.unsolved) for a in arms.values())
    for ax in axes:
        ax.set_xticks(range(1, most + 1))
        ax.legend(fontsize=7.5)
    return _plot(
        "P5", "Recovery by attempt",
        "Left: P(attempt k right, given that k-1 was wrong and k was made). Right: steps that k "
        "attempts leave unsolved, and dotted e^k, which would hold if attempts were independent.",
        figure, rows,
    )  # fmt: skip


def _tokens(c: Comparison) -> Plot | Missing:
    arms = {n: a.frontier for n, a in c.arms.items() if a.frontier}
    arms = {n: f for n, f in arms.items() if any((p.tokens.value or 0) > 0 for p in f)}
    if not arms:
        return Missing("P6", "no tokens were counted")
    figure, [ax] = _axes(1)
    rows: Rows = []
    for i, (name, points) in enumerate(arms.items()):
        x = [_value(p.tokens) for p in points]
        y = 100 * np.array([_value(p.error) for p in points])
        low = 100 * np.array([_value(p.error, "low") for p in points])
        high = 100 * np.array([_value(p.error, "high") for p in points])
        ax.errorbar(x, y, yerr=_bars(y, low, high), label=name, capsize=2, lw=1.4, **_style(i))
        passed = [(a, 100 * (1 - p.pass_at_k)) for a, p in zip(x, points, strict=True)
                  if p.pass_at_k is not None and len(points) > 1]  # fmt: skip
        if passed:
            ax.plot(*zip(*passed, strict=True), color=SERIES[i % 8], ls=(0, (1, 2)), lw=1.2,
                    label=f"{name}, pass@k")  # fmt: skip
        rows += [
            {"arm": name, "attempts": p.attempts, **_columns("tokens", p.tokens),
             **_columns("error", p.error), "pass_at_k": p.pass_at_k}
            for p in points
        ]  # fmt: skip
    ax.set(xlabel="tokens per step, everything counted", ylabel="error, %")
    ax.set_ylim(bottom=0)
    ax.legend(fontsize=7.5)
    return _plot(
        "P6", "Error against tokens",
        "Each arm's recorded attempts cut off after 1, 2, ...: the answer that would have been "
        "accepted then, and all tokens until then. Between points lie budgets that cut some steps "
        "at the one and some at the other. Histories stay as recorded. Dotted: 1 - pass@k, the best "
        "that any choice among k samples could reach.", figure, rows,
    )  # fmt: skip


def _varied(
    c: Comparison,
    factors: Mapping[str, Mapping[str, float]],
    name: str,
    factor: str,
    label: str,
    title: str,
) -> Plot | Missing:
    """Error against a setting that arms of one family were given at several levels."""
    families: dict[str, list[tuple[float, str]]] = {}
    for arm, levels in factors.items():
        others = {k: v for k, v in levels.items() if k != factor}
        if factor in levels and not any(others.values()):
            families.setdefault(arm.partition("/")[0], []).append((levels[factor], arm))
    families = {k: sorted(v) for k, v in families.items() if len(v) > 1}
    if not families:
        return Missing(name, f"no arm was played at several levels of {factor}")
    figure, [ax] = _axes(1)
    rows: Rows = []
    for i, (family, points) in enumerate(families.items()):
        x = np.array([100 * level for level, _ in points])
        for j, (what, pick) in enumerate(_ERRORS):
            shown = [pick(c, arm) for _, arm in points]
            _errorbars(ax, x + 0.6 * j, shown, 2 * i + j, f"{family}, {what}")
        rows += [
            {"arm": arm, factor: level, **_columns("accepted", _ERRORS[0][1](c, arm)),
             **_columns("first", _ERRORS[1][1](c, arm))}
            for level, arm in points
        ]  # fmt: skip
    ax.set(xlabel=f"{label}, %", ylabel="P(wrong)")
    ax.set_ylim(bottom=0)
    ax.legend(fontsize=7.5)
    caption = (
        "P(accepted answer wrong) and P(first attempt wrong) of arms that differ in nothing else."
    )
    return _plot(name, title, caption, figure, rows)


_ERRORS: tuple[tuple[str, Callable[[Comparison, str], Estimate]], ...] = (
    ("accepted", lambda c, arm: c.arms[arm].error_rate),
    ("first attempt", lambda c, arm: c.arms[arm].attempts.first_attempt_error),
)


def _pairs(table: StepTable, c: Comparison) -> Plot | Missing:
    if c.primary is None:
        return Missing("P8", "one arm has no pairs")
    a, b = c.differences[c.primary].arms
    sums = {}
    for name in (a, b):
        mine = table.where((table.arm == name) & table.judged)
        wrong, n = by_episode(mine["pair"], mine["correct"] == 0)
        sums[name] = dict(
            zip(np.unique(mine["pair"]).tolist(), (100 * wrong / n).tolist(), strict=True)
        )
    pairs = sorted(sums[a].keys() & sums[b].keys(), key=lambda p: (sums[b][p], sums[a][p]))
    if not pairs:
        return Missing("P8", f"{a} and {b} have no pair in common")
    figure, [ax] = _axes(1)
    x = np.arange(len(pairs))
    lines: list[list[tuple[float, float]]] = [
        [(i, sums[b][p]), (i, sums[a][p])] for i, p in enumerate(pairs)
    ]
    from matplotlib.collections import LineCollection

    ax.add_collection(LineCollection(lines, colors=GRID, linewidths=0.8))
    for i, name in enumerate((b, a)):
        ax.plot(x, [sums[name][p] for p in pairs], label=name, ls="", **_marks(i))
    ax.set(
        xlabel=f"pairs, in the order of {b}", ylabel="wrong answers of the episode, %", xticks=[]
    )
    ax.legend(fontsize=7.5)
    rows = [{"pair": p, a: sums[a][p], b: sums[b][p]} for p in pairs]
    return _plot(
        "P8", f"Pair by pair: {a} against {b}",
        "One column a pair of episodes with the same seed: percentage of wrong accepted answers "
        "in each arm.", figure, rows,
    )  # fmt: skip


def _drift(c: Comparison) -> Plot | Missing:
    arms = {n: a.drift for n, a in c.arms.items() if a.drift is not None}
    arms = {n: d for n, d in arms.items() if any(b.legality is not None for b in d.blocks)}
    if not arms:
        return Missing("P9", "the model tells no log-probabilities, or the task knows no true P")
    figure, axes = _axes(len(arms), sharey=True)
    rows: Rows = []
    for i, ((name, d), ax) in enumerate(zip(arms.items(), axes, strict=True)):
        blocks = [b for b in d.blocks if b.legality is not None and b.rest is not None]
        x = [(b.first + b.last) / 2 for b in blocks]
        width = [0.9 * (b.last - b.first + 1) for b in blocks]
        legality = np.array([b.legality for b in blocks], float)
        rest = np.array([b.rest for b in blocks], float)
        ax.bar(x, legality, width, color=SERIES[0], label="-log(1-e): what is wrong")
        ax.bar(x, rest, width, bottom=legality, color=SERIES[1], hatch="//", edgecolor=INK, lw=0.3,
               label="the rest, within what is right")  # fmt: skip
        ax.set(title=name, xlabel="step")
        if i == 0:
            ax.set_ylabel("nats per step")
            ax.legend(fontsize=7.5)
        rows += [{"arm": name, **b.model_dump()} for b in d.blocks]
    return _plot(
        "P9", "Drift from the true distribution",
        "First attempts only. -log(1-e) is exactly what a perfect verifier removes of D(P||Q) per "
        "step, e the share of first attempts that P gives no probability. The rest is "
        "D(Q'||P) with Q' the model's distribution within what is right, the direction that samples "
        "of the model can tell.", figure, rows,
    )  # fmt: skip


# -- how they are drawn -----------------------------------------------------------------------


def _axes(count: int, sharey: bool = False) -> tuple[Figure, Sequence[Axes]]:
    from matplotlib.figure import Figure

    columns = min(count, 3)
    lines = -(-count // columns)
    figure = Figure(figsize=(3.1 * columns + 0.6 if columns > 1 else 5.4, 3.1 * lines),
                    layout="constrained")  # fmt: skip
    axes = figure.subplots(lines, columns, sharey=sharey, squeeze=False).ravel().tolist()
    for extra in axes[count:]:
        extra.remove()
    for ax in axes[:count]:
        ax.grid(color=GRID, lw=0.4)
        ax.set_axisbelow(True)
        for side in ("top", "right"):
            ax.spines[side].set_visible(False)
    return figure, axes[:count]


def _style(i: int) -> dict[str, Any]:
    return {"color": SERIES[i % 8], "ls": DASHES[i % 8], "marker": MARKERS[i % 8], "ms": 4}


def _marks(i: int) -> dict[str, Any]:
    return {"color": SERIES[i % 8], "marker": MARKERS[i % 8], "ms": 4.5, "alpha": 0.85}


def _errorbars(ax: Axes, x: Any, estimates: Sequence[Estimate], i: int, label: str) -> None:
    y, low, high = (np.array([_value(e, p) for e in estimates]) for p in ("value", "low", "high"))
    ax.errorbar(x, y, yerr=_bars(y, low, high), label=label, capsize=2, lw=1.2, **_style(i))


def _bars(y: Any, low: Any, high: Any) -> Any:
    return np.nan_to_num(np.array([np.maximum(y - low, 0), np.maximum(high - y, 0)]))


def _value(e: Estimate | None, part: str = "value") -> float:
    value = None if e is None else getattr(e, part)
    return float("nan") if value is None else float(value)


def _columns(name: str, e: Estimate) -> dict[str, Any]:
    return {name: e.value, f"{name}_low": e.low, f"{name}_high": e.high}


def _plot(name: str, title: str, caption: str, figure: Figure, rows: Rows) -> Plot:
    return Plot(name, title, caption, _svg(figure, name), _csv(rows))


def _svg(figure: Figure, name: str) -> str:
    import matplotlib as mpl

    page = io.StringIO()
    settings: Any = {
        "svg.fonttype": "none", "svg.hashsalt": "errata", "font.family": "sans-serif",
        "font.size": 9, "axes.titlesize": 9.5, "text.color": INK, "axes.labelcolor": INK,
        "xtick.color": INK, "ytick.color": INK, "axes.edgecolor": INK,
    }  # fmt: skip
    _ink(figure)
    with mpl.rc_context(settings):
        figure.savefig(
            page, format="svg", transparent=True, metadata={"Date": None, "Creator": None}
        )
    text = page.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # Ids must be unique in the page that holds all pictures.
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", text)
    text = text.replace(INK, "currentColor").replace(GRID, "var(--grid)")
    for i, colour in enumerate(SERIES):
        text = text.replace(colour, f"var(--s{i})")
    return re.sub(r'\b(width|height)="[\d.]+pt"', "", text, count=2)


def _ink(figure: Figure) -> None:
    """Everything that is text or frame in the colour that the page replaces."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_color(INK)
        text.set_parse_math(False)  # a name with a dollar is a name
    for ax in figure.axes:
        ax.tick_params(colors=INK, labelsize=8)
        for spine in ax.spines.values():
            spine.set_edgecolor(INK)
        legend = ax.get_legend()
        if legend is not None:
            legend.get_frame().set(facecolor="none", edgecolor="none")


def _csv(rows: Rows) -> str:
    page = io.StringIO()
    names = list(dict.fromkeys(k for row in rows for k in row))
    writer = csv.DictWriter(page, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return page.getvalue()


def drawn(figures: Sequence[Plot | Missing]) -> Iterator[Plot]:
    """Those that the data gave."""
    return (f for f in figures if isinstance(f, Plot))
