"""The curves: against lifelines and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import synthetic as s
from scipy import stats

from agent.measure.curves import Curves, curves
from agent.measure.statistics import wilson
from agent.measure.survival import first_errors, survival


def of_words(*episodes: str, e: float | None = None, r: float | None = None) -> Curves:
    """Episodes as words: . right and on track, x wrong and off track, r right yet off track,
    w wrong and at once back on track, _ a step nobody judged."""
    rows = [(i, t + 1, c in ".r", c in ".w") for i, word in enumerate(episodes)
            for t, c in enumerate(word) if c != "_"]  # fmt: skip
    found = curves(*np.array(rows, int).T, e, r)
    assert found is not None
    return found


def test_a_and_s_by_hand() -> None:
    found = of_words("..x.", ".xxx", "....", "x.")
    assert found.at_risk == [4, 4, 3, 3]
    assert found.accuracy.value == pytest.approx([3 / 4, 3 / 4, 1 / 3, 2 / 3])
    assert found.survival.value == pytest.approx([3 / 4, 2 / 4, 1 / 4, 1 / 4])
    assert found.recovery.value == pytest.approx([0, 1 / 4, 1 / 12, 5 / 12])


@pytest.mark.parametrize("seed", range(6))
def test_s_is_lifelines_kaplan_meier(seed: int) -> None:
    lifelines = pytest.importorskip("lifelines")
    rng = np.random.default_rng(seed)
    on = s.chain(rng, 40, 30, 0.05, 0.2)
    length = np.minimum(rng.geometric(0.05, 40), 30)
    keep = (np.arange(1, 31) <= length[:, None]).ravel()
    episode, step, right = (column[keep] for column in s.rows_of(on))
    found = curves(episode, step, right, right, None, None)
    times, observed = first_errors(episode, step, right)
    fitter = lifelines.KaplanMeierFitter().fit(times, observed)
    theirs = [float(fitter.predict(t)) for t in range(1, step.max() + 1)]
    assert found is not None
    assert found.survival.value == pytest.approx(theirs, abs=1e-9)


def test_the_bands_are_those_of_the_tables() -> None:
    rng = np.random.default_rng(7)
    episode, step, right = s.rows_of(s.chain(rng, 20, 30, 0.1, 0.3))
    found = curves(episode, step, right, right, None, None)
    table = survival(*first_errors(episode, step, right), [1, 10, 30])
    assert found is not None
    for t, at in table.at.items():
        assert (found.survival.low[t - 1], found.survival.high[t - 1]) == (at.low, at.high)
    share = wilson(int(right[step == 10].sum()), 20)
    assert (found.accuracy.low[9], found.accuracy.high[9]) == (share.low, share.high)


def test_without_an_error_the_band_still_has_a_width() -> None:
    found = of_words(*["..."] * 10)
    assert found.accuracy.value == found.survival.value == [1, 1, 1]
    assert found.survival.low == pytest.approx([stats.beta.ppf(0.025, 10, 1)] * 3)
    assert found.accuracy.low[0] < 0.8
    assert found.geometric == found.two_state == [1, 1, 1]


def test_recovery_is_exactly_zero_where_errors_absorb() -> None:
    rng = np.random.default_rng(8)
    episode, step, on = s.rows_of(s.chain(rng, 37, 60, 0.04, 0.0))
    found = curves(episode, step, on, on, 0.04, 0.0)
    assert found is not None
    assert found.recovery.value == found.recovery.low == found.recovery.high == [0.0] * 60


def test_the_band_of_recovery_holds_its_value() -> None:
    episode, step, on = s.rows_of(s.chain(np.random.default_rng(9), 40, 30, 0.1, 0.4))
    found = curves(episode, step, on, on, 0.1, 0.4)
    assert found is not None
    curve = found.recovery
    assert all(
        low <= v <= high for low, v, high in zip(curve.low, curve.value, curve.high, strict=True)
    )
    assert curve.low[-1] > 0.3


def test_the_fits_by_hand() -> None:
    # Steps 1 to 5: one first error in 5 + 3 steps at risk; what comes later fits nothing.
    found = of_words("......x", "..x....", e=0.1, r=0.3)
    assert found.geometric == pytest.approx([(7 / 8) ** t for t in range(1, 8)])
    assert found.two_state == pytest.approx([0.75 + 0.25 * 0.6**t for t in range(1, 8)])
    assert of_words("..", e=None, r=None).two_state == [1, 1]
    assert of_words("xx", e=1.0, r=0.0).two_state == [0, 0]


def test_on_track_and_right_are_two_things() -> None:
    found = of_words(".rr", "w..")
    assert found.accuracy.value == pytest.approx([1, 1 / 2, 1 / 2])
    assert found.survival.value == pytest.approx([1 / 2, 1 / 2, 1 / 2])


def test_spells_by_hand() -> None:
    found = of_words("x..xx.", ".xx", "x", "..", "x.")
    # Finished: 1, 2, 1. Cut short: the second and the third episode.
    assert (found.spells, found.unfinished) == ({1: 2, 2: 1}, {1: 1, 2: 1})
    # Of five spells two end after one step; of the two that went on, one ends after two.
    assert found.lasting == pytest.approx([1, 3 / 5, 3 / 5 * 1 / 2])
    assert (of_words("...").spells, of_words("...").unfinished) == ({}, {})
    # A spell never runs on into the next episode.
    assert (of_words("xx", "xx.").spells, of_words("xx", "xx.").unfinished) == ({2: 1}, {2: 1})
    # What is not judged hides how long one was: its end, or its beginning.
    hidden = of_words("xx_x.", ".x_.")
    assert (hidden.spells, hidden.unfinished) == ({}, {1: 1, 2: 1})


def test_how_long_spells_last_is_lifelines_kaplan_meier() -> None:
    lifelines = pytest.importorskip("lifelines")
    # Episodes so short that the end cuts half of the spells, the long ones above all.
    episode, step, on = s.rows_of(s.chain(np.random.default_rng(12), 300, 6, 0.3, 0.25))
    found = curves(episode, step, on, on, 0.3, 0.25)
    assert found is not None and sum(found.unfinished.values()) > 100
    lengths = [k for k, n in found.spells.items() for _ in range(n)]
    cut = [k for k, n in found.unfinished.items() for _ in range(n)]
    theirs = lifelines.KaplanMeierFitter().fit(
        lengths + cut, [1] * len(lengths) + [0] * len(cut), timeline=range(len(found.lasting))
    )
    assert found.lasting == pytest.approx(theirs.survival_function_.iloc[:, 0].tolist(), abs=1e-9)
    # The share of finished spells alone would tell of shorter ones.
    assert found.lasting[1] == pytest.approx(0.75, abs=0.05)
    assert 1 - found.spells[1] / len(lengths) < 0.7


def test_spells_are_geometric_with_r() -> None:
    episode, step, on = s.rows_of(s.chain(np.random.default_rng(10), 200, 200, 0.1, 0.25))
    found = curves(episode, step, on, on, 0.1, 0.25)
    assert found is not None
    lengths, counts = np.array(list(found.spells)), np.array(list(found.spells.values()))
    assert np.average(lengths, weights=counts) == pytest.approx(4, rel=0.05)


def test_a_step_that_nobody_judged_guesses_nothing() -> None:
    found = of_words("._x", "._.")
    assert found.at_risk == [2, 0, 2]
    assert found.accuracy.value == [1, 1, 0.5]
    assert (found.accuracy.low[1], found.accuracy.high[1]) == (0, 1)
    # The step that nobody judged may have been the first error.
    assert (found.survival.value, found.survival.low[1:]) == ([1, 1, 1], [0, 0])
    assert np.isfinite([found.recovery.low, found.recovery.high]).all()


def test_where_nobody_is_left_at_risk_s_has_no_lower_bound() -> None:
    found = of_words("..", "x...", "x...")
    assert found.survival.value == pytest.approx([1 / 3] * 4)
    assert found.survival.low[2:] == [0, 0]
    assert found.survival.high[3] == found.survival.high[1]


def test_nothing_makes_no_curve() -> None:
    empty = np.zeros(0, int)
    assert curves(empty, empty, empty, empty, None, None) is None
