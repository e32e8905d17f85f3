"""Tokens per second of the embedded model on one core, alone and in batches.

    python benchmarks/tiny_speed.py

What is timed is what a run does: the text of a game grows by a move, two tokens are sampled
with their log-probabilities, keys and values of the text so far are kept.
"""

from __future__ import annotations

import statistics
import time

from threadpoolctl import threadpool_limits

from agent.models.tiny import Tiny, tokenizer
from agent.models.tiny.language import Request
from tasks.chess.task import Chess

ROUNDS = 60
BATCHES = (1, 8, 32, 64)


def rate(batch: int) -> float:
    """Median over plies of generated tokens per second, 30 to 90 plies into a game."""
    model, task = Tiny(), Chess(style="lan", start="random:30", horizon=200, quality_nodes=0)
    states = [task.start(seed) for seed in range(batch)]
    rates = []
    for ply in range(ROUNDS):
        texts = [tokenizer.encode(task.question(s).prefix)[0] for s in states]
        began = time.perf_counter()
        done = model.games.complete(
            [Request(ids, 1000 * i + ply, tokenizer.MOVE) for i, ids in enumerate(texts)]
        )
        elapsed = time.perf_counter() - began
        rates.append(sum(c.usage.completion_tokens for c in done) / elapsed)
        states = [
            s if task.done(s) else task.advance(s, c.text, "repair")
            for s, c in zip(states, done, strict=True)
        ]
    return statistics.median(rates[2:])


def main() -> None:
    with threadpool_limits(1):
        rates = {batch: rate(batch) for batch in BATCHES}
    print("| episodes at once | tokens/s, one core | ratio to one |")
    print("|---|---|---|")
    for batch, value in rates.items():
        print(f"| {batch} | {value:,.0f} | {value / rates[1]:.2f} |")


if __name__ == "__main__":
    main()
