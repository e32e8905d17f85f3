"""How far the sampled sequences drift from the true distribution, in nats per step."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from agent.measure.statistics import Estimate, by_episode, per_step, rate
from agent.measure.table import UNKNOWN, StepTable

Array = NDArray[Any]


class DriftBlock(BaseModel):
    """Some neighbouring steps."""

    model_config = ConfigDict(frozen=True)

    first: int
    """Its first step."""
    last: int
    """Its last step."""
    legality: float | None
    """-log(1-e), e the first-attempt error: what a perfect verifier removes of D(P||Q).
    None where nothing was right: the part is infinite."""
    rest: float | None
    """D(Q'||P), Q' the model's distribution within what is right."""


class Drift(BaseModel):
    """First attempts, which no critique has touched, against the exactly known P."""

    model_config = ConfigDict(frozen=True)

    kl: Estimate
    """Mean of log Q - log P over first attempts that P allows: D(Q||P) where it allows all."""
    impossible: Estimate
    """Share of first attempts to which P gives no probability: D(Q||P) is infinite there."""
    cross_entropy: Estimate
    """Mean of -log P(x) over first attempts that P allows; above `entropy` is drift out of
    P, below it sharpening."""
    entropy: Estimate
    """Mean entropy of P at these steps."""
    blocks: list[DriftBlock]
    """By steps."""


def drift(table: StepTable, name: str, edges: list[tuple[int, int]]) -> Drift | None:
    """None where the model tells no log-probabilities or the task knows no P."""
    tries = table.attempt_rows
    first = (tries.attempt == 0) & (table.arm == name)[tries.step_row]
    first &= table.judged[tries.step_row] & (tries.correct != UNKNOWN)
    first &= np.isfinite(tries.logprob) & np.isfinite(tries.entropy)
    rows = np.flatnonzero(first)
    if not len(rows):
        return None
    episode, step = table.episode[tries.step_row[rows]], table.step[tries.step_row[rows]]
    log_q, log_p = tries.logprob[rows], tries.log_p[rows]
    allowed = np.isfinite(log_p)
    ratio = np.where(allowed, log_q - log_p, 0.0)
    out, n = by_episode(episode, ~allowed)
    gap, surprise, count = by_episode(episode[allowed], ratio[allowed], -log_p[allowed])
    entropy, _ = by_episode(episode, tries.entropy[rows])
    return Drift(
        kl=per_step(gap, count),
        impossible=rate(out, n),
        cross_entropy=per_step(surprise, count),
        entropy=per_step(entropy, n),
        blocks=[
            _block(low, high, ratio[inside], allowed[inside])
            for low, high in edges
            for inside in [(step >= low) & (step <= high)]
        ],
    )


def _block(first: int, last: int, ratio: Array, allowed: Array) -> DriftBlock:
    if not allowed.any():
        return DriftBlock(first=first, last=last, legality=None, rest=None)
    legality = float(-np.log(allowed.mean()))
    # Q' = Q / (1-e) within what is right, so log Q' - log P = log Q - log P - log(1-e).
    return DriftBlock(
        first=first,
        last=last,
        legality=legality + 0.0,
        rest=float(ratio[allowed].mean()) + legality,
    )
