"""The curves of the plots: staying right, being right, coming back."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from agent.measure.statistics import LEVEL, Rng, generator

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
    """Lengths of finished off-track spells: how many of each."""
    unfinished: int
    """Spells that the end of their episode cut short."""


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

    S is Kaplan-Meier, A the share of the episodes still running; the bands resample episodes.
    """  # fmt: skip
    if not len(step):
        return None
    numbers, index = np.unique(episode, return_inverse=True)
    last = int(step.max())
    seen = np.zeros((len(numbers), last), bool)
    on = np.zeros((len(numbers), last))
    wrong = np.zeros((len(numbers), last), bool)
    at = index, step - 1
    seen[at], on[at], wrong[at] = True, on_track, correct == 0
    before = np.cumsum(wrong, axis=1) - wrong
    at_risk, event = seen & (before == 0), wrong & (before == 0)
    weights = generator(rng).multinomial(
        len(numbers), np.full(len(numbers), 1 / len(numbers)), DRAWS
    )
    everyone = np.ones((1, len(numbers)))
    a, s = (_both(w.astype(float), seen, on, at_risk, event) for w in (everyone, weights))
    observed = event[:, :FITTED].sum()
    rate = observed / max(1, at_risk[:, :FITTED].sum())
    t = np.arange(1, last + 1)
    e, r = e or 0.0, r or 0.0
    stays = 1.0 if e + r == 0 else r / (e + r)
    spells, unfinished = _spells(index, on_track)
    return Curves(
        accuracy=_curve(a[0][0], s[0]),
        survival=_curve(a[1][0], s[1]),
        recovery=_curve(a[0][0] - a[1][0], s[0] - s[1]),
        at_risk=[int(x) for x in seen.sum(0)],
        geometric=[float(x) for x in (1 - rate) ** t],
        two_state=[float(x) for x in stays + (1 - stays) * (1 - e - r) ** t],
        spells=spells, unfinished=unfinished,
    )  # fmt: skip


def _both(
    weights: Array, seen: Array, on: Array, at_risk: Array, event: Array
) -> tuple[Array, Array]:
    """(A, S), [draws, steps] each, for weights [draws, episodes]."""
    with np.errstate(divide="ignore", invalid="ignore"):
        accuracy = (weights @ on) / (weights @ seen)
        hazard = np.nan_to_num((weights @ event) / (weights @ at_risk))
    return accuracy, np.cumprod(1 - hazard, axis=1)


def _curve(value: Array, draws: Array) -> Curve:
    import warnings

    with warnings.catch_warnings():  # a step that no drawn episode reached
        warnings.simplefilter("ignore", RuntimeWarning)
        low, high = np.nanquantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return Curve(
        value=[float(x) for x in value], low=[float(x) for x in low], high=[float(x) for x in high]
    )


def _spells(index: Array, on_track: Array) -> tuple[dict[int, int], int]:
    """Runs of off-track steps within one episode: finished ones by length, and the others."""
    off = np.asarray(on_track) == 0
    same = np.append(index[1:] == index[:-1], False)
    follows = np.append(off[1:], False) & same
    begins = off & ~np.append(False, (off[:-1] & same[:-1]))
    starts = np.flatnonzero(begins)
    ends = np.flatnonzero(off & ~follows)
    finished = same[ends]
    lengths, counts = np.unique((ends - starts + 1)[finished], return_counts=True)
    return dict(zip(lengths.tolist(), counts.tolist(), strict=True)), int((~finished).sum())
