"""The words in which a position is put to a chat model; `VERSION` changes with any of them."""

from __future__ import annotations

from tasks.answers import FORM

VERSION = 1
"""Of the plain form in `rules` too."""

SYSTEM = (
    "You solve the tower of Hanoi: all discs go from peg A to peg C in as few moves as possible. "
    "One disc moves at a time, only the top one of a peg, and never onto a smaller one. Disc 1 "
    "is the smallest. The moves are numbered from 0. On the shortest way from the beginning disc "
    "1 moves at even numbers, round the pegs always in the same direction: A to C to B to A with "
    "an odd number of discs, A to B to C to A with an even number; at odd numbers the only other "
    "legal move is made. From a position that is not on it, go to C by the shortest way all the "
    "same. Reply with the next move: the disc, the peg it is on, the peg it goes to. "
) + FORM.format(what="disc from to")

USER = "{discs} discs; each peg from the bottom up:\n{position}\n\nThis is move {step}. Which move?"

ASIDE = " # {critique}\nmove:"
