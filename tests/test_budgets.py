"""Error against tokens, by hand and by counting every subset."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
import synthetic as s

from agent.measure.budgets import Cut, cut, equal, frontier
from agent.measure.table import UNKNOWN

NOT = UNKNOWN
"""An attempt that was not made."""


def of(steps: list[tuple[int, list[int]]], tokens: Any = 10, **columns: Any) -> Cut:
    """(pair, truths of its attempts) by step, all of them as long as the longest."""
    most = max(len(tries) for _, tries in steps)
    made = np.array([tries + [NOT] * (most - len(tries)) for _, tries in steps])
    pair = np.array([p for p, _ in steps])
    step = np.array([sum(p == q for q in pair[:i]) + 1 for i, p in enumerate(pair)])
    return cut(
        s.table_of(made, pair, step, tokens=np.broadcast_to(tokens, made.shape), **columns), "a"
    )


SOME = [(1, [0, 1]), (1, [1]), (7, [0, 0]), (7, [1])]


def test_cut_by_hand() -> None:
    found = of(SOME)
    assert (found.pairs.tolist(), found.steps.tolist()) == ([1, 7], [2, 2])
    assert found.wrong.tolist() == [[1, 1], [0, 1]]
    assert found.tokens.tolist() == [[20, 20], [30, 30]]
    assert np.isnan(found.samples).all()  # who stops when right has no k samples


def test_frontier_by_hand() -> None:
    one, two = frontier(of(SOME))
    assert (one.attempts, one.tokens.value, one.error.value) == (1, 10, 1 / 2)
    assert (two.attempts, two.tokens.value, two.error.value) == (2, 15, 1 / 4)
    assert one.pass_at_k is two.pass_at_k is None


def test_steps_whose_cut_answer_nobody_judged_are_left_out() -> None:
    table = s.table_of(np.array([[0, 1], [1, NOT]]), np.array([1, 1]), np.array([1, 2]))
    table.attempt_rows.correct[0] = UNKNOWN
    assert cut(table, "a").steps.tolist() == [1]
    table.attempt_rows.correct[2] = UNKNOWN
    none = cut(table, "a")
    assert none.pairs.size == 0
    assert [(p.tokens.value, p.error.value, p.pass_at_k) for p in frontier(none)] == [
        (None, None, None)
    ] * 2


def test_broken_steps_are_left_out() -> None:
    assert of(SOME, infrastructure=np.array([1, 0, 0, 0])).steps.tolist() == [1, 2]


def test_an_arm_that_is_not_there_is_empty() -> None:
    table = s.table_of(np.array([[1]]), np.array([1]), np.array([1]))
    assert frontier(cut(table, "b")) == []


def test_pass_at_k_is_the_share_of_subsets_with_a_right_one() -> None:
    rng = np.random.default_rng(1)
    made = (rng.random((30, 5)) < 0.3).astype(int)
    table = s.table_of(made, np.repeat(np.arange(10), 3), np.tile([1, 2, 3], 10))
    found = frontier(cut(table, "a"))
    for k in range(1, 6):
        counted = [any(subset) for row in made for subset in combinations(row.tolist(), k)]
        assert found[k - 1].pass_at_k == pytest.approx(np.mean(counted))
    assert found[0].pass_at_k == pytest.approx(made.mean())


# -- equal tokens -------------------------------------------------------------------------------


def test_equal_tokens_by_hand() -> None:
    a, b = of(SOME), of([(1, [1]), (1, [0]), (7, [1]), (7, [0])], tokens=12)
    found = equal(a, b, set())
    # a has half wrong at 10 tokens and a quarter at 15, so 0.4 at b's 12.
    assert found.tokens == 12
    assert found.error_rate.value == pytest.approx(0.4 - 0.5)
    assert (found.error_rate.n, found.reason) == (2, "")
    back = equal(b, a, set())
    assert back.error_rate.value == pytest.approx(0.5 - 0.4)
    assert back.error_rate.p == pytest.approx(found.error_rate.p, abs=0.03)


def test_without_retries_it_is_the_plain_difference() -> None:
    rng = np.random.default_rng(2)

    def once(e: float) -> Cut:
        rows = [(p, [int(rng.random() > e)]) for p in range(40) for _ in range(10)]
        return of(rows)

    a, b = once(0.1), once(0.4)
    found = equal(a, b, set()).error_rate
    assert found.value == pytest.approx((a.wrong.sum() - b.wrong.sum()) / 400)
    assert found.low < found.value < found.high < 0
    assert found.p < 0.001


def test_arms_that_never_overlap_have_a_reason_and_no_figure() -> None:
    found = equal(of(SOME), of([(1, [1]), (7, [1])], tokens=100), set())
    assert (found.tokens, found.error_rate.value) == (None, None)
    assert "cost more" in found.reason


@pytest.mark.parametrize("broken", [{7}, {1, 7}])
def test_fewer_than_two_whole_pairs_have_a_reason(broken: set[int]) -> None:
    found = equal(of(SOME), of(SOME), broken)
    assert (found.error_rate.value, found.error_rate.n) == (None, 0)
    assert "two whole pairs" in found.reason


def test_an_arm_against_itself_differs_by_nothing() -> None:
    found = equal(of(SOME), of(SOME), set())
    assert found.error_rate.value == 0
    assert found.error_rate.low < 0 < found.error_rate.high
    assert found.error_rate.p == 1


def test_pairs_of_one_arm_alone_are_not_compared() -> None:
    more = [*SOME, (9, [0, 0])]
    assert equal(of(more), of(SOME), set()).error_rate.n == 2
    assert equal(of(more), of(SOME), set()).error_rate.value == 0
