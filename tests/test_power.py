"""Power against what is known of it: its size, its growth, and the test it stands for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agent.measure.power import (
    Plan,
    Rates,
    detectable_effect,
    episodes_needed,
    from_rates,
    power,
    simulate,
)
from agent.measure.statistics import difference


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# -- simulated runs ---------------------------------------------------------------------------


def test_errors_are_as_many_as_the_plan_says() -> None:
    alone_a, alone_b = simulate(Plan(e=0.05, spread=0), 20_000, rng())
    assert alone_a.shape == (1, 20_000)
    assert alone_a.mean() / 60 == pytest.approx(0.05, rel=0.03)
    assert alone_b.mean() / 60 == pytest.approx(0.025, rel=0.03)
    assert alone_a.var() == pytest.approx(60 * 0.05 * 0.95, rel=0.05)


def test_a_chain_is_off_track_in_the_share_that_it_ends_in() -> None:
    wrong, _ = simulate(Plan(e=0.05, r=0.3, spread=0, horizon=400), 2_000, rng())
    assert wrong.mean() / 400 == pytest.approx(0.05 / 0.35, rel=0.03)
    stuck, _ = simulate(Plan(e=0.05, r=0.0, spread=0, horizon=30), 20_000, rng())
    assert (stuck == 0).mean() == pytest.approx(0.95**30, rel=0.05)


def test_e_may_be_zero_or_one() -> None:
    never, _ = simulate(Plan(e=0), 5, rng(), 3)
    always, doubled = simulate(Plan(e=1, effect=2), 5, rng(), 3)
    assert never.max() == 0
    assert always.min() == doubled.min() == 60


# -- power ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plan", "episodes"),
    [
        (Plan(e=0.05, effect=1), 20),
        (Plan(e=0.05, effect=1), 40),
        (Plan(e=0.01, effect=1), 100),
        (Plan(e=0.05, effect=1, r=0.3), 40),
    ],
)
def test_no_effect_is_declared_as_often_as_alpha_says(plan: Plan, episodes: int) -> None:
    found = power(plan, episodes, rng(), 4_000)
    assert 0.03 <= found.value <= 0.07
    assert found.low < found.value < found.high
    assert (found.episodes, found.simulations) == (episodes, 4_000)


@pytest.mark.parametrize(
    ("plan", "episodes"),
    [
        (Plan(e=0.05), 22),
        (Plan(e=0.01, effect=0.2), 20),
        (Plan(e=0.1), 14),
        (Plan(e=0.05, r=0.3), 28),
    ],
)
def test_verdicts_are_those_of_the_exchange_test(plan: Plan, episodes: int) -> None:
    from agent.measure.power import _significant

    a, b = simulate(plan, episodes, rng(1), 80)
    steps = np.full(episodes, plan.horizon)
    ours = _significant(a, b)[:, -1]
    exchange = np.array(
        [(difference(x, steps, y, steps).p or 0) <= 0.05 for x, y in zip(a, b, strict=True)]
    )
    assert (ours == exchange).mean() >= 0.92
    assert abs(ours.mean() - exchange.mean()) <= 0.05


def test_five_pairs_declare_nothing_however_large_the_effect() -> None:
    plan = Plan(e=0.5, effect=0.01)
    assert [power(plan, n, rng(), 200).value for n in (0, 1, 5)] == [0, 0, 0]
    assert power(plan, 7, rng(), 200).value == 1


def test_power_grows_with_episodes_and_with_pairing() -> None:
    plan = Plan(e=0.05, spread=1)
    by_episodes = [power(plan, n, rng(), 2_000).value for n in (10, 20, 40)]
    assert by_episodes == sorted(by_episodes)
    loose, tight = (
        power(plan.model_copy(update={"pairing": c}), 20, rng(), 2_000).value for c in (0.0, 0.9)
    )
    assert tight > loose + 0.2


@pytest.mark.parametrize(
    ("plan", "low", "high"),
    [
        (Plan(e=0.05), 18, 27),
        (Plan(e=0.05, r=0.3), 28, 41),
        (Plan(e=0.01), 70, 95),
        (Plan(e=0.01, r=0.3), 108, 148),
    ],
)
def test_episodes_to_see_errors_halved_in_60_steps(plan: Plan, low: int, high: int) -> None:
    """Spread 0.5 and pairing 0.5: 22 and 82 if steps err alone, 34 and 127 with r = 0.3."""
    needed = episodes_needed(plan, rng())
    assert needed is not None and low <= needed <= high
    assert power(plan, needed, rng(7), 4_000).value == pytest.approx(0.8, abs=0.05)


def test_an_effect_too_small_is_not_sought_for_ever() -> None:
    assert episodes_needed(Plan(e=0.01, effect=0.999), rng(), simulations=50) is None
    assert episodes_needed(Plan(e=0.0), rng(), simulations=50) is None


def test_the_detectable_effect_is_the_one_that_so_many_episodes_are_needed_for() -> None:
    reduction = detectable_effect(Plan(e=0.05), 22, rng())
    assert reduction == pytest.approx(0.5, abs=0.05)
    wide = detectable_effect(Plan(e=0.05), 200, rng())
    assert wide is not None and wide < 0.25
    assert detectable_effect(Plan(e=0.05), 5, rng()) is None


def test_the_same_seed_gives_the_same_figures() -> None:
    assert power(Plan(e=0.05), 20, rng(3)) == power(Plan(e=0.05), 20, rng(3))


# -- a plan from a finished run -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("e", "spread", "pairing"), [(0.05, 0.5, 0.5), (0.05, 1.0, 0.5), (0.2, 1.0, 0.8), (0.1, 0.7, 0)]
)
def test_moments_recover_the_plan(e: float, spread: float, pairing: float) -> None:
    episodes = 20_000
    plan = Plan(e=e, spread=spread, pairing=pairing)
    [a], [b] = simulate(plan, episodes, rng())
    found = from_rates(a, np.full(episodes, 60), b, np.full(episodes, 60))
    assert found is not None
    assert found.e == pytest.approx(e, rel=0.03)
    assert found.spread == pytest.approx(spread, rel=0.05)
    assert found.pairing == pytest.approx(pairing, abs=0.06)


def test_moments_bear_episodes_of_unequal_length() -> None:
    episodes = 20_000
    steps = rng(1).integers(5, 60, episodes)
    e = 1 / (1 + np.exp(-(np.log(0.1 / 0.9) + 0.8 * rng(2).standard_normal(episodes))))
    found = from_rates(rng(3).binomial(steps, e), steps, rng(4).binomial(steps, e), steps)
    assert found is not None
    assert found == pytest.approx((0.1, 0.8, 1.0), rel=0.06)


def test_without_overdispersion_there_is_no_spread() -> None:
    alternating = np.tile([2, 4], 20)
    found = from_rates(alternating, np.full(40, 60), alternating, np.full(40, 60))
    assert found == pytest.approx((0.05, 0.0, 0.0))


NONE, ONE, ALL = np.zeros(3), np.ones(3), np.full(3, 60)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ((NONE[:0],) * 4, None),
        ((NONE, NONE, NONE, ALL), None),
        ((NONE, ALL, NONE, ALL), Rates(0, 0, 0)),
        ((ALL, ALL, NONE, ALL), Rates(1, 0, 0)),
        ((ALL[:1] / 4, ALL[:1], NONE[:1], ALL[:1]), Rates(0.25, 0, 0)),
        ((np.array([0, 1, 1]), ONE, np.array([0, 1, 1]), ONE), Rates(2 / 3, 0, 0)),
    ],
)
def test_counts_that_tell_little_give_no_nonsense(counts: Any, expected: Rates | None) -> None:
    found = from_rates(*counts)
    assert found is None if expected is None else found == pytest.approx(expected)
