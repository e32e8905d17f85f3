"""All figures of a comparison, from the step table."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from agent.measure.budgets import Cut, Equal, Point, cut, equal, frontier
from agent.measure.correction import Claim, Correction, claim, correction, unsolved
from agent.measure.drift import Drift, drift
from agent.measure.growth import Growth, growth
from agent.measure.models import ModelComparison, compare_models
from agent.measure.statistics import Difference, Estimate, by_episode, difference, per_step, rate
from agent.measure.survival import (
    Lives,
    Survival,
    SurvivalContrast,
    contrast,
    first_errors,
    only_pairs,
    survival,
    unbroken,
)
from agent.measure.table import OUTCOMES, UNKNOWN, StepTable
from agent.measure.transitions import Transitions, transitions

if TYPE_CHECKING:
    import pandas as pd

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
    exhausted: int | None
    """Steps at which no attempt passed; None where that is not told."""
    per_step: float
    """Attempts made per step."""
    unsolved: list[float]
    """P(none of the first k attempts is right), k = 1, 2, ...; e^k if they were independent."""


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
    growth: Growth
    """Whether the error grows from step to step."""
    claim: Claim
    """What the data say of (1-e)^n."""
    correction: Correction | None
    """What correcting mends and breaks; None in an arm that never makes a second attempt."""
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
    outcomes: dict[str, int]
    """Episodes by the reason of their end."""
    models: ModelComparison
    """Models of the time to the first error and of the whole sequence, side by side."""
    drift: Drift | None
    """Of first attempts from the true distribution, where task and model tell both."""
    frontier: list[Point]
    """Error against tokens, cut off after 1, 2, ... attempts."""
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

    arms: tuple[str, str]
    """a and b."""
    error_rate: Difference
    """Of accepted answers."""
    tokens: Difference
    """Per step."""
    errors_avoided_per_1000_tokens: float | None
    """Net errors removed per 1,000 extra tokens; None where a used no more tokens."""
    tokens_per_corrected_error: float | None
    """Extra tokens per net error removed; None is infinite: the net is not positive."""
    equal_tokens: Equal
    """The same at equal tokens."""
    survival: SurvivalContrast
    """Time to the first error, and whole episodes without one."""
    pairs_lost: int
    """Seeds that are in no difference: the sum of `lost`."""
    lost: dict[str, int]
    """Why: `infrastructure` ended an episode, `not in both arms`, `nothing judged`."""


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
    same_prompts: tuple[int, int] | None
    """Pairs whose arms were first asked the very same, of pairs that several arms played; None
    where prompts are not told."""
    first_prompts: dict[str, str]
    """By arm: one hash over the hashes of what its episodes were first asked, in the order of
    their seeds. Without the arms whose prompts are not told."""
    primary: str | None
    """The one difference that counts, `critique-resample` where both arms are there, else the
    last arm against the first; all others are exploratory. None for a single arm."""

    def to_pandas(self) -> pd.DataFrame:
        """One row an arm, one column a figure, intervals beside their values."""
        import pandas as pd

        rows = {}
        for name, arm in self.arms.items():
            estimates = {
                "error": arm.error_rate, "first_attempt_error": arm.attempts.first_attempt_error,
                "e": arm.transitions.e, "r": arm.transitions.r,
                "tokens_per_step": arm.tokens_per_step,
            }  # fmt: skip
            rows[name] = {
                "episodes": arm.episodes, "steps": arm.steps,
                **{f"{k}{part}": getattr(v, at) for k, v in estimates.items()
                   for part, at in (("", "value"), ("_low", "low"), ("_high", "high"))},
                "growth": arm.growth.word, "claim": arm.claim.word, "tokens": arm.tokens,
                "infrastructure_errors": arm.infrastructure_errors,
            }  # fmt: skip
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("arm")

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        columns = ["episodes", "steps", "error", "error_low", "error_high", "growth", "claim"]
        html: str = self.to_pandas()[columns].to_html(float_format="{:.3f}".format)
        return html


def compare(table: StepTable, horizon: int) -> Comparison:
    """All figures. Rows are excluded from rates where a verifier broke or no truth is known."""
    names = table.arms()
    cuts = {name: cut(table, name) for name in names}
    lives = {name: _lives(table, name) for name in names}
    return Comparison(
        arms={name: _arm(table, name, cuts[name], horizon) for name in names},
        differences={
            f"{a}-{b}": _contrast(table, a, b, cuts, lives) for b, a in combinations(names, 2)
        },
        verifiers=_verifiers(table),
        horizon=horizon,
        same_prompts=_same_prompts(table),
        first_prompts=_first_prompts(table),
        primary=primary(names),
    )


def _same_prompts(table: StepTable) -> tuple[int, int] | None:
    first = (table.step == 1) & (table.prompt != "")
    if not first.any():
        return None
    pairs, index = np.unique(table.pair[first], return_inverse=True)
    asked = {(i, p) for i, p in zip(index.tolist(), table.prompt[first].tolist(), strict=True)}
    played = np.bincount(index, minlength=len(pairs))
    kinds = np.bincount([i for i, _ in asked], minlength=len(pairs))
    return int(((kinds == 1) & (played > 1)).sum()), int((played > 1).sum())


def _first_prompts(table: StepTable) -> dict[str, str]:
    first = (table.step == 1) & (table.prompt != "")
    out = {}
    for name in table.arms():
        mine = first & (table.arm == name)
        order = np.argsort(table.pair[mine], kind="stable")
        if mine.any():
            asked = "\n".join(table.prompt[mine][order].tolist())
            out[name] = hashlib.sha256(asked.encode()).hexdigest()[:16]
    return out


def primary(arms: list[str]) -> str | None:
    """The name of the difference that counts."""
    if {"critique", "resample"} <= set(arms):
        first = arms.index("critique") < arms.index("resample")
        return "resample-critique" if first else "critique-resample"
    return f"{arms[-1]}-{arms[0]}" if len(arms) > 1 else None


def _arm(table: StepTable, name: str, cut_off: Cut, horizon: int) -> ArmFigures:
    judged = table.judged
    rows = table.where((table.arm == name) & judged)
    everything = table.where(table.arm == name)
    wrong, steps = by_episode(rows["episode"], rows["correct"] == 0)
    tokens, _ = by_episode(rows["episode"], rows["tokens"])
    marks = sorted({t for t in (10, 20, horizon) if t <= horizon})
    times = first_errors(rows["episode"], rows["step"], rows["correct"])
    moves = transitions(rows["episode"], rows["on_track"], rows["step"])
    whole = unbroken(rows["episode"], rows["step"])
    grows = growth(rows["episode"], rows["step"], rows["correct"] == 0, rows["stratum"])
    tries = _attempts(table, name, judged)
    return ArmFigures(
        episodes=len(table.episodes_of[name]),
        infrastructure_errors=len(table.failed.get(name, ())),
        unjudged_steps=len(everything["step"]) - len(rows["step"]),
        steps=len(rows["step"]),
        error_rate=rate(wrong, steps),
        growth=grows,
        claim=claim(moves.reversals, moves.r),
        correction=_correction(rows) if tries.recovery else None,
        survival=survival(*times, marks),
        transitions=moves,
        attempts=tries,
        error_classes=dict(Counter(c for c in rows["error_class"].tolist() if c).most_common()),
        measures=_measures(table, name, judged),
        timescales=_timescales(table, name, judged),
        outcomes=dict(table.outcomes.get(name, {})),
        models=compare_models(
            *(x[times[0] > 0] for x in times),
            *(rows[name][whole] for name in ("episode", "on_track", "key", "step")),
        ),
        drift=drift(table, name, [(b.first, b.last) for b in grows.blocks]),
        frontier=frontier(cut_off),
        tokens=int(everything["tokens"].sum()),
        calls=int(everything["calls"].sum()),
        tokens_per_step=per_step(tokens, steps),
        seconds=round(float(everything["seconds"].sum()), 3),
    )


def _correction(rows: Mapping[str, Array]) -> Correction | None:
    both = rows["first_correct"] != UNKNOWN
    return correction(rows["episode"][both], rows["first_correct"][both], rows["correct"][both])


def _attempts(table: StepTable, name: str, judged: Array) -> Attempts:
    rows = table.where((table.arm == name) & judged)
    wrong, steps = by_episode(rows["episode"], rows["first_correct"] == 0)
    tries = table.attempt_rows
    mine = ((table.arm == name) & judged)[tries.step_row]
    known = mine & (tries.correct != UNKNOWN)
    recovery = {}
    last = int(tries.attempt[mine].max(initial=0))
    for k in range(1, last + 1):
        here = np.flatnonzero(mine & (tries.attempt == k))
        # Attempts of a step stand in order, so the one before is the row before.
        here = here[(tries.correct[here - 1] == 0) & (tries.correct[here] != UNKNOWN)]
        right, count = by_episode(table.episode[tries.step_row[here]], tries.correct[here] == 1)
        recovery[k + 1] = rate(right, count)
    retries = np.flatnonzero(mine & (tries.attempt > 0) & (tries.repeat != UNKNOWN))
    same, count = by_episode(table.episode[tries.step_row[retries]], tries.repeat[retries])
    return Attempts(
        first_attempt_error=rate(wrong, steps),
        recovery=recovery,
        repeats=rate(same, count),
        exhausted=None if (rows["exhausted"] == UNKNOWN).any() else int(rows["exhausted"].sum()),
        per_step=float(rows["attempts"].mean()) if len(rows["attempts"]) else 0.0,
        unsolved=unsolved(
            tries.step_row[known], tries.attempt[known], tries.correct[known], last + 1
        ),
    )


def _measures(table: StepTable, name: str, judged: Array) -> dict[str, Estimate]:
    out = {}
    for measure, (rows, values) in _measured(table, name, judged).items():
        sums, count = by_episode(table.episode[rows], values)
        out[measure] = rate(sums, count) if values.dtype == bool else per_step(sums, count)
    return out


def _timescales(table: StepTable, name: str, judged: Array) -> dict[str, Estimate]:
    out = {}
    for measure, (rows, values) in _measured(table, name, judged).items():
        if values.dtype == bool:
            # What it does not apply to, as quality to an illegal move, is no failure of it.
            times = first_errors(table.episode[rows], table.step[rows], values, holes=True)
            out[measure] = survival(*times, []).median
    return out


def _measured(table: StepTable, name: str, judged: Array) -> dict[str, tuple[Array, Array]]:
    """Rows and values of each measure of an arm where it was taken; yes-no ones as booleans."""
    mine = (table.arm == name) & judged
    out = {}
    for measure, column in table.measures.items():
        rows = np.flatnonzero(mine & np.isfinite(column))
        if len(rows):
            values = column[rows]
            out[measure] = rows, values.astype(bool) if measure in table.yes_no else values
    return out


def _verifiers(table: StepTable) -> dict[str, VerifierFigures]:
    tries = table.attempt_rows
    fails, passes, abstains, breaks = range(len(OUTCOMES))
    episode = table.episode[tries.step_row]
    out = {}
    for name, outcome in tries.verdicts.items():
        if name == "parse":
            continue
        decided = (outcome == fails) | (outcome == passes)
        wrong, right = decided & (tries.correct == 0), decided & (tries.correct == 1)
        out[name] = VerifierFigures(
            false_accept=rate(*by_episode(episode[wrong], outcome[wrong] == passes)),
            false_reject=rate(*by_episode(episode[right], outcome[right] == fails)),
            judged=int((outcome != UNKNOWN).sum()),
            errors=int((outcome == breaks).sum()),
            abstained=int((outcome == abstains).sum()),
        )
    return out


def _lives(table: StepTable, name: str) -> Lives:
    rows = table.where((table.arm == name) & table.judged)
    times, observed = first_errors(rows["episode"], rows["step"], rows["correct"])
    numbers, first = np.unique(rows["episode"], return_index=True)
    mine = table.arm == name
    last = np.zeros(int(table.episode[mine].max(initial=-1)) + 1, int)
    np.maximum.at(last, table.episode[mine], table.step[mine])
    return rows["pair"][first], times, observed, last[numbers]


def _contrast(
    table: StepTable, a: str, b: str, cuts: Mapping[str, Cut], lives: Mapping[str, Lives]
) -> Contrast:
    of_a, of_b = (_by_pair(table, name) for name in (a, b))
    # An episode cut short by infrastructure has easier steps than its whole partner.
    broken = {*table.failed.get(a, ()), *table.failed.get(b, ())}
    both = sorted((of_a.keys() & of_b.keys()) - broken)
    wrong_a, steps_a, tokens_a = _columns(of_a, both)
    wrong_b, steps_b, tokens_b = _columns(of_b, both)
    errors = difference(wrong_a, steps_a, wrong_b, steps_b)
    tokens = difference(tokens_a, steps_a, tokens_b, steps_b, amounts=True)
    gain, price = -(errors.value or 0.0), tokens.value or 0.0
    lost = _lost(set(table.episodes_of[a]), set(table.episodes_of[b]), broken, set(both))
    paired = [only_pairs(lives[name], np.array(both, int)) for name in (a, b)]
    return Contrast(
        arms=(a, b),
        error_rate=errors,
        tokens=tokens,
        errors_avoided_per_1000_tokens=1000 * gain / price if price > 0 else None,
        tokens_per_corrected_error=price / gain if gain > 0 and price > 0 else None,
        equal_tokens=equal(cuts[a], cuts[b], broken),
        survival=contrast(*paired),
        pairs_lost=sum(lost.values()),
        lost=lost,
    )


def _lost(a: set[int], b: set[int], broken: set[int], kept: set[int]) -> dict[str, int]:
    gone = (a | b) - kept
    why = {
        "infrastructure": gone & broken,
        "not in both arms": (gone - broken) & (a ^ b),
        "nothing judged": (gone - broken) & a & b,
    }
    return {reason: len(pairs) for reason, pairs in why.items() if pairs}


def _by_pair(table: StepTable, name: str) -> dict[int, tuple[float, float, float]]:
    rows = table.where((table.arm == name) & table.judged)
    wrong, tokens, steps = by_episode(rows["pair"], rows["correct"] == 0, rows["tokens"])
    pairs = np.unique(rows["pair"]).tolist()
    return dict(zip(pairs, zip(wrong, steps, tokens, strict=True), strict=True))


def _columns(of: dict[int, tuple[float, float, float]], pairs: list[int]) -> tuple[Array, ...]:
    return tuple(np.array([of[p][i] for p in pairs]) for i in range(3))
