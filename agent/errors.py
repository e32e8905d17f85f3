"""Everything that can go wrong, as one tree.

ErrataError
|-- UsageError          what the caller gave can't be used            (exit code 2)
|   |-- UnknownName       no task, model, arm or verifier of that name
|   |-- BadVerifier       it doesn't import, or fails its own examples
|   `-- RunMismatch       a run directory of another version or command
|-- MissingTool         a program that must be installed first        (exit code 2)
|-- ModelError          the model could not be asked: infrastructure
|   `-- ModelUnusable      no call can succeed: key, name, address       (exit code 3)
|-- BudgetExhausted     a limit is reached: the run stops, resumable  (exit code 4)
`-- ParseFailure        an answer that can't be read; its message is the critique

The library raises; only the command line turns an error into a line and an exit code.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches


class ErrataError(Exception):
    """Base of all errors of this package; `str()` is one line for a person."""


class UsageError(ErrataError):
    """What the caller gave can't be used."""


class UnknownName(UsageError):
    """A name that resolves to nothing; the message gives the nearest names."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        near = get_close_matches(name, names, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names)}"
        super().__init__(f"unknown {kind} {name!r}: {hint}")


class BadVerifier(UsageError):
    """A verifier that doesn't import or fails its own examples."""


class RunMismatch(UsageError):
    """A run directory that another version or another command made."""


class MissingTool(ErrataError):
    """A program outside Python that is needed and not installed."""


class ModelError(ErrataError):
    """The model could not be asked or did not answer; never a wrong answer of the model."""


class ModelUnusable(ModelError):
    """No call can succeed until a setting is mended: the whole run stops."""


class BudgetExhausted(ErrataError):
    """A limit on tokens, money or seconds is reached."""


class ParseFailure(ErrataError):
    """A text with no readable answer in it; the message is the critique for the model."""


def public(text: str) -> str:
    """`text` as it may be told and stored: addresses in it lose user, password and query.

    >>> public("--base-url=http://me:secret@host/v1?key=secret")
    '--base-url=http://host/v1'
    """
    return re.sub(r"://(?:[^/@\s]*@)?([^\s?]*)(?:\?\S*)?", r"://\1", text)
