"""The words in which a turn is put to a chat model; `VERSION` changes with any of them."""

from __future__ import annotations

from tasks.answers import FORM

VERSION = 1
"""Of the plain form in `ledger` too."""

SYSTEM = (
    "You keep a running sum. A dictionary gives every word a number. Each turn names words; add "
    "their numbers to the sum, which goes on from turn to turn, and reply with the new sum. "
) + FORM.format(what="sum")

USER = "The dictionary: {dictionary}.\n\nThe sum at first: {before}\n{turns}\nThe turn: {words}\nThe new sum?"
TURN = "{words} -> {total}\n"

CRITIQUE_ASIDE = " # {{critique}}\n{words} ->"
