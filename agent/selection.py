"""Which of several attempts is taken: the loop's rule, and what replays it in the figures."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Literal

from agent.types import Attempt

Select = Literal["first_pass", "best", "vote"]

Rule = tuple[Select, int, int | None]
"""How to choose, the lead that wins a vote, and the tokens from which an answer has no vote."""


def settled(attempts: Sequence[Attempt], select: Select, lead: int, longest: int | None) -> bool:
    """Whether a further attempt could not change what is taken."""
    if not attempts or select == "best":
        return False
    if select == "first_pass":
        return not attempts[-1].failed
    return leads(attempts, lead, longest) is not None


def chosen(
    attempts: Sequence[Attempt], select: Select, lead: int, longest: int | None
) -> tuple[int, bool]:
    """(index of the attempt that is taken, whether it was taken for want of a better one)."""
    if select == "vote":
        winner = leads(attempts, lead, longest)
        if winner is not None:
            return winner, False
        ahead = leads(attempts, 1, longest)
        return (best(attempts) if ahead is None else ahead), True
    accepted = best(attempts)
    return accepted, bool(attempts[accepted].failed)


def leads(attempts: Sequence[Attempt], lead: int, longest: int | None) -> int | None:
    """Index of the first attempt with the answer that is `lead` votes ahead of any other.

    First to be ahead by k (MAKER, arXiv 2511.09030). An answer that is unreadable, rejected, or
    longer than `longest` tokens has no vote: it comes from a confused moment, and is discarded
    rather than repaired. None while no answer leads by so much.
    """
    votes: Counter[str] = Counter()
    first: dict[str, int] = {}
    for index, attempt in enumerate(attempts):
        too_long = longest is not None and attempt.usage.completion_tokens > longest
        if attempt.answer is None or attempt.failed or attempt.broken or too_long:
            continue
        answer = json.dumps(attempt.answer, sort_keys=True)
        votes[answer] += 1
        first.setdefault(answer, index)
    ranked = votes.most_common(2)
    if not ranked or ranked[0][1] - (ranked[1][1] if len(ranked) > 1 else 0) < lead:
        return None
    return first[ranked[0][0]]


def best(attempts: Sequence[Attempt]) -> int:
    """Index of the best attempt: passed before unjudged before failed, among failures the one
    that got furthest, then the likeliest."""

    def rank(index: int) -> tuple[int, float, float, float, int]:
        attempt = attempts[index]
        must = sum(v.severity == "must" for v in attempt.failed)
        readable = attempt.answer is not None
        likely = attempt.logprob if attempt.logprob is not None else 0.0
        # Likelihood breaks ties between passed answers only: among rejected ones it would
        # prefer the very mistake the model is surest of.
        clean = likely if not attempt.failed and not attempt.broken else 0.0
        got = sum(v.score or 0.0 for v in attempt.failed)
        return (must + (not readable), len(attempt.failed) + attempt.broken, -got, -clean, index)

    return min(range(len(attempts)), key=rank)
