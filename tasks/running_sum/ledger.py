"""A dictionary of words and small integers, and the words of each turn; all from one seed."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

_WORDS = """
amber anchor apple arrow autumn basket beach berry bottle branch bread bridge bronze butter button
cactus candle canyon carbon castle cedar cherry circle clover cloud copper coral cotton crystal
desert dragon eagle earth ember engine falcon feather fern field flame flower forest fossil garden
ginger glacier grape gravel hammer harbor hazel honey island ivory jacket jasmine jungle kettle
ladder lantern lemon lily marble meadow melon mirror mountain nickel oak ocean olive orchid otter
paper pebble pepper pine planet plum pocket prairie quartz rabbit rain raven ribbon river rocket
rose saddle salmon sand shadow silver snow spider spring stone sugar summer thunder tiger tulip
turtle valley velvet violet walnut water willow window winter wolf
"""

WORDS = tuple(_WORDS.split())
"""What a dictionary can hold."""


@dataclass(frozen=True)
class Ledger:
    """What one seed adds up: the same at every asking.

    >>> ledger = Ledger(seed=1, entries=3, largest=9, keys=2)
    >>> ledger.total(1) == sum(ledger.values[k] for k in ledger.turn(0) + ledger.turn(1))
    True
    """

    seed: int
    entries: int
    """Words in the dictionary."""
    largest: int
    """Values lie in -largest to largest, without 0."""
    keys: int
    """Words a turn."""
    values: Mapping[str, int] = field(init=False)
    _turns: list[tuple[str, ...]] = field(init=False, repr=False, default_factory=list)
    _totals: list[int] = field(init=False, repr=False, default_factory=list)

    def __post_init__(self) -> None:
        rng = random.Random(f"dictionary:{self.seed}")
        words = rng.sample(WORDS, self.entries)
        numbers = [n for n in range(-self.largest, self.largest + 1) if n]
        object.__setattr__(self, "values", {w: rng.choice(numbers) for w in words})

    def turn(self, index: int) -> tuple[str, ...]:
        """The words of a turn, 0 for the first; one may come twice."""
        self._reach(index)
        return self._turns[index]

    def total(self, index: int) -> int:
        """The true total after that turn."""
        self._reach(index)
        return self._totals[index]

    def _reach(self, index: int) -> None:
        # Kept, so that asking turn after turn costs the same at any horizon.
        while len(self._turns) <= index:
            rng = random.Random(f"turn:{self.seed}:{len(self._turns)}")
            words = tuple(rng.choices(list(self.values), k=self.keys))
            last = self._totals[-1] if self._totals else 0
            self._turns.append(words)
            self._totals.append(last + sum(self.values[w] for w in words))


def plain(
    values: Mapping[str, int], before: int, turns: Sequence[tuple[Sequence[str], int]],
    words: Sequence[str],
) -> str:  # fmt: skip
    """The text that a base model continues: dictionary, turns with their totals, the open turn.

    >>> print(plain({"apple": 3, "stone": -7}, 0, [(["apple", "stone"], -4)], ["apple"]))
    dict: apple=3 stone=-7
    sum=0
    apple stone -> -4
    apple ->
    """
    dictionary = " ".join(f"{word}={number}" for word, number in values.items())
    lines = [f"{' '.join(shown)} -> {total}" for shown, total in turns]
    return "\n".join([f"dict: {dictionary}", f"sum={before}", *lines, f"{' '.join(words)} ->"])


def calculation(total: int, values: Sequence[int]) -> str:
    """What a turn adds up, in the notation of `tasks.arithmetic.expression`.

    >>> calculation(-4, [12, -7])
    '(-4)+12+(-7)'
    """
    return "+".join(f"({n})" if n < 0 else str(n) for n in (total, *values))
