"""How many episodes show which effect: simulated runs of two arms over matched episodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from agent.measure.statistics import wilson

Array = NDArray[Any]

ALPHA = 0.05
MOST = 5_000
"""Episodes beyond which no one is sent to look."""
FEWEST = 6
"""Unequal pairs below which exchanging arms can't reach 0.05: 2/2^5 is 0.0625."""
BLOCK = 500_000
"""Episodes simulated at a time; more would only fill the memory."""
NODES = 40
"""Points of the Gauss-Hermite quadrature."""


class Plan(BaseModel):
    """What is believed of a run before it is made.

    With the defaults, 80 % power to see e halved takes 22 matched episodes at e = 0.05 and 82
    at e = 0.01; with r = 0.3, where errors come in spells, 34 and 127.
    """

    model_config = ConfigDict(frozen=True)

    e: float = Field(ge=0, le=1)
    """P(a step is wrong) in arm a, of the median episode."""
    effect: float = Field(default=0.5, ge=0)
    """Factor on e in arm b: 0.5 halves it, 1 is no effect."""
    horizon: int = Field(default=60, ge=1)
    """Steps per episode."""
    r: float | None = Field(default=None, ge=0, le=1)
    """P(off track -> on track) per step; steps off track are wrong. None: steps err alone."""
    spread: float = Field(default=0.5, ge=0, le=10)
    """Standard deviation of logit e between episodes."""
    pairing: float = Field(default=0.5, ge=0, le=1)
    """Correlation of the two arms' logit e within an episode."""


class Power(BaseModel):
    """P(the difference is declared), by simulation."""

    model_config = ConfigDict(frozen=True)

    value: float
    """Share of the simulations in which it was declared."""
    low: float
    """Lower end of its 95 % interval (Wilson)."""
    high: float
    """Upper end."""
    episodes: int
    """Matched episodes of each simulation."""
    simulations: int
    """How many were made."""


class Rates(NamedTuple):
    """What a finished run tells a `Plan` (with `r` None)."""

    e: float
    spread: float
    pairing: float


def simulate(
    plan: Plan, episodes: int, rng: np.random.Generator, simulations: int = 1
) -> tuple[Array, Array]:
    """Wrong steps of arm a and of arm b, [simulations, episodes] each.

    logit e of an episode is logit(e) + spread z with z standard normal, correlated `pairing`
    between the arms; arm b has e * effect in place of e.
    """
    shape = (simulations, episodes)
    z_a, other = rng.standard_normal(shape), rng.standard_normal(shape)
    z_b = plan.pairing * z_a + np.sqrt(1 - plan.pairing**2) * other
    e_a, e_b = plan.e, min(1.0, plan.e * plan.effect)
    return (
        _wrong_steps(_shifted(e_a, plan.spread * z_a), plan, rng),
        _wrong_steps(_shifted(e_b, plan.spread * z_b), plan, rng),
    )


def power(plan: Plan, episodes: int, rng: np.random.Generator, simulations: int = 1000) -> Power:
    """How often `episodes` matched episodes show the effect at 0.05, two-sided.

    The test is the paired t on error rates, with a continuity correction. It stands for the
    exchange test of `statistics.difference`, which takes far longer: 95 to 100 % of their
    verdicts are the same, also where errors are rare. Uncorrected, t promised a power of .75
    for 20 episodes, e = 0.01 and effect 0.2, where the exchange test has .65.
    """
    declared = int(_declared(plan, episodes, rng, simulations)[-1]) if episodes else 0
    interval = wilson(declared, simulations)
    return Power(
        value=declared / simulations,
        low=interval.low or 0.0,
        high=interval.high or 0.0,
        episodes=episodes,
        simulations=simulations,
    )


def episodes_needed(
    plan: Plan, rng: np.random.Generator, target: float = 0.8, simulations: int = 1000
) -> int | None:
    """Matched episodes from which on the power is `target`; None: more than 5,000.

    Twice as many are simulated until they are enough. The first n episodes of those runs are
    runs of n episodes, so the same draws then tell where the target is passed.
    """
    episodes = 8
    while True:
        enough = _declared(plan, episodes, rng, simulations) >= target * simulations
        if enough[-1]:
            return int(np.flatnonzero(~enough).max(initial=-1)) + 2
        if episodes == MOST:
            return None
        episodes = min(2 * episodes, MOST)


def detectable_effect(
    plan: Plan,
    episodes: int,
    rng: np.random.Generator,
    target: float = 0.8,
    simulations: int = 1000,
) -> float | None:
    """The smallest relative reduction of e (0.4: by 40 %) seen with `target` power.

    To 0.01, by bisection over the effect with the same random numbers at each; the plan's own
    effect does not matter. None: `episodes` would not even show that every error went.
    """
    seed = int(rng.integers(2**63))

    def seen(reduction: float) -> bool:
        changed = plan.model_copy(update={"effect": 1 - reduction})
        return power(changed, episodes, np.random.default_rng(seed), simulations).value >= target

    if not seen(1.0):
        return None
    low, high = 0.0, 1.0
    while high - low > 0.01:
        middle = (low + high) / 2
        low, high = (low, middle) if seen(middle) else (middle, high)
    return high


def from_rates(wrong_a: Array, steps_a: Array, wrong_b: Array, steps_b: Array) -> Rates | None:
    """e of arm a, spread and pairing by moments, from counts by pair, [pairs] each.

    The variance of the rates beyond the binomial, and their covariance between the arms, are
    set equal to those of a plan. None where no pair has steps in both arms. With a single pair,
    or without overdispersion, spread and pairing are 0.
    """
    counts = np.stack([wrong_a, steps_a, wrong_b, steps_b]).astype(float)
    counts = counts[:, (counts[1] > 0) & (counts[3] > 0)]
    wrong, steps = counts[::2], counts[1::2]
    pairs = counts.shape[1]
    if not pairs:
        return None
    p = wrong.sum(1) / steps.sum(1)
    if pairs < 2:
        return Rates(float(p[0]), 0.0, 0.0)
    covariance = np.cov(wrong / steps)
    # A rate varies by tau2 and by the binomial (p (1-p) - tau2)/n (Kleinman 1973); where every
    # episode has one step, the two are not told apart.
    thin = (1 / steps).mean(1)
    told = thin < 1
    tau2 = (np.diag(covariance) - p * (1 - p) * thin)[told] / (1 - thin[told])
    spread = _root(lambda s: sum(_variance(x, s) for x in p[told]), float(tau2.sum()), 5.0)
    pairing = 0.0
    if spread:
        shared = float(covariance[0, 1])
        pairing = _root(lambda c: _covariance(p[0], p[1], spread, c), shared, 1.0)
    return Rates(_centre(float(p[0]), spread), spread, pairing)


# -- simulation --------------------------------------------------------------------------------


def _shifted(e: float, by: Array) -> Array:
    """The probability `by` further on the logit scale; 0 and 1 stay."""
    odds = np.exp(by)
    result: Array = e * odds / (1 - e + e * odds)
    return result


def _wrong_steps(e: Array, plan: Plan, rng: np.random.Generator) -> Array:
    if plan.r is None:
        return rng.binomial(plan.horizon, e)
    on, wrong = np.ones(e.shape, bool), np.zeros(e.shape, int)
    e = e.astype(np.float32)
    for _ in range(plan.horizon):
        draw = rng.random(e.shape, np.float32)
        on = np.where(on, draw >= e, draw < plan.r)
        wrong += ~on
    return wrong


def _declared(plan: Plan, episodes: int, rng: np.random.Generator, simulations: int) -> Array:
    """Simulations that declare a difference after their first 1, 2, ... episodes, [episodes]."""
    parts = _parts(simulations, max(1, BLOCK // episodes))
    counts = [_significant(*simulate(plan, episodes, rng, n)).sum(0) for n in parts]
    result: Array = np.sum(counts, axis=0)
    return result


def _parts(total: int, size: int) -> Iterator[int]:
    for start in range(0, total, size):
        yield min(size, total - start)


def _significant(wrong_a: Array, wrong_b: Array) -> Array:
    """Whether the paired t test declares the first 1, 2, ... pairs, [simulations, episodes]."""
    from scipy import stats

    d = wrong_a - wrong_b
    n = np.arange(1, d.shape[1] + 1)
    # Exchanging a pair moves the total by 2 at least; half of that corrects for the gaps.
    total, squares = np.maximum(np.abs(d.cumsum(1)) - 1, 0), (d * d).cumsum(1)
    freedom = np.maximum(n - 1, 1)
    critical = stats.t.ppf(1 - ALPHA / 2, freedom)
    # t^2 = total^2 / n / variance, without dividing by a variance that may be zero.
    beyond = total**2 * freedom > critical**2 * (n * squares - total**2)
    result: Array = beyond & ((d != 0).cumsum(1) >= FEWEST)
    return result


# -- moments of a rate whose logit is normal -----------------------------------------------------


def _normal() -> tuple[Array, Array]:
    """Points and weights of the standard normal (Gauss-Hermite)."""
    points, weights = np.polynomial.hermite_e.hermegauss(NODES)
    return points, weights / weights.sum()


def _root(function: Callable[[float], float], value: float, most: float) -> float:
    """Where the function, increasing from 0, is `value`, within 0 and `most`."""
    from scipy import optimize

    if value <= 0 or function(0.0) >= value:
        return 0.0
    if function(most) <= value:
        return most
    return float(optimize.brentq(lambda x: function(x) - value, 0.0, most, xtol=1e-6))


def _centre(mean: float, spread: float) -> float:
    """The e whose rates, spread on the logit scale, have this mean."""
    z, weights = _normal()
    return _root(lambda e: float(weights @ _shifted(e, spread * z)), mean, 1.0)


def _variance(mean: float, spread: float) -> float:
    """Of the rates with this mean."""
    return _covariance(mean, mean, spread, 1.0)


def _covariance(mean_a: float, mean_b: float, spread: float, pairing: float) -> float:
    """Between the rates of two arms with these means."""
    z, weights = _normal()
    a = _shifted(_centre(mean_a, spread), spread * z)
    both = pairing * z[:, None] + np.sqrt(1 - pairing**2) * z
    b = _shifted(_centre(mean_b, spread), spread * both) @ weights
    return float(weights @ (a * b)) - mean_a * mean_b
