"""P1 to P4 and P9: what happens over the steps of an episode."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from agent.measure import Comparison
from agent.measure.curves import Curves
from agent.report.drawing import (
    INK,
    SERIES,
    Missing,
    Plot,
    Rows,
    axes_for,
    below,
    columns,
    errorbars,
    in_steps,
    legend,
    marks,
    plot,
    style,
    value_of,
)

MOST_STRATA = 6
MOST_LENGTHS = 20


def claim(seen: Mapping[str, Curves]) -> Plot | Missing:
    """P1: A(t) and S(t) beside (1-e)^t, a panel an arm."""
    if not seen:
        return Missing("P1", "no step could be judged")
    figure, axes = axes_for(len(seen), wide=True)
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
        in_steps(ax)
        if i == 0:
            ax.set_ylabel("share of episodes")
            figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=4)
        rows += [
            {"arm": name, "step": int(t[j]), "episodes": line.at_risk[j],
             **{f"A{p}": getattr(line.accuracy, a)[j] for p, a in _PARTS},
             **{f"S{p}": getattr(line.survival, a)[j] for p, a in _PARTS},
             "geometric": line.geometric[j], "two_state": line.two_state[j]}
            for j in range(len(t))
        ]  # fmt: skip
    return plot(
        "P1", "The claim: does being right decay as (1-e)^t?",
        "A(t): share of the episodes judged at step t that are on track after it, with Wilson's 95 % "
        "band. S(t): P(no error in steps 1 to t), Kaplan-Meier with its log-log band. Thin dashes: "
        "(1-e)^t with the e of steps 1 to 5 only, so that the rest is its prediction. Dots: the "
        "two-state chain of the arm's e and r (T3).", figure, rows,
    )  # fmt: skip


_PARTS = (("", "value"), ("_low", "low"), ("_high", "high"))


def hazard(c: Comparison) -> Plot | Missing:
    """P2: P(first error) by tenths of the horizon."""
    arms = {n: a.growth.blocks for n, a in c.arms.items() if a.growth.blocks}
    if not arms:
        return Missing("P2", "no step could be judged")
    strata = list(dict.fromkeys(s for bs in arms.values() for b in bs for s in b.strata))
    figure, axes = axes_for(2 if strata else 1, wide=bool(strata), rows_below=len(arms))
    rows: Rows = []
    for i, (name, blocks) in enumerate(arms.items()):
        middle = np.array([(b.first + b.last) / 2 for b in blocks])
        shift = (i - (len(arms) - 1) / 2) * 0.012 * blocks[-1].last
        errorbars(axes[0], middle + shift, [b.hazard for b in blocks], i, name)
        if strata:
            axes[1].plot(middle, [np.nan if b.within is None else b.within for b in blocks],
                         label=f"{name}, averaged", lw=2, **style(i))  # fmt: skip
            for stratum in strata[:MOST_STRATA]:
                axes[1].plot(middle, [value_of(b.strata.get(stratum)) for b in blocks],
                             color=SERIES[i % 8], lw=0.7, alpha=0.6)  # fmt: skip
        rows += [
            {"arm": name, "first": b.first, "last": b.last, "at_risk": b.hazard.n,
             **columns("hazard", b.hazard), **columns("error", b.error), "within": b.within,
             **{f"hazard[{s}]": b.strata[s].value for s in b.strata}}
            for b in blocks
        ]  # fmt: skip
    for i, blocks in enumerate(arms.values()):
        below(axes[0], i, [((b.first + b.last) / 2, b.hazard.n) for b in blocks])
    axes[0].set(
        title="pooled" if strata else "", xlabel="step", ylabel="P(first error | none before)"
    )
    axes[0].set_ylim(bottom=0)
    # Where all have erred nothing is drawn, but how many are at risk is.
    axes[0].set_xlim(0.5, max(blocks[-1].last for blocks in arms.values()) + 0.5)
    in_steps(axes[0])
    legend(figure, axes[0])
    if strata:
        axes[1].set(title=f"within {len(strata)} strata", xlabel="step")
        axes[1].set_ylim(bottom=0)
        in_steps(axes[1])
        axes[1].legend()
    return plot(
        "P2", "Hazard by step, pooled and within stratum",
        "First errors per step among the episodes still without one, by tenths of the horizon, with "
        "Wilson's 95 % interval. Numbers below: steps at risk. Pooled hazard falls where easy "
        "episodes outlive hard ones; "
        + (f"thin lines are {'the first 6 ' if len(strata) > MOST_STRATA else ''}strata, thick ones "
           "the average of all by their share of episodes."
           if strata else "there is one stratum here, so that can't be told apart."), figure, rows,
    )  # fmt: skip


def recovery(seen: Mapping[str, Curves]) -> Plot | Missing:
    """P3: A(t) - S(t), a panel an arm."""
    if not seen:
        return Missing("P3", "no step could be judged")
    figure, axes = axes_for(len(seen), wide=True)
    rows: Rows = []
    for i, ((name, line), ax) in enumerate(zip(seen.items(), axes, strict=True)):
        t = np.arange(1, len(line.recovery.value) + 1)
        low, high = 100 * np.array(line.recovery.low), 100 * np.array(line.recovery.high)
        ax.fill_between(t, low, high, color=SERIES[i % 8], alpha=0.25, lw=0)
        ax.plot(t, 100 * np.array(line.recovery.value), lw=1.4, color=SERIES[i % 8])
        ax.axhline(0, color=INK, lw=0.8)
        ax.set(title=name if len(seen) > 1 else "", xlabel="step t")
        in_steps(ax)
        rows += [
            {"arm": name, "step": int(t[j]),
             **{f"recovery{p}": getattr(line.recovery, a)[j] for p, a in _PARTS}}
            for j in range(len(t))
        ]  # fmt: skip
    axes[0].set_ylabel("A(t) - S(t), points")
    bottom, top = axes[0].get_ylim()
    axes[0].set_ylim(min(bottom, -1), max(top, 10))  # nothing must not look like something
    return plot(
        "P3", "Recovery curve: how much of the error was undone",
        "A(t) - S(t) in points: episodes that erred and are on track again. (1-e)^n says that it "
        "is zero, the line, at every t. Bands: 95 %, episodes resampled.", figure, rows,
    )  # fmt: skip


def spells(seen: Mapping[str, Curves], c: Comparison) -> Plot | Missing:
    """P4: how long an arm stays off track."""
    some = {n: line for n, line in seen.items() if line.spells}
    if not some:
        return Missing("P4", "no spell off track came to its end")
    figure, [ax] = axes_for(1)
    rows: Rows = []
    for i, (name, line) in enumerate(some.items()):
        r = c.arms[name].transitions.r.value or 0.0
        lasting = line.lasting[: MOST_LENGTHS + 1]
        k = np.arange(len(lasting))
        total = sum(line.spells.values()) + sum(line.unfinished.values())
        ax.plot(k, lasting, label=f"{name}, {total:,} spells", ls="", **marks(i))
        ax.plot(k, (1 - r) ** k, color=SERIES[i % 8], ls=(0, (1, 2)), lw=1.2)
        rows += [
            {"arm": name, "steps": int(j), "lasting": line.lasting[j], "geometric": (1 - r) ** int(j),
             "ended": line.spells.get(int(j), 0), "cut_short": line.unfinished.get(int(j), 0)}
            for j in k
        ]  # fmt: skip
    ax.set(xlabel="steps k", ylabel="P(off track for more than k steps)")
    ax.set_ylim(-0.02, 1.02)
    in_steps(ax)
    legend(figure, ax)
    return plot(
        "P4", "How long an error lasts",
        "Of the spells off track, the share that goes on for more than k steps, Kaplan-Meier: a spell "
        "that the end of the episode cuts short counts for as long as it was seen. Dots: (1-r)^k with "
        "the arm's r, where returning has no memory.", figure, rows,
    )  # fmt: skip


def drift(c: Comparison) -> Plot | Missing:
    """P9: nats per step, what is wrong and the rest."""
    arms = {n: a.drift for n, a in c.arms.items() if a.drift is not None}
    arms = {n: d for n, d in arms.items() if any(b.legality is not None for b in d.blocks)}
    if not arms:
        return Missing("P9", "it needs the model's log-probabilities (--logprobs) and a task that "
                       "knows the true P")  # fmt: skip
    figure, axes = axes_for(len(arms), wide=True)
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
        in_steps(ax)
        if i == 0:
            ax.set_ylabel("nats per step")
            figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=2)
        rows += [{"arm": name, **b.model_dump()} for b in d.blocks]
    return plot(
        "P9", "Drift from the true distribution",
        "First attempts only. -log(1-e) is exactly what a perfect verifier removes of D(P||Q) per "
        "step, e the share of first attempts that P gives no probability. The rest is "
        "D(Q'||P) with Q' the model's distribution within what is right, the direction that samples "
        "of the model can tell.", figure, rows,
    )  # fmt: skip
