"""How many votes ahead is enough: first-to-be-ahead-by-k, as in MAKER (arXiv 2511.09030)."""

from __future__ import annotations

import math

from pydantic import BaseModel, ConfigDict

from agent.measure.statistics import Estimate


class VotePlan(BaseModel):
    """What a vote needs and costs, for a model that is right more often than wrong."""

    model_config = ConfigDict(frozen=True)

    p: Estimate
    """P(a vote is right), of the answers that have one; the interval is over questions."""
    valid: Estimate
    """P(an answer has a vote): it can be read and is not too long."""
    lead: int | None
    """k: votes by which the winner must be ahead. None where no lead is enough, p <= 1/2."""
    votes_per_step: float | None
    """Samples expected at each step, k / (v (2p - 1))."""
    whole: float | None
    """P(every step is right) with that lead."""


def win(p: float, lead: int) -> float:
    """P(the right answer wins a step) = 1 / (1 + ((1-p)/p)^k), against one rival.

    >>> round(win(0.9, 1), 5), round(win(0.9, 3), 5)
    (0.9, 0.99863)
    """
    return 1 / (1 + ((1 - p) / p) ** lead) if p > 0 else 0.0


def smallest_lead(p: float, steps: int, target: float) -> int | None:
    """k_min = ceil(ln(t^(-1/s) - 1) / ln((1-p)/p)); None where p <= 1/2.

    >>> smallest_lead(0.99, 1_048_575, 0.9)
    4
    """
    if p <= 0.5:
        return None
    if p >= 1:
        return 1
    # t^(-1/s) - 1, which is too near to 0 to be had by subtraction.
    margin = math.expm1(-math.log(target) / steps)
    return max(1, math.ceil(math.log(margin) / math.log((1 - p) / p)))


def vote_plan(p: Estimate, valid: Estimate, steps: int, target: float) -> VotePlan:
    """The plan for `steps` steps that shall all be right with probability `target`."""
    lead = None if p.value is None else smallest_lead(p.value, steps, target)
    if lead is None or p.value is None or not valid.value:
        return VotePlan(p=p, valid=valid, lead=None, votes_per_step=None, whole=None)
    return VotePlan(
        p=p, valid=valid, lead=lead,
        votes_per_step=lead / (valid.value * (2 * p.value - 1)),
        whole=math.exp(steps * math.log(win(p.value, lead))),
    )  # fmt: skip
