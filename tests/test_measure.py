"""The figures: against simulated truth, against another library, against reckoning by hand."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from agent.measure import compare
from agent.measure.compare import Comparison
from agent.measure.statistics import (
    clustered,
    design_effect,
    difference,
    mean,
    rate,
    wilson,
)
from agent.measure.survival import first_errors, survival
from agent.measure.table import from_traces
from agent.measure.transitions import transitions
from agent.report.summary import summarise
from agent.report.terminal import header, tables
from agent.types import Attempt, Question, Score, Step, Trace, Usage, Verdict


def within(share: float, low: float, high: float, simulations: int) -> bool:
    """Is a share seen in simulations compatible (at three sigma) with low..high?"""
    slack = 3 * math.sqrt(0.05 * 0.95 / simulations)
    return low - slack <= share <= high + slack


# -- survival ---------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
def test_survival_is_lifelines_kaplan_meier(seed: int) -> None:
    lifelines = pytest.importorskip("lifelines")
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 80))
    times = np.minimum(rng.geometric(0.08, n), 30)
    observed = rng.random(n) < 0.7
    fitter = lifelines.KaplanMeierFitter().fit(times, observed)
    marks = [t for t in (1, 5, 10, 20, 30) if t <= times.max()]
    ours = survival(times, observed, marks)
    for t in marks:
        assert ours.at[t].value == pytest.approx(float(fitter.predict(t)), abs=1e-9)
        assert ours.at[t].n == int((times >= t).sum())
    curve = [float(fitter.predict(t)) for t in range(times.max())]
    assert ours.restricted_mean == pytest.approx(sum(curve), abs=1e-9)
    median = float(fitter.median_survival_time_)
    assert ours.median.value == (None if math.isinf(median) else median)


def test_survival_where_nobody_errs_is_one_with_an_exact_bound() -> None:
    s = survival(np.full(20, 60), np.zeros(20, bool), [10, 60])
    assert s.at[60].value == 1
    assert s.at[60].low == pytest.approx(stats.beta.ppf(0.025, 20, 1))
    assert (s.median.value, s.horizon_80, s.restricted_mean) == (None, None, 60)


def test_survival_where_all_err_at_once_is_zero_for_good() -> None:
    s = survival(np.ones(8, int), np.ones(8, bool), [1, 10, 60])
    assert [s.at[t].value for t in (1, 10, 60)] == [0, 0, 0]
    assert 0 < s.at[60].high < 0.5
    assert (s.median.value, s.restricted_mean) == (1, 1)


def test_survival_beyond_the_last_step_seen_is_not_guessed() -> None:
    s = survival(np.array([3, 5]), np.array([True, False]), [3, 5, 6])
    assert [s.at[t].value for t in (3, 5, 6)] == [0.5, 0.5, None]


def test_survival_of_nothing_and_of_one_episode() -> None:
    assert survival(np.array([]), np.array([], bool), [10]).at[10].value is None
    assert survival(np.array([4]), np.array([True]), [3, 4]).at[3].value == 1


def test_first_errors_by_hand() -> None:
    episode = np.array([0, 0, 0, 2, 2, 5])
    step = np.array([1, 2, 3, 1, 2, 1])
    correct = np.array([1, 0, 0, 1, 1, 0])
    times, observed = first_errors(episode, step, correct)
    assert times.tolist() == [2, 2, 1]
    assert observed.tolist() == [True, False, True]


def test_what_follows_a_step_that_nobody_judged_may_come_after_the_first_error() -> None:
    # Steps 1, 2, 4 of one episode, 2, 3 of another, 1, 2 of a third.
    episode, step = np.array([0, 0, 0, 1, 1, 2, 2]), np.array([1, 2, 4, 2, 3, 1, 2])
    correct = np.array([1, 1, 0, 0, 1, 1, 0])
    times, observed = first_errors(episode, step, correct)
    assert (times.tolist(), observed.tolist()) == ([2, 0, 2], [False, False, True])
    s = survival(times, observed, [1, 2, 4])
    assert (s.episodes, s.at[1].n, s.at[2].value, s.at[4].value) == (2, 2, 1 / 2, None)
    times, observed = first_errors(episode, step, correct, holes=True)
    assert (times.tolist(), observed.tolist()) == ([4, 2, 2], [True, True, True])
    assert survival(np.array([0, 0]), np.array([False, False]), [1]).episodes == 0


# -- rates ------------------------------------------------------------------------------------


def differing_episodes(rng: np.random.Generator, episodes: int, steps: int) -> np.ndarray:
    """Errors per episode; each episode has a difficulty of its own, 5 % on average."""
    return rng.binomial(steps, rng.beta(0.6, 11.4, episodes))


def test_intervals_over_episodes_cover_where_pooled_ones_do_not() -> None:
    rng, simulations = np.random.default_rng(1), 200
    ours = pooled = 0
    for _ in range(simulations):
        errors = differing_episodes(rng, 40, 60)
        estimate = rate(errors, np.full(40, 60))
        ours += estimate.low <= 0.05 <= estimate.high
        naive = wilson(int(errors.sum()), 2400)
        pooled += naive.low <= 0.05 <= naive.high
    assert within(ours / simulations, 0.90, 0.97, simulations)
    assert pooled / simulations < 0.80


def test_few_episodes_get_the_t_interval_and_it_covers() -> None:
    rng, simulations, hits = np.random.default_rng(2), 300, 0
    for _ in range(simulations):
        errors = rng.binomial(60, 0.3, 12)
        estimate = rate(errors, np.full(12, 60))
        hits += estimate.low <= 0.3 <= estimate.high
    assert within(hits / simulations, 0.92, 0.98, simulations)


def test_no_error_has_an_upper_bound_and_no_trial_has_no_value() -> None:
    none = rate(np.zeros(40), np.full(40, 60))
    assert (none.value, none.low, none.n) == (0, 0, 2400)
    assert none.high == pytest.approx(stats.beta.ppf(0.975, 1, 2400))
    every = rate(np.full(3, 5), np.full(3, 5))
    assert (every.value, every.high) == (1, 1)
    assert every.low < 0.8
    assert rate(np.zeros(3), np.zeros(3)).value is None
    assert rate(np.array([]), np.array([])).value is None


@pytest.mark.parametrize("episodes", [5, 40])
def test_episodes_that_do_not_differ_make_no_certainty(episodes: int) -> None:
    from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

    three, two, sixty, n = (np.full(episodes, x) for x in (3, 2, 60, 60))
    found, theirs = rate(three, sixty), proportion_confint(3 * episodes, n.sum(), method="wilson")
    assert (found.low, found.high) == pytest.approx(theirs)
    same, apart = difference(three, sixty, three, sixty), difference(three, sixty, two, sixty)
    assert (same.value, same.p) == (0, 1)
    assert same.low < 0 < same.high
    newcombe = confint_proportions_2indep(
        3 * episodes, n.sum(), 2 * episodes, n.sum(), method="newcomb", compare="diff"
    )
    assert (apart.low, apart.high) == pytest.approx(newcombe)
    nothing = difference(0 * three, sixty, 0 * three, sixty)
    assert nothing.high == pytest.approx(-nothing.low)
    assert 0.01 < nothing.high * episodes / 4 < 0.02
    # Amounts that never vary are as they are.
    assert difference(three, sixty, two, sixty, amounts=True).high == pytest.approx(1 / 60)
    assert mean(np.full(episodes, 2.5)).high == 2.5


def test_percentiles_are_as_wide_as_t() -> None:
    values = stats.norm.ppf((np.arange(40) + 0.5) / 40)
    t = stats.t.interval(0.95, 39, values.mean(), stats.sem(values))
    found = mean(values)
    assert (found.low, found.high) == pytest.approx(t, rel=0.04)


def test_more_episodes_than_can_be_resampled_are_grouped() -> None:
    rng = np.random.default_rng(9)
    hits, trials = rng.binomial(10, rng.beta(2, 18, 30_000)), np.full(30_000, 10)
    found, p = rate(hits, trials), hits.sum() / 300_000
    error = np.std(hits / 10, ddof=1) / np.sqrt(30_000)
    assert (found.value, found.n) == (pytest.approx(p), 300_000)
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * error, rel=0.1)
    d = difference(hits, trials, rng.permutation(hits), trials)
    assert (d.value, d.n) == (0, 30_000)
    assert d.p > 0.9


def test_few_trials_get_wilson_with_fewer_of_them() -> None:
    from statsmodels.stats.proportion import proportion_confint

    hits, trials = np.array([5, 0, 1, 0]), np.full(4, 10)
    found, p = clustered(hits, trials), 6 / 40
    effect = np.var(hits, ddof=1) / 10 / (p * (1 - p))
    assert design_effect(hits, trials) == pytest.approx(effect)
    assert effect > 2
    alpha = 2 * stats.norm.sf(stats.t.ppf(0.975, 3))
    theirs = proportion_confint(6 / effect, 40 / effect, alpha=alpha, method="wilson")
    assert (found.value, found.low, found.high) == pytest.approx((p, *theirs))
    # Episodes as alike as chance makes them, or more, leave the trials as they are.
    assert design_effect(np.array([2, 2, 1]), np.full(3, 10)) == 1
    assert design_effect(np.zeros(3), np.full(3, 10)) == 1
    alone = clustered(np.array([3, 0]), np.array([10, 0]))
    assert (alone.value, alone.low, alone.n) == (0.3, None, 10)


@pytest.mark.parametrize("pairs", [12, 40])
def test_equal_arms_are_called_different_as_often_as_alpha_says(pairs: int) -> None:
    rng, simulations, declared, covered = np.random.default_rng(3), 200, 0, 0
    for _ in range(simulations):
        difficulty = rng.beta(2, 18, pairs)
        a, b = rng.binomial(60, difficulty), rng.binomial(60, difficulty)
        d = difference(a, np.full(pairs, 60), b, np.full(pairs, 60))
        declared += d.p < 0.05
        covered += d.low <= 0 <= d.high
    assert within(declared / simulations, 0.03, 0.07, simulations)
    assert within(covered / simulations, 0.92, 0.98, simulations)


def test_pairing_sees_what_unpaired_arms_hide() -> None:
    rng, seen, seen_shuffled = np.random.default_rng(4), 0, 0
    for _ in range(60):
        difficulty = rng.beta(1, 4, 30)
        a, b = rng.binomial(60, difficulty), rng.binomial(60, difficulty * 0.8)
        sixty = np.full(30, 60)
        seen += difference(a, sixty, b, sixty).p < 0.05
        seen_shuffled += difference(a, sixty, rng.permutation(b), sixty).p < 0.05
    assert seen > 2 * seen_shuffled
    assert seen > 30


def test_a_difference_by_hand() -> None:
    d = difference(np.array([3, 1]), np.array([10, 10]), np.array([1, 0]), np.array([10, 5]))
    assert d.value == pytest.approx(4 / 20 - 1 / 15)
    assert d.n == 2
    lonely = difference(np.array([3, 1]), np.array([10, 10]), np.array([1, 0]), np.array([10, 0]))
    assert (lonely.n, lonely.value, lonely.low) == (1, pytest.approx(0.2), None)


# -- on and off track ---------------------------------------------------------------------------


def chain(rng: np.random.Generator, e: float, r: float, episodes: int, steps: int) -> Any:
    on = np.ones(episodes, bool)
    rows = []
    for _ in range(steps):
        flip = rng.random(episodes)
        on = np.where(on, flip >= e, flip < r)
        rows.append(on)
    return np.repeat(np.arange(episodes), steps), np.array(rows).T.ravel().astype(int)


def test_e_r_and_the_long_run_are_recovered() -> None:
    rng, simulations, covered = np.random.default_rng(5), 200, 0
    for _ in range(simulations):
        t = transitions(*chain(rng, 0.08, 0.3, 20, 60))
        covered += t.stationary_off.low <= 0.08 / 0.38 <= t.stationary_off.high
    assert within(covered / simulations, 0.93, 0.97, simulations)
    t = transitions(*chain(rng, 0.08, 0.3, 400, 60))
    assert t.e.value == pytest.approx(0.08, abs=0.01)
    assert t.r.value == pytest.approx(0.3, abs=0.02)


def test_r_is_not_observed_where_nothing_was_off_track_and_zero_where_nothing_returned() -> None:
    never = transitions(np.zeros(5, int), np.ones(5, int))
    assert (never.r.value, never.r.n, never.stationary_off.value) == (None, 0, None)
    absorbed = transitions(*chain(np.random.default_rng(6), 0.1, 0.0, 10, 30))
    assert absorbed.r.value == 0
    assert 0 < absorbed.r.high < 0.2
    assert absorbed.reversals == 0


def test_a_change_across_a_step_that_nobody_judged_is_no_transition() -> None:
    episode, step = np.array([0, 0, 0, 1, 1]), np.array([1, 3, 4, 2, 3])
    t = transitions(episode, np.array([1, 0, 1, 0, 0]), step)
    assert ((t.e.value, t.e.n), (t.r.value, t.r.n)) == ((0, 1), (1 / 2, 2))
    assert (t.reversals, t.off_steps) == (1, 3)


def test_transitions_by_hand() -> None:
    episode = np.array([0, 0, 0, 0, 1, 1])
    on = np.array([1, 0, 1, 0, 0, 0])
    t = transitions(episode, on)
    assert (t.e.value, t.e.n) == (3 / 4, 4)
    assert (t.r.value, t.r.n) == (1 / 2, 2)
    assert (t.reversals, t.off_steps) == (1, 4)


# -- a comparison reckoned by hand ---------------------------------------------------------------

Q = Question(messages=(), prefix="?")


def attempt(answer: Any, outcome: str = "", tokens: int = 10) -> Attempt:
    verdicts = (Verdict(verifier="judge", outcome=outcome),) if outcome else ()
    return Attempt(text=str(answer), answer=answer, verdicts=verdicts, prompt_hash="h",
                   usage=Usage(prompt_tokens=tokens - 1, completion_tokens=1, calls=1),
                   seconds=0.5)  # fmt: skip


def episode(arm: str, seed: int, *steps: Any, error: str | None = None) -> Any:
    """A step is (accepted index, [(answer, outcome, truth), ...])."""
    made, scores = [], []
    for index, (accepted, tries) in enumerate(steps):
        attempts = tuple(attempt(a, o) for a, o, _ in tries)
        exhausted = bool(attempts[accepted].failed)
        made.append(Step(index=index, question=Q, attempts=attempts, accepted=accepted,
                         exhausted=exhausted))  # fmt: skip
        scores.append([
            Score(correct=t, error_class=None if t is not False else "bad", measures={"size": 2.0})
            for _, _, t in tries
        ])  # fmt: skip
    trace = Trace(task="t", arm=arm, model="m", seed=seed, steps=tuple(made),
                  stop_reason="error" if error else "horizon", error=error)  # fmt: skip
    return trace, scores


EPISODES = [
    episode("a", 1, (0, [("x", "", True)]), (0, [("y", "", False)]), (0, [("x", "", True)])),
    episode("b", 1, (0, [("x", "pass", True)]), (1, [("y", "fail", False), ("x", "pass", True)]),
            (0, [("y", "pass", False)])),
    episode("a", 2, (0, [(None, "", False)]), (0, [("y", "", False)]), (0, [("y", "", None)])),
    episode("b", 2, (0, [("y", "fail", False), ("y", "fail", False)]),
            (0, [("x", "error", True)]), (1, [("x", "fail", True), ("z", "pass", True)])),
    episode("a", 3, (0, [("x", "", True)]), error="503"),
    episode("b", 3, (0, [("x", "pass", True)]), (0, [("x", "pass", True)]),
            (0, [("x", "abstain", True)])),
]  # fmt: skip


@pytest.fixture
def by_hand() -> Comparison:
    return compare(from_traces(EPISODES, ["a", "b"]), 3)


def test_arms_by_hand(by_hand: Comparison) -> None:
    a, b = by_hand.arms["a"], by_hand.arms["b"]
    # Seed 2 of a has a step without a truth, seed 2 of b one whose verifier broke.
    assert (a.episodes, a.infrastructure_errors, a.steps, a.unjudged_steps) == (3, 1, 6, 1)
    assert (b.episodes, b.infrastructure_errors, b.steps, b.unjudged_steps) == (3, 0, 8, 1)
    assert a.error_rate.value == pytest.approx(3 / 6)
    assert b.error_rate.value == pytest.approx(2 / 8)
    assert a.error_classes == {"bad": 3}
    assert (a.tokens, a.calls, b.tokens, b.calls) == (70, 7, 120, 12)
    assert b.seconds == pytest.approx(6)
    assert b.tokens_per_step.value == pytest.approx(110 / 8)
    assert a.measures["size"].value == 2
    assert a.timescales == {}
    # Seed 1 errs at step 2, seed 2 at step 1; seed 3 is censored after step 1.
    assert [(a.survival.at[3].value, a.survival.at[3].n)] == [(0, 0)]


def test_attempts_by_hand(by_hand: Comparison) -> None:
    b = by_hand.arms["b"].attempts
    # Wrong first attempts: y at seed 1 (twice), y at seed 2; of eight judged steps.
    assert b.first_attempt_error.value == pytest.approx(3 / 8)
    # After a wrong first attempt: right once (seed 1), wrong once (seed 2).
    assert (b.recovery[2].value, b.recovery[2].n) == (0.5, 2)
    assert (b.repeats.value, b.repeats.n) == (pytest.approx(1 / 3), 3)
    assert b.exhausted == 1
    assert b.per_step == pytest.approx(11 / 8)
    assert by_hand.arms["a"].attempts.recovery == {}


def test_verifiers_by_hand(by_hand: Comparison) -> None:
    judge = by_hand.verifiers["judge"]
    assert (judge.judged, judge.errors, judge.abstained) == (12, 1, 1)
    # It decided on four wrong answers and passed one, on six right ones and failed one.
    assert (judge.false_accept.value, judge.false_accept.n) == (0.25, 4)
    assert (judge.false_reject.value, judge.false_reject.n) == (pytest.approx(1 / 6), 6)


def test_contrasts_by_hand(by_hand: Comparison) -> None:
    contrast = by_hand.differences["b-a"]
    assert (contrast.pairs_lost, contrast.lost) == (1, {"infrastructure": 1})
    # Seed 1: both err. Seed 2: a at its first step, and so does b.
    assert (contrast.survival.pairs, contrast.survival.only_a, contrast.survival.only_b) == (
        2,
        0,
        0,
    )
    assert contrast.error_rate.n == 2
    # Seeds 1 and 2 alone: b errs 2 times in 5 steps, a 3 times in 5.
    assert contrast.error_rate.value == pytest.approx(2 / 5 - 3 / 5)
    assert contrast.tokens.value == pytest.approx(80 / 5 - 50 / 5)
    assert contrast.tokens_per_corrected_error == pytest.approx(6 / 0.2)
    assert contrast.errors_avoided_per_1000_tokens == pytest.approx(1000 * 0.2 / 6)


def test_the_header_tells_which_pairs_were_lost_and_why() -> None:
    more = [*EPISODES, episode("a", 4, (0, [("x", "", True)])),
            episode("a", 5, (0, [("x", "", None)])), episode("b", 5, (0, [("x", "pass", True)]))]  # fmt: skip
    comparison = compare(from_traces(more, ["a", "b"]), 3)
    assert comparison.differences["b-a"].lost == {
        "infrastructure": 1, "not in both arms": 1, "nothing judged": 1,
    }  # fmt: skip
    told = header({**HEADER, "errata": "0"}, comparison).plain
    assert "pairs lost of b-a: 1 infrastructure, 1 not in both arms, 1 nothing judged" in told


def test_abilities_are_lost_at_different_times() -> None:
    trace, _scores = episode("a", 1, *[(0, [("x", "", True)])] * 6)
    levels = [[Score(correct=True, measures={"well_formed": True, "legal": t < 4, "good": t < 2})]
              for t in range(6)]  # fmt: skip
    scales = compare(from_traces([(trace, levels)], ["a"]), 6).arms["a"].timescales
    assert {k: v.value for k, v in scales.items()} == {"well_formed": None, "legal": 5, "good": 3}


def test_a_net_that_is_not_positive_has_no_price() -> None:
    worse = compare(from_traces([
        episode("a", 1, (0, [("x", "", True)])),
        episode("b", 1, (0, [("y", "fail", False), ("y", "fail", False)])),
    ], ["a", "b"]), 1)  # fmt: skip
    contrast = worse.differences["b-a"]
    assert contrast.tokens_per_corrected_error is None
    assert contrast.errors_avoided_per_1000_tokens == pytest.approx(-100)


# -- what is made of the figures ------------------------------------------------------------------

UGLY = {
    "nothing was played": [],
    "one step was played": [episode("a", 1, (0, [("x", "", True)]))],
    "one arm has nothing": [episode("b", 1, (0, [("x", "pass", True)]))],
    "all is right": [episode(m, s, (0, [("x", "pass", True)])) for m in "ab" for s in range(40)],
    "all is wrong": [episode(m, s, (0, [("y", "fail", False)])) for m in "ab" for s in range(40)],
    "all is broken": [episode(m, s, error="500") for m in "ab" for s in range(3)],
    "nothing is judged": [episode(m, s, (0, [("x", "error", True)])) for m in "ab" for s in (1, 2)],
    "by hand": EPISODES,
}

HEADER = {
    "command": ["errata", "compare"],
    "oracle_verifiers": ["judge"],
    "identity": {"task": {"name": "t"}, "model": {"name": "m"}, "seeds": [1, 2, 3],
                 "arms": {"a": {}, "b": {}}, "horizon": 30},
}  # fmt: skip


def printed(comparison: Comparison) -> str:
    page = io.StringIO()
    Console(file=page, width=150).print(tables(comparison, oracle_verifiers=["judge"]))
    return page.getvalue()


@pytest.mark.parametrize("case", UGLY)
def test_ugly_data_make_a_summary_without_nan_and_tables(case: str) -> None:
    comparison = compare(from_traces(UGLY[case], ["a", "b"]), 30)
    text = json.dumps(summarise(HEADER, comparison), allow_nan=False)
    assert json.loads(text)["arms"].keys() == {"a", "b"}
    shown = printed(comparison)
    assert all(f"T{n} " in shown for n in (1, 3, 4, 5))
    assert "nan" not in shown


def test_a_rate_of_zero_is_shown_with_its_bound() -> None:
    comparison = compare(from_traces(UGLY["all is right"], ["a", "b"]), 30)
    [row] = [line for line in printed(comparison).splitlines() if line.startswith(" a ")][:1]
    assert "0.0 %" in row
    assert "[0.0..8.8]" in row


SCHEMA = """
version command task model horizon seeds arms differences verifiers
"""
ARM = """
episodes steps error_rate first_attempt_error survival e r tokens seconds infrastructure_errors
"""


def test_the_summary_has_the_documented_fields(by_hand: Comparison) -> None:
    summary = json.loads(json.dumps(summarise(HEADER, by_hand)))
    assert set(SCHEMA.split()) <= summary.keys()
    for arm in summary["arms"].values():
        assert set(ARM.split()) <= arm.keys()
        for rates in ("error_rate", "first_attempt_error", "e", "r"):
            assert {"value", "low", "high", "n"} == arm[rates].keys()
    thirty = summarise(HEADER, compare(from_traces(EPISODES, ["a", "b"]), 30))
    assert list(thirty["arms"]["a"]["survival"]) == ["10", "20", "30"]
    for contrast in summary["differences"].values():
        for figure in ("error_rate", "tokens"):
            assert {"value", "low", "high", "p"} <= contrast[figure].keys()
    for verifier in summary["verifiers"].values():
        assert {"false_accept", "false_reject", "errors"} <= verifier.keys()


def test_every_field_of_the_summary_is_documented(by_hand: Comparison) -> None:
    page = (Path(__file__).resolve().parents[1] / "docs" / "summary.md").read_text()

    def keys(value: Any) -> set[str]:
        if not isinstance(value, dict):
            return set()
        return set(value) | {k for v in value.values() for k in keys(v)}

    named = keys(summarise(HEADER, by_hand))
    data = {"a", "b", "b-a", "judge", "bad", "size", "2", "3", "name"}
    assert sorted(k for k in named - data if f"`{k}`" not in page) == []
