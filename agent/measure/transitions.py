"""On and off track: e, r and the share of time off track they lead to."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from agent.measure.statistics import ENOUGH, LEVEL, Estimate, clustered, design_effect, rate

Array = NDArray[Any]


class Transitions(BaseModel):
    """The two-state view of an episode. (1-e)^n is the case r = 0."""

    model_config = ConfigDict(frozen=True)

    e: Estimate
    """P(on track -> off track) per step; n counts steps begun on track."""
    r: Estimate
    """P(off track -> on track); value None where no step began off track."""
    stationary_off: Estimate
    """e / (e + r), where both were seen, each in two episodes at least for an interval."""
    reversals: int
    """Changes from off track to on track within one episode."""
    off_steps: int
    """Steps that ended off track."""


def transitions(episode: Array, on_track: Array, step: Array | None = None) -> Transitions:
    """From rows in order of episodes and steps; every episode begins on track before step 1.

    A change across a missing step is not counted: where it happened is not known. `step` may
    be None where none is missing.
    """
    after = np.asarray(on_track).astype(bool)
    _, first, index = np.unique(episode, return_index=True, return_inverse=True)
    if step is None:
        step = np.arange(len(after)) - first[index] + 1
    before, known = np.append(True, after[:-1])[: len(after)], follows(index, step)
    before[step == 1] = True

    def count(mask: Array) -> Array:
        return np.bincount(index[known & mask], minlength=len(first))

    leave, on, back, off = (count(x) for x in (before & ~after, before, ~before & after, ~before))
    e, r = _probability(leave, on), _probability(back, off)
    return Transitions(
        e=e,
        r=r,
        stationary_off=_stationary(e, r, (leave, on), (back, off)),
        reversals=int(back.sum()),
        off_steps=int((~after).sum()),
    )


def follows(episode: Array, step: Array) -> Array:
    """Rows that come right after the row before, or begin an episode with step 1."""
    goes_on = (episode[1:] == episode[:-1]) & (step[1:] == step[:-1] + 1)
    result: Array = np.append(False, goes_on)[: len(step)] | (step == 1)
    return result


def _probability(hits: Array, trials: Array) -> Estimate:
    enough = int((trials > 0).sum()) >= ENOUGH
    return rate(hits, trials) if enough else clustered(hits, trials)


def _stationary(
    e: Estimate, r: Estimate, leaving: tuple[Array, Array], returning: tuple[Array, Array]
) -> Estimate:
    """e/(e+r) by the delta method on its logit, log e - log r, from (changes, trials) by episode.

    Variance (1-e)/n01 + (1-r)/n10, each times its design effect: steps of one episode are alike.
    """
    if not e.value or not r.value:
        return Estimate(value=None, n=e.n + r.n)
    from scipy import stats

    logit = float(np.log(e.value) - np.log(r.value))
    found = Estimate(value=_logistic(logit), n=e.n + r.n)
    variance = 0.0
    for rate_, (hits, trials) in ((e.value, leaving), (r.value, returning)):
        some = trials > 0
        if some.sum() < 2:
            return found
        effect = design_effect(hits[some], trials[some])
        variance += effect * (1 - rate_) / hits.sum()
    half = float(stats.norm.ppf((1 + LEVEL) / 2) * np.sqrt(variance))
    ends = {"low": _logistic(logit - half), "high": _logistic(logit + half)}
    return found.model_copy(update=ends)


def _logistic(x: float) -> float:
    return float(1 / (1 + np.exp(-x)))
