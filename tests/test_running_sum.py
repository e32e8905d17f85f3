"""The running sum: the ledger against a plain addition, errors told apart, what is shown."""

from __future__ import annotations

import asyncio

import pytest

from agent.errors import ParseFailure
from agent.types import AfterError
from agent.verification import Check, judge
from tasks.running_sum.ledger import WORDS, Ledger
from tasks.running_sum.task import RunningSum, RunningSumState
from verifiers.equals_calculator import equals_calculator


@pytest.mark.parametrize("keys", [1, 2, 7])
def test_totals_are_those_of_a_plain_addition(keys: int) -> None:
    ledger = Ledger(seed=4, entries=10, largest=20, keys=keys)
    total = 0
    for index in range(50):
        total += sum(ledger.values[w] for w in ledger.turn(index))
        assert ledger.total(index) == total
        assert len(ledger.turn(index)) == keys
    assert Ledger(seed=4, entries=10, largest=20, keys=keys).total(49) == total


def test_words_are_words_and_numbers_are_in_their_limits() -> None:
    assert len(set(WORDS)) == len(WORDS) > 100
    assert all(w.isalpha() and w.islower() for w in WORDS)
    ledger = Ledger(seed=1, entries=len(WORDS), largest=3, keys=1)
    assert set(ledger.values.values()) == {-3, -2, -1, 1, 2, 3}


def answered(task: RunningSum, turns: int, off: int = 0) -> RunningSumState:
    state = task.start(2)
    for _ in range(turns):
        told = task.question(state).state
        total = told["total"] + sum(told["dictionary"][w] for w in told["words"])
        state = task.advance(state, total + off, "leave")
    return state


def test_the_plain_form_is_dictionary_turns_and_the_open_turn() -> None:
    task = RunningSum(keys=2, entries=3)
    question = task.question(answered(task, 2))
    ledger = Ledger(seed=2, entries=3, largest=20, keys=2)
    dictionary = " ".join(f"{w}={n}" for w, n in ledger.values.items())
    assert question.prefix == "\n".join([
        f"dict: {dictionary}", "sum=0",
        f"{' '.join(ledger.turn(0))} -> {ledger.total(0)}",
        f"{' '.join(ledger.turn(1))} -> {ledger.total(1)}",
        f"{' '.join(ledger.turn(2))} ->",
    ])  # fmt: skip
    for line in question.prefix.split("\n")[2:]:
        assert line in question.messages[1].content or line.removesuffix(" ->") in (
            question.messages[1].content
        )


def test_the_state_alone_is_as_short_at_any_turn() -> None:
    task = RunningSum(context="state")
    late = task.question(answered(task, 30))
    lines = late.prefix.split("\n")
    assert len(lines) == 3 and lines[1] == f"sum={late.state['total']}"


def test_under_leave_it_goes_on_from_the_wrong_total_and_stays_off_track() -> None:
    task = RunningSum()
    state = answered(task, 3, off=1)
    told = task.question(state).state
    assert told["total"] == Ledger(2, 10, 20, 1).total(2) + 3
    right = told["total"] + sum(told["dictionary"][w] for w in told["words"])
    score = task.score(task.question(state), right)
    assert (score.correct, score.on_track) == (True, False)
    back = task.score(task.question(state), right - 3)
    assert (back.correct, back.on_track, back.measures) == (False, True, {"off_by": 3.0})


@pytest.mark.parametrize(("answer", "after_error"), [(None, "leave"), (999, "repair")])
def test_what_is_missing_or_repaired_is_the_right_total(
    answer: int | None, after_error: AfterError
) -> None:
    task = RunningSum()
    assert task.advance(task.start(2), answer, after_error).totals == (
        0, Ledger(2, 10, 20, 1).total(0),
    )  # fmt: skip


READ = [(" 8", 8), ("8\nstone -> 1", 8), ("-4 + 12 = 8", 8), ("river -> 8", 8), ("Answer: -8.", -8),
        ("The new sum is 8", 8), ("\u22128", -8), ("+8", 8), ("1,008", 1008), ("**8**", 8),
        ("12 and -4 make 8\nAnswer: 8", 8)]  # fmt: skip


@pytest.mark.parametrize(("text", "wanted"), READ)
def test_a_total_is_read_however_it_is_dressed(text: str, wanted: int) -> None:
    assert RunningSum().parse(text, RunningSum().start(1)) == wanted


@pytest.mark.parametrize("text", ["", "eight", "8.5", "8 or 9", "8,9", "x8", "9" * 40])
def test_what_is_not_one_number_is_not_guessed(text: str) -> None:
    with pytest.raises(ParseFailure, match=r"number|no answer"):
        RunningSum().parse(text, RunningSum().start(1))


def test_wrong_totals_are_told_apart() -> None:
    task = RunningSum(keys=2)
    state = RunningSumState(seed=2, turn=5, totals=(100,))
    question = task.question(state)
    a, b = (question.state["dictionary"][w] for w in question.state["words"])
    kinds = {100 + a + b: None, 100 - a - b: "wrong_sign", a + b: "total_forgotten",
             100 + a: "word_left_out", 100 + a + b + 1000: "wrong_sum"}  # fmt: skip
    assert len(kinds) == 5, "the seed keeps them apart"
    for answer, wanted in kinds.items():
        assert task.score(question, answer).error_class == wanted
        verdict = asyncio.run(judge(Check.of(equals_calculator), question, answer))
        assert verdict.outcome == ("pass" if wanted is None else "fail")


def test_another_words_number_is_told_apart() -> None:
    task = RunningSum(keys=1)
    question = task.question(RunningSumState(seed=2, turn=5, totals=(1000,)))
    own = question.state["dictionary"][question.state["words"][0]]
    other = next(n for n in question.state["dictionary"].values() if abs(n) != abs(own))
    assert task.score(question, 1000 + other).error_class == "wrong_word"


def test_the_most_words_of_a_turn_are_not_too_many_for_the_calculator() -> None:
    task = RunningSum(keys=100)
    question = task.question(task.start(1))
    right = sum(question.state["dictionary"][w] for w in question.state["words"])
    check = Check.of(equals_calculator)
    assert asyncio.run(judge(check, question, right)).outcome == "pass"
    assert asyncio.run(judge(check, question, right + 1)).outcome == "fail"
