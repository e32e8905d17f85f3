"""Whether correcting pays, by hand and by the rule that it is taken from."""

from __future__ import annotations

import math

import numpy as np
import pytest

from agent.measure.correction import Correction, claim, correction, unsolved
from agent.measure.statistics import Estimate


def of(first: str, accepted: str, per_episode: int = 1) -> Correction:
    """Right . and wrong x."""
    a, b = (np.array([c == "." for c in word], int) for word in (first, accepted))
    found = correction(np.arange(len(a)) // per_episode, a, b)
    assert found is not None
    return found


def test_by_hand() -> None:
    found = of("..xxx", ".x..x")
    assert (found.mended.value, found.mended.n) == (pytest.approx(2 / 3), 3)
    assert (found.broken.value, found.broken.n) == (1 / 2, 2)
    assert found.accuracy.value == 2 / 5
    assert found.net.value == pytest.approx(1 / 5)
    assert found.word == "not enough data"


def test_words() -> None:
    assert of("xxxx" * 10, "...x" * 10, 4).word == "go"
    assert of("...." * 10, "..xx" * 10, 4).word == "no-go"
    assert of(".x" * 10, ".x" * 10, 2).word == "not enough data"
    assert of("x", ".").word == "not enough data"
    assert correction(*[np.zeros(0, int)] * 3) is None


def test_where_all_was_right_there_is_nothing_to_mend() -> None:
    found = of("...", "...")
    assert (found.mended.value, found.mended.n) == (None, 0)
    assert (found.broken.value, found.accuracy.value, found.net.value) == (0, 1, 0)
    every = of("xxx", "...")
    assert (every.mended.value, every.broken.value, every.accuracy.value) == (1, None, 0)


def test_a_positive_net_is_the_published_rule() -> None:
    """ECR/EIR > Acc/(1-Acc), arXiv 2604.22273."""
    rng = np.random.default_rng(1)
    seen = set()
    for _ in range(60):
        first = (rng.random(50) < rng.uniform(0.2, 0.9)).astype(int)
        flips = np.where(first == 1, rng.random(50) < rng.uniform(0, 0.5), rng.random(50) < 0.4)
        found = correction(np.arange(50) // 5, first, np.where(flips, 1 - first, first))
        assert found is not None
        ecr, eir, accuracy = found.mended.value, found.broken.value, found.accuracy.value
        net = (1 - accuracy) * ecr - accuracy * eir
        assert found.net.value == pytest.approx(net)
        if eir > 0 and accuracy < 1 and abs(net) > 1e-9:
            assert (ecr / eir > accuracy / (1 - accuracy)) == (found.net.value > 0)
            seen.add(net > 0)
    assert seen == {True, False}


@pytest.mark.parametrize(
    ("reversals", "r", "expected"),
    [
        (0, Estimate(value=None), ("not tested", "not observed")),
        (0, Estimate(value=0, low=0, high=0.07, n=40), ("not rejected", "not seen")),
        (0, Estimate(value=0, n=1), ("not rejected", "not seen")),
        (1, Estimate(value=0.1, n=10), ("rejected", "seen")),
        (2_000, Estimate(value=0.1, n=20_000), ("rejected", "seen")),
    ],
)
def test_one_return_rejects_the_claim(
    reversals: int, r: Estimate, expected: tuple[str, str]
) -> None:
    found = claim(reversals, r)
    assert (found.word, found.recovery) == expected
    assert found.reason


def test_what_was_not_rejected_has_its_bound() -> None:
    assert "at most 7.0 %" in claim(0, Estimate(value=0, low=0, high=0.07, n=40)).reason


def test_unsolved_by_hand() -> None:
    # Three steps: right at once; wrong, right; wrong, wrong, wrong.
    step_row = np.array([0, 1, 1, 2, 2, 2])
    attempt = np.array([0, 0, 1, 0, 1, 2])
    correct = np.array([1, 0, 1, 0, 0, 0])
    assert unsolved(step_row, attempt, correct, 4) == pytest.approx([2 / 3, 1 / 3, 1 / 3, 1 / 3])
    assert unsolved(*[np.zeros(0, int)] * 3, 3) == []


def test_independent_attempts_leave_e_to_the_k_unsolved() -> None:
    right = np.random.default_rng(2).random((20_000, 4)) < 0.6
    rows = np.repeat(np.arange(20_000), 4), np.tile(np.arange(4), 20_000)
    found = unsolved(*rows, right.astype(int).ravel(), 4)
    assert found == pytest.approx([0.4**k for k in range(1, 5)], abs=0.01)
    assert all(math.isfinite(x) for x in found)
