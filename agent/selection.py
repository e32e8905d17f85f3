"""Which of several attempts is taken: the loop's rule, and what replays it in the figures."""

from __future__ import annotations

from collections.abc import Sequence

from agent.types import Attempt


def best(attempts: Sequence[Attempt]) -> int:
    """Index of the best attempt: passed before unjudged before failed, among failures the one
    that got furthest, then the likeliest."""

    def rank(index: int) -> tuple[int, float, float, float, int]:
        attempt = attempts[index]
        must = sum(v.severity == "must" for v in attempt.failed)
        readable = attempt.answer is not None
        likely = attempt.logprob if attempt.logprob is not None else 0.0
        # Likelihood breaks ties between passed answers only: among rejected ones it would
        # prefer the very mistake the model is surest of.
        clean = likely if not attempt.failed and not attempt.broken else 0.0
        got = sum(v.score or 0.0 for v in attempt.failed)
        return (must + (not readable), len(attempt.failed) + attempt.broken, -got, -clean, index)

    return min(range(len(attempts)), key=rank)
