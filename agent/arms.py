"""The arms: named settings of one loop, as data.

An arm decides how often the model may answer, what judges its answers and what it is told;
nothing else differs between two arms of a comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field, InstanceOf

from agent.errors import UnknownName
from agent.selection import Rule, Select
from agent.types import AfterError, Frozen, Json
from agent.verification import Check

Feedback = Literal["none", "flag", "reason", "history"]


class Arm(Frozen):
    """Frozen settings of the loop."""

    name: str
    """The word of the report."""
    max_attempts: int = Field(default=3, ge=1)
    """Samples per step at most."""
    feedback: Feedback = "none"
    """What is told of a rejected answer: nothing, that it was wrong, why, or why of all."""
    base: Literal["last", "best"] = "last"
    """Which rejected answer the next attempt is shown: the last one, or the best one so far."""
    hint: bool = False
    """Also name the answers that would pass, where a verifier can."""
    role: Literal["user", "system"] = "user"
    """Who tells it, in a chat."""
    fence: str = "{critique}"
    """How it is quoted in a chat; holds `{critique}`."""
    select: Select = "first_pass"
    """Stop at the first pass; sample all and take the best; or the first answer ahead by a lead."""
    vote_lead: int = Field(default=2, ge=1)
    """Votes by which the winner of a vote must be ahead."""
    red_flag: int | None = Field(default=None, ge=1)
    """Tokens from which an answer has no vote; None for any length."""
    after_error: AfterError = "leave"
    """What an accepted error does to the episode: see the task."""
    inject: float = Field(default=0.0, ge=0, le=1)
    """Share of the shown history that is made wrong, where the task can."""
    factors: dict[str, float] = {}
    """Levels of what was varied to make this arm, for the plots."""
    own: tuple[str, ...] = ()
    """Names of verifiers that it uses in place of the run's."""
    verified: bool = True
    """Whether this arm uses the run's verifiers at all."""
    checks: tuple[InstanceOf[Check], ...] = ()
    """The verifiers, resolved; set by `with_checks`."""

    @property
    def rule(self) -> Rule:
        """How it chooses among attempts, as `selection` takes it."""
        return self.select, self.vote_lead, self.red_flag

    def with_checks(self, checks: Sequence[Check]) -> Arm:
        """This arm with verifiers, or unchanged where it uses none."""
        return self.model_copy(update={"checks": tuple(checks)}) if self.verified else self

    def configuration(self) -> dict[str, Json]:
        """The settings as JSON, verifiers by name."""
        settings: dict[str, Json] = self.model_dump(exclude={"checks"})
        settings["verifiers"] = [c.configuration() for c in self.checks]
        return settings


ARMS: dict[str, Arm] = {
    arm.name: arm
    for arm in (
        Arm(name="baseline", max_attempts=1, verified=False),
        Arm(name="resample", feedback="none"),
        Arm(name="flag", feedback="flag"),
        Arm(name="critique", feedback="reason"),
        Arm(name="hint", feedback="reason", hint=True),
        Arm(name="best-of-n", feedback="none", select="best"),
        Arm(name="proofread", feedback="reason", own=("proofread",)),
        Arm(name="vote", max_attempts=20, select="vote"),
        Arm(name="mutate", feedback="reason", base="best"),
        Arm(name="generated-tests", feedback="reason", own=("generated-tests",)),
    )
}

DESCRIPTIONS = {
    "baseline": "one attempt, no verifier: plain autoregression",
    "resample": "a rejected answer is sampled again from the same prompt",
    "flag": "the model is told that its answer was wrong",
    "critique": "the model is told why its answer was wrong",
    "hint": "the reason, and the answers that would pass",
    "best-of-n": "always n attempts; the best one is taken",
    "proofread": "the model itself proofreads its answer: no oracle steers",
    "vote": "the first answer that is 2 votes ahead, of 20 at most; unreadable and rejected ones have none",
    "mutate": "the best rejected answer so far is shown with its critique, to be improved",
    "generated-tests": "the model's own tests judge, those that several of its tries agree on",
}


def arm(name: str) -> Arm:
    """The arm of that name. Raises `UnknownName`."""
    if name not in ARMS:
        raise UnknownName("arm", name, ARMS)
    return ARMS[name]
