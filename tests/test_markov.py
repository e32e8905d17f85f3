"""The Markov task: an exact law, what an error does to an episode, and drift in closed form."""

from __future__ import annotations

import asyncio
import math
import random
import re
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from agent.arms import ARMS
from agent.errors import ParseFailure, UsageError
from agent.experiment import score_trace
from agent.loop import rollout
from agent.models.scripted import ScriptedModel
from agent.resolve import task as resolve_task
from agent.types import AfterError, Completion, Question, Trace, Usage
from agent.verification import Check, preflight
from tasks.markov.chain import Chain
from tasks.markov.task import Markov, MarkovState
from verifiers.markov_support import MarkovSupport, markov_support

SIZES = [(2, 0.3), (3, 0.3), (6, 0.0), (6, 0.3), (6, 1.0), (26, 0.3), (26, 1.0)]

# -- the chain --------------------------------------------------------------------------------


@pytest.mark.parametrize(("states", "impossible"), SIZES)
@pytest.mark.parametrize("seed", range(20))
def test_rows_sum_to_one_exactly_and_keep_two_successors(
    states: int, impossible: float, seed: int
) -> None:
    chain = Chain.seeded(states, seed, impossible)
    assert len(chain.states) == states
    for row in chain.rows.values():
        assert sum(Fraction(n, 100) for n in row.values()) == 1
        assert len(row) >= 2
        assert min(row.values()) >= 1
    out = states**2 - sum(len(row) for row in chain.rows.values())
    assert out == min(round(impossible * states**2), states * (states - 2))


@pytest.mark.parametrize("seed", range(20))
def test_every_state_leads_to_every_other(seed: int) -> None:
    chain = Chain.seeded(8, seed, 1.0)
    steps = np.array([[chain.probability(a, b) > 0 for b in chain.states] for a in chain.states])
    reached = np.linalg.matrix_power(steps.astype(int) + np.eye(8, dtype=int), 8)
    assert (reached > 0).all()


def test_the_seed_decides_the_chain() -> None:
    one, again, other = (Chain.seeded(6, seed, 0.3) for seed in (1, 1, 2))
    assert one == again
    assert one != other


def test_entropy_and_draws_follow_the_row() -> None:
    chain = Chain({"A": {"A": 25, "B": 75}, "B": {"A": 50, "B": 50}})
    assert chain.entropy("B") == pytest.approx(math.log(2))
    assert chain.entropy("A") == pytest.approx(-0.25 * math.log(0.25) - 0.75 * math.log(0.75))
    assert chain.probability("A", "C") == 0
    rng, n = random.Random(1), 4000
    share = sum(chain.draw("A", rng) == "B" for _ in range(n)) / n
    assert abs(share - 0.75) < 4 * math.sqrt(0.75 * 0.25 / n)


# -- what is asked ----------------------------------------------------------------------------


def test_both_forms_of_the_question_hold_the_exact_chain_and_the_sequence() -> None:
    task = Markov()
    question = task.question(MarkovState(seed=1, symbols=("A", "B", "D")))
    for text in (question.messages[1].content, question.prefix):
        table = {
            last: dict(re.findall(r"([A-Z]) \((\d\.\d\d)\)", row))
            for last, row in re.findall(r"^After ([A-Z]): (.*)$", text, re.MULTILINE)
        }
        assert {a: sum(map(Fraction, row.values())) for a, row in table.items()} == dict.fromkeys(
            "ABCDEF", 1
        )
        read = {a: {b: Fraction(p) * 100 for b, p in row.items()} for a, row in table.items()}
        assert read == task.chain.rows
        assert "\nA B D" in text
    assert question.prefix.endswith("\nA B D"), "a base model continues it"
    assert question.state == {"rows": task.chain.rows, "previous": "D", "length": 3}


def test_the_snapshot_can_not_change_the_truth() -> None:
    task = Markov()
    before = repr(task.chain)
    task.question(task.start(1)).state["rows"]["A"].clear()
    assert repr(task.chain) == before


READ = [("B", "B"), (" b", "B"), ("**B**", "B"), ("_B_.", "B"), ('"B"', "B"), ("(b)", "B"),
        ("B, since it is likely", "B"), (" B D A C", "B"), ("B\nbecause C can't", "B"),
        ("The next letter is B.", "B"), ("I'd say B", "B"), ("I think B", "B"), ("\\boxed{B}", "B"),
        ("Next: C", "C"), ("B is next, so B", "B"), ("1. F", "F")]  # fmt: skip

UNREADABLE = [("", "no letter"), ("...", "no letter"), ("G", "no letter"), ("BAD", "no letter"),
              ("it is a letter", "no letter"), ("After A comes B", "several letters"),
              ("A good guess is B", "several letters"), ("A -> B", "several letters"),
              ("A \u2192 B", "several letters"), ("A: B", "several letters")]  # fmt: skip


@pytest.mark.parametrize(("text", "wanted"), READ)
def test_a_letter_is_read_however_it_is_dressed(text: str, wanted: str) -> None:
    task = Markov()
    assert task.parse(text, task.start(1)) == wanted


@pytest.mark.parametrize(("text", "told"), UNREADABLE)
def test_what_is_not_clear_is_not_guessed(text: str, told: str) -> None:
    task = Markov()
    with pytest.raises(ParseFailure, match=f"names {told}.*one letter only, A to F"):
        task.parse(text, task.start(1))


BAD = [{"states": 1}, {"states": 27}, {"horizon": 0}, {"impossible": -0.1}, {"impossible": 1.1},
       {"impossible": math.nan}]  # fmt: skip


@pytest.mark.parametrize("options", BAD, ids=str)
def test_an_option_out_of_range_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(options))} must be"):
        Markov(**options)


def test_options_come_from_the_command_line_as_text() -> None:
    task = resolve_task("tasks.markov.task:Markov", {"states": "4", "impossible": "0.2"})
    assert task.configuration() == {
        "horizon": 60, "states": 4, "chain_seed": 1, "impossible": 0.2, "prompts": 1,
    }  # fmt: skip


# -- what an error does -----------------------------------------------------------------------


def impossible_after(task: Markov, last: str) -> str:
    return next(b for b in task.chain.states if not task.chain.probability(last, b))


AFTER: list[tuple[AfterError, str, str, str | None]] = [
    ("leave", "impossible", "kept", None), ("leave", "unparsable", "drawn", None),
    ("leave", "not a state", "drawn", None), ("repair", "impossible", "drawn", None),
    ("repair", "unparsable", "drawn", None), ("stop", "impossible", "absent", "first error"),
    ("stop", "unparsable", "absent", "first error"), ("stop", "possible", "kept", None),
    ("leave", "possible", "kept", None), ("repair", "possible", "kept", None),
]  # fmt: skip


@pytest.mark.parametrize(("after_error", "kind", "fate", "ended"), AFTER)
def test_after_an_error_the_episode_goes_on_as_the_arm_says(
    after_error: AfterError, kind: str, fate: str, ended: str | None
) -> None:
    task = Markov(impossible=0.6)
    state = task.start(1)
    last = state.symbols[-1]
    answer = {"impossible": impossible_after(task, last), "possible": task.chain.possible(last)[0],
              "not a state": "Z", "unparsable": None}[kind]  # fmt: skip
    after = task.advance(state, answer, after_error)
    assert task.done(after) == ended
    added = after.symbols[1:]
    if fate == "kept":
        assert added == (answer,)
    elif fate == "drawn":
        assert len(added) == 1 and added[0] in task.chain.possible(last)
        assert task.advance(state, answer, after_error) == after, "seeded"
    else:
        assert added == ()


def play(task: Markov, model: Any, seed: int = 1, arm: str = "baseline", **settings: Any) -> Trace:
    chosen = ARMS[arm].model_copy(update=settings).with_checks([Check.of(markov_support)])
    return asyncio.run(rollout(task, model, chosen, seed))


def wrong_then_right(task: Markov) -> ScriptedModel:
    """Possible at even lengths of the sequence, impossible at odd ones."""

    def reply(question: Question, seed: int) -> str:
        last = question.state["previous"]
        right = task.chain.possible(last)[0]
        return impossible_after(task, last) if question.state["length"] % 2 else right

    return ScriptedModel(reply)


def test_an_episode_to_the_first_error_ends_with_it() -> None:
    task = Markov(impossible=0.6)
    trace = play(task, wrong_then_right(task), after_error="stop")
    assert (trace.stop_reason, len(trace.steps)) == ("first error", 1)


def test_under_leave_the_next_step_goes_on_from_the_impossible_symbol() -> None:
    task = Markov(horizon=6, impossible=0.6)
    trace = play(task, wrong_then_right(task), after_error="leave")
    scores = [row[0] for row in score_trace(task, trace)]
    assert [s.correct for s in scores] == [False, True] * 3
    assert [s.error_class for s in scores] == ["impossible_transition", None] * 3
    for before, after in pairwise(trace.steps):
        assert after.question.state["previous"] == before.answer
        assert after.question.prefix == f"{before.question.prefix} {before.answer}"


def test_under_repair_the_context_stays_possible() -> None:
    task = Markov(horizon=6, impossible=0.6)
    trace = play(task, wrong_then_right(task), after_error="repair")
    sequence = trace.steps[-1].question.prefix.splitlines()[-1].split()
    for last, symbol in pairwise(sequence):
        assert task.chain.probability(last, symbol) > 0
    assert not score_trace(task, trace)[0][0].correct


def test_two_arms_with_one_seed_meet_the_same_start_and_substitutes() -> None:
    task = Markov(horizon=8)
    unreadable = ScriptedModel(lambda question, seed: "?")
    traces = [play(task, unreadable, seed=7, arm=a) for a in ("baseline", "critique")]
    baseline, critique = ([s.question.hash for s in t.steps] for t in traces)
    assert baseline == critique
    starts = {task.start(seed).symbols for seed in range(60)}
    assert len(starts) == 6, "but every state is the start of some seed"


def test_a_critique_corrects_and_can_be_continued_by_a_base_model() -> None:
    task = Markov(horizon=1, impossible=0.6)
    asked: list[Question] = []

    def reply(question: Question, seed: int) -> str:
        asked.append(question)
        last = question.state["previous"]
        return impossible_after(task, last) if len(asked) == 1 else task.chain.possible(last)[0]

    trace = play(task, ScriptedModel(reply), arm="critique")
    first, second = score_trace(task, trace)[0]
    assert (first.correct, second.correct) == (False, True)
    last, wrong = asked[0].state["previous"], trace.steps[0].attempts[0].answer
    told = f"{wrong} can't follow {last}: after {last} come {task.chain.law(last)}. Try again."
    assert asked[1].messages[-1].content == told
    assert asked[1].prefix == f"{asked[0].prefix} {wrong} [{told}]"


# -- verifier and oracle ----------------------------------------------------------------------


def test_the_verifier_holds_its_own_examples() -> None:
    [line] = asyncio.run(preflight([Check.of(markov_support)]))
    assert line == "markov-support: 3 known-good and 6 known-bad examples hold"
    assert Check.of(MarkovSupport).name == "markov-support"


@pytest.mark.parametrize("seed", range(5))
def test_verifier_and_oracle_agree_on_every_transition(seed: int) -> None:
    task = Markov(chain_seed=seed)
    chain = task.chain
    for last in chain.states:
        question = task.question(MarkovState(seed=1, symbols=(last,)))
        assert markov_support.candidates(question) == chain.possible(last)
        for symbol in chain.states:
            critique, score = markov_support(question, symbol), task.score(question, symbol)
            p = chain.rows[last].get(symbol, 0) / 100
            assert score.correct == (p > 0) == (critique is None)
            assert score.measures["log_p"] == (math.log(p) if p else None)
            assert score.measures["entropy"] == chain.entropy(last)
            if critique:
                assert critique.startswith(f"{symbol} can't follow {last}: after {last} come ")
                assert dict(re.findall(r"(\w) \((\d\.\d\d)\)", critique)) == {
                    b: f"{n / 100:.2f}" for b, n in chain.rows[last].items()
                }


def test_an_answer_that_can_not_be_read_is_wrong_and_has_no_probability() -> None:
    task = Markov()
    score = task.score(task.question(task.start(1)), None)
    assert (score.correct, score.error_class) == (False, "unparsable")
    assert score.measures["log_p"] is None
    assert score.measures["entropy"]


def test_a_critique_is_a_sentence() -> None:
    question, answer = MarkovSupport.known_bad[0]
    assert markov_support(question, answer) == (
        "A can't follow A: after A come B (0.25), D (0.75)."
    )
    assert markov_support(question, "Z") == (
        "Z is no letter of the chain: after A come B (0.25), D (0.75)."
    )


# -- drift ------------------------------------------------------------------------------------


class Sampler:
    """A model whose distribution is known: it continues the prompt by the chain Q."""

    name = "sampler"

    def __init__(self, q: Chain) -> None:
        self.q = q

    def configuration(self) -> dict[str, Any]:
        return {}

    async def generate(self, question: Question, n: int, seed: int) -> list[Completion]:
        last, rng = question.prefix.split()[-1], random.Random(seed)
        symbols = [self.q.draw(last, rng) for _ in range(n)]
        return [Completion(text=f" {s}", usage=Usage(calls=1),
                           logprobs=(math.log(self.q.probability(last, s)),))
                for s in symbols]  # fmt: skip


def log_ratios(task: Markov, q: Chain, episodes: int) -> np.ndarray:
    """log q - log p of every sampled symbol, [episodes, steps]."""
    rows = []
    for seed in range(episodes):
        trace = play(task, Sampler(q), seed)
        scores = score_trace(task, trace)
        rows.append([s.attempts[0].logprob - row[0].measures["log_p"]
                     for s, row in zip(trace.steps, scores, strict=True)])  # fmt: skip
    return np.array(rows)


def kl_rate(q: Chain, p: Chain) -> float:
    """sum_i pi_i sum_j q_ij log(q_ij / p_ij), pi the stationary distribution of Q, in nats."""
    matrix = np.array([[q.probability(a, b) for b in q.states] for a in q.states])
    n = len(matrix)
    balance = np.vstack([matrix.T - np.eye(n), np.ones(n)])
    pi = np.linalg.lstsq(balance, np.append(np.zeros(n), 1.0), rcond=None)[0]
    return sum(
        float(weight) * q.probability(a, b) * math.log(q.probability(a, b) / p.probability(a, b))
        for weight, a in zip(pi, q.states, strict=True)
        for b in q.possible(a)
    )


def test_the_mean_log_ratio_of_sampled_symbols_is_the_kl_in_closed_form() -> None:
    # Long episodes: the start, which is uniform and not stationary, weighs nothing.
    task = Markov(horizon=250)
    rng = random.Random(5)
    # The same support with the probabilities of each row shuffled: the KL is finite.
    q = Chain({a: dict(zip(row, rng.sample(list(row.values()), len(row)), strict=True))
               for a, row in task.chain.rows.items()})  # fmt: skip
    by_episode = log_ratios(task, q, episodes=24).mean(axis=1)
    wanted, error = kl_rate(q, task.chain), by_episode.std(ddof=1) / math.sqrt(len(by_episode))
    assert wanted > 0.2, "there is drift to measure"
    assert error < wanted / 20, "and it is measured well"
    assert abs(by_episode.mean() - wanted) < 4 * error


def test_a_model_that_samples_from_the_chain_itself_does_not_drift() -> None:
    task = Markov()
    assert np.abs(log_ratios(task, task.chain, episodes=2)).max() == 0


def test_its_surprise_is_then_the_entropy() -> None:
    task = Markov(horizon=250)
    excess = []
    for seed in range(12):
        for [score] in score_trace(task, play(task, Sampler(task.chain), seed)):
            log_p, entropy = score.measures["log_p"], score.measures["entropy"]
            assert log_p is not None and entropy is not None
            excess.append(-log_p - entropy)
    assert abs(np.mean(excess)) < 4 * np.std(excess) / math.sqrt(len(excess))
