"""The tower of Hanoi: pure rules, the shortest way, and how a position and a move are written.

A position is a text of pegs, the smallest disc's first: `"AAC"` has discs 1 and 2 on A and
disc 3 on C. All discs go from A to C. The shortest way from any position to the goal is
unique (Hinz et al., The Tower of Hanoi, 2013, theorem 2.7): its first move is the right one.
"""

from __future__ import annotations

import re
from typing import NamedTuple

PEGS = "ABC"
GOAL = "C"


class Move(NamedTuple):
    """One disc from a peg to another.

    >>> str(Move(2, "A", "B"))
    '2 A B'
    """

    disc: int
    source: str
    target: str

    def __str__(self) -> str:
        return f"{self.disc} {self.source} {self.target}"


_MOVE = re.compile(
    r"[\W_]*(?:move\s+)?(?:dis[ck]\s+)?#?([0-9]{1,6})[\W_]*(?:from\s+)?(?:peg\s+|rod\s+)?([abc])"
    r"[\W_]*(?:to\s+)?(?:peg\s+|rod\s+)?([abc])(?![\w])",
    re.IGNORECASE,
)


def read(text: str) -> Move:
    """The move that a text begins with. Raises `ValueError` where it begins with none.

    >>> read("Move disc 2 from A to B.")
    Move(disc=2, source='A', target='B')
    """
    found = _MOVE.match(text)
    if not found:
        raise ValueError(f"{text[:80]!r} is no move: a disc, the peg it is on, the peg it goes to")
    return Move(int(found[1]), found[2].upper(), found[3].upper())


def plain(pegs: str, step: int) -> str:
    """The text that a base model continues: the position alone, discs from big to small.

    >>> print(plain("CAA", 1))
    hanoi n=3 step=1
    A: 3 2
    B:
    C: 1
    move:
    """
    return f"hanoi n={len(pegs)} step={step}\n{position(pegs)}\nmove:"


def position(pegs: str) -> str:
    """The three pegs, a line each, discs from big to small."""
    discs = range(len(pegs), 0, -1)
    return "\n".join(
        " ".join([f"{peg}:", *(str(d) for d in discs if pegs[d - 1] == peg)]) for peg in PEGS
    )


def top(pegs: str, peg: str) -> int | None:
    """The disc that lies on top of a peg."""
    return pegs.find(peg) + 1 or None


def illegal(pegs: str, move: Move) -> tuple[str, str] | None:
    """The class and the sentence of why a move can't be made; None where it can.

    >>> illegal("CAA", Move(3, "A", "B"))
    ('not_on_top', 'Disc 3 is not on top of A: disc 2 is.')
    """
    disc, source, target = move
    if not 1 <= disc <= len(pegs):
        return "no_such_disc", f"There is no disc {disc}."
    if pegs[disc - 1] != source:
        return "wrong_peg", f"Disc {disc} is on {pegs[disc - 1]}, not on {source}."
    if source == target:
        return "same_peg", f"Disc {disc} is on {target} already."
    upper, below = top(pegs, source), top(pegs, target)
    if upper != disc:
        return "not_on_top", f"Disc {disc} is not on top of {source}: disc {upper} is."
    if below is not None and below < disc:
        return "onto_smaller", f"Disc {disc} can't lie on disc {below}, which is on {target}."
    return None


def moved(pegs: str, move: Move) -> str:
    """The position after a move."""
    return pegs[: move.disc - 1] + move.target + pegs[move.disc :]


def legal_moves(pegs: str) -> list[Move]:
    """All moves that can be made: two or three."""
    moves = [Move(top(pegs, a) or 0, a, b) for a in PEGS for b in PEGS]
    return [m for m in moves if illegal(pegs, m) is None]


def best_move(pegs: str) -> Move | None:
    """The first move of the shortest way to the goal; None at the goal.

    >>> best_move("AAA"), best_move("CBA")
    (Move(disc=1, source='A', target='C'), Move(disc=1, source='C', target='B'))
    """
    goal, best = GOAL, None
    for disc in range(len(pegs), 0, -1):
        peg = pegs[disc - 1]
        if peg != goal:
            # All smaller ones must first go where this one neither is nor goes.
            best = Move(disc, peg, goal)
            goal = _third(peg, goal)
    return best


def distance(pegs: str) -> int:
    """Moves of the shortest way to the goal."""
    goal, moves = GOAL, 0
    for disc in range(len(pegs), 0, -1):
        peg = pegs[disc - 1]
        if peg != goal:
            moves += 1 << (disc - 1)
            goal = _third(peg, goal)
    return moves


def after(discs: int, step: int) -> str:
    """The position after `step` moves of the shortest way from all on A.

    Disc k moves first at move 2^(k-1), then every 2^k, always round the same way: the
    largest from A to C, the next from A to B, and so on in turns.

    >>> after(3, 0), after(3, 1), after(3, 7)
    ('AAA', 'CAA', 'CCC')
    """
    turns = [(step + (1 << (k - 1))) >> k for k in range(1, discs + 1)]
    return "".join(
        PEGS[(-n if (discs - k) % 2 == 0 else n) % 3] for k, n in enumerate(turns, start=1)
    )


def on_shortest_way(pegs: str) -> bool:
    """Whether the shortest way from all on A passes through the position."""
    return after(len(pegs), (1 << len(pegs)) - 1 - distance(pegs)) == pegs


def _third(one: str, other: str) -> str:
    return next(p for p in PEGS if p not in (one, other))
