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
    """Mean number of steps without error up to the horizon: the area under S."""
    episodes: int
    """Episodes observed."""


def first_errors(episode: Array, step: Array, correct: Array) -> tuple[Array, Array]:
    """(time, observed) by episode: the first step with an error, or the last one seen.

    Rows are in order of episodes and steps; `correct` is 1 or 0.
    """
    numbers, first_row = np.unique(episode, return_index=True)
    last_row = np.append(first_row[1:], len(episode)) - 1
    wrong = np.flatnonzero(correct == 0)
    erring, first_wrong = np.unique(episode[wrong], return_index=True)
    observed = np.isin(numbers, erring)
    times = step[last_row].astype(int) if len(numbers) else np.zeros(0, int)
    times[observed] = step[wrong[first_wrong]]
    return times, observed


def survival(times: Array, observed: Array, steps: list[int]) -> Survival:
    """Kaplan-Meier with log-log intervals (scipy) at the given steps."""
    from scipy import stats

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
