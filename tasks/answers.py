"""Where in a model's text the answer stands; shared by the tasks whose answer is one line."""

from __future__ import annotations

import re

from agent.errors import ParseFailure

FORM = "End with a line of the form `Answer: <{what}>`."
"""What a system prompt says of the form; no example, which might be the right answer."""

_TAGGED = re.compile(r"\banswer[\s*_`]*(?:is[\s*_`]*)?:(.*)", re.IGNORECASE)


def answer_line(text: str) -> str:
    """What follows the last `Answer:`, else the first line with anything on it, undressed.

    Raises `ParseFailure` where there is nothing.

    >>> answer_line("7*2 is 14.\\n**Answer: 14-5**")
    '14-5'
    """
    tagged = [line for line in map(_undressed, _TAGGED.findall(text)) if line]
    lines = tagged[-1:] or [line for line in map(_undressed, text.splitlines()) if line]
    if not lines:
        raise ParseFailure("There is no answer. End with a line `Answer: `.")
    return lines[0]


def _undressed(line: str) -> str:
    boxed = re.search(r"\\boxed\{([^{}]*)\}", line)
    return (boxed[1] if boxed else line).strip(" \t*_`$.\"'<>")
