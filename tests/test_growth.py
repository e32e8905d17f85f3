"""Growth: against a likelihood maximised by hand, brute force, and reckoning on paper."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import synthetic as s
from scipy import optimize, stats

from agent.measure.growth import Growth, growth


def of_words(*episodes: str, strata: Any = None) -> Growth:
    """Episodes as words of . (right) and x (wrong)."""
    rows = [(i, t + 1, c == "x") for i, e in enumerate(episodes) for t, c in enumerate(e)]
    episode, step, wrong = np.array(rows, int).reshape(-1, 3).T
    names = np.array(strata or [""] * len(episodes))
    return growth(episode, step, wrong, names[episode] if len(rows) else names[:0])


def unstratified(*rows: np.ndarray) -> Growth:
    return growth(*rows, np.full(len(rows[0]), ""))


# -- the slope ----------------------------------------------------------------------------------


def by_hand(x: np.ndarray, wrong: np.ndarray, cluster: np.ndarray) -> tuple[float, float]:
    """(slope, clustered error) of the first column: the likelihood and its sandwich, no library."""

    def parts(beta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        hazard = np.exp(x @ beta)  # 1 - p = exp(-hazard)
        p = -np.expm1(-hazard)
        return p, hazard * (wrong / p - 1)  # d log L / d (x beta)

    def loss(beta: np.ndarray) -> float:
        p, _ = parts(beta)
        return -float(stats.bernoulli.logpmf(wrong, p).sum())

    start = np.append(0.0, np.full(x.shape[1] - 1, math.log(wrong.mean())))
    beta = optimize.minimize(
        loss, start, jac=lambda b: -(x * parts(b)[1][:, None]).sum(0), method="BFGS",
        options={"gtol": 1e-8},
    ).x  # fmt: skip
    p, score = parts(beta)
    hazard = np.exp(x @ beta)
    weight = hazard * (1 - wrong / p) + wrong * hazard**2 * (1 - p) / p**2  # observed
    bread = np.linalg.inv((x * weight[:, None]).T @ x)
    sums = np.array([(x * score[:, None])[cluster == c].sum(0) for c in np.unique(cluster)])
    (n, k), g = x.shape, len(sums)
    small = g / (g - 1) * (n - 1) / (n - k)
    return float(beta[0]), float(np.sqrt((bread @ (sums.T @ sums) @ bread * small)[0, 0]))


@pytest.mark.parametrize("strata", [1, 3])
def test_the_slope_is_the_likeliest_and_its_error_the_clustered_one(strata: int) -> None:
    rng = np.random.default_rng(strata)
    episode, step, wrong = s.rows_of(s.mixed(rng, 30, 40, 1, 9))
    of_episode = rng.integers(0, strata, 30)
    found = growth(episode, step, wrong, of_episode[episode].astype(str))
    levels = [(of_episode[episode] == i).astype(float) for i in range(strata)]
    slope, error = by_hand(np.stack([step / 10, *levels], axis=1), wrong, episode)
    assert found.slope.value == pytest.approx(slope, rel=1e-4)
    half = stats.t.ppf(0.975, 29) * error
    assert found.slope.low == pytest.approx(slope - half, abs=1e-4)
    assert found.slope.high == pytest.approx(slope + half, abs=1e-4)


def test_the_slope_between_two_steps_is_a_difference_of_log_hazards() -> None:
    # Steps 1 and 11 alone are ten steps apart: 6 of 20 wrong, then 10 of 20.
    episode, step = np.repeat(np.arange(20), 2), np.tile([1, 11], 20)
    wrong = np.stack([np.arange(20) < 6, np.arange(20) % 2], axis=1).ravel().astype(int)
    found = unstratified(episode, step, wrong)
    expected = math.log(-math.log(1 - 10 / 20)) - math.log(-math.log(1 - 6 / 20))
    assert found.slope.value == pytest.approx(expected, rel=1e-6)
    assert found.isotonic == []  # no step between them was seen


def test_strata_that_err_always_or_never_have_no_level_and_change_nothing() -> None:
    rng = np.random.default_rng(5)
    episode, step, wrong = s.rows_of(s.alike(rng, 12, 20, 0.2))
    alone = growth(episode, step, wrong, np.full(240, "some"))
    more, *_ = s.rows_of(np.zeros((4, 20)))
    every = growth(
        np.append(episode, more + 12), np.append(step, step[:80]),
        np.append(wrong, np.repeat([0, 1], 40)), np.array(["some"] * 240 + ["0"] * 40 + ["1"] * 40),
    )  # fmt: skip
    assert every.slope.value == pytest.approx(alone.slope.value)


def test_a_pooled_fall_that_every_stratum_denies_is_not_called_falling() -> None:
    """Simpson's paradox: hard episodes are shorter, so late steps are those of easy ones."""
    rng = np.random.default_rng(6)
    hard, easy = s.rows_of(s.alike(rng, 100, 20, 0.3)), s.rows_of(s.alike(rng, 100, 60, 0.05))
    episode = np.append(hard[0], easy[0] + 100)
    step, wrong = np.append(hard[1], easy[1]), np.append(hard[2], easy[2])
    stratum = np.where(episode < 100, "hard", "easy")
    pooled = unstratified(episode, step, wrong)
    assert pooled.slope.high < 0
    assert pooled.word == "undecided"
    assert "not within episodes" in pooled.reason
    within = growth(episode, step, wrong, stratum)
    assert within.slope.low < 0 < within.slope.high


def test_hazard_pooled_falls_and_within_strata_stays() -> None:
    rng = np.random.default_rng(7)
    e = np.repeat([0.3, 0.02], 2_000)[:, None]
    episode, step, wrong = s.to_first_error(s.rows_of(rng.random((4_000, 20)) < e))
    found = growth(episode, step, wrong, np.where(episode < 2_000, "hard", "easy"))
    first, last = found.blocks[0], found.blocks[-1]
    assert first.hazard.value > 3 * last.hazard.value
    assert first.within == pytest.approx(0.16, abs=0.02)  # half of 0.30 and 0.02
    for block in found.blocks[:5]:  # hard episodes are left
        assert block.strata["hard"].value == pytest.approx(0.3, abs=0.08)
        assert block.strata["easy"].value == pytest.approx(0.02, abs=0.01)


# -- trends without a model ---------------------------------------------------------------------


def test_the_trend_is_that_of_brute_force_exchanges() -> None:
    rng = np.random.default_rng(8)
    wrong = s.trending(rng, 12, 20, 0.1, 0.2).astype(int)
    found = unstratified(*s.rows_of(wrong))
    observed = (wrong * np.arange(1, 21)).sum()
    drawn = rng.permuted(np.broadcast_to(wrong, (20_000, 12, 20)), axis=2)
    sums = (drawn * np.arange(1, 21)).sum((1, 2))
    away = np.abs(sums - sums.mean()) >= abs(observed - sums.mean())
    assert 0.001 < found.trend_p < 0.5
    assert found.trend_p == pytest.approx(away.mean(), abs=0.015)


def test_the_trend_by_hand() -> None:
    # One wrong of four, at step 4: mean 2.5, variance 1.25; twice.
    z = (8 - 5) / math.sqrt(2.5)
    assert of_words("...x", "...x").trend_p == pytest.approx(2 * stats.norm.sf(z))
    assert of_words("xxxx", "....").trend_p is None
    assert of_words("x", ".").trend_p is None


def test_the_trend_is_blind_to_the_difficulty_of_episodes() -> None:
    early, late = of_words("..x.", "xxxx", "x"), of_words("..x.")
    assert early.trend_p == pytest.approx(late.trend_p)


def test_page_by_hand() -> None:
    # Ranks 1.5 1.5 3, then 1 2.5 2.5, then 1.5 1.5 3: L = 3 x 13.5; mean 36, variance 6.
    p = stats.norm.sf((40.5 - 36) / math.sqrt(6))
    assert of_words("..x", ".xx", "..x").page_p == pytest.approx(p, rel=1e-6)
    # An episode that ended early is no judge.
    assert of_words("..x", ".xx", "..x", "x.").page_p == pytest.approx(p, rel=1e-6)
    assert of_words("..x", ".x").page_p is None


# -- blocks -------------------------------------------------------------------------------------


def test_blocks_by_hand() -> None:
    found = of_words(".x.", "..x", "x.x")
    assert [(b.first, b.last) for b in found.blocks] == [(1, 1), (2, 2), (3, 3)]
    assert [b.error.value for b in found.blocks] == pytest.approx([1 / 3, 1 / 3, 2 / 3])
    # At risk: all three, the first two, the second alone.
    assert [(b.hazard.value, b.hazard.n) for b in found.blocks] == [(1 / 3, 3), (1 / 2, 2), (1, 1)]
    assert [b.within for b in found.blocks] == [None, None, None]


def test_a_tenth_of_the_horizon_each_and_every_step_once() -> None:
    for last in (1, 7, 10, 11, 60, 63):
        blocks = of_words("." * last, "x" * last).blocks
        assert len(blocks) == min(10, last)
        steps = [t for b in blocks for t in range(b.first, b.last + 1)]
        assert steps == list(range(1, last + 1))


def test_the_isotonic_curve_pools_what_falls() -> None:
    found = of_words("x.xx", "..x.", "x...", "x..x")
    # 3/4, 0, 1/2, 1/2: the first two become 3/8.
    assert found.isotonic == pytest.approx([3 / 8, 3 / 8, 1 / 2, 1 / 2])
    wild = unstratified(*s.rows_of(s.mixed(np.random.default_rng(9), 20, 60, 1, 3)))
    assert wild.isotonic == sorted(wild.isotonic)
    assert np.mean(wild.isotonic) == pytest.approx(np.mean([b.error.value for b in wild.blocks]))


# -- words --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("episodes", "reason"),
    [
        (["..", ".."], "no step is wrong"),
        (["xx", "xx"], "no step is right"),
        (["x...x...xxx..."], "one episode"),
        ([".", "x", "."], "one step number only"),
        (["....x", ".x..."], "too few errors, or right answers: 2 of 10 wrong"),
        (["xxxxx", "xxx.x"], "too few errors, or right answers: 9 of 10 wrong"),
    ],
)
def test_without_enough_there_is_a_reason_and_no_word(episodes: list[str], reason: str) -> None:
    found = of_words(*episodes)
    assert (found.word, found.slope.value, found.slope.low) == ("undecided", None, None)
    assert reason in found.reason


def test_the_word_follows_the_interval() -> None:
    rng = np.random.default_rng(10)
    steady = unstratified(*s.rows_of(s.alike(rng, 100, 60, 0.2)))
    assert (steady.word, abs(steady.slope.value) < 0.1) == ("flat", True)
    few = unstratified(*s.rows_of(s.alike(rng, 5, 20, 0.2)))
    assert few.word == "undecided" and few.slope.low < 0 < few.slope.high
    up = unstratified(*s.rows_of(s.trending(rng, 100, 60, 0.05, 0.3)))
    down = unstratified(*s.rows_of(s.trending(rng, 100, 60, 0.3, 0.05)))
    assert (up.word, up.slope.low > 0) == ("rising", True)
    assert (down.word, down.slope.high < 0) == ("falling", True)
    assert (up.page_p < 0.01, down.page_p > 0.9) == (True, True)


def test_first_errors_alone_never_fall() -> None:
    rows = s.rows_of(s.mixed(np.random.default_rng(11), 300, 60, 0.6, 11.4))
    cut_short = unstratified(*s.to_first_error(rows))
    assert cut_short.slope.high < 0
    assert cut_short.word == "undecided"
    assert "differing difficulty" in cut_short.reason
