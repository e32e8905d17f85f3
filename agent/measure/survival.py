"""How long an episode stays without error: Kaplan-Meier over episodes."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from agent.measure.statistics import LEVEL, Estimate

Array = NDArray[Any]


class Survival(BaseModel):
    """S(t) = P(no error in steps 1..t); an episode that ends without error is censored."""

    model_config = ConfigDict(frozen=True)

    at: dict[int, Estimate]
    """S at chosen steps; n counts the episodes at risk there."""
    median: Estimate
    """Steps to the first error; None where fewer than half of the episodes err."""
    horizon_80: float | None
    """Last step at which S is still at least 0.8; None where it never falls below."""
    restricted_mean: float | None
    """Mean of the step of the first error, or of the last step that any episode reached where
    that comes sooner: the area under S from step 0 on."""
    episodes: int
    """Episodes observed."""


class SurvivalContrast(BaseModel):
    """Time to the first error and whole episodes without one, arm a beside arm b."""

    model_config = ConfigDict(frozen=True)

    log_rank_p: float | None
    """Of equal survival (Mantel 1966). It takes the arms for independent, so that pairs that
    are alike make it cautious. None where nobody erred."""
    only_a: int
    """Pairs without any error in arm a, and with one in arm b."""
    only_b: int
    """The other way round."""
    pairs: int
    """Pairs whose episodes are known from their first step to an error or their end."""
    mcnemar_p: float | None
    """Exact, of `only_a` and `only_b` being equally likely (McNemar 1947). None where both are 0."""


Lives = tuple[Array, Array, Array, Array]
"""Of the episodes of one arm: pair, time, whether the first error was observed, last step."""


def contrast(a: Lives, b: Lives) -> SurvivalContrast:
    """Of two arms over the same pairs. Several episodes of a pair count as one for McNemar's
    test: without error where all are."""
    from scipy import stats

    erred_a, erred_b = _erred(a), _erred(b)
    known = erred_a.keys() & erred_b.keys()
    only_a = sum(not erred_a[k] and erred_b[k] for k in known)
    only_b = sum(erred_a[k] and not erred_b[k] for k in known)
    differ = only_a + only_b
    return SurvivalContrast(
        log_rank_p=_log_rank_p(a, b),
        only_a=only_a, only_b=only_b, pairs=len(known),
        mcnemar_p=float(stats.binomtest(only_a, differ).pvalue) if differ else None,
    )  # fmt: skip


def only_pairs(lives: Lives, pairs: Array) -> Lives:
    """Those of some pairs."""
    keep = np.isin(lives[0], pairs)
    pair, time, observed, last = (x[keep] for x in lives)
    return pair, time, observed, last


def _log_rank_p(a: Lives, b: Lives) -> float | None:
    from scipy import stats

    if not (a[2].any() or b[2].any()) or not ((a[1] > 0).any() and (b[1] > 0).any()):
        return None
    one, other = (
        stats.CensoredData(uncensored=time[seen], right=time[~seen & (time > 0)])
        for _, time, seen, _ in (a, b)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        p = float(stats.logrank(one, other).pvalue)
    return None if np.isnan(p) else p  # where all err at one step, nothing can differ


def _erred(lives: Lives) -> dict[int, bool]:
    """By pair, whether an episode of it erred; without the pairs of which that is not known."""
    out: dict[int, bool] = {}
    unknown = set()
    for pair, time, observed, last in zip(*(x.tolist() for x in lives), strict=True):
        out[pair] = out.get(pair, False) or observed
        if not observed and time < last:
            unknown.add(pair)
    return {pair: erred for pair, erred in out.items() if erred or pair not in unknown}


def unbroken(episode: Array, step: Array) -> Array:
    """Rows before which no step of their episode is missing, steps beginning at 1.

    Rows are in order of episodes and steps. Whatever follows a step that nobody judged may
    come after the first error.
    """
    _, first, index = np.unique(episode, return_index=True, return_inverse=True)
    result: Array = step == np.arange(len(episode)) - first[index] + 1
    return result


def first_errors(
    episode: Array, step: Array, correct: Array, *, holes: bool = False
) -> tuple[Array, Array]:
    """(time, observed) by episode: the first step with an error, or the last one seen.

    Rows are in order of episodes and steps; `correct` is 1 or 0. An episode is followed up to
    the first step that is missing (0: not even the first is there); with `holes` a missing
    step is one at which no error can be made.
    """
    numbers, index = np.unique(episode, return_inverse=True)
    known = np.ones(len(episode), bool) if holes else unbroken(episode, step)
    times = np.zeros(len(numbers), int)
    np.maximum.at(times, index[known], step[known])
    wrong = np.flatnonzero(known & (correct == 0))
    erring, first_wrong = np.unique(index[wrong], return_index=True)
    observed = np.zeros(len(numbers), bool)
    observed[erring] = True
    times[erring] = step[wrong[first_wrong]]
    return times, observed


def survival(times: Array, observed: Array, steps: list[int]) -> Survival:
    """Kaplan-Meier with log-log intervals (scipy) at the given steps; times of 0 tell nothing."""
    from scipy import stats

    times, observed = times[times > 0], observed[times > 0]
    if not len(times):
        empty = {t: Estimate(value=None) for t in steps}
        return Survival(at=empty, median=Estimate(value=None), horizon_80=None,
                        restricted_mean=None, episodes=0)  # fmt: skip
    data = stats.CensoredData(uncensored=times[observed], right=times[~observed])
    sf = stats.ecdf(data).sf
    with warnings.catch_warnings():  # where the band is undefined, `_exact` steps in
        warnings.simplefilter("ignore", RuntimeWarning)
        band: Any = sf.confidence_interval(confidence_level=LEVEL, method="log-log")
    last = int(times.max())
    # Once every episode has erred, S is known to be 0 for good; else nothing is known
    # beyond the last step seen.
    known = np.inf if sf.evaluate(np.array([last]))[0] == 0 else last
    at = {}
    for t in steps:
        at_risk = int((times >= t).sum())
        if t > known:
            at[t] = Estimate(value=None)
            continue
        point = np.array([t])
        value = float(sf.evaluate(point)[0])
        low, high = (float(edge.evaluate(point)[0]) for edge in (band.low, band.high))
        if value in (0.0, 1.0) or not (np.isfinite(low) and np.isfinite(high)):
            low, high = _exact(value, at_risk, len(times))
        at[t] = Estimate(value=value, low=low, high=high, n=at_risk)
    grid = np.arange(1, last + 1)
    curve = sf.evaluate(grid)
    below = np.flatnonzero(curve < 0.8)
    return Survival(
        at=at,
        median=Estimate(
            value=_first_at_most(grid, curve, 0.5),
            low=_first_at_most(grid, band.low.evaluate(grid), 0.5),
            high=_first_at_most(grid, band.high.evaluate(grid), 0.5),
            n=len(times),
        ),
        horizon_80=float(below[0]) if len(below) else None,
        # The first step counts whole: nothing can go wrong before it.
        restricted_mean=float(1 + curve[:-1].sum()),
        episodes=len(times),
    )


def _first_at_most(grid: Array, curve: Array, level: float) -> float | None:
    found = np.flatnonzero(np.nan_to_num(curve, nan=1.0) <= level)
    return float(grid[found[0]]) if len(found) else None


def _exact(value: float, at_risk: int, episodes: int) -> tuple[float, float]:
    """Where log-log is undefined (nothing or everything failed): the exact bound."""
    from statsmodels.stats.proportion import proportion_confint

    n = max(at_risk, 1) if value == 1 else episodes
    low, high = proportion_confint(round(value * n), n, alpha=1 - LEVEL, method="beta")
    return (float(low), 1.0) if value == 1 else (0.0, float(high))
