"""Which model of the errors fits: (1-e)^n, or one that knows difficulty, ageing, keys or return.

The time to the first error is a life table, so each of its models is its hazard h(t), and
log L = sum over t of d_t log h(t) + (n_t - d_t) log(1 - h(t)), with n_t episodes at risk at
step t of which d_t err there (Cox and Oakes 1984, section 5.3). Censoring needs nothing more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

Array = NDArray[Any]

FOLDS = 5
NO_EPISODE = "no episode was seen"
NO_ERROR = "no error was seen"


class Fit(BaseModel):
    """A model fitted by maximum likelihood. None: it can't be had, and `reason` says why."""

    model_config = ConfigDict(frozen=True)

    parameters: dict[str, float] = {}
    """By name: rates are per step, the rest as the model's function says."""
    log_likelihood: float | None = None
    """Of all episodes, in nats."""
    aic: float | None = None
    """2 k - 2 log L with k free parameters; lower is better (Akaike 1974)."""
    bic: float | None = None
    """k log n - 2 log L; n counts episodes (Schwarz 1978)."""
    held_out: float | None = None
    """log L per episode of episodes that the fit did not see, in nats."""
    weight: float | None = None
    """exp(-AIC/2), scaled to sum to 1 over the models that were fitted."""
    reason: str | None = None
    """Why figures are missing."""


class LikelihoodRatio(BaseModel):
    """A model against the larger one that contains it."""

    model_config = ConfigDict(frozen=True)

    estimate: float | None = None
    """The parameter that the larger model adds, as fitted."""
    statistic: float | None = None
    """Twice the difference of the log-likelihoods."""
    p: float | None = None
    """Of the smaller model."""
    reason: str | None = None
    """Why there is no test."""


class ModelComparison(BaseModel):
    """Models of one arm side by side."""

    model_config = ConfigDict(frozen=True)

    first_error: dict[str, Fit]
    """Of the time to the first error: geometric, weibull, beta_geometric, key_token, two_state."""
    sequence: dict[str, Fit]
    """Of every step, on track or off: absorbing, two_state."""
    frailty: LikelihoodRatio
    """Geometric against beta-geometric; the estimate is 1/(a+b), 0 where all are alike."""
    shape: LikelihoodRatio
    """Geometric against Weibull; the estimate is beta, 1 where the hazard is constant."""
    episodes: int
    """Episodes behind all of it."""


class _Fitted(NamedTuple):
    parameters: dict[str, float]
    log_likelihood: Callable[[Array], float]
    """Of the same columns of any episodes."""


class _Model(NamedTuple):
    size: int
    """Free parameters."""
    fit: Callable[[Array], _Fitted | str]
    """From [episodes, columns]; a text says why there is no fit."""


def compare_models(
    times: Array,
    observed: Array,
    episode: Array,
    on_track: Array,
    key: Array | None = None,
    step: Array | None = None,
) -> ModelComparison:
    """All models of one arm.

    `times` and `observed`, [episodes], as `survival.first_errors` gives them; the rest are
    rows in order of episodes and steps. `key` is 1, 0 or -1 (not known); `step` is the number
    of the step, None where episodes have steps 1, 2, 3, ... without a gap.
    """
    life = np.stack([np.asarray(times, int), np.asarray(observed, int)], axis=1)
    keyed = _key_columns(life, np.asarray(episode), key, step)
    first = {
        "geometric": _evaluate(GEOMETRIC, life),
        "weibull": _evaluate(WEIBULL, life),
        "beta_geometric": _evaluate(BETA_GEOMETRIC, life),
        "key_token": Fit(reason=keyed) if isinstance(keyed, str) else _evaluate(KEY_TOKEN, keyed),
        "two_state": Fit(reason="it is the geometric here: r acts only after the first error"),
    }
    moves = _moves(np.asarray(episode), np.asarray(on_track))
    sequence = {
        "absorbing": _evaluate(ABSORBING, moves),
        "two_state": _evaluate(TWO_STATE, moves),
    }
    return ModelComparison(
        first_error=_weighted(first),
        sequence=_weighted(sequence),
        # Under the geometric 1/(a+b) lies on its boundary (Self and Liang 1987, case 5).
        frailty=_ratio_test(first["geometric"], first["beta_geometric"], "dispersion", 0.5),
        shape=_ratio_test(first["geometric"], first["weibull"], "beta", 1.0),
        episodes=len(life),
    )


# -- the figures of one model ------------------------------------------------------------------


def _evaluate(model: _Model, data: Array) -> Fit:
    found = model.fit(data) if len(data) else NO_EPISODE
    if isinstance(found, str):
        return Fit(reason=found)
    value = found.log_likelihood(data)
    held_out = _held_out(model, data)
    return Fit(
        parameters=found.parameters,
        log_likelihood=value,
        aic=2 * model.size - 2 * value,
        bic=model.size * float(np.log(len(data))) - 2 * value,
        held_out=None if isinstance(held_out, str) else held_out,
        reason=f"not held out: {held_out}" if isinstance(held_out, str) else None,
    )


def _held_out(model: _Model, data: Array) -> float | str:
    """Log-likelihood per episode under the fit to the other folds; every fifth is one fold."""
    if len(data) < 2:
        return "one episode alone"
    fold = np.arange(len(data)) % FOLDS
    total = 0.0
    for k in np.unique(fold):
        found = model.fit(data[fold != k])
        if isinstance(found, str):
            return f"in a part of the episodes, {found}"
        total += found.log_likelihood(data[fold == k])
    if not np.isfinite(total):
        return "an episode does what the others never did"
    return total / len(data)


def _weighted(fits: dict[str, Fit]) -> dict[str, Fit]:
    lowest = min((f.aic for f in fits.values() if f.aic is not None), default=0.0)
    raw = {k: np.exp((lowest - f.aic) / 2) for k, f in fits.items() if f.aic is not None}
    return {
        k: f.model_copy(update={"weight": float(raw[k] / sum(raw.values()))}) if k in raw else f
        for k, f in fits.items()
    }


def _ratio_test(small: Fit, large: Fit, parameter: str, share: float) -> LikelihoodRatio:
    """Against (1-share) chi2(0) + share chi2(1)."""
    from scipy import stats

    if small.log_likelihood is None or large.log_likelihood is None:
        return LikelihoodRatio(reason=small.reason if small.aic is None else large.reason)
    statistic = max(0.0, 2 * (large.log_likelihood - small.log_likelihood))
    return LikelihoodRatio(
        estimate=large.parameters[parameter],
        statistic=statistic,
        p=share * float(stats.chi2.sf(statistic, 1)) if statistic > 0 else 1.0,
    )


# -- the time to the first error: columns are the time and whether it was observed ---------------

Hazard = Callable[[Array, Array], Array]
"""From parameters [..., 2] and steps [steps] to the hazard [..., steps]."""

Bounds = tuple[tuple[float, float], tuple[float, float]]


def _life_table(life: Array) -> tuple[Array, Array, Array]:
    """(step, errors there, episodes at risk there), [steps] each."""
    last = int(life[:, 0].max())
    errors = np.bincount(life[life[:, 1] == 1, 0], minlength=last + 1)[1:]
    ends = np.bincount(life[:, 0], minlength=last + 1)[1:]
    return np.arange(1, last + 1), errors, ends[::-1].cumsum()[::-1]


def _log_likelihood(hazard: Array, errors: Array, at_risk: Array) -> Array:
    from scipy.special import xlog1py, xlogy

    terms = xlogy(errors, hazard) + xlog1py(at_risk - errors, -hazard)
    result: Array = terms.sum(-1)
    return result


def _fitted(parameters: dict[str, float], hazard: Hazard, at: Array) -> _Fitted:
    def log_likelihood(life: Array) -> float:
        step, errors, at_risk = _life_table(life)
        return float(_log_likelihood(hazard(at, step), errors, at_risk))

    return _Fitted(parameters, log_likelihood)


def _geometric(life: Array) -> _Fitted | str:
    """S(t) = (1-e)^t; e is errors per step up to the first error."""
    errors = int(life[:, 1].sum())
    if not errors:
        return NO_ERROR
    e = errors / int(life[:, 0].sum())
    return _fitted({"e": e}, lambda at, step: np.full(len(step), at[0]), np.array([e]))


def _weibull(life: Array) -> _Fitted | str:
    """S(t) = q^(t^beta): beta above 1 ages, below 1 settles (Nakagawa and Osaki 1975)."""
    wrong = life[life[:, 1] == 1, 0]
    if not len(wrong):
        return NO_ERROR
    # Then ever larger beta fits ever better: a sure fall of S right where the errors are.
    if wrong.max() - wrong.min() <= 1 and life[life[:, 1] == 0, 0].max(initial=0) <= wrong.min():
        return "errors at one step or two neighbouring ones fix no shape"
    centre = float(wrong.mean())  # near it the two parameters hardly disturb one another

    def hazard(at: Array, step: Array) -> Array:
        level, beta = at[..., :1], np.exp(at[..., 1:])
        total = np.exp(np.minimum(level + beta * np.log(step / centre), 700))
        with np.errstate(divide="ignore"):  # nothing is behind the first step
            behind = np.log((step - 1) / step)
        result: Array = -np.expm1(total * np.expm1(beta * behind))
        return result

    bounds = ((-25, 5), (np.log(1e-6), np.log(1e4)))
    at = _maximum(hazard, bounds, bounds, life)
    level, beta = float(at[0]), float(np.exp(at[1]))
    q = float(np.exp(-np.exp(level - beta * np.log(centre))))
    return _fitted({"q": q, "beta": beta}, hazard, at)


def _beta_geometric(life: Array) -> _Fitted | str:
    """S(t) = B(a, b+t) / B(a, b): e differs between episodes as Beta(a, b).

    The hazard is a/(a+b+t-1) = mean/(1 + dispersion (t-1)) with dispersion 1/(a+b), so that
    the geometric is the point 0, which is reached (Weinberg and Gladen 1986).
    """
    alike = _geometric(life)
    if isinstance(alike, str):
        return alike
    if life[:, 0].max() == 1:
        return "nothing was seen after step 1"

    def hazard(at: Array, step: Array) -> Array:
        result: Array = at[..., :1] / (1 + at[..., 1:] * (step - 1))
        return result

    def natural(at: Array) -> Array:
        return np.stack([1 / (1 + np.exp(-at[..., 0])), np.exp(at[..., 1])], axis=-1)

    e = alike.parameters["e"]
    # The mean is the first hazard and the largest, so above e. The search begins where the
    # dispersion tells: near 0 the likelihood is flat in its logarithm.
    pooled = float(np.log(e / (1 - e)))
    scales = _maximum(
        lambda at, step: hazard(natural(at), step),
        ((pooled - 1, pooled + 25), (-18, 14)),
        ((pooled, pooled + 10), (-7, 12)),
        life,
    )
    mean, dispersion = (float(x) for x in natural(scales))
    fit = _fitted(
        {"mean": mean, "dispersion": dispersion, "a": mean / dispersion,
         "b": (1 - mean) / dispersion},
        hazard, np.array([mean, dispersion]),
    )  # fmt: skip
    if fit.log_likelihood(life) > alike.log_likelihood(life) + 1e-7:
        return fit
    return _fitted({"mean": e, "dispersion": 0.0}, hazard, np.array([e, 0.0]))


def _maximum(hazard: Hazard, bounds: Bounds, grid: Bounds, life: Array) -> Array:
    """The most likely parameters within bounds: L-BFGS-B from the best point of a grid."""
    from scipy import optimize

    step, errors, at_risk = _life_table(life)
    small = 1e-5
    beside = small * np.array([[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1]])

    def loss(at: Array) -> Array:
        # A hazard of exactly 0 or 1 makes infinities, in which no direction is better.
        likely = np.clip(hazard(at, step), 1e-300, 1 - 1e-15)
        return -_log_likelihood(likely, errors, at_risk)

    def with_slope(at: Array) -> tuple[float, Array]:
        values = loss(at + beside)
        return float(values[0]), (values[1::2] - values[2::2]) / (2 * small)

    points = np.stack(np.meshgrid(*(np.linspace(*b, 16) for b in grid)), axis=-1).reshape(-1, 2)
    found = optimize.minimize(
        with_slope, points[np.argmin(loss(points))], jac=True, method="L-BFGS-B", bounds=bounds,
        options={"ftol": 1e-13, "gtol": 1e-5},
    )  # fmt: skip
    return np.asarray(found.x)


def _counted(parameters: dict[str, float], *rates: float) -> _Fitted:
    """Bernoulli steps of several kinds; columns are trials and hits of each kind."""

    def log_likelihood(counts: Array) -> float:
        totals = counts.sum(0)
        return float(_log_likelihood(np.array(rates), totals[1::2], totals[::2]))

    return _Fitted(parameters, log_likelihood)


# -- two rates: columns are key steps, errors at them, other steps, errors at those ---------------


def _key_columns(life: Array, episode: Array, key: Array | None, step: Array | None) -> Array | str:
    """Counts by episode, [episodes, 4], up to the first error."""
    numbers, first, index = np.unique(episode, return_index=True, return_inverse=True)
    if key is None or not (np.asarray(key) == 1).any():
        return "no step is marked as key"
    key = np.asarray(key)
    step = np.arange(len(episode)) - first[index] + 1 if step is None else np.asarray(step)
    time, erred = life[index].T
    seen = step <= time
    if (key[seen] < 0).any():
        return "some steps are not marked as key or other"
    if int(seen.sum()) != int(life[:, 0].sum()):
        return "some steps before the first error are missing"
    wrong = (erred == 1) & (step == time)
    masks = (seen & (key == 1), wrong & (key == 1), seen & (key == 0), wrong & (key == 0))
    return np.stack([np.bincount(index[m], minlength=len(numbers)) for m in masks], axis=1)


def _key_token(counts: Array) -> _Fitted | str:
    """S(t) = (1-e_k)^k (1-e_n)^(t-k) with k key steps up to t; two rates by counting."""
    keys, key_errors, others, other_errors = (int(x) for x in counts.sum(0))
    if not key_errors + other_errors:
        return NO_ERROR
    if not keys or not others:
        return f"no {'other' if keys else 'key'} step comes before the first error"
    e_k, e_n = key_errors / keys, other_errors / others
    return _counted({"e_k": e_k, "e_n": e_n}, e_k, e_n)


# -- the whole sequence: columns are steps begun on track, leaves, begun off track, returns -------


def _moves(episode: Array, on_track: Array) -> Array:
    """Counts by episode, [episodes, 4]; every episode begins on track."""
    numbers, first, index = np.unique(episode, return_index=True, return_inverse=True)
    after = on_track.astype(bool)
    before = np.roll(after, 1)
    before[first] = True
    masks = (before, before & ~after, ~before, ~before & after)
    return np.stack([np.bincount(index[m], minlength=len(numbers)) for m in masks], axis=1)


def _absorbing(moves: Array) -> _Fitted | str:
    """(1-e)^n to the letter: once off track, off track for good."""
    begun, left, _, returned = (int(x) for x in moves.sum(0))
    if returned:
        return f"impossible: {returned:,} reversal{'s were' if returned > 1 else ' was'} seen"
    if not left:
        return NO_ERROR
    return _counted({"e": left / begun}, left / begun, 0.0)


def _two_state(moves: Array) -> _Fitted | str:
    """On track it leaves with e, off track it returns with r, at every step."""
    begun, left, off, returned = (int(x) for x in moves.sum(0))
    if not left:
        return NO_ERROR
    if not off:
        return "no step began off track: r is not observed"
    e, r = left / begun, returned / off
    return _counted({"e": e, "r": r}, e, r)


GEOMETRIC = _Model(1, _geometric)
WEIBULL = _Model(2, _weibull)
BETA_GEOMETRIC = _Model(2, _beta_geometric)
KEY_TOKEN = _Model(2, _key_token)
ABSORBING = _Model(1, _absorbing)
TWO_STATE = _Model(2, _two_state)
