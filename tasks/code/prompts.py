"""The words in which a function is asked for. `VERSION` goes up with any change of a character."""

from __future__ import annotations

VERSION = 1

SYSTEM = (
    "You write Python. Reply with one block of code, fenced by ```python and ```, that defines "
    "the function asked for and whatever helps it. Use the standard library alone."
)

FUNCTION = "{prompt}\n\n```python\n{signature}\n    ...\n```"
TESTS = "\n\nIt must pass these tests:\n\n```python\n{tests}\n```"
PROGRAM = (
    "We write a program in short steps, one function after the other. {prompt}\n\n"
    "The program so far:\n\n```python\n{before}\n```\n\nThe next function. {function}"
)
NOTHING = "# nothing yet"
