"""How much to play, and what a finished run could have seen, in words."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from agent.measure import Comparison, StepTable
from agent.measure.power import Plan, Rates, detectable_effect, episodes_needed, from_rates, power
from agent.measure.statistics import Estimate, by_episode
from agent.measure.votes import VotePlan

LADDER = (10, 20, 40, 80, 160)


def plan(settings: Plan, target: float, seed: int) -> Iterator[str]:
    """Power for some numbers of matched episodes, and how many reach the target."""
    yield (
        f"error {settings.e:.2%} per step against {settings.e * settings.effect:.2%}, "
        f"{settings.horizon} steps, "
        + ("independent steps" if settings.r is None else f"return with r = {settings.r:g}")
        + f", spread {settings.spread:g} (SD of logit e between episodes), pairing "
        f"{settings.pairing:g}; paired test, 5 %"
    )
    for episodes in LADDER:
        got = power(settings, episodes, np.random.default_rng(seed))
        yield f"{episodes:>5} matched episodes: power {got.value:.0%} [{got.low:.0%}..{got.high:.0%}]"
    needed = episodes_needed(settings, np.random.default_rng(seed), target=target)
    wanted = f"power of {target:.0%}"
    yield (
        f"{wanted} needs more than 5,000" if needed is None else f"{wanted} needs about {needed:,}"
    )


def after(table: StepTable, c: Comparison, target: float, seed: int) -> Iterator[str]:
    """For each pair of arms, the smallest reduction that so many episodes would have shown."""
    if not c.differences:
        yield "one arm has no difference to see"
    for name, contrast in c.differences.items():
        a, b = contrast.arms
        rates, pairs = _rates(table, a, b)
        if rates is None or rates.e <= 0:
            yield f"{name}: not enough data"
            continue
        settings = Plan(e=rates.e, horizon=c.horizon, spread=rates.spread, pairing=rates.pairing)
        seen = detectable_effect(settings, pairs, np.random.default_rng(seed), target=target)
        what = (
            "no reduction at all" if seen is None else f"a reduction of {b}'s error by {seen:.0%}"
        )
        yield (
            f"{name}: {pairs} pairs, e = {rates.e:.2%}, spread {rates.spread:.2f}, pairing "
            f"{rates.pairing:.2f}: with power {target:.0%} they would have shown {what}"
        )


def _rates(table: StepTable, a: str, b: str) -> tuple[Rates | None, int]:
    sums = []
    for name in (b, a):
        rows = table.where((table.arm == name) & table.judged)
        wrong, n = by_episode(rows["pair"], rows["correct"] == 0)
        sums.append((np.unique(rows["pair"]), wrong, n))
    broken = [*table.failed.get(a, ()), *table.failed.get(b, ())]
    pairs = np.setdiff1d(np.intersect1d(sums[0][0], sums[1][0]), broken)
    columns = [x[np.searchsorted(known, pairs)] for known, *xs in sums for x in xs]
    return (from_rates(*columns) if len(pairs) > 1 else None), len(pairs)


def votes(plan: VotePlan, steps: int, target: float, tokens: float) -> Iterator[str]:
    """What a vote needs and costs, in words."""
    yield f"{share(plan.valid)} answers have a vote; of those {share(plan.p)} are right"
    if plan.lead is None or plan.votes_per_step is None or plan.whole is None:
        yield "no lead is enough: a vote amplifies what is right more often than wrong"
        return
    yield (
        f"{steps:,} steps, all right with probability {target:.0%}: first to be ahead by "
        f"{plan.lead}, which gives {plan.whole:.2%}"
    )
    yield (
        f"expected: {plan.votes_per_step:.2f} samples a step, {plan.votes_per_step * steps:,.0f} "
        f"in all, {plan.votes_per_step * steps * tokens:,.0f} tokens at {tokens:.1f} a sample"
    )


def share(estimate: Estimate) -> str:
    """A rate in per cent with its interval and its n."""
    if estimate.value is None:
        return "an unknown share"
    interval = "" if estimate.low is None else f" [{estimate.low:.2%}..{estimate.high or 1:.2%}]"
    return f"{estimate.value:.2%}{interval} of {estimate.n:,}"
