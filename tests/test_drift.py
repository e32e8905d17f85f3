"""Drift, by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import synthetic as s

from agent.measure.drift import Drift, drift

LOG2 = math.log(2)


def of(rows: list[tuple[int, float, float, float]], edges: Any = ((1, 9),)) -> Drift | None:
    """(pair, q, p, entropy) by step, right where p > 0."""
    pair = np.array([row[0] for row in rows])
    step = np.concatenate([np.arange(1, n + 1) for n in np.unique(pair, return_counts=True)[1]])
    with np.errstate(divide="ignore"):
        log_q, log_p = (np.log([[row[i]] for row in rows]) for i in (1, 2))
    return drift(
        s.table_of((np.exp(log_p) > 0).astype(int), pair, step, logprob=log_q, log_p=log_p,
                   entropy=np.array([[row[3]] for row in rows])),
        "a", list(edges),
    )  # fmt: skip


def test_by_hand() -> None:
    found = of([(1, 1 / 2, 1 / 4, 1.0), (1, 1 / 2, 1 / 2, 1.0), (2, 1 / 4, 1 / 2, 0.4),
                (2, 1 / 8, 0.0, 0.4)], [(1, 1), (2, 2)])  # fmt: skip
    assert found is not None
    assert (found.kl.value, found.kl.n) == (pytest.approx((LOG2 + 0 - LOG2) / 3), 3)
    assert (found.impossible.value, found.impossible.n) == (1 / 4, 4)
    assert found.cross_entropy.value == pytest.approx((2 + 1 + 1) * LOG2 / 3)
    assert found.entropy.value == pytest.approx(0.7)
    one, two = found.blocks
    # Step 1: all possible. Step 2: one of two, so a verifier would remove -log(1/2).
    assert (one.legality, one.rest) == (0, pytest.approx(0))
    assert two.legality == pytest.approx(LOG2)
    assert two.rest == pytest.approx(0 + LOG2)


def test_a_perfect_verifier_removes_the_legality_part_of_the_reversed_divergence() -> None:
    """D(P||Q) - D(P||Q') = -log(1-e) for Q' = Q given what is right, and `rest` is D(Q'||P)."""
    rng = np.random.default_rng(1)
    p, q = np.append(rng.dirichlet(np.ones(4)), 0), rng.dirichlet(np.ones(5))
    picked = rng.choice(5, size=40_000, p=q)
    found = of([(i // 10, q[x], p[x], 1.0) for i, x in enumerate(picked)], [(1, 10)])
    assert found is not None
    e, within = q[4], q[:4] / q[:4].sum()
    gain = (p[:4] * np.log(p[:4] / q[:4])).sum() - (p[:4] * np.log(p[:4] / within)).sum()
    assert gain == pytest.approx(-math.log(1 - e))
    [block] = found.blocks
    assert block.legality == pytest.approx(gain, abs=0.01)
    assert block.rest == pytest.approx((within * np.log(within / p[:4])).sum(), abs=0.03)


def test_a_model_that_is_the_truth_does_not_drift() -> None:
    found = of([(i // 5, 0.3, 0.3, 1.2) for i in range(200)])
    assert found is not None
    assert (found.kl.value, found.impossible.value) == (0, 0)
    assert found.blocks[0].rest == 0


def test_where_nothing_is_possible_nothing_is_known_of_the_rest() -> None:
    found = of([(1, 0.5, 0.0, 1.0), (2, 0.5, 0.0, 1.0)])
    assert found is not None
    assert (found.kl.value, found.cross_entropy.value, found.impossible.value) == (None, None, 1)
    assert (found.blocks[0].legality, found.blocks[0].rest) == (None, None)


def test_a_block_without_steps_is_empty() -> None:
    found = of([(1, 0.5, 0.5, 1.0)], [(1, 1), (2, 9)])
    assert found is not None
    assert (found.blocks[1].legality, found.kl.low) == (None, None)


def test_without_probabilities_there_is_no_drift() -> None:
    table = s.table_of(np.array([[1]]), np.array([1]), np.array([1]))
    assert drift(table, "a", []) is None
    assert of([(1, 0.5, 0.5, math.nan)]) is None
    assert of([(1, math.nan, 0.5, 1.0)]) is None


def test_later_attempts_do_not_count() -> None:
    columns = {k: np.log([[0.5, 0.1]]) for k in ("logprob", "log_p")}
    table = s.table_of(np.array([[0, 1]]), np.array([1]), np.array([1]),
                       entropy=np.array([[1.0, 1.0]]), **columns)  # fmt: skip
    found = drift(table, "a", [])
    assert found is not None
    assert (found.kl.n, found.cross_entropy.value) == (1, pytest.approx(LOG2))
