"""All figures of a comparison, from the step table."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from agent.measure.statistics import Difference, Estimate, difference, per_step, rate
from agent.measure.survival import Survival, first_errors, survival
from agent.measure.table import UNKNOWN, StepTable
from agent.measure.transitions import Transitions, transitions

Array = NDArray[Any]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Attempts(_Frozen):
    """What happened after a rejected answer."""

    first_attempt_error: Estimate
    """The attempt before any critique is wrong."""
    recovery: dict[int, Estimate]
    """P(attempt k is right | attempt k-1 was wrong and k was made), k = 2, 3, ..."""
    repeats: Estimate
    """Retries that give the rejected answer again."""
    exhausted: int
    """Steps at which no attempt passed."""
    per_step: float
    """Attempts made per step."""


class ArmFigures(_Frozen):
    """One arm."""

    episodes: int
    """Episodes begun, those that failed for infrastructure included."""
    infrastructure_errors: int
    """Episodes that ended in an infrastructure error."""
    unjudged_steps: int
    """Steps in no rate: a verifier broke, or the oracle did not judge."""
    steps: int
    """Steps behind the rates."""
    error_rate: Estimate
    """Accepted answers that the oracle calls wrong."""
    survival: Survival
    """Steps without error."""
    transitions: Transitions
    """On and off track."""
    attempts: Attempts
    """Retries."""
    error_classes: dict[str, int]
    """Accepted errors by class."""
    measures: dict[str, Estimate]
    """Means of what else the oracle measured on accepted answers."""
    timescales: dict[str, Estimate]
    """For each yes-no measure, median steps to its first no: abilities are lost at
    different times, say first good play, then legality, well-formed notation last."""
    tokens: int
    """All tokens, failed attempts and verifiers included."""
    calls: int
    """Model calls."""
    tokens_per_step: Estimate
    """The same per step."""
    seconds: float
    """Time spent on attempts, summed over concurrent episodes."""


class VerifierFigures(_Frozen):
    """One verifier against the oracle, over every attempt that it judged."""

    false_accept: Estimate
    """P(it passes | the oracle says wrong)."""
    false_reject: Estimate
    """P(it fails | the oracle says right)."""
    judged: int
    """Verdicts given."""
    errors: int
    """Times it broke: raised, returned nonsense, or took too long."""
    abstained: int
    """Times it had no opinion."""


class Contrast(_Frozen):
    """Arm a minus arm b over the seeds that both played to their end."""

    error_rate: Difference
    """Of accepted answers."""
    tokens: Difference
    """Per step."""
    errors_avoided_per_1000_tokens: float | None
    """Net errors removed per 1,000 extra tokens; None where a used no more tokens."""
    tokens_per_corrected_error: float | None
    """Extra tokens per net error removed; None is infinite: the net is not positive."""
    pairs_lost: int
    """Seeds that one of the two arms lacks or lost to infrastructure."""


class Comparison(_Frozen):
    """Everything that the tables print."""

    arms: dict[str, ArmFigures]
    """By name."""
    differences: dict[str, Contrast]
    """By `a-b`."""
    verifiers: dict[str, VerifierFigures]
    """By name."""
    horizon: int
    """Steps at which every episode ends."""


def compare(table: StepTable, horizon: int) -> Comparison:
    """All figures. Rows are excluded from rates where a verifier broke or no truth is known."""
    names = table.arms()
    judged = (table.infrastructure == 0) & (table.correct != UNKNOWN)
    return Comparison(
        arms={name: _arm(table, name, judged, horizon) for name in names},
        differences={f"{a}-{b}": _contrast(table, a, b, judged) for b, a in combinations(names, 2)},
        verifiers=_verifiers(table),
        horizon=horizon,
    )


def _by_episode(episode: Array, *values: Array) -> list[Array]:
    """Sums by episode, plus the count of rows as the last column."""
    numbers, index = np.unique(episode, return_inverse=True)
    sums = [np.bincount(index, weights=v, minlength=len(numbers)) for v in values]
    return [*sums, np.bincount(index, minlength=len(numbers)).astype(float)]


def _arm(table: StepTable, name: str, judged: Array, horizon: int) -> ArmFigures:
    rows = table.where((table.arm == name) & judged)
    everything = table.where(table.arm == name)
    wrong, steps = _by_episode(rows["episode"], rows["correct"] == 0)
    tokens, _ = _by_episode(rows["episode"], rows["tokens"])
    marks = sorted({t for t in (10, 20, horizon) if t <= horizon})
    return ArmFigures(
        episodes=len(table.episodes_of[name]),
        infrastructure_errors=len(table.failed.get(name, ())),
        unjudged_steps=len(everything["step"]) - len(rows["step"]),
        steps=len(rows["step"]),
        error_rate=rate(wrong, steps),
        survival=survival(*first_errors(rows["episode"], rows["step"], rows["correct"]), marks),
        transitions=transitions(rows["episode"], rows["on_track"]),
        attempts=_attempts(table, name, judged),
        error_classes=dict(Counter(c for c in rows["error_class"].tolist() if c).most_common()),
        measures=_measures(table, name, judged),
        timescales=_timescales(table, name, judged),
        tokens=int(everything["tokens"].sum()),
        calls=int(everything["calls"].sum()),
        tokens_per_step=per_step(tokens, steps),
        seconds=round(float(everything["seconds"].sum()), 3),
    )


def _attempts(table: StepTable, name: str, judged: Array) -> Attempts:
    rows = table.where((table.arm == name) & judged)
    wrong, steps = _by_episode(rows["episode"], rows["first_correct"] == 0)
    tries = table.attempt_rows
    mine = ((table.arm == name) & judged)[tries.step_row]
    recovery = {}
    last = int(tries.attempt[mine].max(initial=0))
    for k in range(1, last + 1):
        here = np.flatnonzero(mine & (tries.attempt == k))
        # Attempts of a step stand in order, so the one before is the row before.
        here = here[(tries.correct[here - 1] == 0) & (tries.correct[here] != UNKNOWN)]
        right, count = _by_episode(table.episode[tries.step_row[here]], tries.correct[here] == 1)
        recovery[k + 1] = rate(right, count)
    retries = np.flatnonzero(mine & (tries.attempt > 0))
    same, count = _by_episode(table.episode[tries.step_row[retries]], tries.repeat[retries])
    return Attempts(
        first_attempt_error=rate(wrong, steps),
        recovery=recovery,
        repeats=rate(same, count),
        exhausted=int(rows["exhausted"].sum()),
        per_step=float(rows["attempts"].mean()) if len(rows["attempts"]) else 0.0,
    )


def _measures(table: StepTable, name: str, judged: Array) -> dict[str, Estimate]:
    out = {}
    for measure, (rows, values) in _measured(table, name, judged).items():
        sums, count = _by_episode(table.episode[rows], values)
        out[measure] = rate(sums, count) if values.dtype == bool else per_step(sums, count)
    return out


def _timescales(table: StepTable, name: str, judged: Array) -> dict[str, Estimate]:
    out = {}
    for measure, (rows, values) in _measured(table, name, judged).items():
        if values.dtype == bool:
            times = first_errors(table.episode[rows], table.step[rows], values)
            out[measure] = survival(*times, []).median
    return out


def _measured(table: StepTable, name: str, judged: Array) -> dict[str, tuple[Array, Array]]:
    """Rows and values of each measure of an arm where it was taken; yes-no ones as booleans."""
    picked: list[int] = np.flatnonzero((table.arm == name) & judged).tolist()
    out = {}
    for measure in dict.fromkeys(k for i in picked for k in table.measures[i]):
        rows = [i for i in picked if table.measures[i].get(measure) is not None]
        if rows:
            out[measure] = np.array(rows), np.array([table.measures[i][measure] for i in rows])
    return out


def _verifiers(table: StepTable) -> dict[str, VerifierFigures]:
    tries = table.attempt_rows
    names = dict.fromkeys(v for row in tries.verdicts for v in row if v != "parse")
    out = {}
    for name in names:
        outcome = np.array([row.get(name, "") for row in tries.verdicts])
        episode = table.episode[tries.step_row]
        decided = np.isin(outcome, ("pass", "fail"))
        wrong, right = decided & (tries.correct == 0), decided & (tries.correct == 1)
        out[name] = VerifierFigures(
            false_accept=rate(*_by_episode(episode[wrong], outcome[wrong] == "pass")),
            false_reject=rate(*_by_episode(episode[right], outcome[right] == "fail")),
            judged=int((outcome != "").sum()),
            errors=int((outcome == "error").sum()),
            abstained=int((outcome == "abstain").sum()),
        )
    return out


def _contrast(table: StepTable, a: str, b: str, judged: Array) -> Contrast:
    of_a, of_b = (_by_pair(table, name, judged) for name in (a, b))
    # An episode cut short by infrastructure has easier steps than its whole partner.
    broken = {*table.failed.get(a, ()), *table.failed.get(b, ())}
    both = sorted((of_a.keys() & of_b.keys()) - broken)
    lost = len(set(table.episodes_of[a]) | set(table.episodes_of[b])) - len(both)
    wrong_a, steps_a, tokens_a = _columns(of_a, both)
    wrong_b, steps_b, tokens_b = _columns(of_b, both)
    errors = difference(wrong_a, steps_a, wrong_b, steps_b)
    tokens = difference(tokens_a, steps_a, tokens_b, steps_b)
    gain, price = -(errors.value or 0.0), tokens.value or 0.0
    return Contrast(
        error_rate=errors,
        tokens=tokens,
        errors_avoided_per_1000_tokens=1000 * gain / price if price > 0 else None,
        tokens_per_corrected_error=price / gain if gain > 0 and price > 0 else None,
        pairs_lost=lost,
    )


def _by_pair(table: StepTable, name: str, judged: Array) -> dict[int, tuple[float, float, float]]:
    rows = table.where((table.arm == name) & judged)
    wrong, tokens, steps = _by_episode(rows["pair"], rows["correct"] == 0, rows["tokens"])
    pairs = np.unique(rows["pair"]).tolist()
    return dict(zip(pairs, zip(wrong, steps, tokens, strict=True), strict=True))


def _columns(of: dict[int, tuple[float, float, float]], pairs: list[int]) -> tuple[Array, ...]:
    return tuple(np.array([of[p][i] for p in pairs]) for i in range(3))
