"""One arm at several levels of a setting: injected errors, a noisy verifier, what errors leave."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from agent.arms import Arm
from agent.types import AfterError, AnyVerifier
from agent.verification import Check

Wrap = Callable[[AnyVerifier, float, float], AnyVerifier]
"""(verifier, false-accept rate, false-reject rate) -> the noisy one."""


def injected(arms: Sequence[Arm], shares: Sequence[float]) -> list[Arm]:
    """Each arm once for every share of its shown history that is made wrong."""
    return [
        _variant(arm, f"inject={share:g}", inject=share, factors={**arm.factors, "inject": share})
        for arm in arms
        for share in shares
    ]


def after_errors(arms: Sequence[Arm], choices: Sequence[AfterError]) -> list[Arm]:
    """Each arm once for every choice; no change of name where there is but one."""
    if len(choices) == 1:
        return [arm.model_copy(update={"after_error": choices[0]}) for arm in arms]
    return [_variant(arm, choice, after_error=choice) for arm in arms for choice in choices]


def noisy(arms: Sequence[Arm], rates: Sequence[tuple[float, float]], wrap: Wrap) -> list[Arm]:
    """Each arm that verifies once for every (false-accept, false-reject) pair of rates."""
    out: list[Arm] = []
    for arm in arms:
        if not arm.checks:
            out.append(arm)
            continue
        for accept, reject in rates:
            checks = tuple(_noisy(c, accept, reject, wrap) for c in arm.checks)
            factors = {**arm.factors, "false_accept": accept, "false_reject": reject}
            out.append(
                _variant(arm, f"noise={accept:g}:{reject:g}", checks=checks, factors=factors)
            )
    return out


def _noisy(check: Check, accept: float, reject: float, wrap: Wrap) -> Check:
    wrapped = Check.of(wrap(check.verify, accept, reject))
    return replace(wrapped, name=f"{check.name}({accept:g}:{reject:g})")


def _variant(arm: Arm, suffix: str, **update: object) -> Arm:
    return arm.model_copy(update={"name": f"{arm.name}/{suffix}", **update})
