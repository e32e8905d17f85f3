"""Models of the errors: against closed forms, scipy, lifelines and simulated truth."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from agent.measure.models import Fit, ModelComparison, compare_models


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def of_times(times: Any, observed: Any, **more: Any) -> ModelComparison:
    """Episodes that end with their first error, or without one."""
    times, observed = np.asarray(times, int), np.asarray(observed, bool)
    on_track = np.ones(times.sum(), int)
    on_track[times.cumsum()[observed] - 1] = 0
    return compare_models(
        times, observed, np.repeat(np.arange(len(times)), times), on_track, **more
    )


def censored(times: Any, horizon: int = 60) -> tuple[Any, Any]:
    return np.minimum(times, horizon), times <= horizon


def of_rows(*episodes: str) -> ModelComparison:
    """Episodes as words of . (on track) and x (off); the first x is the first error."""
    times = np.array([e.find("x") + 1 or len(e) for e in episodes])
    observed = np.array(["x" in e for e in episodes])
    rows = [(i, c == ".") for i, e in enumerate(episodes) for c in e]
    episode, on_track = np.array(rows, int).T
    return compare_models(times, observed, episode, on_track)


# -- the time to the first error ----------------------------------------------------------------


def test_the_geometric_is_its_closed_form() -> None:
    found = of_times([3, 5, 10, 10], [1, 1, 0, 0]).first_error["geometric"]
    e = 2 / 28
    value = 2 * math.log(e) + 26 * math.log(1 - e)
    assert found.parameters == pytest.approx({"e": e})
    assert found.log_likelihood == pytest.approx(value)
    assert found.aic == pytest.approx(2 - 2 * value)
    assert found.bic == pytest.approx(math.log(4) - 2 * value)


def test_held_out_is_leave_one_out_by_hand() -> None:
    found = of_times([3, 5, 4], [1, 1, 1]).first_error["geometric"]
    pieces = [
        math.log(e) + (t - 1) * math.log(1 - e) for t, e in ((3, 2 / 9), (5, 2 / 7), (4, 2 / 8))
    ]
    assert found.held_out == pytest.approx(sum(pieces) / 3)


@pytest.mark.parametrize("beta", [0.6, 1.0, 2.0])
def test_the_weibull_is_recovered(beta: float) -> None:
    times, observed = censored(np.ceil(40 * rng(1).weibull(beta, 5_000)).astype(int))
    found = of_times(times, observed).first_error["weibull"].parameters
    assert found["beta"] == pytest.approx(beta, rel=0.06)
    assert found["q"] == pytest.approx(math.exp(-(40**-beta)), abs=0.01)


def test_the_weibull_is_that_of_lifelines() -> None:
    lifelines = pytest.importorskip("lifelines")
    times, observed = censored(np.ceil(400 * rng(2).weibull(1.7, 2_000)).astype(int), 600)
    # An error at step t happened between t-1 and t; no error by t: any time after t.
    theirs = lifelines.WeibullFitter().fit_interval_censoring(
        np.where(observed, times - 1, times), np.where(observed, times, np.inf)
    )
    ours = of_times(times, observed).first_error["weibull"]
    assert ours.parameters["beta"] == pytest.approx(theirs.rho_, rel=1e-3)
    assert ours.log_likelihood == pytest.approx(theirs.log_likelihood_, abs=1e-2)


def test_the_beta_geometric_is_that_of_scipy() -> None:
    e = rng(3).beta(1.5, 12, 4_000)
    times, observed = censored(rng(4).geometric(e))
    found = of_times(times, observed).first_error["beta_geometric"]
    a, b = found.parameters["a"], found.parameters["b"]
    assert (a, b) == pytest.approx((1.5, 12), rel=0.15)
    assert found.parameters["mean"] == pytest.approx(a / (a + b))
    assert found.parameters["dispersion"] == pytest.approx(1 / (a + b))
    # P(no error in t) = P(0 of t), and P(first error at t) = P(none in t-1) - P(none in t).
    none = [stats.betabinom(t, a, b).pmf(0) for t in range(61)]
    theirs = np.where(observed, np.log(-np.diff(none, append=0))[times - 1], np.log(none)[times])
    assert found.log_likelihood == pytest.approx(theirs.sum(), rel=1e-6)


def test_an_uncensored_beta_geometric_is_betanbinom() -> None:
    times = rng(5).geometric(rng(6).beta(4, 9, 500))
    found = of_times(times, np.ones(500)).first_error["beta_geometric"]
    a, b = found.parameters["a"], found.parameters["b"]
    theirs = stats.betanbinom.logpmf(times - 1, 1, a, b).sum()
    assert found.log_likelihood == pytest.approx(theirs, rel=1e-8)
    for factor_a, factor_b in ((1.02, 1), (0.98, 1), (1, 1.02), (1, 0.98)):
        beside = stats.betanbinom.logpmf(times - 1, 1, a * factor_a, b * factor_b).sum()
        assert beside < theirs


TRUTHS = {
    "geometric": lambda n: rng(7).geometric(0.05, n),
    "weibull": lambda n: np.ceil(30 * rng(8).weibull(2, n)).astype(int),
    "beta_geometric": lambda n: rng(9).geometric(rng(10).beta(0.8, 6, n)),
}


@pytest.mark.parametrize("truth", TRUTHS)
def test_the_true_model_is_the_likeliest(truth: str) -> None:
    fits = of_times(*censored(TRUTHS[truth](1_000))).first_error
    fitted = {name: f for name, f in fits.items() if f.bic is not None}
    assert min(fitted, key=lambda name: fitted[name].bic or 0) == truth
    if truth != "geometric":  # the larger models can imitate it
        assert max(fitted, key=lambda name: fitted[name].held_out or -math.inf) == truth
        assert fitted[truth].weight > 0.99
    assert sum(f.weight or 0 for f in fits.values()) == pytest.approx(1)


def test_all_models_of_the_first_error_have_a_row() -> None:
    fits = of_times([3, 5, 9], [1, 1, 0]).first_error
    assert list(fits) == ["geometric", "weibull", "beta_geometric", "key_token", "two_state"]
    assert fits["two_state"].reason is not None and "geometric" in fits["two_state"].reason


# -- key steps ----------------------------------------------------------------------------------


def with_keys(episodes: int) -> tuple[Any, Any, Any]:
    """First errors at 0.3 on every fifth step, at 0.01 on the others, and the marks."""
    key = np.tile((np.arange(1, 61) % 5 == 0).astype(int), (episodes, 1))
    wrong = rng(11).random(key.shape) < np.where(key, 0.3, 0.01)
    times = np.where(wrong.any(1), wrong.argmax(1) + 1, 60)
    return times, wrong.any(1), np.concatenate([k[:t] for k, t in zip(key, times, strict=True)])


def test_key_steps_are_found_to_be_the_dangerous_ones() -> None:
    times, observed, key = with_keys(1_000)
    fits = of_times(times, observed, key=key).first_error
    assert fits["key_token"].parameters == pytest.approx({"e_k": 0.3, "e_n": 0.01}, rel=0.1)
    assert fits["key_token"].weight > 0.99
    one_rate = of_times(times, observed, key=rng(12).integers(0, 2, len(key))).first_error
    assert one_rate["key_token"].log_likelihood == pytest.approx(
        one_rate["geometric"].log_likelihood, abs=5
    )


def test_key_steps_by_hand() -> None:
    found = of_times([3, 2, 3], [1, 1, 0], key=[0, 0, 1, 0, 0, 1, 0, 0]).first_error["key_token"]
    assert found.parameters == {"e_k": 1 / 2, "e_n": 1 / 6}
    assert found.log_likelihood == pytest.approx(2 * math.log(0.5) + math.log(1 / 6 * (5 / 6) ** 5))


def test_rows_after_the_first_error_do_not_count() -> None:
    short = of_times([2, 2], [1, 1], key=[0, 1, 1, 0]).first_error["key_token"]
    episode, key = np.array([0, 0, 0, 1, 1, 1, 1]), np.array([0, 1, 1, 1, 0, 0, -1])
    on_track = np.array([1, 0, 1, 1, 0, 0, 0])
    times = np.array([2, 2]), np.ones(2, bool)
    assert compare_models(*times, episode, on_track, key).first_error["key_token"] == short


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({}, "no step is marked as key"),
        ({"key": [-1, -1, -1, -1]}, "no step is marked as key"),
        ({"key": [0, 0, 0, 0]}, "no step is marked as key"),
        ({"key": [0, 1, -1, 0]}, "some steps are not marked"),
        ({"key": [1, 1, 1, 1]}, "no other step comes before"),
        ({"key": [0, 1, 0, 0], "step": [1, 3, 1, 2]}, "steps before the first error are missing"),
    ],
)
def test_without_full_marks_key_steps_are_left_out(more: Any, reason: str) -> None:
    found = of_times([2, 2], [1, 1], **more).first_error["key_token"]
    assert found.log_likelihood is None
    assert found.reason is not None and reason in found.reason


# -- the whole sequence ---------------------------------------------------------------------------


def test_the_absorbing_model_is_impossible_once_one_reversal_is_seen() -> None:
    found = of_rows("..x.", ".xx", "...").sequence
    assert found["absorbing"] == Fit(reason="impossible: 1 reversal was seen")
    assert found["two_state"].parameters == {"e": 2 / 8, "r": 1 / 2}
    value = math.log(0.25**2 * 0.75**6 * 0.5**2)
    assert found["two_state"].log_likelihood == pytest.approx(value)
    assert found["two_state"].weight == 1


def test_reversals_are_counted() -> None:
    found = of_rows(*["x." * 15] * 99).sequence["absorbing"]
    assert found.reason == "impossible: 1,485 reversals were seen"


def test_where_nothing_returns_the_absorbing_model_is_the_cheaper_one() -> None:
    found = of_rows("..xx", "x...".replace(".", "x"), "....", "...x", ".xxx", ".xxx").sequence
    small, large = found["absorbing"], found["two_state"]
    assert small.log_likelihood == pytest.approx(large.log_likelihood)
    assert large.parameters["r"] == 0
    assert large.aic == pytest.approx((small.aic or 0) + 2)
    assert small.held_out == pytest.approx(large.held_out)


def test_r_that_was_not_observed_is_not_zero() -> None:
    found = of_rows("..x", "...").sequence["two_state"]
    assert (found.parameters, found.reason) == ({}, "no step began off track: r is not observed")


# -- tests of one model in another ------------------------------------------------------------------


def test_equal_episodes_are_called_frail_or_ageing_as_rarely_as_alpha_says() -> None:
    generator, simulations = rng(13), 300
    frail = ageing = 0
    for _ in range(simulations):
        found = of_times(*censored(generator.geometric(0.05, 40)))
        frail += (found.frailty.p or 0) < 0.05
        ageing += (found.shape.p or 0) < 0.05
    assert frail / simulations <= 0.08
    assert 0.015 <= ageing / simulations <= 0.08


def test_mixed_difficulty_is_seen_and_called_frailty() -> None:
    found = of_times(*censored(TRUTHS["beta_geometric"](300)))
    assert found.frailty.p < 1e-4
    assert found.frailty.estimate == pytest.approx(1 / 6.8, rel=0.4)


def test_a_rising_hazard_is_no_frailty() -> None:
    found = of_times(*censored(TRUTHS["weibull"](300)))
    assert (found.frailty.estimate, found.frailty.statistic, found.frailty.p) == (0, 0, 1)
    assert found.shape.p < 1e-4
    assert found.shape.estimate == pytest.approx(2, rel=0.15)


def test_the_boundary_halves_the_p_of_frailty() -> None:
    found = of_times(*censored(rng(15).geometric(rng(16).beta(2, 20, 60))))
    assert found.frailty.statistic > 0
    assert found.frailty.p == pytest.approx(stats.chi2.sf(found.frailty.statistic, 1) / 2)
    assert found.shape.p == pytest.approx(stats.chi2.sf(found.shape.statistic, 1))


# -- ugly data ------------------------------------------------------------------------------------

UGLY = {
    "no episode": ([], []),
    "one episode that errs": ([7], [1]),
    "one episode that errs at once": ([1], [1]),
    "one episode that does not": ([7], [0]),
    "nobody errs": ([60] * 40, [0] * 40),
    "all err at step 1": ([1] * 8, [1] * 8),
    "step 1 is all there is": ([1] * 8, [1] * 4 + [0] * 4),
    "at step 1 or never": ([1] * 5 + [60] * 5, [1] * 5 + [0] * 5),
    "all err at step 5": ([5] * 10, [1] * 10),
    "at two neighbouring steps": ([5, 6] * 5, [1] * 10),
    "at two neighbouring steps, one never": ([5, 6] * 5 + [900], [1] * 10 + [0]),
    "one error in 40": ([3] + [60] * 39, [1] + [0] * 39),
    "two episodes": ([3, 9], [1, 1]),
    "the last step errs": ([60] * 10, [1] * 5 + [0] * 5),
    "a long horizon": ([5_000, 3, 8_000], [1, 1, 0]),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("case", UGLY)
def test_ugly_data_give_figures_or_a_reason(case: str) -> None:
    found = of_times(*UGLY[case])
    json.dumps(found.model_dump(), allow_nan=False)
    assert found.episodes == len(UGLY[case][0])
    for fit in (*found.first_error.values(), *found.sequence.values()):
        assert (fit.log_likelihood is None) == (fit.aic is None) == (fit.bic is None)
        assert fit.reason or fit.held_out is not None
        assert fit.log_likelihood is None or fit.log_likelihood <= 1e-9
    for test in (found.frailty, found.shape):
        assert (test.p is None) == (test.reason is not None)
    fits = found.first_error
    for larger in ("weibull", "beta_geometric"):
        if fits[larger].log_likelihood is not None:
            assert fits[larger].log_likelihood >= fits["geometric"].log_likelihood - 1e-5


def test_errors_at_step_1_or_never_leave_half() -> None:
    fits = of_times(*UGLY["at step 1 or never"]).first_error
    for name in ("weibull", "beta_geometric"):
        assert fits[name].log_likelihood == pytest.approx(10 * math.log(0.5), abs=1e-3)


def test_an_error_that_the_other_folds_never_saw_is_no_number() -> None:
    found = of_times(*UGLY["one error in 40"]).first_error["geometric"]
    assert found.held_out is None
    assert found.reason == "not held out: in a part of the episodes, no error was seen"
    key = [1, 0, 0, 1, 0, 0, 1, 0, 0]
    rare = of_times([1, 3, 3, 2], [1, 1, 0, 1], key=key).first_error["key_token"]
    assert rare.log_likelihood is not None
    assert rare.reason == "not held out: an episode does what the others never did"
