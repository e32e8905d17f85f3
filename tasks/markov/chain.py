"""A Markov chain whose probabilities are exact hundredths: nothing is lost in writing it down."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from string import ascii_uppercase

WHOLE = 100
"""Hundredths in a row."""


@dataclass(frozen=True)
class Chain:
    """The law of the next symbol given the last one.

    >>> chain = Chain({"A": {"A": 25, "B": 75}, "B": {"A": 50, "B": 50}})
    >>> chain.probability("A", "B"), chain.possible("A"), chain.law("A")
    (0.75, ['A', 'B'], 'A (0.25), B (0.75)')
    """

    rows: Mapping[str, Mapping[str, int]]
    """Hundredths by last and next symbol; a next symbol that is not listed is impossible."""

    @classmethod
    def seeded(cls, states: int, seed: int, impossible: float) -> Chain:
        """The chain of this seed: every state leads to every other, and to two at least.

        That comes first: `impossible` is the share of transitions that are left out as far as
        it allows.
        """
        rng = random.Random(f"chain:{seed}")
        names = ascii_uppercase[:states]
        ring = rng.sample(names, states)
        kept = set(pairwise([*ring, ring[0]]))
        kept |= {(a, rng.choice([b for b in names if (a, b) not in kept])) for a in names}
        free = [(a, b) for a in names for b in names if (a, b) not in kept]
        barred = set(rng.sample(free, min(len(free), round(impossible * states**2))))
        return cls({a: _row([b for b in names if (a, b) not in barred], rng) for a in names})

    @property
    def states(self) -> list[str]:
        """All symbols, in order."""
        return list(self.rows)

    def possible(self, last: str) -> list[str]:
        """The symbols that can follow `last`."""
        return list(self.rows[last])

    def probability(self, last: str, symbol: str) -> float:
        """P(symbol | last); 0 for what is no symbol."""
        return self.rows[last].get(symbol, 0) / WHOLE

    def entropy(self, last: str) -> float:
        """Of the next symbol, in nats."""
        row = [hundredths / WHOLE for hundredths in self.rows[last].values()]
        return -sum(p * math.log(p) for p in row)

    def draw(self, last: str, rng: random.Random) -> str:
        """A successor of `last`, by its probability."""
        row = self.rows[last]
        return rng.choices(list(row), list(row.values()))[0]

    def law(self, last: str) -> str:
        """What can follow `last`, in words and exact."""
        return ", ".join(f"{b} ({n / WHOLE:.2f})" for b, n in self.rows[last].items())


def _row(after: list[str], rng: random.Random) -> dict[str, int]:
    """Uniform over all ways to share out the whole with at least one hundredth for each."""
    cuts = [0, *sorted(rng.sample(range(1, WHOLE), len(after) - 1)), WHOLE]
    return {b: high - low for b, (low, high) in zip(after, pairwise(cuts), strict=True)}
