"""First to be ahead by k: who has a vote, when it is decided, and what happens when it is not."""

from __future__ import annotations

import asyncio

import pytest
from toy import Counting

from agent.arms import ARMS
from agent.loop import rollout
from agent.models.scripted import ScriptedModel
from agent.selection import chosen, leads, settled
from agent.types import Attempt, Usage, Verdict


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
