"""The table that every figure is computed from: one row a step, one row an attempt."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.types import Score, Trace, total

Column = NDArray[Any]

UNKNOWN = -1
"""In the integer columns of truths: the oracle did not judge."""


@dataclass(frozen=True)
class AttemptTable:
    """Columns of equal length, one row an attempt."""

    step_row: Column
    """Row of its step in the step table."""
    attempt: Column
    """0 for the first."""
    correct: Column
    """1, 0, or UNKNOWN."""
    repeat: Column
    """1 where its answer is the one just rejected."""
    verdicts: Sequence[dict[str, str]]
    """Outcome by verifier name."""


@dataclass(frozen=True)
class StepTable:
    """Columns of equal length, one row a step, in the order of episodes and steps."""

    episode: Column
    """Running number of the episode, 0, 1, 2, ..."""
    pair: Column
    """The seed: episodes of two arms with one seed are a pair."""
    arm: Column
    """Name of the arm."""
    step: Column
    """1 for the first step of its episode."""
    first_correct: Column
    """Truth of the first attempt: 1, 0, or UNKNOWN."""
    correct: Column
    """Truth of the accepted attempt."""
    on_track: Column
    """Whether the run's state agrees with the truth after the step."""
    error_class: Column
    """Of the accepted attempt; empty where it is right."""
    attempts: Column
    """How many were made."""
    exhausted: Column
    """1 where none passed."""
    infrastructure: Column
    """1 where a verifier broke: the step is in no rate."""
    tokens: Column
    """Of all attempts and verifiers."""
    calls: Column
    """Model calls."""
    seconds: Column
    """Of all attempts."""
    measures: Sequence[dict[str, float | bool | None]]
    """What else the oracle measured on the accepted attempt."""
    attempt_rows: AttemptTable
    """The attempts of these steps."""
    failed: dict[str, list[int]]
    """Seeds by arm of the episodes that ended in an infrastructure error."""
    episodes_of: dict[str, list[int]]
    """Seeds of the episodes of each arm, also of those without a step."""

    def where(self, mask: Column) -> dict[str, Column]:
        """The columns of the steps that `mask` picks."""
        return {
            f.name: getattr(self, f.name)[mask]
            for f in fields(self)
            if isinstance(getattr(self, f.name), np.ndarray)
        }

    def arms(self) -> list[str]:
        """Names in order of first appearance."""
        return list(self.episodes_of)


def from_traces(
    episodes: Iterable[tuple[Trace, list[list[Score]]]], arms: Sequence[str] = ()
) -> StepTable:
    """The table of sealed, scored traces; `arms` fixes their order."""
    columns: dict[str, list[Any]] = {
        f.name: []
        for f in fields(StepTable)
        if f.name not in ("attempt_rows", "failed", "episodes_of")
    }
    attempts: dict[str, list[Any]] = {f.name: [] for f in fields(AttemptTable)}
    failed: dict[str, list[int]] = {a: [] for a in arms}
    seeds: dict[str, list[int]] = {a: [] for a in arms}
    for number, (trace, scores) in enumerate(episodes):
        if trace.error is not None:
            failed.setdefault(trace.arm, []).append(trace.seed)
        seeds.setdefault(trace.arm, []).append(trace.seed)
        for step, row in zip(trace.steps, scores, strict=True):
            accepted = row[step.accepted]
            usage = total(
                u for a in step.attempts for u in (a.usage, *(v.usage for v in a.verdicts))
            )
            values = {
                "episode": number,
                "pair": trace.seed,
                "arm": trace.arm,
                "step": step.index + 1,
                "first_correct": _truth(row[0].correct),
                "correct": _truth(accepted.correct),
                "on_track": _truth(
                    accepted.on_track if accepted.on_track is not None else accepted.correct
                ),
                "error_class": accepted.error_class or "",
                "attempts": len(step.attempts),
                "exhausted": int(step.exhausted),
                "infrastructure": int(step.attempts[step.accepted].broken),
                "tokens": usage.total,
                "calls": usage.calls,
                "seconds": sum(a.seconds for a in step.attempts),
                "measures": accepted.measures,
            }
            at = len(columns["step"])
            for name, value in values.items():
                columns[name].append(value)
            for i, (attempt, score) in enumerate(zip(step.attempts, row, strict=True)):
                attempts["step_row"].append(at)
                attempts["attempt"].append(i)
                attempts["correct"].append(_truth(score.correct))
                before = step.attempts[i - 1] if i else None
                same = before is not None and _said(before) == _said(attempt)
                attempts["repeat"].append(int(same))
                attempts["verdicts"].append({v.verifier: v.outcome for v in attempt.verdicts})
    return StepTable(
        **_arrays(columns),
        attempt_rows=AttemptTable(**_arrays(attempts)),
        failed=failed,
        episodes_of=seeds,
    )


def _arrays(columns: dict[str, list[Any]]) -> dict[str, Any]:
    """Columns as arrays, but for those whose cells are mappings; empty ones keep their type."""
    text = {"arm", "error_class"}
    return {
        name: values
        if name in ("measures", "verdicts")
        else np.array(values, dtype=str if name in text else float if name == "seconds" else int)
        for name, values in columns.items()
    }


def _truth(correct: bool | None) -> int:
    return UNKNOWN if correct is None else int(correct)


def _said(attempt: Any) -> Any:
    return attempt.answer if attempt.answer is not None else attempt.text
