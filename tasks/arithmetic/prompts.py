"""The words in which a piece of arithmetic is put to a model; `VERSION` changes with any of them."""

from __future__ import annotations

from collections.abc import Sequence

from tasks.answers import FORM

VERSION = 1

SYSTEM = (
    "You work out expressions one operation at a time. Take the first innermost parentheses "
    "that hold an operation, or the whole expression where there are none; in there take the "
    "first *, or where there is none the first + or -. Do that one operation, copy everything "
    "else, and leave out parentheses that are no longer needed. Inside an expression a negative "
    "number stands in parentheses: (2-5)*3 becomes (-3)*3. Reply with the next line. "
) + FORM.format(what="line")

USER = "{work}\n\nWhat is the next line? The last line so far is {current}."

ASIDE = " # {critique}\n="


def plain(work: Sequence[Sequence[str]]) -> str:
    """The text that a base model continues: expressions with their lines, a blank between.

    >>> plain([["8*2", "16"], ["(3+4)*2-5", "7*2-5"]])
    '8*2\\n= 16\\n\\n(3+4)*2-5\\n= 7*2-5\\n='
    """
    return shown(work) + "\n="


def shown(work: Sequence[Sequence[str]]) -> str:
    """The lines so far, each reduction after an equals sign."""
    return "\n\n".join("\n= ".join(lines) for lines in work)
