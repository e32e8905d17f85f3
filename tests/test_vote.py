"""First to be ahead by k: who has a vote, when it is decided, and what happens when it is not."""

from __future__ import annotations

import asyncio
import random

import pytest
from toy import Counting

from agent.api import plan_votes
from agent.arms import ARMS
from agent.loop import rollout
from agent.measure.votes import smallest_lead, win
from agent.models.scripted import ScriptedModel
from agent.selection import chosen, leads, settled
from agent.types import Attempt, Question, Usage, Verdict


def votes(*answers: str | None, tokens: int = 1) -> list[Attempt]:
    return [Attempt(text=str(a), answer=a, prompt_hash="", usage=Usage(completion_tokens=tokens))
            for a in answers]  # fmt: skip


DECISIONS = [
    ("a lead of two", votes("a", "b", "a", "a"), 2, None, 0),
    ("not yet", votes("a", "b", "a"), 2, None, None),
    ("a lead of one", votes("b", "a", "a"), 1, None, 1),
    ("unreadable answers have no vote", votes(None, None, "a", "a"), 2, None, 2),
    ("long answers have no vote", [*votes("b", "b", tokens=9), *votes("a", "a")], 2, 8, 2),
    ("nobody", votes(None, None), 1, None, None),
]


@pytest.mark.parametrize(
    ("why", "attempts", "lead", "longest", "winner"), DECISIONS, ids=[d[0] for d in DECISIONS]
)
def test_a_vote_is_won_by_a_lead(
    why: str, attempts: list[Attempt], lead: int, longest: int | None, winner: int | None
) -> None:
    assert leads(attempts, lead, longest) == winner
    assert settled(attempts, "vote", lead, longest) == (winner is not None)


def test_a_rejected_answer_has_no_vote() -> None:
    no = Verdict(verifier="v", outcome="fail")
    rejected = [a.model_copy(update={"verdicts": (no,)}) for a in votes("b", "b", "b")]
    assert leads([*rejected, *votes("a", "a")], 2, None) == 3


def test_without_a_decision_the_leader_is_taken_and_that_is_said() -> None:
    assert chosen(votes("b", "a", "a"), "vote", 3, None) == (1, True)
    assert chosen(votes("b", "a"), "vote", 3, None) == (0, True)


def test_the_loop_votes_until_one_answer_leads() -> None:
    replies = ["1", "7", "1", "1"]
    model = ScriptedModel(replies)
    trace = asyncio.run(rollout(Counting(horizon=1), model, ARMS["vote"], 1))
    [step] = trace.steps
    assert [a.text for a in step.attempts] == replies
    assert (step.answer, step.exhausted) == (step.attempts[0].answer, False)
    assert len({a.prompt_hash for a in step.attempts}) == 1
    model.close()


def test_a_vote_ends_at_its_limit() -> None:
    arm = ARMS["vote"].model_copy(update={"max_attempts": 4})
    model = ScriptedModel(["1", "2", "1", "2"])
    trace = asyncio.run(rollout(Counting(horizon=1), model, arm, 1))
    assert trace.steps[0].exhausted and len(trace.steps[0].attempts) == 4


def test_the_lead_that_is_enough_is_the_smallest_one() -> None:
    for p, steps, target in ((0.9, 1000, 0.9), (0.99, 1_048_575, 0.9), (0.6, 10, 0.5)):
        lead = smallest_lead(p, steps, target)
        assert lead is not None and win(p, lead) ** steps >= target > win(p, lead - 1) ** steps
    assert smallest_lead(0.5, 10, 0.9) is None


def test_a_vote_wins_as_often_as_the_formula_says() -> None:
    rng = random.Random(1)
    wins = 0
    for _ in range(4000):
        ahead = 0
        while abs(ahead) < 3:
            ahead += 1 if rng.random() < 0.7 else -1
        wins += ahead > 0
    assert wins / 4000 == pytest.approx(win(0.7, 3), abs=0.02)


def test_a_plan_is_made_from_a_sample_of_the_model_itself() -> None:
    def mostly_right(question: Question, seed: int) -> str:
        return str(question.state["last"] + (1 if seed % 10 else 2))

    made = plan_votes(Counting(horizon=10), ScriptedModel(mostly_right), steps=1000, sample=100)
    plan, tokens = asyncio.run(made)
    assert plan.p.value is not None and 0.8 < plan.p.value < 1
    assert plan.valid.value == 1 and plan.p.n == 100 and tokens == 2
    assert plan.lead == smallest_lead(plan.p.value, 1000, 0.9)
    assert plan.votes_per_step == pytest.approx((plan.lead or 0) / (2 * plan.p.value - 1))
