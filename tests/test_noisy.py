"""A verifier with set error rates: how often it errs, and that it errs the same way twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from scipy.stats import binom

from agent.errors import UsageError
from agent.types import Answer, Question, Usage, Verdict
from agent.verification import Check, judge, preflight
from verifiers.chess_legality import chess_legality
from verifiers.markov_support import markov_support
from verifiers.noisy import Noisy

N = 4000


def ask(text: str = "") -> Question:
    return Question(messages=(), prefix=text)


def even(question: Question, answer: Answer) -> str | None:
    return None if answer % 2 == 0 else f"{answer} is odd."


async def later(question: Question, answer: Answer) -> str | None:
    await asyncio.sleep(0)
    return even(question, answer)


def says(result: Any) -> Callable[[Question, Answer], Any]:
    return lambda question, answer: result


def verdict(verifier: Any, answer: Answer = 0, question: Question | None = None) -> Verdict:
    """As the loop gets it."""
    return asyncio.run(judge(Check.of(verifier), question or ask(), answer))


def outcomes(noisy: Noisy, answers: range, question: Question) -> list[str]:
    check = Check.of(noisy)

    async def all_of() -> list[str]:
        return [(await judge(check, question, a)).outcome for a in answers]

    return asyncio.run(all_of())


RATES = [(0.0, 0.0), (0.1, 0.05), (0.5, 0.3), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)]


@pytest.mark.parametrize(("false_accept", "false_reject"), RATES)
def test_it_errs_as_often_as_it_was_told_to(false_accept: float, false_reject: float) -> None:
    noisy = Noisy(even, false_accept=false_accept, false_reject=false_reject)
    right = [noisy(ask(), a) for a in range(0, 2 * N, 2)]
    wrong = [noisy(ask(), a) for a in range(1, 2 * N, 2)]
    rejected = sum(r is not None for r in right)
    accepted = sum(isinstance(r, Verdict) for r in wrong)
    for count, rate in ((rejected, false_reject), (accepted, false_accept)):
        low, high = binom.interval(0.9999, N, rate)
        assert low <= count <= high or count == rate * N


def test_the_same_answer_to_the_same_question_gets_the_same_noise() -> None:
    first, again = (outcomes(Noisy(even, false_accept=0.5, false_reject=0.5), range(300), ask("a"))
                    for _ in range(2))  # fmt: skip
    assert first == again


@pytest.mark.parametrize("other", [{"seed": 1}, {"question": ask("b")}], ids=["seed", "question"])
def test_another_seed_or_question_gets_noise_of_its_own(other: dict[str, Any]) -> None:
    question = other.pop("question", ask("a"))
    rates = {"false_accept": 0.5, "false_reject": 0.5}
    first = outcomes(Noisy(even, **rates), range(300), ask("a"))
    second = outcomes(Noisy(even, **rates, **other), range(300), question)
    low, high = binom.interval(0.9999, 300, 0.5)
    assert low <= sum(a == b for a, b in zip(first, second, strict=True)) <= high


def test_an_answer_may_be_any_json() -> None:
    noisy = Noisy(says(None), false_reject=0.5)
    assert noisy(ask(), {"a": 1, "b": [None]}) == noisy(ask(), {"b": [None], "a": 1})


TURNED = [
    (None, "fail", "That answer is wrong.", "false reject"),
    ("3 is odd.", "pass", "", "false accept"),
    (Verdict(verifier="v", outcome="pass"), "fail", "That answer is wrong.", "false reject"),
    (Verdict(verifier="v", outcome="fail", critique="why"), "pass", "", "false accept"),
]


@pytest.mark.parametrize(("result", "outcome", "critique", "noise"), TURNED)
def test_a_turned_verdict_says_so_and_gives_no_reason_away(
    result: Any, outcome: str, critique: str, noise: str
) -> None:
    got = verdict(Noisy(says(result), false_accept=1.0, false_reject=1.0))
    assert (got.outcome, got.critique, got.evidence) == (outcome, critique, {"noise": noise})


THROUGH = [
    (Verdict(verifier="v", outcome="abstain", critique="can't tell"), "abstain"),
    (Verdict(verifier="v", outcome="error", evidence={"error": "down"}), "error"),
    (True, "error"),
]


@pytest.mark.parametrize(("result", "outcome"), THROUGH)
def test_what_is_no_judgement_goes_through_untouched(result: Any, outcome: str) -> None:
    noisy = Noisy(says(result), false_accept=1.0, false_reject=1.0)
    assert noisy(ask(), 0) is result
    assert verdict(noisy).outcome == outcome


def test_a_verifier_that_raises_stays_broken() -> None:
    def broken(question: Question, answer: Answer) -> None:
        raise RuntimeError("no")

    got = verdict(Noisy(broken, false_accept=1.0, false_reject=1.0))
    assert (got.outcome, got.evidence) == ("error", {"error": "RuntimeError: no"})


def test_without_noise_it_is_the_wrapped_one() -> None:
    noisy = Noisy(even, false_accept=0.0, false_reject=0.0)
    assert [noisy(ask(), a) for a in (2, 3)] == [None, "3 is odd."]


def test_an_async_verifier_gets_the_same_noise_as_a_plain_one() -> None:
    plain, waiting = (Noisy(v, false_accept=0.5, false_reject=0.5) for v in (even, later))
    assert outcomes(plain, range(200), ask()) == outcomes(waiting, range(200), ask())


def test_tokens_spent_on_a_turned_verdict_are_counted() -> None:
    spent = Usage(prompt_tokens=7, calls=1)
    result = Verdict(verifier="judge", outcome="pass", usage=spent)
    assert verdict(Noisy(says(result), false_reject=1.0)).usage == spent


def test_it_takes_over_severity_timeout_and_candidates() -> None:
    class Strict:
        name, severity, timeout, version = "strict", "should", 3.0, "2"

        def __call__(self, question: Question, answer: Answer) -> None:
            return None

        def candidates(self, question: Question) -> list[str]:
            return ["x"]

    for wrapped in (Strict, Strict()):
        check = Check.of(Noisy(wrapped, false_accept=0.25, seed=9))
        assert check.configuration() == {
            "name": "noisy(strict)", "severity": "should", "timeout": 3.0,
            "version": "false accept 0.25, false reject 0.05, seed 9, of 2",
        }  # fmt: skip
        assert check.candidates(ask()) == ["x"]


def test_what_the_wrapped_one_leaves_open_stays_open() -> None:
    check = Check.of(Noisy(even))
    assert check.configuration() == Check.of(even).configuration() | {
        "name": "noisy(even)", "version": "false accept 0.1, false reject 0.05, seed 0",
    }  # fmt: skip
    assert check.candidates(ask()) == []


@pytest.mark.parametrize("wrapped", [chess_legality, markov_support])
def test_it_has_no_examples_that_noise_would_fail(wrapped: Any) -> None:
    check = Check.of(Noisy(wrapped, false_accept=1.0, false_reject=1.0))
    [line] = asyncio.run(preflight([check]))
    assert line == f"noisy({wrapped.name}): 0 known-good and 0 known-bad examples hold"


@pytest.mark.parametrize("option", ["false_accept", "false_reject"])
@pytest.mark.parametrize("rate", [-0.01, 1.01, float("nan")])
def test_a_rate_that_is_no_probability_is_refused(option: str, rate: float) -> None:
    with pytest.raises(UsageError, match=f"{option} must be a rate from 0 to 1, got {rate!r}"):
        Noisy(even, **{option: rate})
