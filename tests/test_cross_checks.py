"""Our tests beside the textbook's, and ugly data through everything at once."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from agent.measure import compare
from agent.measure.compare import Comparison
from agent.measure.curves import curves
from agent.measure.statistics import difference
from agent.measure.survival import contrast
from agent.measure.table import StepTable, from_traces
from agent.types import Attempt, Question, Score, Step, Trace, Usage, Verdict


@pytest.mark.parametrize(("only_a", "only_b"), [(9, 2), (7, 7), (12, 1), (3, 2), (25, 12)])
def test_the_exchange_of_single_steps_is_mcnemar(only_a: int, only_b: int) -> None:
    from statsmodels.stats.contingency_tables import mcnemar

    a = np.repeat([1, 0, 1, 0], [only_a, only_b, 10, 20])
    b = np.repeat([0, 1, 1, 0], [only_a, only_b, 10, 20])
    theirs = mcnemar([[10, only_a], [only_b, 20]], exact=True).pvalue
    ours = difference(a, np.ones_like(a), b, np.ones_like(b))
    assert ours.p == pytest.approx(theirs, abs=0.02)
    assert ours.value == pytest.approx((only_a - only_b) / len(a))


def lives(times: np.ndarray, last: int, pairs: np.ndarray | None = None) -> Any:
    observed = times <= last
    times = np.minimum(times, last)
    pairs = np.arange(len(times)) if pairs is None else pairs
    return pairs, times, observed, np.where(observed, times, last)


@pytest.mark.parametrize(("seed", "other"), [(1, 0.15), (2, 0.05), (3, 0.07)])
def test_the_log_rank_test_is_that_of_lifelines(seed: int, other: float) -> None:
    pytest.importorskip("lifelines")
    from lifelines.statistics import logrank_test

    rng = np.random.default_rng(seed)
    a, b = (lives(rng.geometric(e, 80), 30) for e in (0.05, other))
    theirs = logrank_test(a[1], b[1], a[2], b[2]).p_value
    assert contrast(a, b).log_rank_p == pytest.approx(theirs, rel=1e-9)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_whole_episodes_are_compared_by_mcnemar(seed: int) -> None:
    from statsmodels.stats.contingency_tables import mcnemar

    rng = np.random.default_rng(seed)
    a, b = (lives(rng.geometric(e, 60), 20) for e in (0.02, 0.05))
    well_a, well_b = ~a[2], ~b[2]
    table = [[(well_a & well_b).sum(), (well_a & ~well_b).sum()],
             [(~well_a & well_b).sum(), (~well_a & ~well_b).sum()]]  # fmt: skip
    found = contrast(a, b)
    assert (found.only_a, found.only_b, found.pairs) == (table[0][1], table[1][0], 60)
    assert found.mcnemar_p == pytest.approx(mcnemar(table, exact=True).pvalue)


def test_what_is_not_known_of_an_episode_is_in_neither_test() -> None:
    pair, last = np.arange(4), np.full(4, 9)
    a = pair, np.array([9, 5, 3, 0]), np.array([False, False, True, False]), last
    b = pair, np.array([9, 9, 9, 9]), np.array([False, False, False, False]), last
    # The second episode of a was judged to step 5 only, the fourth not at all.
    assert contrast(a, b).pairs == 2
    assert (contrast(a, b).only_a, contrast(a, b).only_b, contrast(a, b).mcnemar_p) == (0, 1, 1)
    assert (contrast(b, b).log_rank_p, contrast(b, b).mcnemar_p) == (None, None)
    # Two episodes of a pair are without error where both are.
    both = tuple(np.append(x, x[:1]) for x in b)
    erring = both[0], both[1], np.array([False, False, False, False, True]), both[3]
    assert (contrast(both, erring).only_a, contrast(both, erring).pairs) == (1, 4)


# -- ugly data ----------------------------------------------------------------------------------


def played(arm: str, seed: int, *steps: str, error: str | None = None) -> Any:
    """A step is a word of its attempts: . right, x wrong, ? not judged, ! the verifier broke."""
    made, scores = [], []
    for index, word in enumerate(steps):
        attempts = tuple(
            Attempt(
                text=c, answer=c, prompt_hash="h", usage=Usage(prompt_tokens=9, calls=1),
                logprob=-0.5 * (i + 1),
                verdicts=(Verdict(verifier="v", outcome={"x": "fail", "!": "error"}.get(c, "pass")),),
            )
            for i, c in enumerate(word)
        )  # fmt: skip
        accepted = max(word.find("."), 0)
        made.append(Step(index=index, question=Question(messages=(), prefix=""),
                         attempts=attempts, accepted=accepted))  # fmt: skip
        scores.append([
            Score(correct=None if c == "?" else c != "x",
                  measures={"log_p": -math.inf if c == "x" else -1.0, "entropy": 1.0})
            for c in word
        ])  # fmt: skip
    return Trace(task="t", arm=arm, model="m", seed=seed, steps=tuple(made),
                 stop_reason="error" if error else "horizon", error=error), scores  # fmt: skip


def everywhere(*steps: str, seeds: int = 1) -> list[Any]:
    return [played(arm, seed, *steps) for arm in "ab" for seed in range(seeds)]


UGLY: dict[str, list[Any]] = {
    "nothing": [],
    "no step": everywhere(seeds=3),
    "one step": everywhere("."),
    "one wrong step": everywhere("x"),
    "one episode": everywhere(".", "x.", "xx", ".", "x."),
    "two episodes": everywhere(".", "x.", "xx", seeds=2),
    "all right": everywhere(*["."] * 12, seeds=35),
    "all wrong": everywhere(*["xxx"] * 12, seeds=35),
    "right after one": everywhere(*["x."] * 12, seeds=35),
    "one step each": everywhere("x.", seeds=35),
    "nothing judged": everywhere("?", "??", seeds=4),
    "all broke": everywhere("!", "!", seeds=4),
    "the second step never judged": everywhere(".", "?", "x", "x.", seeds=6),
    "first attempts not judged": everywhere("?.", "?.", seeds=4),
    "one arm alone": [played("b", s, ".", "x", ".") for s in range(4)],
    "other seeds": [played("ab"[s % 2], s, ".", "x", ".") for s in range(8)],
    "ends early": [played(a, s, *["."] * s, "x", "x.") for a in "ab" for s in range(9)],
    "infrastructure": [played(a, s, ".", "x.", error="503") for a in "ab" for s in range(4)],
}  # fmt: skip


def not_finite(value: Any, at: str = "") -> list[str]:
    if isinstance(value, dict):
        return [bad for k, v in value.items() for bad in not_finite(v, f"{at}.{k}")]
    if isinstance(value, list | tuple):
        return [bad for i, v in enumerate(value) for bad in not_finite(v, f"{at}[{i}]")]
    return [at] if isinstance(value, float) and not math.isfinite(value) else []


def measured(case: str) -> tuple[StepTable, Comparison]:
    table = from_traces(UGLY[case], ["a", "b"])
    return table, compare(table, 30)


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("case", UGLY)
def test_ugly_data_give_none_and_never_nan(case: str) -> None:
    table, found = measured(case)
    assert not_finite(found.model_dump()) == []
    text = json.dumps(found.model_dump(mode="json"), allow_nan=False)
    assert Comparison.model_validate(json.loads(text)) == found
    for arm in "ab":
        rows = table.where((table.arm == arm) & table.judged)
        line = curves(rows["episode"], rows["step"], rows["correct"], rows["on_track"], None, None)
        assert (line is None) == (not len(rows["step"]))
        if line is not None:
            assert not_finite(line.model_dump()) == []
            assert len({len(c.value) for c in (line.accuracy, line.survival, line.recovery)}) == 1


def test_ugly_data_say_what_can_be_said() -> None:
    right, wrong = (measured(case)[1].arms["a"] for case in ("all right", "all wrong"))
    assert (right.error_rate.value, right.claim.word, right.growth.word) == (
        0, "not tested", "undecided",
    )  # fmt: skip
    assert right.error_rate.high == pytest.approx(stats.beta.ppf(0.975, 1, 420))
    assert right.correction is None
    assert (wrong.error_rate.value, wrong.claim.word) == (1, "not rejected")
    assert wrong.correction is not None and wrong.correction.word == "not enough data"
    mended = measured("right after one")[1].arms["a"].correction
    assert mended is not None
    assert (mended.mended.value, mended.broken.value, mended.word) == (1, None, "go")
