"""`summary.json`: the figures of a run for other programs; the schema is docs/summary.md."""

from __future__ import annotations

from typing import Any

from agent.measure import Comparison
from agent.report.words import verdict
from agent.types import Json

SUMMARY_VERSION = 1
"""Raised when a field changes its meaning or goes; new fields may come at any time."""


def summarise(header: dict[str, Json], comparison: Comparison) -> dict[str, Any]:
    """The JSON form of a comparison. `header` is that of the run directory."""
    figures = comparison.model_dump(mode="json")
    identity = header["identity"]
    return {
        "version": SUMMARY_VERSION,
        "command": header["command"],
        "task": identity["task"],
        "model": identity["model"],
        "horizon": comparison.horizon,
        "seeds": identity["seeds"],
        "oracle_verifiers": header["oracle_verifiers"],
        "arms": {name: _arm(arm) for name, arm in figures["arms"].items()},
        "same_prompts": comparison.same_prompts,
        "first_prompts": comparison.first_prompts,
        "primary": comparison.primary,
        "verdict": verdict(comparison, header["oracle_verifiers"]),
        "differences": figures["differences"],
        "verifiers": figures["verifiers"],
    }


def _arm(arm: dict[str, Any]) -> dict[str, Any]:
    """The figures people look for first stand at the top of an arm, not inside a group."""
    curve, moves, tries = arm.pop("survival"), arm.pop("transitions"), arm.pop("attempts")
    return {
        **arm,
        "first_attempt_error": tries.pop("first_attempt_error"),
        "survival": curve.pop("at"),
        "steps_to_first_error": curve,
        "e": moves.pop("e"),
        "r": moves.pop("r"),
        **moves,
        "attempts": tries,
    }
