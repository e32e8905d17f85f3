"""What the skills file can do: which text asks for which skill, and where its answer ends."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from agent.models.tiny import text

CONTEXT = 320
"""Tokens that the networks were taught to read at once."""


@dataclass(frozen=True)
class Skill:
    """One kind of text that can be continued; the `Form` of its answers."""

    name: str
    pattern: re.Pattern[str]
    """Found in every text that asks for it."""
    part: str
    """The network that has it."""
    stop: str = "\n"
    """Ends an answer, and is no part of it; empty where an answer is one token."""
    longest: int = 48
    """Tokens after which an answer is cut off."""
    head: int = 0
    """Lines that are kept when a text is too long; what is dropped is the oldest of the rest."""

    def barred(self, position: int) -> Sequence[int]:
        """An answer holds something."""
        return [text.ID["\n"], text.ID[text.PAD]] if position == 0 else ()

    def ended(self, written: Sequence[int]) -> bool:
        """At the stop or the length."""
        if not self.stop or len(written) >= self.longest:
            return True
        return text.decode(written[-3:]).endswith(self.stop)

    def text(self, written: Sequence[int]) -> str:
        """Without the stop."""
        said = text.decode(written)
        return said.removesuffix(self.stop) if self.stop else said

    def read(self, prefix: str) -> list[int]:
        """Token ids of what is read of a text: all of it, or the head and its latest lines.

        Lines go in batches, so that the text that is read stays the same for some answers.
        """
        ids = text.encode(prefix)
        if len(ids) <= CONTEXT:
            return ids
        lines = prefix.split("\n")
        kept, rest = lines[: self.head], lines[self.head :]
        dropped = 0
        while len(ids) > CONTEXT and dropped < len(rest) - 1:
            dropped = min(dropped + 8, len(rest) - 1)
            ids = text.encode("\n".join([*kept, *rest[dropped:]]))
        return ids


def _skill(name: str, pattern: str, part: str, **more: object) -> Skill:
    return Skill(name, re.compile(pattern, re.DOTALL), part, **more)  # type: ignore[arg-type]


SKILLS = (
    _skill("hanoi", r"\Ahanoi n=\d+ step=\d+\nA:.*\nmove:\Z", "hanoi."),
    _skill("running-sum", r"\Adict: .*\nsum=-?\d+\n.* ->\Z", "sums.", head=2),
    _skill("arithmetic", r"\A[-+*()\d]+\n(?:.*\n)?=\Z", "arithmetic."),
    _skill("markov", r"\AThe chain \(what is not listed is impossible\):\n", "markov.", stop=""),
    _skill("proofread-arithmetic", r"\Aproofread arithmetic\n.*\nverdict:\Z", "proofs."),
    _skill("proofread-chess", r"\Aproofread chess\n.*\nverdict:\Z", "proofs."),
    _skill("board-reading", r"\n(?:Where is the \w+ \w+|What is on [a-h][1-8])\?\n\Z", "boards."),
    _skill("code", r"\A#.*\ndef f\(\w+\):\n\Z", "code.", stop="\n\n", longest=160),
)


def asked(prefix: str) -> Skill | None:
    """The skill that a text asks for."""
    return next((skill for skill in SKILLS if skill.pattern.search(prefix)), None)
