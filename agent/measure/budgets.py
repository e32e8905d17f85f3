"""Error against tokens: what each arm would have reached with less to spend.

The recorded attempts of each step are cut off after k, the answer that would have been
accepted then is taken, and the tokens until then are counted. A budget between two such
points is met by cutting some steps at the one and some at the other, which is the line
between them. Later steps stay as they were recorded: the figures say what the same run would
have shown, not how another one would have gone on.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from agent.measure.statistics import (
    NO_WIDTH,
    PERMUTATIONS,
    Difference,
    Estimate,
    Rng,
    apart,
    by_episode,
    generator,
    grouped,
    interval,
    per_step,
    rate,
)
from agent.measure.table import UNKNOWN, StepTable

Array = NDArray[Any]


class Point(BaseModel):
    """One arm, cut off after `attempts`."""

    model_config = ConfigDict(frozen=True)

    attempts: int
    """Per step at most."""
    tokens: Estimate
    """Per step."""
    error: Estimate
    """Of the answers accepted then."""
    pass_at_k: float | None
    """P(one of k samples is right), 1 - C(n-c,k)/C(n,k); where all samples are always taken."""


class Equal(BaseModel):
    """Two arms at the same tokens per step."""

    model_config = ConfigDict(frozen=True)

    tokens: float | None
    """Per step: the most that both arms spent."""
    error_rate: Difference
    """Arm a minus arm b there."""
    reason: str
    """Why there is no figure; else empty."""


class Cut(BaseModel):
    """Sums by pair of one arm, cut off after k = 1..K attempts."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    pairs: Array
    """[pairs], ascending."""
    steps: Array
    """[pairs]."""
    wrong: Array
    """[K, pairs]."""
    tokens: Array
    """[K, pairs]."""
    samples: Array
    """Mean over steps of pass@k, [K]; NaN where attempts stop early."""


def cut(table: StepTable, name: str) -> Cut:
    """The recorded attempts of an arm, cut off after each number of attempts."""
    tries = table.attempt_rows
    mine = (table.arm == name) & table.judged
    rows = np.flatnonzero(mine)
    if not len(rows):
        nothing = np.zeros((0, 0))
        return Cut(pairs=np.zeros(0, int), steps=np.zeros(0), wrong=nothing, tokens=nothing,
                   samples=np.zeros(0))  # fmt: skip
    picked = np.flatnonzero(mine[tries.step_row])
    most = int(tries.attempt[picked].max()) + 1
    # Dense [steps, K]: what is missing repeats the last attempt made.
    place = np.full(len(mine), -1)
    place[rows] = np.arange(len(rows))
    at = place[tries.step_row[picked]], tries.attempt[picked]
    correct = np.full((len(rows), most), UNKNOWN)
    correct[at] = tries.correct[picked]
    kept = np.full((len(rows), most), -1)
    kept[at] = tries.kept[picked]
    tokens = np.zeros((len(rows), most))
    tokens[at] = tries.tokens[picked]
    for k in range(1, most):
        kept[:, k] = np.where(kept[:, k] < 0, kept[:, k - 1], kept[:, k])
    accepted = np.take_along_axis(correct, kept, axis=1)
    known = (accepted != UNKNOWN).all(1)
    accepted, spent = accepted[known], tokens.cumsum(1)[known]
    pair = table.pair[rows][known]
    full = known.any() and (correct[known] != UNKNOWN).all()
    columns = by_episode(pair, *(accepted == 0).T, *spent.T)
    return Cut(
        pairs=np.unique(pair), steps=columns[-1],
        wrong=np.array(columns[:most]), tokens=np.array(columns[most : 2 * most]),
        samples=_pass_at_k((correct[known] == 1).sum(1), most) if full else np.full(most, np.nan),
    )  # fmt: skip


def frontier(arm: Cut, rng: Rng | None = None) -> list[Point]:
    """The points of one arm, k = 1, 2, ..."""
    return [
        Point(
            attempts=k + 1,
            tokens=per_step(arm.tokens[k], arm.steps, rng=rng),
            error=rate(arm.wrong[k], arm.steps, rng=rng),
            pass_at_k=None if np.isnan(arm.samples[k]) else float(arm.samples[k]),
        )
        for k in range(len(arm.wrong))
    ]


def equal(a: Cut, b: Cut, broken: set[int], rng: Rng | None = None) -> Equal:
    """Error of a minus error of b at the largest budget that both used, over whole pairs.

    Interval and p-value are those of `statistics.difference`, at that budget.
    """
    pairs = sorted((set(a.pairs.tolist()) & set(b.pairs.tolist())) - broken)
    nothing = Difference(value=None)
    if len(pairs) < 2:
        return Equal(tokens=None, error_rate=nothing, reason="fewer than two whole pairs")
    of_a, of_b = _picked(a, pairs), _picked(b, pairs)
    n, everyone = of_a[2].size, np.arange(of_a[2].size)
    spent = [(tokens.sum(1) / steps.sum())[[0, -1]] for _, tokens, steps in (of_a, of_b)]
    (least_a, most_a), (least_b, most_b) = spent
    budget = float(min(most_a, most_b))
    if budget <= 0:
        return Equal(tokens=None, error_rate=nothing, reason="no tokens were counted")
    if budget < max(least_a, least_b):
        reason = "the first attempts of one cost more than all of the other's"
        return Equal(tokens=None, error_rate=nothing, reason=reason)

    def contrast(picked: Array, axis: int) -> Array:
        return _error(budget, of_a, picked) - _error(budget, of_b, picked)

    rng = generator(rng)
    value = float(contrast(everyone, -1))
    low, high = interval((everyone,), contrast, value, rng)
    if high - low < NO_WIDTH:
        (error_a, n_a), (error_b, n_b) = (
            (float(_error(budget, of, everyone)), float(of[2].sum())) for of in (of_a, of_b)
        )
        low, high = apart(error_a, n_a, error_b, n_b)
    if 2**n <= PERMUTATIONS:  # all of them, the recorded run among them
        swap, more = (np.arange(2**n)[:, None] >> np.arange(n) & 1).astype(float), 0
    else:
        swap, more = (rng.random((PERMUTATIONS, n)) < 0.5).astype(float), 1
    exchanged = _exchange(budget, swap, of_a, of_b)
    p = float((more + (np.abs(exchanged) >= abs(value) - 1e-12).sum()) / (len(swap) + more))
    return Equal(
        tokens=budget,
        error_rate=Difference(value=value, low=low, high=high, n=len(pairs), p=p),
        reason="",
    )


_Sums = tuple[Array, Array, Array]
"""Wrong steps [K, pairs], tokens [K, pairs] and steps [pairs], of pairs or groups of them."""


def _picked(arm: Cut, pairs: list[int]) -> _Sums:
    at = np.searchsorted(arm.pairs, pairs)
    wrong, tokens, steps = grouped(arm.wrong[:, at], arm.tokens[:, at], arm.steps[at])
    return wrong, tokens, steps


def _error(budget: float, sums: _Sums, picked: Array) -> Array:
    """At a budget, of the picked pairs, [..., pairs] -> [...]."""
    wrong, tokens, steps = sums
    n = steps[picked].sum(-1)
    return _lines(budget, *(np.moveaxis(x[:, picked].sum(-1) / n, 0, -1) for x in (tokens, wrong)))


def _exchange(budget: float, swap: Array, a: _Sums, b: _Sums) -> Array:
    """The difference after the arms of some pairs were exchanged, [draws]."""
    most = max(len(a[0]), len(b[0]))
    a, b = _padded(a, most), _padded(b, most)
    one = _mixed(swap, a, b)
    other = _mixed(1 - swap, a, b)
    return _lines(budget, *one) - _lines(budget, *other)


def _mixed(swap: Array, a: _Sums, b: _Sums) -> tuple[Array, Array]:
    steps = (1 - swap) @ a[2] + swap @ b[2]
    wrong = (1 - swap) @ a[0].T + swap @ b[0].T
    tokens = (1 - swap) @ a[1].T + swap @ b[1].T
    return tokens / steps[:, None], wrong / steps[:, None]


def _padded(sums: _Sums, most: int) -> _Sums:
    wrong, tokens, steps = sums
    again = [-1] * (most - len(wrong))
    rows = [*range(len(wrong)), *again]
    return wrong[rows], tokens[rows], steps


def _lines(budget: float, tokens: Array, error: Array) -> Array:
    """Error at a budget, on the line through the points of each row and flat beyond, [..., K]."""
    rows = zip(
        tokens.reshape(-1, tokens.shape[-1]), error.reshape(-1, error.shape[-1]), strict=True
    )
    return np.array([np.interp(budget, t, e) for t, e in rows]).reshape(tokens.shape[:-1])


def _pass_at_k(right: Array, n: int) -> Array:
    """1 - C(n-c,k)/C(n,k) averaged over steps, k = 1..n (Chen et al. 2021), [n]."""
    from scipy.special import comb

    return np.array([float((1 - comb(n - right, k) / comb(n, k)).mean()) for k in range(1, n + 1)])
