"""Synthetic truth and the checks of the figures against it: the acceptance list of the method.

Simulators draw data whose truth is known; a check counts in how many simulations a figure says
what it should. The estimator that a check tests is an argument, so that a broken one can be put
in its place: a suite that passes everything shows nothing. Used by `test_calibration.py` in
small and by `benchmarks/calibrate.py` in full.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.measure.budgets import cut, equal
from agent.measure.correction import claim, correction
from agent.measure.curves import curves
from agent.measure.drift import drift
from agent.measure.growth import Growth, growth
from agent.measure.statistics import Estimate, by_episode, difference, rate, wilson
from agent.measure.survival import first_errors, survival
from agent.measure.table import UNKNOWN, AttemptTable, StepTable
from agent.measure.transitions import transitions

Array = NDArray[Any]
Rng = np.random.Generator
Rows = tuple[Array, Array, Array]
"""Episode, step, and a 0-1 column, in order."""


@dataclass(frozen=True)
class Row:
    """One line of the coverage table."""

    simulated: str
    """What was drawn."""
    claim: str
    """What should be seen in a share of low..high of the simulations."""
    low: float
    high: float
    hits: int
    of: int

    @property
    def share(self) -> float:
        return self.hits / self.of

    @property
    def inside(self) -> bool:
        return self.low <= self.share <= self.high

    def holds(self, sigmas: float) -> bool:
        """Would a true share at the nearest edge of the band show this within so many sigmas?"""
        below, above = (
            sigmas * math.sqrt(edge * (1 - edge) / self.of) for edge in (self.low, self.high)
        )
        return self.low - below <= self.share <= self.high + above


def row(simulated: str, claim: str, low: float, high: float, seen: Iterable[bool]) -> Row:
    """Counts."""
    flags = list(seen)
    return Row(simulated, claim, low, high, sum(map(bool, flags)), len(flags))


# -- simulators ---------------------------------------------------------------------------------


def rows_of(values: Array) -> Rows:
    """[episodes, steps] as rows."""
    episodes, steps = values.shape
    return (
        np.repeat(np.arange(episodes), steps), np.tile(np.arange(1, steps + 1), episodes),
        values.astype(int).ravel(),
    )  # fmt: skip


def alike(rng: Rng, episodes: int, steps: int, e: float) -> Array:
    """Wrong steps, [episodes, steps]: every step errs with e."""
    return rng.random((episodes, steps)) < e


def mixed(rng: Rng, episodes: int, steps: int, a: float, b: float) -> Array:
    """Every episode has an e of its own, drawn from Beta(a, b), at all its steps."""
    return rng.random((episodes, steps)) < rng.beta(a, b, (episodes, 1))


def trending(rng: Rng, episodes: int, steps: int, first: float, last: float) -> Array:
    """The hazard goes from `first` to `last`, by the same factor at each step."""
    log_hazard = np.linspace(math.log(-math.log1p(-first)), math.log(-math.log1p(-last)), steps)
    return rng.random((episodes, steps)) < -np.expm1(-np.exp(log_hazard))


def to_first_error(rows: Rows) -> Rows:
    """What is left where every episode ends with its first error."""
    episode, step, wrong = rows
    seen = np.cumsum(wrong) - wrong
    start = np.unique(episode, return_index=True)[1]
    keep = seen - seen[start][np.searchsorted(episode[start], episode)] == 0
    return episode[keep], step[keep], wrong[keep]


def ended(rng: Rng, wrong: Array, by: Array, chance: float) -> Rows:
    """What is left where each step that `by` marks ends its episode with some chance."""
    last = wrong.shape[1] - 1
    ends = by & (rng.random(wrong.shape) < chance)
    end = np.where(ends.any(1), ends.argmax(1), last)
    keep = (np.arange(last + 1) <= end[:, None]).ravel()
    episode, step, values = rows_of(wrong)
    return episode[keep], step[keep], values[keep]


def chain(rng: Rng, episodes: int, steps: int, e: float | Array, r: float | Array) -> Array:
    """On track or not after each step, [episodes, steps]; e and r may differ, [episodes] each."""
    on, out = np.ones(episodes, bool), np.empty((episodes, steps), bool)
    for t in range(steps):
        chance = rng.random(episodes)
        on = np.where(on, chance >= e, chance < r)
        out[:, t] = on
    return out


def corrected(
    rng: Rng, episodes: int, steps: int, *, mends: float, breaks: float
) -> tuple[Array, Array]:
    """(first, accepted) right or not: a first attempt errs with an e of its episode, 20 % on average."""
    first = ~mixed(rng, episodes, steps, 2, 8)
    chance = rng.random(first.shape)
    return first, np.where(first, chance >= breaks, chance < mends)


def table_of(made: Array, pair: Array, step: Array, arm: str = "a", **columns: Array) -> StepTable:
    """A table of one arm from truths of attempts, [steps, most attempts]; UNKNOWN: not made.

    The first right attempt is accepted, else the first one, as under an oracle verifier.
    `columns` of attempts (tokens, logprob, log_p, entropy) have the shape of `made`,
    `infrastructure` that of `step`.
    """
    n, done = len(made), made != UNKNOWN
    at, attempt = np.nonzero(done)
    solved = np.cumsum(made == 1, axis=1) > 0
    kept = np.where(solved, np.argmax(made == 1, axis=1)[:, None], 0)
    nan = np.full(made.shape, np.nan)
    tokens = columns.get("tokens", np.full(made.shape, 10)) * done
    zero, text = np.zeros(n, int), np.full(n, "")
    return StepTable(
        episode=np.unique(pair, return_inverse=True)[1], pair=pair, arm=np.full(n, arm),
        stratum=text, step=step, prompt=text, key=np.full(n, UNKNOWN),
        first_correct=made[:, 0], correct=solved[:, -1].astype(int),
        on_track=solved[:, -1].astype(int), error_class=text, attempts=done.sum(1),
        exhausted=(~solved[:, -1]).astype(int),
        infrastructure=columns.get("infrastructure", zero), tokens=tokens.sum(1),
        calls=done.sum(1), seconds=np.zeros(n),
        attempt_rows=AttemptTable(
            step_row=at, attempt=attempt, correct=made[done], repeat=np.zeros(len(at), int),
            kept=kept[done], tokens=tokens[done],
            **{name: columns.get(name, nan)[done] for name in ("logprob", "log_p", "entropy")},
        ),
        episodes_of={arm: np.unique(pair).tolist()},
    )  # fmt: skip


def resampled(rng: Rng, difficulty: Array, steps: int, most: int, arm: str) -> StepTable:
    """Each step is sampled until right, at most so often; [episodes] of difficulty are its e."""
    wrong = rng.random((len(difficulty) * steps, most)) < np.repeat(difficulty, steps)[:, None]
    made = np.where(wrong, 0, 1)
    made[:, 1:][np.cumsum(~wrong, axis=1)[:, :-1] > 0] = UNKNOWN
    pair, step, _ = rows_of(np.zeros((len(difficulty), steps)))
    return table_of(made, pair, step, arm, tokens=rng.poisson(40, made.shape) + 10)


def two_chains(rng: Rng) -> tuple[Array, Array, Array]:
    """P, Q over six symbols, and the long-run shares of Q."""
    p, q = rng.dirichlet(np.full(6, 2.0), 6), rng.dirichlet(np.full(6, 2.0), 6)
    values, vectors = np.linalg.eig(q.T)
    stay = np.real(vectors[:, np.argmax(np.real(values))])
    return p, q, stay / stay.sum()


def sampled(rng: Rng, p: Array, q: Array, start: Array, episodes: int, steps: int) -> StepTable:
    """Symbols drawn from Q, with what Q and P gave them."""
    state = rng.choice(6, size=episodes, p=start)
    log_q, log_p, entropy = (np.empty((episodes, steps)) for _ in range(3))
    for t in range(steps):
        after = (rng.random(episodes)[:, None] > q[state].cumsum(1)[:, :-1]).sum(1)
        log_q[:, t], log_p[:, t] = np.log(q[state, after]), np.log(p[state, after])
        entropy[:, t] = -(p * np.log(p)).sum(1)[state]
        state = after
    pair, step, right = rows_of(np.ones((episodes, steps)))
    columns = {"logprob": log_q, "log_p": log_p, "entropy": entropy}
    return table_of(right[:, None], pair, step, **{k: v.reshape(-1, 1) for k, v in columns.items()})


def with_breakdowns(rng: Rng, episodes: int, steps: int, e: float, broken: float) -> StepTable:
    """A verifier breaks down at some steps, whatever the answer."""
    pair, step, wrong = rows_of(alike(rng, episodes, steps, e))
    infrastructure = (rng.random(len(step)) < broken).astype(int)
    return table_of(1 - wrong[:, None], pair, step, infrastructure=infrastructure)


# -- estimators that a check may be given in place of the product's ---------------------------------

Interval = Callable[[Array, Array], Estimate]
"""From wrong steps and steps by episode."""

OfTable = Callable[[StepTable], Estimate]
"""The error rate of a table of one arm."""


def error_rate(table: StepTable) -> Estimate:
    """As `compare` has it: of judged steps, by episode."""
    rows = table.where(table.judged)
    return rate(*by_episode(rows["episode"], rows["correct"] == 0))


def pooled_wilson(hits: Array, trials: Array) -> Estimate:
    """Broken on purpose: takes steps for independent."""
    return wilson(int(hits.sum()), int(trials.sum()))


def breakdowns_as_errors(table: StepTable) -> Estimate:
    """Broken on purpose: takes a verifier that broke for a wrong answer."""
    return rate(*by_episode(table.episode, (table.correct == 0) | (table.infrastructure == 1)))


def holds_truth(estimate: Estimate, truth: float) -> bool:
    if estimate.low is None or estimate.high is None:
        return False
    return estimate.low <= truth <= estimate.high


# -- checks: does the error grow? ---------------------------------------------------------------


def grown(rows: Rows) -> Growth:
    return growth(*rows, np.full(len(rows[0]), ""))


def flat_where_constant(rng: Rng, n: int, episodes: int, steps: int, e: float) -> Row:
    words = [grown(rows_of(alike(rng, episodes, steps, e))).word for _ in range(n)]
    return row(f"e = {e} at every step; {episodes} episodes x {steps} steps",
               "growth is `flat`", 0.94, 1, (w == "flat" for w in words))  # fmt: skip


def no_trend_where_constant(rng: Rng, n: int, episodes: int, steps: int, e: float) -> Row:
    words = [grown(rows_of(alike(rng, episodes, steps, e))).word for _ in range(n)]
    return row(f"e = {e} at every step; {episodes} episodes x {steps} steps",
               "growth is `rising` or `falling`", 0, 0.05,
               (w in ("rising", "falling") for w in words))  # fmt: skip


def not_falling_where_mixed(rng: Rng, n: int, episodes: int, steps: int) -> Row:
    words = [grown(rows_of(mixed(rng, episodes, steps, 0.6, 11.4))).word for _ in range(n)]
    return row(f"e of each episode ~ Beta(0.6, 11.4), all steps logged; {episodes} x {steps}",
               "growth is `falling`", 0, 0.05, (w == "falling" for w in words))  # fmt: skip


def not_fooled_by_first_errors(rng: Rng, n: int, episodes: int, steps: int) -> list[Row]:
    drawn = (rows_of(mixed(rng, episodes, steps, 0.6, 11.4)) for _ in range(n))
    found = [grown(to_first_error(rows)) for rows in drawn]
    what = (
        f"e of each episode ~ Beta(0.6, 11.4), each ends at its first error; {episodes} x {steps}"
    )
    return [
        row(what, "the naive slope is significantly negative",
            0.5, 1, (g.slope.high is not None and g.slope.high < 0 for g in found)),
        row(what, "growth is `falling`", 0, 0, (g.word == "falling" for g in found)),
    ]  # fmt: skip


def not_fooled_by_early_ends(rng: Rng, n: int, episodes: int, steps: int) -> list[Row]:
    """Hard episodes leave where errors end them, easy ones where successes do."""
    falls, rises = [], []
    for _ in range(n):
        wrong = mixed(rng, episodes, steps, 0.6, 11.4)
        falls.append(grown(ended(rng, wrong, wrong, 0.3)))
        rises.append(grown(ended(rng, wrong, ~wrong, 0.03)))
    what = f"e of each episode ~ Beta(0.6, 11.4), {{}}; {episodes} x {steps}"
    hard = what.format("an error ends it with 30 %")
    return [
        row(hard, "the naive slope is significantly negative", 0.3, 1,
            (g.slope.high is not None and g.slope.high < 0 for g in falls)),
        row(hard, "growth is `falling`", 0, 0.05, (g.word == "falling" for g in falls)),
        row(what.format("a right answer ends it with 3 %"), "growth is `rising`", 0, 0.05,
            (g.word == "rising" for g in rises)),
    ]  # fmt: skip


def trend_is_seen(rng: Rng, n: int, episodes: int, steps: int, first: float, last: float) -> Row:
    word = "rising" if last > first else "falling"
    found = (grown(rows_of(trending(rng, episodes, steps, first, last))).word for _ in range(n))
    return row(f"hazard from {first} to {last}; {episodes} x {steps}", f"growth is `{word}`",
               0.9, 1, (w == word for w in found))  # fmt: skip


# -- checks: is an error undone? ----------------------------------------------------------------


def absorbed(rng: Rng, n: int, episodes: int, steps: int, e: float) -> list[Row]:
    """r = 0, which is (1-e)^n to the letter."""
    marks = sorted({t for t in (10, 20, steps) if t <= steps})
    inside: dict[int, list[bool]] = {t: [] for t in marks}
    zero, words = [], []
    for _ in range(n):
        episode, step, on = rows_of(chain(rng, episodes, steps, e, 0.0))
        seen, moves = curves(episode, step, on, on, e, 0.0), transitions(episode, on)
        assert seen is not None
        zero.append(set(seen.recovery.value) == {0.0})
        words.append(claim(moves.reversals, moves.r).word)
        for t in marks:
            low, high = seen.survival.low[t - 1], seen.survival.high[t - 1]
            inside[t].append(low <= (1 - e) ** t <= high)
    what = f"r = 0, e = {e}; {episodes} x {steps}"
    return [
        row(what, "the recovery curve is 0 at every step", 1, 1, zero),
        row(what, "the claim is `not rejected`", 1, 1, (w == "not rejected" for w in words)),
        *(row(what, f"(1-e)^{t} = {(1 - e) ** t:.3f} is inside the band of S({t})", 0.93, 0.97, seen)
          for t, seen in inside.items()),
    ]  # fmt: skip


def censored_recovery_is_zero(rng: Rng, n: int, episodes: int, steps: int, e: float) -> Row:
    """Where episodes end by themselves, A and S are estimated from different ones."""
    inside = []
    for _ in range(n):
        on = chain(rng, episodes, steps, e, 0.0)
        end = np.minimum(rng.geometric(0.02, (episodes, 1)), steps)
        keep = (np.arange(1, steps + 1) <= end).ravel()
        episode, step, right = (column[keep] for column in rows_of(on))
        seen = curves(episode, step, right, right, e, 0.0)
        assert seen is not None
        # At a third of the steps a fair share of the episodes is left.
        inside.append(seen.recovery.low[steps // 3 - 1] <= 0 <= seen.recovery.high[steps // 3 - 1])
    return row(f"r = 0, e = {e}, episodes end by themselves with 2 % a step; {episodes} x {steps}",
               f"0 is inside the band of recovery at step {steps // 3}", 0.93, 1, inside)  # fmt: skip


def recovering(rng: Rng, n: int, episodes: int, steps: int, e: float, r: float) -> list[Row]:
    """r > 0: a plateau in place of a decay."""
    covered, words, band = [], [], []
    level = r / (e + r) + e / (e + r) * (1 - e - r) ** steps
    for _ in range(n):
        episode, step, on = rows_of(chain(rng, episodes, steps, e, r))
        moves = transitions(episode, on)
        covered.append(holds_truth(moves.stationary_off, e / (e + r)))
        said = claim(moves.reversals, moves.r)
        words.append((said.word, said.recovery) == ("rejected", "seen"))
        seen = curves(episode, step, on, on, moves.e.value, moves.r.value)
        assert seen is not None
        band.append(seen.accuracy.low[-1] <= level <= seen.accuracy.high[-1])
    what = f"e = {e}, r = {r}; {episodes} x {steps}"
    return [
        row(what, f"e/(e+r) = {e / (e + r):.3f} is inside its interval", 0.93, 0.97, covered),
        row(what, f"A({steps}) = {level:.3f} is inside its band", 0.93, 0.97, band),
        row(what, "the claim is `rejected` and recovery `seen`", 1, 1, words),
    ]  # fmt: skip


def differing_chains_are_covered(rng: Rng, n: int, episodes: int, steps: int) -> list[Row]:
    """e and r of each episode its own: what holds for a mean over many such episodes."""
    e, r = rng.beta(2, 23, 100_000), rng.beta(3, 7, 100_000)
    many = transitions(*_of_chains(rng, e, r, steps))
    truth = [x.value or 0.0 for x in (many.e, many.r, many.stationary_off)]
    names = ("e", "r", "e/(e+r)")
    covered: dict[str, list[bool]] = {name: [] for name in names}
    for _ in range(n):
        e, r = rng.beta(2, 23, episodes), rng.beta(3, 7, episodes)
        found = transitions(*_of_chains(rng, e, r, steps))
        for name, seen, true in zip(
            names, (found.e, found.r, found.stationary_off), truth, strict=True
        ):
            covered[name].append(holds_truth(seen, true))
    what = f"e of each episode ~ Beta(2, 23), r ~ Beta(3, 7); {episodes} x {steps}"
    return [
        row(what, f"{name} = {true:.3f} is inside its interval", 0.91, 0.98, covered[name])
        for name, true in zip(names, truth, strict=True)
    ]  # fmt: skip


def _of_chains(rng: Rng, e: Array, r: Array, steps: int) -> tuple[Array, Array]:
    episode, _, on = rows_of(chain(rng, len(e), steps, e, r))
    return episode, on


def unjudged_steps_hide_no_error(rng: Rng, n: int, episodes: int, steps: int, e: float) -> Row:
    """Where a fifth of the steps is not judged, survival must not rise."""
    truth, inside = (1 - e) ** (steps // 2), []
    for _ in range(n):
        keep = rng.random(episodes * steps) >= 0.2
        episode, step, wrong = (x[keep] for x in rows_of(alike(rng, episodes, steps, e)))
        found = survival(*first_errors(episode, step, 1 - wrong), [steps // 2])
        inside.append(holds_truth(found.at[steps // 2], truth))
    return row(f"e = {e}, and nobody judges 20 % of the steps; {episodes} x {steps}",
               f"(1-e)^{steps // 2} = {truth:.3f} is inside the interval of S({steps // 2})",
               0.93, 0.97, inside)  # fmt: skip


# -- checks: intervals and contrasts ------------------------------------------------------------


def rate_is_covered(
    rng: Rng, n: int, episodes: int, steps: int, a: float, b: float, estimate: Interval = rate
) -> Row:
    truth, trials = a / (a + b), np.full(episodes, steps)
    drawn = (mixed(rng, episodes, steps, a, b).sum(1) for _ in range(n))
    return row(f"e of each episode ~ Beta({a}, {b}); {episodes} x {steps}",
               f"the mean error {truth:.2f} is inside its interval", 0.92, 0.97,
               (holds_truth(estimate(wrong, trials), truth) for wrong in drawn))  # fmt: skip


def pooling_covers_too_little(rng: Rng, n: int, episodes: int, steps: int) -> Row:
    covers = rate_is_covered(rng, n, episodes, steps, 0.6, 11.4, pooled_wilson)
    return Row(covers.simulated, "the same, by pooled Wilson", 0, 0.85, covers.hits, covers.of)


def breakdowns_are_no_errors(
    rng: Rng, n: int, episodes: int, steps: int, estimate: OfTable = error_rate
) -> Row:
    drawn = (with_breakdowns(rng, episodes, steps, 0.05, 0.05) for _ in range(n))
    return row(f"e = 0.05, and the verifier breaks down at 5 % of the steps; {episodes} x {steps}",
               "the error 0.05 is inside its interval", 0.92, 0.97,
               (holds_truth(estimate(table), 0.05) for table in drawn))  # fmt: skip


def equal_arms_are_equal(rng: Rng, n: int, pairs: int, steps: int) -> list[Row]:
    trials, declared, covered = np.full(pairs, steps), [], []
    for _ in range(n):
        e = rng.beta(2, 18, pairs)
        found = difference(rng.binomial(steps, e), trials, rng.binomial(steps, e), trials)
        declared.append(found.p is not None and found.p < 0.05)
        covered.append(holds_truth(found, 0))
    what = f"two equal arms, e of each pair ~ Beta(2, 18); {pairs} pairs x {steps}"
    return [
        row(what, "a difference is declared (p < .05)", 0.03, 0.07, declared),
        row(what, "0 is inside the interval of the difference", 0.92, 0.97, covered),
    ]


def equal_tokens_are_equal(rng: Rng, n: int, pairs: int, steps: int) -> list[Row]:
    declared, covered = [], []
    for _ in range(n):
        e = rng.beta(2, 4, pairs)
        a, b = (cut(resampled(rng, e, steps, 3, arm), arm) for arm in "ab")
        found = equal(a, b, set()).error_rate
        declared.append(found.p is not None and found.p < 0.05)
        covered.append(holds_truth(found, 0))
    what = f"two arms that resample alike, at most 3 attempts; {pairs} pairs x {steps}"
    return [
        row(what, "a difference at equal tokens is declared (p < .05)", 0.03, 0.07, declared),
        row(what, "0 is inside its interval", 0.92, 0.97, covered),
    ]


def correction_is_judged(rng: Rng, n: int, episodes: int, steps: int) -> list[Row]:
    def words(mends: float, breaks: float) -> Iterator[str]:
        for _ in range(n):
            episode, _, first = rows_of(np.zeros((episodes, steps)))
            first, accepted = corrected(rng, episodes, steps, mends=mends, breaks=breaks)
            found = correction(episode, first.astype(int).ravel(), accepted.astype(int).ravel())
            assert found is not None
            yield found.word

    size = f"accuracy 0.8; {episodes} x {steps}"
    return [
        row(f"mends 40 %, breaks 10 %: as many as it mends; {size}", "`go` or `no-go`", 0, 0.05,
            (w != "not enough data" for w in words(0.4, 0.1))),
        row(f"mends 60 %, breaks 5 %; {size}", "`go`", 0.9, 1, (w == "go" for w in words(0.6, 0.05))),
        row(f"mends 20 %, breaks 10 %; {size}", "`no-go`", 0.9, 1,
            (w == "no-go" for w in words(0.2, 0.1))),
    ]  # fmt: skip


def drift_is_the_closed_form(rng: Rng, n: int, episodes: int, steps: int) -> Row:
    covered = []
    for _ in range(n):
        p, q, start = two_chains(rng)
        truth = float(start @ (q * np.log(q / p)).sum(1))
        found = drift(sampled(rng, p, q, start, episodes, steps), "a", [])
        covered.append(found is not None and holds_truth(found.kl, truth))
    return row(f"symbols from Q, six-state chains P and Q drawn anew; {episodes} x {steps}",
               "KL(Q||P) in closed form is inside its interval", 0.92, 0.97, covered)  # fmt: skip


# -- the suite that must not pass ---------------------------------------------------------------


def of_broken_estimators(rng: Rng, n: int) -> list[Row]:
    """The checks with estimators that are wrong on purpose: each row must FAIL."""
    pooled = rate_is_covered(rng, n, 40, 60, 0.6, 11.4, pooled_wilson)
    blamed = breakdowns_are_no_errors(rng, n, 40, 60, breakdowns_as_errors)
    return [
        Row(f"{r.simulated}; {name}", r.claim, r.low, r.high, r.hits, r.of)
        for name, r in (
            ("BROKEN: pooled Wilson", pooled), ("BROKEN: breakdowns count as errors", blamed),
        )
    ]  # fmt: skip
