"""The table that every figure is computed from: one row a step, one row an attempt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.selection import Rule, chosen
from agent.types import Score, Trace, total

Column = NDArray[Any]

UNKNOWN = -1
"""In the integer columns of truths: the oracle did not judge."""

OUTCOMES = ("fail", "pass", "abstain", "error")
"""What a verifier's column holds, by number; UNKNOWN where it was not asked."""


@dataclass(frozen=True)
class AttemptTable:
    """Columns of equal length, one row an attempt, in the order of steps and attempts."""

    step_row: Column
    """Row of its step in the step table."""
    attempt: Column
    """0 for the first."""
    correct: Column
    """1, 0, or UNKNOWN."""
    repeat: Column
    """1 where its answer is the one just rejected, 0, or UNKNOWN."""
    kept: Column
    """The attempt that would have been accepted had there been no further one."""
    tokens: Column
    """Of the model and of the verifiers."""
    logprob: Column
    """log Q: sum over its tokens, in nats; NaN where the model does not tell."""
    log_p: Column
    """log P of its answer under the task's exactly known distribution, in nats; NaN without."""
    entropy: Column
    """Of that distribution at this step, in nats; NaN without."""
    verdicts: Mapping[str, Column] = field(default_factory=dict)
    """By verifier: a number of OUTCOMES, or UNKNOWN."""


@dataclass(frozen=True)
class StepTable:
    """Columns of equal length, one row a step, in the order of episodes and steps."""

    episode: Column
    """Running number of the episode, 0, 1, 2, ..."""
    pair: Column
    """The seed: episodes of two arms with one seed are a pair."""
    arm: Column
    """Name of the arm."""
    stratum: Column
    """What episodes differ by from the outside (a model, a difficulty); empty for none."""
    step: Column
    """1 for the first step of its episode."""
    prompt: Column
    """Hash of the question as it was first asked; empty where not told."""
    key: Column
    """1 where the step is a decisive one, 0 where not, UNKNOWN where nobody says."""
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
    """1 where none passed, 0, or UNKNOWN."""
    infrastructure: Column
    """1 where a verifier broke: the step is in no rate."""
    tokens: Column
    """Of all attempts and verifiers."""
    calls: Column
    """Model calls."""
    seconds: Column
    """Of all attempts."""
    attempt_rows: AttemptTable
    """The attempts of these steps."""
    measures: Mapping[str, Column] = field(default_factory=dict)
    """What else the oracle measured on the accepted attempt; NaN where it did not."""
    yes_no: frozenset[str] = frozenset()
    """Those measures that are truths, 0 or 1."""
    failed: Mapping[str, list[int]] = field(default_factory=dict)
    """Pairs by arm of the episodes that ended in an infrastructure error."""
    episodes_of: Mapping[str, list[int]] = field(default_factory=dict)
    """Pairs of the episodes of each arm, also of those without a step."""
    outcomes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """By arm: how many episodes ended for which reason."""

    def where(self, mask: Column) -> dict[str, Column]:
        """The columns of the steps that `mask` picks."""
        return {name: getattr(self, name)[mask] for name in STEP_COLUMNS}

    def arms(self) -> list[str]:
        """Names in order of first appearance."""
        return list(self.episodes_of)

    @property
    def judged(self) -> Column:
        """The steps that are in the rates: no verifier broke, and the truth is known."""
        result: Column = (self.infrastructure == 0) & (self.correct != UNKNOWN)
        return result


DRIFT = ("log_p", "entropy")
"""Measures of a task whose distribution is known exactly; they belong to every attempt."""

STEP_COLUMNS = [f.name for f in fields(StepTable) if f.type == "Column"]
ATTEMPT_COLUMNS = [f.name for f in fields(AttemptTable) if f.type == "Column"]
_TEXT = {"arm", "stratum", "prompt", "error_class"}
_REAL = {"seconds", "logprob", *DRIFT}


def from_traces(
    episodes: Iterable[tuple[Trace, list[list[Score]]]], arms: Sequence[str] = ()
) -> StepTable:
    """The table of sealed, scored traces; `arms` fixes their order."""
    rows: dict[str, list[Any]] = {name: [] for name in STEP_COLUMNS}
    tries: dict[str, list[Any]] = {name: [] for name in ATTEMPT_COLUMNS}
    measures: list[Mapping[str, float | bool | None]] = []
    verdicts: list[dict[str, str]] = []
    failed: dict[str, list[int]] = {a: [] for a in arms}
    pairs: dict[str, list[int]] = {a: [] for a in arms}
    outcomes: dict[str, Counter[str]] = {a: Counter() for a in arms}
    for number, (trace, scores) in enumerate(episodes):
        if trace.error is not None:
            failed.setdefault(trace.arm, []).append(trace.seed)
        pairs.setdefault(trace.arm, []).append(trace.seed)
        outcomes.setdefault(trace.arm, Counter())[trace.stop_reason] += 1
        rule = _rule(trace)
        for step, row in zip(trace.steps, scores, strict=True):
            accepted = row[step.accepted]
            costs = [total((a.usage, *(v.usage for v in a.verdicts))) for a in step.attempts]
            values = {
                "episode": number,
                "pair": trace.seed,
                "arm": trace.arm,
                "stratum": "",
                "step": step.index + 1,
                "prompt": step.attempts[0].prompt_hash,
                "key": _truth(accepted.key),
                "first_correct": _truth(row[0].correct),
                "correct": _truth(accepted.correct),
                "on_track": _truth(
                    accepted.on_track if accepted.on_track is not None else accepted.correct
                ),
                "error_class": accepted.error_class or "",
                "attempts": len(step.attempts),
                "exhausted": int(step.exhausted),
                "infrastructure": int(step.attempts[step.accepted].broken),
                "tokens": sum(c.total for c in costs),
                "calls": sum(c.calls for c in costs),
                "seconds": sum(a.seconds for a in step.attempts),
            }
            at = len(rows["step"])
            measures.append({k: v for k, v in accepted.measures.items() if k not in DRIFT})
            for name, value in values.items():
                rows[name].append(value)
            for i, (attempt, score) in enumerate(zip(step.attempts, row, strict=True)):
                before = step.attempts[i - 1] if i else None
                values = {
                    "step_row": at,
                    "attempt": i,
                    "correct": _truth(score.correct),
                    "repeat": int(before is not None and _said(before) == _said(attempt)),
                    "kept": chosen(step.attempts[: i + 1], *rule)[0],
                    "tokens": costs[i].total,
                    "logprob": _real(attempt.logprob),
                    "log_p": _real(score.measures.get("log_p")),
                    "entropy": _real(score.measures.get("entropy")),
                }
                for name, value in values.items():
                    tries[name].append(value)
                verdicts.append({v.verifier: v.outcome for v in attempt.verdicts})
    yes_no = {k for row in measures for k, v in row.items() if isinstance(v, bool)}
    return StepTable(
        **_arrays(rows),
        attempt_rows=AttemptTable(**_arrays(tries), verdicts=_outcome_columns(verdicts)),
        measures=_measure_columns(measures),
        yes_no=frozenset(yes_no),
        failed=failed,
        episodes_of=pairs,
        outcomes=outcomes,
    )


def _rule(trace: Trace) -> Rule:
    """How the arm of a trace chose, as it was recorded."""
    arm = (trace.configuration or {}).get("arm", {})
    return arm.get("select", "first_pass"), arm.get("vote_lead", 1), arm.get("red_flag")


def _arrays(columns: dict[str, list[Any]]) -> dict[str, Any]:
    """Lists as arrays; empty ones keep their type."""
    return {
        name: np.array(values, dtype=str if name in _TEXT else float if name in _REAL else int)
        for name, values in columns.items()
    }


def _measure_columns(rows: Sequence[Mapping[str, float | bool | None]]) -> dict[str, Column]:
    names = dict.fromkeys(name for row in rows for name in row)
    out = {}
    for name in names:
        values = [row.get(name) for row in rows]
        out[name] = np.array([_real(v) for v in values])
    return out


def _outcome_columns(rows: Sequence[Mapping[str, str]]) -> dict[str, Column]:
    number = {outcome: i for i, outcome in enumerate(OUTCOMES)}
    names = dict.fromkeys(name for row in rows for name in row)
    return {
        name: np.array([number[row[name]] if name in row else UNKNOWN for row in rows])
        for name in names
    }


def _real(value: float | None) -> float:
    return np.nan if value is None else float(value)


def _truth(correct: bool | None) -> int:
    return UNKNOWN if correct is None else int(correct)


def _said(attempt: Any) -> Any:
    return attempt.answer if attempt.answer is not None else attempt.text
