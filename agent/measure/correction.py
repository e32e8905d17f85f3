"""Does correcting an answer pay: what it mends against what it breaks."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from agent.measure.statistics import Estimate, by_episode, per_step, rate

Array = NDArray[Any]


class Correction(BaseModel):
    """First attempt against accepted answer, step by step, in one arm."""

    model_config = ConfigDict(frozen=True)

    mended: Estimate
    """ECR, P(accepted right | first attempt wrong)."""
    broken: Estimate
    """EIR, P(accepted wrong | first attempt right)."""
    accuracy: Estimate
    """Of first attempts."""
    net: Estimate
    """Steps mended less steps broken, per step."""
    word: Literal["go", "no-go", "not enough data"]
    """By the interval of `net`: above 0, below 0, or neither."""


def correction(episode: Array, first: Array, accepted: Array) -> Correction | None:
    """From steps whose first and accepted attempts are both judged (1 right, 0 wrong).

    Correction pays iff ECR/EIR > Acc/(1-Acc) (arXiv 2604.22273), which is the same as a
    positive net (1-Acc) ECR - Acc EIR. None where nothing was judged.
    """
    if not len(first):
        return None
    wrong, right = first == 0, first == 1
    mended, broken = wrong & (accepted == 1), right & (accepted == 0)
    m, b, w, r, n = by_episode(episode, mended, broken, wrong, right)
    net = per_step(m - b, n)
    if net.low is None or net.high is None or net.low <= 0 <= net.high:
        word: Literal["go", "no-go", "not enough data"] = "not enough data"
    else:
        word = "go" if net.low > 0 else "no-go"
    return Correction(mended=rate(m, w), broken=rate(b, r), accuracy=rate(r, n), net=net, word=word)


class Claim(BaseModel):
    """P(correct) = (1-e)^n, and what the data say of it."""

    model_config = ConfigDict(frozen=True)

    word: Literal["rejected", "not rejected", "not tested"]
    """For the run's being on track, which the claim says is lost for good."""
    reason: str
    """Why that word."""
    recovery: Literal["seen", "not seen", "not observed"]
    """Returns to the track; `not observed` where no step began off track."""


def claim(reversals: int, r: Estimate) -> Claim:
    """One return after an error is what (1-e)^n gives no probability at all."""
    if r.n == 0:
        return Claim(word="not tested", reason="no step began off track", recovery="not observed")
    if reversals:
        what = "one return" if reversals == 1 else f"{reversals:,} returns"
        reason = f"{what} to the track, of which it says that there is none"
        return Claim(word="rejected", reason=reason, recovery="seen")
    bound = "" if r.high is None else f": r is at most {100 * r.high:.1f} %"
    return Claim(
        word="not rejected",
        reason=f"no return in {r.n:,} steps begun off track{bound}",
        recovery="not seen",
    )


def unsolved(step_row: Array, attempt: Array, correct: Array, upto: int) -> list[float]:
    """P(no attempt among the first k is right), k = 1..upto, of steps whose attempts are judged.

    A step that stopped before k counts by the attempts it has. Where independent, e^k.
    """
    if not len(step_row):
        return []
    rows, index = np.unique(step_row, return_inverse=True)
    out = []
    for k in range(1, upto + 1):
        solved = np.bincount(index, weights=(correct == 1) & (attempt < k), minlength=len(rows)) > 0
        out.append(float(1 - solved.mean()))
    return out
