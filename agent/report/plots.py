"""Every plot of the report, or why there is none; here P5 to P8, P11 and P12."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from agent.measure import Comparison, StepTable
from agent.measure.curves import Curves, curves
from agent.measure.statistics import Estimate, by_episode
from agent.report.drawing import (
    GRID,
    LEGEND,
    SERIES,
    STYLE,
    Missing,
    Plot,
    Rows,
    axes_for,
    bars,
    columns,
    errorbars,
    legend,
    plot,
    style,
    value_of,
)
from agent.report.over_steps import claim, drift, hazard, recovery, spells

MOST_PAIRS = 500


def plots(
    table: StepTable, c: Comparison, factors: Mapping[str, Mapping[str, float]] | None = None
) -> list[Plot | Missing]:
    """Every plot, or why there is none; `factors` are the settings of arms that were varied."""
    import matplotlib as mpl

    lines = {name: _curves(table, c, name) for name in c.arms}
    seen = {name: line for name, line in lines.items() if line is not None}
    given = factors or {}
    with mpl.rc_context(STYLE):
        return [
            claim(seen), hazard(c), recovery(seen), spells(seen, c), _attempts(c), _tokens(c),
            _varied(c, given, "P7", "inject", "share of the shown history that is wrong",
                    "Error against injected past errors", "--inject 0,25,50,100"),
            _pairs(table, c), drift(c),
            _varied(c, given, "P11", "false_accept", "false-accept rate of the verifier",
                    "Error against the noise of the verifier: wrong answers passed",
                    "--noise 0:0,10:0,30:0"),
            _varied(c, given, "P12", "false_reject", "false-reject rate of the verifier",
                    "Error against the noise of the verifier: right answers failed",
                    "--noise 0:0,0:10,0:30"),
        ]  # fmt: skip


def _curves(table: StepTable, c: Comparison, name: str) -> Curves | None:
    rows = table.where((table.arm == name) & table.judged)
    moves = c.arms[name].transitions
    return curves(
        rows["episode"], rows["step"], rows["correct"], rows["on_track"],
        moves.e.value, moves.r.value,
    )  # fmt: skip


def _attempts(c: Comparison) -> Plot | Missing:
    arms = {n: a.attempts for n, a in c.arms.items() if a.attempts.recovery}
    if not arms:
        return Missing("P5", "no arm made a second attempt")
    figure, axes = axes_for(2)
    rows: Rows = []
    for i, (name, a) in enumerate(arms.items()):
        ks = np.array(sorted(a.recovery))
        errorbars(axes[0], ks + 0.06 * i, [a.recovery[int(k)] for k in ks], i, name)
        e, n = a.first_attempt_error.value or 0.0, len(a.unsolved)
        k = np.arange(1, n + 1)
        axes[1].plot(k, a.unsolved, label=name, **style(i))
        axes[1].plot(k, e**k, color=SERIES[i % 8], ls=(0, (1, 2)), lw=1.2)
        rows += [
            {"arm": name, "attempts": int(j), "unsolved": a.unsolved[j - 1], "independent": e**j,
             **columns("recovery", a.recovery.get(int(j), Estimate(value=None)))}
            for j in k
        ]  # fmt: skip
    axes[0].set(xlabel="attempt k", ylabel="P(right | attempt k-1 was wrong)")
    axes[0].set_ylim(-0.02, 1.02)
    axes[1].set(xlabel="attempts k", ylabel="P(none of k attempts is right)")
    if any(x > 0 for a in arms.values() for x in a.unsolved):
        axes[1].set_yscale("log")
        # The log axis would write its labels as formulas, which are off.
        axes[1].yaxis.set_major_formatter(lambda x, _: f"{x:g}")
        axes[1].yaxis.set_minor_formatter(lambda x, _: "")
    most = max(len(a.unsolved) for a in arms.values())
    for ax in axes:
        ax.set_xticks(range(1, most + 1))
    legend(figure, axes[0])
    return plot(
        "P5", "Recovery by attempt",
        "Left: P(attempt k right, given that k-1 was wrong and k was made). Right: steps that k "
        "attempts leave unsolved (0 has no place on a log scale), and dotted e^k, which would hold if "
        "attempts were independent.",
        figure, rows,
    )  # fmt: skip


def _tokens(c: Comparison) -> Plot | Missing:
    arms = {n: a.frontier for n, a in c.arms.items() if a.frontier}
    arms = {n: f for n, f in arms.items() if any((p.tokens.value or 0) > 0 for p in f)}
    if not arms:
        return Missing("P6", "no tokens were counted")
    figure, [ax] = axes_for(1)
    rows: Rows = []
    for i, (name, points) in enumerate(arms.items()):
        x = [value_of(p.tokens) for p in points]
        y = 100 * np.array([value_of(p.error) for p in points])
        low = 100 * np.array([value_of(p.error, "low") for p in points])
        high = 100 * np.array([value_of(p.error, "high") for p in points])
        ax.errorbar(x, y, yerr=bars(y, low, high), label=name, capsize=2, lw=1.4, **style(i))
        for point, at in zip(points, zip(x, y, strict=True), strict=True):
            if point.attempts > 1:
                ax.annotate(str(point.attempts), at, xytext=(4, 4), textcoords="offset points",
                            fontsize=LEGEND)  # fmt: skip
        passed = [(a, 100 * (1 - p.pass_at_k)) for a, p in zip(x, points, strict=True)
                  if p.pass_at_k is not None and len(points) > 1]  # fmt: skip
        if passed:
            ax.plot(*zip(*passed, strict=True), color=SERIES[i % 8], ls=(0, (1, 2)), lw=1.2,
                    label=f"{name}, pass@k")  # fmt: skip
        rows += [
            {"arm": name, "attempts": p.attempts, **columns("tokens", p.tokens),
             **columns("error", p.error), "pass_at_k": p.pass_at_k}
            for p in points
        ]  # fmt: skip
    ax.set(xlabel="tokens per step, everything counted", ylabel="error, %")
    ax.set_ylim(bottom=0)
    legend(figure, ax)
    return plot(
        "P6", "Error against tokens",
        "Each arm's recorded attempts cut off after 1, 2, ... (small numbers): error of the answer "
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
    option: str,
) -> Plot | Missing:
    """Error against a setting that arms of one family were given at several levels."""
    families: dict[str, list[tuple[float, str]]] = {}
    for arm, levels in factors.items():
        others = {k: v for k, v in levels.items() if k != factor}
        if factor in levels and not any(others.values()):
            families.setdefault(arm.partition("/")[0], []).append((levels[factor], arm))
    families = {k: sorted(v) for k, v in families.items() if len(v) > 1}
    if not families:
        return Missing(name, f"the {label} was not varied ({option})")
    figure, [ax] = axes_for(1)
    rows: Rows = []
    for i, (family, points) in enumerate(families.items()):
        x = np.array([100 * level for level, _ in points])
        for j, (what, pick) in enumerate(_ERRORS):
            shown = [pick(c, arm) for _, arm in points]
            if j and shown == [_ERRORS[0][1](c, arm) for _, arm in points]:
                continue  # there are first attempts only
            errorbars(ax, x + 0.6 * j, shown, 2 * i + j, f"{family}, {what}")
        rows += [
            {"arm": arm, factor: level, **columns("accepted", _ERRORS[0][1](c, arm)),
             **columns("first", _ERRORS[1][1](c, arm))}
            for level, arm in points
        ]  # fmt: skip
    ax.set(xlabel=f"{label}, %", ylabel="P(wrong)")
    ax.set_ylim(bottom=0)
    legend(figure, ax)
    caption = (
        "P(accepted answer wrong) and, where there are others, P(first attempt wrong) of arms that "
        "differ in nothing else; 95 % intervals over episodes."
    )
    return plot(name, title, caption, figure, rows)


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
    thinned = f" Of {len(pairs):,} pairs, {MOST_PAIRS} at even distances." * (
        len(pairs) > MOST_PAIRS
    )
    if thinned:
        pairs = [pairs[i] for i in np.linspace(0, len(pairs) - 1, MOST_PAIRS).astype(int)]
    figure, [ax] = axes_for(1)
    x = np.arange(len(pairs))
    lines: list[list[tuple[float, float]]] = [
        [(i, sums[b][p]), (i, sums[a][p])] for i, p in enumerate(pairs)
    ]
    from matplotlib.collections import LineCollection

    ax.add_collection(LineCollection(lines, colors=GRID, linewidths=0.8))
    # A ring and a dot: where both arms are alike, both are seen.
    ring: Any = {"markerfacecolor": "none", "marker": "o", "ms": 6, "color": SERIES[0]}
    dot: Any = {"marker": "o", "ms": 2.6, "color": SERIES[1]}
    for name, mark in ((b, ring), (a, dot)):
        ax.plot(x, [sums[name][p] for p in pairs], label=name, ls="", **mark)
    ax.set(
        xlabel=f"pairs, in the order of {b}", ylabel="wrong answers of the episode, %", xticks=[]
    )
    ax.set_ylim(-1, max(10, ax.get_ylim()[1]))
    ax.legend()
    rows = [{"pair": p, a: sums[a][p], b: sums[b][p]} for p in pairs]
    return plot(
        "P8", f"Pair by pair: {a} against {b}",
        "One column a pair of episodes with the same seed: percentage of wrong accepted answers "
        f"in each arm.{thinned}", figure, rows,
    )  # fmt: skip
