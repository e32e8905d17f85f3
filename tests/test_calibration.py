"""The acceptance list in small: what figures say where the truth is known.

`benchmarks/calibrate.py` runs the same checks at full size and without this much slack.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import synthetic as s

SIGMAS = 3

CHECKS: dict[str, Callable[[np.random.Generator], Any]] = {
    "constant error is flat": lambda rng: s.flat_where_constant(rng, 15, 60, 60, 0.2),
    "few data show no trend": lambda rng: s.no_trend_where_constant(rng, 60, 20, 20, 0.1),
    "mixed difficulty is not falling": lambda rng: s.not_falling_where_mixed(rng, 40, 40, 60),
    "first errors alone are not falling": lambda rng: s.not_fooled_by_first_errors(
        rng, 15, 100, 60
    ),
    "early ends are not taken for a trend": lambda rng: s.not_fooled_by_early_ends(
        rng, 15, 100, 60
    ),
    "a doubling hazard rises": lambda rng: s.trend_is_seen(rng, 12, 150, 60, 0.05, 0.1),
    "a halving hazard falls": lambda rng: s.trend_is_seen(rng, 12, 150, 60, 0.1, 0.05),
    "without return (1-e)^n is right": lambda rng: s.absorbed(rng, 40, 40, 60, 0.03),
    "natural ends make no recovery": lambda rng: s.censored_recovery_is_zero(rng, 40, 40, 60, 0.03),
    "with return there is a plateau": lambda rng: s.recovering(rng, 40, 20, 60, 0.08, 0.3),
    "differing chains are covered": lambda rng: s.differing_chains_are_covered(rng, 150, 20, 60),
    "unjudged steps hide no error": lambda rng: s.unjudged_steps_hide_no_error(
        rng, 100, 400, 20, 0.05
    ),
    "rates by episode are covered": lambda rng: s.rate_is_covered(rng, 300, 40, 60, 0.6, 11.4),
    "pooled ones are not": lambda rng: s.pooling_covers_too_little(rng, 300, 40, 60),
    "breakdowns are no errors": lambda rng: s.breakdowns_are_no_errors(rng, 150, 40, 60),
    "equal arms are equal": lambda rng: s.equal_arms_are_equal(rng, 100, 12, 60),
    "equal tokens are equal": lambda rng: s.equal_tokens_are_equal(rng, 40, 12, 30),
    "correction is judged by its net": lambda rng: s.correction_is_judged(rng, 50, 40, 60),
    "drift is the closed form": lambda rng: s.drift_is_the_closed_form(rng, 150, 12, 60),
}


@pytest.mark.parametrize("name", CHECKS)
def test_figures_of_synthetic_truth(name: str) -> None:
    found = CHECKS[name](np.random.default_rng([2, *map(ord, name)]))
    for row in found if isinstance(found, list) else [found]:
        assert row.holds(SIGMAS), f"{row.simulated}: {row.claim} in {row.share:.1%} of {row.of}"


def test_broken_estimators_are_caught() -> None:
    rows = s.of_broken_estimators(np.random.default_rng(3), 150)
    assert len(rows) == 2
    for row in rows:
        assert not row.holds(SIGMAS), f"{row.simulated} passes with {row.share:.1%}"


def test_a_share_just_outside_its_band_is_not_called_outside_on_few_simulations() -> None:
    assert s.Row("", "", 0.93, 0.97, 92, 100).holds(3)
    assert not s.Row("", "", 0.93, 0.97, 920, 1000).inside
    assert not s.Row("", "", 0.93, 0.97, 8_900, 10_000).holds(3)
    assert not s.Row("", "", 1, 1, 99, 100).holds(3)
    assert not s.Row("", "", 0, 0, 1, 100).holds(3)


def test_the_closed_form_of_the_drift_is_that_of_long_sequences() -> None:
    rng = np.random.default_rng(4)
    p, q, start = s.two_chains(rng)
    assert start @ q == pytest.approx(start)
    table = s.sampled(rng, p, q, start, 400, 200)
    tries = table.attempt_rows
    truth = float(start @ (q * np.log(q / p)).sum(1))
    assert (tries.logprob - tries.log_p).mean() == pytest.approx(truth, rel=0.02)


def test_the_simulated_episodes_end_at_their_first_error() -> None:
    wrong = np.array([[0, 1, 0], [0, 0, 0], [1, 1, 0]])
    episode, step, left = s.to_first_error(s.rows_of(wrong))
    assert episode.tolist() == [0, 0, 1, 1, 1, 2]
    assert step.tolist() == [1, 2, 1, 2, 3, 1]
    assert left.tolist() == [0, 1, 0, 0, 0, 1]
