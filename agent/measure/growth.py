"""Does the error grow from step to step?"""

from __future__ import annotations

import warnings
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from agent.measure.statistics import LEVEL, Estimate, by_episode, rate, wilson
from agent.measure.survival import unbroken

Array = NDArray[Any]

MARGIN = 0.1
"""Log-hazard per 10 steps below which a slope is called none."""

ALPHA = 0.05

MIXED = "episodes of differing difficulty that end at different steps look just so"

Word = Literal["rising", "flat", "falling", "undecided"]


class Block(BaseModel):
    """Some neighbouring steps."""

    model_config = ConfigDict(frozen=True)

    first: int
    """Its first step."""
    last: int
    """Its last step."""
    error: Estimate
    """P(wrong) over all steps of the block."""
    hazard: Estimate
    """P(first error at a step | none before); n counts steps at risk. Wilson: an episode has
    but one first error. Steps after one that nobody judged are not at risk: it may have been."""
    strata: dict[str, Estimate]
    """The hazard within each stratum, where there are several."""
    within: float | None
    """Hazard averaged over strata by their share of the episodes: what mixing can't fake."""


class Growth(BaseModel):
    """How the error of a step depends on its number."""

    model_config = ConfigDict(frozen=True)

    word: Word
    """`rising` or `falling` where the interval of the slope excludes 0 and steps within episodes
    agree (`trend_p` below 0.05), `flat` where it lies within 0.1 of 0, else `undecided`."""
    reason: str
    """Why that word, or why there is none."""
    slope: Estimate
    """Change of the log-hazard per 10 steps; n counts steps."""
    trend_p: float | None
    """Two-sided, by exchanging steps within each episode."""
    page_p: float | None
    """Page's test for a rise over blocks, episodes as judges; whole episodes only."""
    isotonic: list[float]
    """The best never-falling curve of P(wrong) by step, over `blocks`."""
    blocks: list[Block]
    """About a tenth of the horizon each."""


def growth(episode: Array, step: Array, wrong: Array, stratum: Array) -> Growth:
    """From the judged steps of one arm, in order of episodes and steps.

    The slope is that of a binomial GLM with complementary log-log link on all steps, strata
    with levels of their own, covariance clustered by episode: exp(intercept + slope t) is
    the discrete hazard. Where errors or successes end episodes early, late steps are those of
    other episodes than early ones, and the slope is theirs: so `rising` and `falling` must be
    seen within episodes too.
    """
    blocks = _blocks(episode, step, wrong, stratum)
    counts = [b.error for b in blocks]
    slope, reason = _slope(episode, step, wrong, stratum)
    z = _exchange_z(episode, step, wrong)
    trend_p = None if z is None else _two_sided(z)
    word: Word = "undecided"
    if slope.value is not None and slope.low is not None and slope.high is not None:
        word, reason = _word(slope.low, slope.high)
        sign = {"rising": 1, "falling": -1}.get(word, 0)
        if sign and (z is None or z * sign <= 0 or _two_sided(z) >= ALPHA):
            reason = f"{word} from step to step, but not within episodes: {MIXED}"
            word = "undecided"
    return Growth(
        word=word, reason=reason, slope=slope, trend_p=trend_p,
        page_p=_page_p(episode, step, wrong, blocks), isotonic=_isotonic(counts), blocks=blocks,
    )  # fmt: skip


def _word(low: float, high: float) -> tuple[Word, str]:
    if max(-low, high) < MARGIN:
        return "flat", f"the slope lies within {MARGIN} of 0"
    if low > 0:
        return "rising", "the slope is above 0"
    if high < 0:
        return "falling", "the slope is below 0"
    return "undecided", "the slope may be either side of 0"


def _slope(episode: Array, step: Array, wrong: Array, stratum: Array) -> tuple[Estimate, str]:
    n, errors = len(wrong), int(wrong.sum())
    clusters = len(np.unique(episode))
    if errors == 0 or errors == n:
        return Estimate(value=None, n=n), "no step is wrong" if errors == 0 else "no step is right"
    if clusters < 2:
        return Estimate(value=None, n=n), "one episode: nothing tells how another would go"
    if len(np.unique(step)) < 2:
        return Estimate(value=None, n=n), "one step number only"
    if errors < 5 or n - errors < 5:
        return Estimate(value=None, n=n), f"too few errors, or right answers: {errors} of {n} wrong"
    from scipy import stats

    fitted = _fit(episode, step, wrong, stratum)
    if fitted is None:
        return Estimate(value=None, n=n), "the fit did not converge"
    value, error = fitted
    half = float(stats.t.ppf((1 + LEVEL) / 2, clusters - 1)) * error
    return Estimate(value=value, low=value - half, high=value + half, n=n), ""


def _fit(episode: Array, step: Array, wrong: Array, stratum: Array) -> tuple[float, float] | None:
    """(slope per 10 steps, its standard error), or None where the fit fails."""
    # Not by statsmodels.api, which loads all of it.
    from statsmodels.genmod.families import Binomial, links
    from statsmodels.genmod.generalized_linear_model import GLM
    from statsmodels.tools.sm_exceptions import PerfectSeparationError

    names, level = np.unique(stratum, return_inverse=True)
    # Strata without an error, or without a right answer, have no finite level of their own.
    mixed = [i for i in range(len(names)) if 0 < wrong[level == i].mean() < 1]
    keep = np.isin(level, mixed)
    columns = [(step[keep] / 10.0)[:, None]]
    columns += [(level[keep] == i).astype(float)[:, None] for i in mixed]
    family = Binomial(link=links.CLogLog())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = GLM(wrong[keep].astype(float), np.hstack(columns), family=family)
            fit = model.fit(cov_type="cluster", cov_kwds={"groups": episode[keep]})
    except (ValueError, np.linalg.LinAlgError, PerfectSeparationError):
        return None
    value, error = float(fit.params[0]), float(fit.bse[0])
    if not fit.converged or not np.isfinite([value, error]).all() or error == 0:
        return None
    return value, error


def _edges(last: int) -> Array:
    """First steps of the blocks and one past the end: at most ten blocks."""
    return np.unique(np.linspace(1, last + 1, min(10, last) + 1).astype(int))


def _blocks(episode: Array, step: Array, wrong: Array, stratum: Array) -> list[Block]:
    if not len(step):
        return []
    # Wrong steps of the same episode before this one: 0 is still at risk of a first error.
    seen = np.cumsum(wrong) - wrong
    first_row = np.unique(episode, return_index=True)[1]
    start = np.zeros(len(step), int)
    start[first_row] = 1
    before = seen - seen[first_row][np.cumsum(start) - 1]
    at_risk = (before == 0) & unbroken(episode, step)
    names, level = np.unique(stratum, return_inverse=True)
    share = np.array([len(np.unique(episode[level == i])) for i in range(len(names))], float)
    share /= share.sum()
    edges = _edges(int(step.max()))
    out = []
    for low, high in pairwise(edges):
        inside = (step >= low) & (step < high)
        risk = inside & at_risk
        by = {
            str(name): wilson(int(wrong[risk & (level == i)].sum()), int((risk & (level == i)).sum()))
            for i, name in enumerate(names)
        } if len(names) > 1 else {}  # fmt: skip
        known = [h.value for h in by.values()]
        within = (
            None if None in known or not known else float(np.dot(share, np.array(known, float)))
        )
        out.append(
            Block(
                first=int(low), last=int(high) - 1,
                error=rate(*by_episode(episode[inside], wrong[inside])),
                hazard=wilson(int(wrong[risk].sum()), int(risk.sum())),
                strata=by, within=within,
            )
        )  # fmt: skip
    return out


def _exchange_z(episode: Array, step: Array, wrong: Array) -> float | None:
    """How much later the errors lie within their episodes than if their steps were exchangeable.

    The sum of the numbers of wrong steps, in standard deviations from its mean over all
    exchanges within episodes (k of n drawn without replacement); both moments are exact.
    """
    if not len(step):
        return None
    k, total, square, sums, n = by_episode(episode, wrong, step, step**2, wrong * step)
    mean = total / n
    spread = square / n - mean**2
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = np.where(n > 1, k * (n - k) / (n - 1) * spread, 0.0)
    if variance.sum() <= 0:
        return None
    return float((sums - k * mean).sum() / np.sqrt(variance.sum()))


def _two_sided(z: float) -> float:
    from scipy import stats

    return float(2 * stats.norm.sf(abs(z)))


def _page_p(episode: Array, step: Array, wrong: Array, blocks: list[Block]) -> float | None:
    """Page's L over blocks of the episodes that reach the last one."""
    last = int(step.max(initial=0))
    numbers, index = np.unique(episode, return_inverse=True)
    whole = np.bincount(index, minlength=len(numbers)) == last
    if len(blocks) < 3 or whole.sum() < 2 or last < 3:
        return None
    from scipy import stats

    order = np.searchsorted([b.first for b in blocks], step, side="right") - 1
    table = np.zeros((len(numbers), len(blocks)))
    np.add.at(table, (index, order), wrong)
    size = np.array([b.last - b.first + 1 for b in blocks])
    return float(stats.page_trend_test(table[whole] / size, method="asymptotic").pvalue)


def _isotonic(errors: list[Estimate]) -> list[float]:
    values = [e.value for e in errors if e.value is not None]
    if not values or len(values) < len(errors):
        return []
    from scipy.optimize import isotonic_regression

    fit = isotonic_regression(values, weights=[e.n for e in errors])
    return [float(x) for x in fit.x]
