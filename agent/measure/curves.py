"""The curves of the plots: staying right, being right, coming back."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from agent.measure.statistics import LEVEL, Rng, generator, grouped, wilson
from agent.measure.survival import first_errors, survival
from agent.measure.transitions import follows

Array = NDArray[Any]

DRAWS = 500
"""Bootstrap draws of a band: a curve is read by eye."""

FITTED = 5
"""Steps that (1-e)^t is fitted on: what follows is its prediction."""


class Curve(BaseModel):
    """A value by step with a pointwise band."""

    model_config = ConfigDict(frozen=True)

    value: list[float]
    """At step 1, 2, ..."""
    low: list[float]
    """Lower edge of the 95 % band."""
    high: list[float]
    """Upper edge."""


class Curves(BaseModel):
    """Of one arm, all on steps 1, 2, ..., the last one that any episode reached."""

    model_config = ConfigDict(frozen=True)

    accuracy: Curve
    """A(t), on track after step t."""
    survival: Curve
    """S(t), no error in steps 1..t."""
    recovery: Curve
    """A(t) - S(t); zero at every t is what (1-e)^n says."""
    at_risk: list[int]
    """Episodes observed at step t."""
    geometric: list[float]
    """(1-e)^t with e of steps 1 to 5."""
    two_state: list[float]
    """A(t) of the fitted e and r."""
    spells: dict[int, int]
    """Off-track spells whose beginning and end were seen: how many of each length."""
    unfinished: dict[int, int]
    """Those that were cut short, by the length that was seen of them."""
    lasting: list[float]
    """P(a spell goes on for more than k steps), k = 0, 1, ...: Kaplan-Meier, so that what was cut
    short counts for as long as it was seen. (1-r)^k where returns have no memory."""


def curves(
    episode: Array,
    step: Array,
    correct: Array,
    on_track: Array,
    e: float | None,
    r: float | None,
    rng: Rng | None = None,
) -> Curves | None:
    """From the judged steps of one arm in order; None without any.

    S is Kaplan-Meier with its log-log interval, A the share of the episodes judged there with
    Wilson's; the band of A - S resamples episodes. A step that no episode shows keeps the
    values before it, and the band of A there is 0..1.
    """  # fmt: skip
    if not len(step):
        return None
    numbers, index = np.unique(episode, return_inverse=True)
    last = int(step.max())
    t = np.arange(1, last + 1)
    seen = np.zeros((len(numbers), last), bool)
    on = np.zeros((len(numbers), last))
    wrong = np.zeros((len(numbers), last), bool)
    at = index, step - 1
    seen[at], on[at], wrong[at] = True, on_track, correct == 0
    times, observed = first_errors(episode, step, correct)
    at_risk = times[:, None] >= t
    event = observed[:, None] & (times[:, None] == t)
    accuracy, stays_right = _accuracy(seen, on), _survival(times, observed, last)
    units = [x.T for x in grouped(seen.T, on.T, at_risk.T, event.T)]
    n = len(units[0])
    weights = generator(rng).multinomial(n, np.full(n, 1 / n), DRAWS)
    draws = _recovery(weights.astype(float), *units)
    rate = event[:, :FITTED].sum() / max(1, at_risk[:, :FITTED].sum())
    e, r = e or 0.0, r or 0.0
    stays = 1.0 if e + r == 0 else r / (e + r)
    spells, unfinished = _spells(index, on_track, step)
    return Curves(
        accuracy=accuracy,
        survival=stays_right,
        recovery=_difference(accuracy, stays_right, draws),
        at_risk=[int(x) for x in seen.sum(0)],
        geometric=[float(x) for x in (1 - rate) ** t],
        two_state=[float(x) for x in stays + (1 - stays) * (1 - e - r) ** t],
        spells=spells, unfinished=unfinished, lasting=_lasting(spells, unfinished),
    )  # fmt: skip


def _accuracy(seen: Array, on: Array) -> Curve:
    value: list[float] = []
    low: list[float] = []
    high: list[float] = []
    for n, k in zip(seen.sum(0), on.sum(0), strict=True):
        share = wilson(int(k), int(n))
        before = value[-1] if value else 1.0
        value.append(before if share.value is None else share.value)
        low.append(0.0 if share.low is None else share.low)
        high.append(1.0 if share.high is None else share.high)
    return Curve(value=value, low=low, high=high)


def _survival(times: Array, observed: Array, last: int) -> Curve:
    """As in the tables; where nobody is left at risk it stays, with no lower bound."""
    found = survival(times, observed, list(range(1, last + 1))).at
    value: list[float] = []
    low: list[float] = []
    high: list[float] = []
    for t in range(1, last + 1):
        s = found[t]
        value.append(value[-1] if s.value is None else s.value)
        low.append(0.0 if s.low is None else s.low)
        high.append(high[-1] if s.high is None else s.high)
    return Curve(value=value, low=low, high=high)


def _recovery(weights: Array, seen: Array, on: Array, at_risk: Array, event: Array) -> Array:
    """A - S for weights [draws, episodes], [draws, steps]; NaN where no drawn episode runs."""
    with np.errstate(divide="ignore", invalid="ignore"):
        accuracy = (weights @ on) / (weights @ seen)
        hazard = np.nan_to_num((weights @ event) / (weights @ at_risk))
    result: Array = accuracy - np.cumprod(1 - hazard, axis=1)
    return result


def _difference(accuracy: Curve, stays_right: Curve, draws: Array) -> Curve:
    s = np.array(stays_right.value)
    with warnings.catch_warnings():  # a step that no drawn episode shows
        warnings.simplefilter("ignore", RuntimeWarning)
        low, high = np.nanquantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    low, high = np.where(np.isnan(low), -s, low), np.where(np.isnan(high), 1 - s, high)
    # Rounded: products of floats would make 1e-17 of the zero that the claim is about.
    value, low, high = (np.round(x, 12) + 0.0 for x in (np.array(accuracy.value) - s, low, high))
    return Curve(value=value.tolist(), low=low.tolist(), high=high.tolist())


def _spells(index: Array, on_track: Array, step: Array) -> tuple[dict[int, int], dict[int, int]]:
    """Runs of off-track steps within one episode by length: finished ones, and those cut short.

    A run that a missing step precedes may have begun before it, and is in neither.
    """
    off = np.asarray(on_track) == 0
    joined = np.append(follows(index, step)[1:] & (step[1:] > 1), False)
    seen = follows(index, step)
    begins = off & ~np.append(False, (off & joined)[:-1])
    ends = off & ~(np.append(off[1:], False) & joined)
    starts, stops = np.flatnonzero(begins), np.flatnonzero(ends)
    whole = seen[starts]
    lengths, finished = (stops - starts + 1)[whole], joined[stops][whole]

    def counted(some: Array) -> dict[int, int]:
        values, counts = np.unique(some, return_counts=True)
        return dict(zip(values.tolist(), counts.tolist(), strict=True))

    return counted(lengths[finished]), counted(lengths[~finished])


def _lasting(finished: dict[int, int], unfinished: dict[int, int]) -> list[float]:
    out, left = [1.0], sum(finished.values()) + sum(unfinished.values())
    for k in range(1, max(finished, default=0) + 1):
        out.append(out[-1] * (1 - finished.get(k, 0) / left))
        left -= finished.get(k, 0) + unfinished.get(k, 0)
    return out
