"""Verifiers put together: all of them, any of them, or most of them have to pass an answer.

Every part is always asked, all at once, each within its own time limit; shadow parts are
asked and recorded, and decide nothing. What a part says of an answer stays in the evidence, what
it spent in the usage. A part that is broken is never a pass: where the others don't decide
without it, the whole is broken.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import get_args

from agent.errors import UsageError
from agent.types import Answer, AnyVerifier, Outcome, Question, Severity, Verdict, total
from agent.verification import Check, judge

Decide = Callable[[Sequence[Verdict]], tuple[Outcome, Severity]]
"""What the verdicts of the parts come to, and how much it weighs."""


class Combination:
    """Some verifiers as one; made by `all_of`, `any_of` and `majority`."""

    def __init__(self, kind: str, decide: Decide, verifiers: Sequence[AnyVerifier]) -> None:
        """Raises `UsageError` without any verifier, `BadVerifier` for one that is none."""
        if not verifiers:
            raise UsageError(f"{kind} needs at least one verifier")
        self.kind, self._decide = kind, decide
        self.parts = tuple(Check.of(verifier) for verifier in verifiers)
        self.name = f"{kind}({','.join(part.name for part in self.parts)})"
        self.severity = _strictest(part.severity for part in self.parts)
        self.timeout = 1 + max(part.timeout for part in self.parts)
        self.version = [part.configuration() for part in self.parts]

    async def __call__(self, question: Question, answer: Answer) -> Verdict:
        """What the parts come to; its critique is that of all parts that failed."""
        verdicts = await asyncio.gather(*(judge(part, question, answer) for part in self.parts))
        outcome, severity = self._decide([v for v in verdicts if self._counts(v.severity)])
        told = [v.critique or f"{v.verifier} rejects it." for v in verdicts
                if v.outcome == "fail" and self._counts(v.severity)]  # fmt: skip
        return Verdict(
            verifier=self.name, outcome=outcome, severity=severity,
            critique=" ".join(told) if outcome == "fail" else "",
            evidence={"parts": [v.model_dump(exclude={"seconds", "usage"}) for v in verdicts]},
            usage=total(v.usage for v in verdicts),
        )  # fmt: skip

    def candidates(self, question: Question) -> list[str]:
        """Answers that are sure to pass, as far as the parts can name theirs."""
        parts = [p for p in self.parts if self._counts(p.severity)]
        offered = Counter(c for p in parts for c in dict.fromkeys(p.candidates(question)))
        sure = {"all_of": len(parts), "any_of": 1}.get(self.kind, len(parts) // 2 + 1)
        return [candidate for candidate, count in offered.items() if count >= sure]

    def _counts(self, severity: Severity) -> bool:
        return severity != "shadow" or self.severity == "shadow"


def all_of(*verifiers: AnyVerifier) -> Combination:
    """Fails where a part fails; else broken where a `must` part is; else passes where one does.

    Where only `should` parts fail, the failure is a `should`. Abstains where all parts do.

    >>> all_of(len, print).name
    'all_of(len,print)'
    """
    return Combination("all_of", _all, verifiers)


def any_of(*verifiers: AnyVerifier) -> Combination:
    """Passes where a part passes; else broken where a part is; else fails where one does.

    Abstains where all parts do.
    """
    return Combination("any_of", _any, verifiers)


def majority(*verifiers: AnyVerifier) -> Combination:
    """Passes where more than half of the parts that don't abstain pass; a tie fails.

    Broken where the broken parts could have tipped it. Abstains where all parts do.
    """
    return Combination("majority", _most, verifiers)


def _all(verdicts: Sequence[Verdict]) -> tuple[Outcome, Severity]:
    must = [v for v in verdicts if v.severity == "must"]
    outcome = _first(["fail", "error"], must)
    if outcome == "abstain":
        outcome = _first(["fail", "pass", "error"], verdicts)
        return outcome, "must" if outcome == "pass" else "should"
    return outcome, "must"


def _any(verdicts: Sequence[Verdict]) -> tuple[Outcome, Severity]:
    return _first(["pass", "error", "fail"], verdicts), "must"


def _most(verdicts: Sequence[Verdict]) -> tuple[Outcome, Severity]:
    count = Counter(v.outcome for v in verdicts)
    half = (count["pass"] + count["fail"] + count["error"]) / 2
    if not half:
        return "abstain", "must"
    if count["pass"] > half:
        return "pass", "must"
    return ("error" if count["pass"] + count["error"] > half else "fail"), "must"


def _first(order: Sequence[Outcome], verdicts: Sequence[Verdict]) -> Outcome:
    given = {v.outcome for v in verdicts}
    return next((outcome for outcome in order if outcome in given), "abstain")


def _strictest(severities: Iterable[Severity]) -> Severity:
    return min(severities, key=get_args(Severity).index)
