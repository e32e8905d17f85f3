"""Programming problems: the shipped ones, and files in the formats of HumanEval and MBPP."""

from __future__ import annotations

import ast
import gzip
import json
import random
import tomllib
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from agent.errors import UsageError
from agent.sandbox import Tests
from agent.types import Frozen
from tasks.code import family

FAMILY = 200
"""Problems of the family, always the same ones."""

GRADES = ("1-first", "2-easy", "3-medium", "4-hard")


class Function(Frozen):
    """One function to write."""

    entry: str
    """Its name."""
    prompt: str
    """What it is to do."""
    signature: str
    """Its first line."""
    visible: Tests | None
    """Shown, and what steers; None where the problem shows none."""
    hidden: Tests
    """What scores."""
    solution: str
    """A right program."""
    wrong: tuple[str, ...] = ()
    """Recorded wrong ones."""


class Problem(Frozen):
    """A program of one function, or of several that stand on one another."""

    id: str
    """Unique in its set."""
    prompt: str = ""
    """What the whole is for, where there are several functions."""
    steps: tuple[Function, ...]
    """In the order in which they are written."""

    def before(self, step: int) -> str:
        """The right code of the functions before a step."""
        return "\n\n".join(f.solution for f in self.steps[:step])


def shipped(kind: str, grade: str = "all") -> list[Problem]:
    """`functions`, of one grade or of all, `programs`, or some of the `family` that `tiny` was taught,
    in combinations that it was not. Raises `UsageError` for another."""
    if kind == "programs":
        return [_program(row) for row in _read("programs")["program"]]
    if kind == "family":
        return [_of_family(number) for number in range(FAMILY)]
    if kind != "functions":
        raise UsageError(f"set {kind!r} is not one of: functions, programs, family")
    chosen = [g for g in GRADES if grade in ("all", g, g[0], g[2:])]
    if not chosen:
        raise UsageError(f"grade {grade!r} is not all, {', '.join(GRADES)} or its number")
    rows = [row for g in chosen for row in _read(g)["problem"]]
    return [Problem(id=row["id"], steps=(_function(row),)) for row in rows]


def load(path: str | Path) -> list[Problem]:
    """Problems of a JSONL file (also .gz) as HumanEval or MBPP publish them.

    Raises `UsageError` for what can't be read, with the line.
    """
    path = Path(path)
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as file:
            lines = [(n, line) for n, line in enumerate(file, start=1) if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"problems {str(path)!r} can't be read: {error}") from None
    found = []
    for number, line in lines:
        try:
            found.append(_published(json.loads(line)))
        except (ValueError, KeyError, TypeError, SyntaxError) as error:
            raise UsageError(
                f"{path}, line {number}: no problem of HumanEval or MBPP: {error!r}"
            ) from None
    if not found:
        raise UsageError(f"problems {str(path)!r}: the file is empty")
    return found


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads(files("tasks.code").joinpath(f"problems/{name}.toml").read_text("utf-8"))


def _program(row: Mapping[str, Any]) -> Problem:
    steps = tuple(_function(step) for step in row["step"])
    return Problem(id=row["id"], prompt=row["prompt"].strip(), steps=steps)


def _function(row: Mapping[str, Any]) -> Function:
    entry = row["entry"]
    return Function(
        entry=entry,
        prompt=" ".join(row["prompt"].split()),
        signature=row["signature"].strip(),
        visible=Tests(code=row["visible"].strip(), entry=entry),
        hidden=Tests(code=row["hidden"].strip(), entry=entry, hidden=True),
        solution=row["solution"].strip(),
        wrong=tuple(w["program"].strip() for w in row.get("wrong", ())),
    )


def _of_family(number: int) -> Problem:
    drawn = family.sample(random.Random(f"family:{number}"), held_out=True)
    function = Function(
        entry="f",
        prompt=drawn.description,
        signature=drawn.signature,
        visible=Tests(code="\n".join(drawn.tests[:4]), entry="f"),
        hidden=Tests(code="\n".join(drawn.tests), entry="f", hidden=True),
        solution=f"{drawn.signature}\n{drawn.body}",
        wrong=(f"{drawn.signature}\n{family.mutant(drawn, random.Random(f'wrong:{number}'))}",),
    )
    return Problem(id=f"family-{number}", steps=(function,))


def _published(row: Mapping[str, Any]) -> Problem:
    function = _humaneval(row) if "entry_point" in row else _mbpp(row)
    return Problem(id=str(row["task_id"]), steps=(function,))


def _humaneval(row: Mapping[str, Any]) -> Function:
    """Its prompt is code: what comes before the body. The examples in it are the visible tests."""
    entry, prompt = row["entry_point"], row["prompt"]
    parts = ast.parse(f"{prompt}    pass").body
    [asked] = [n for n in parts if isinstance(n, ast.FunctionDef) and n.name == entry]
    examples = ast.get_docstring(asked) or ""
    # Some tests use a helper of the prompt; an answer's own version of it would judge itself.
    given = "\n".join(ast.unparse(n) for n in parts if n is not asked)
    return Function(
        entry=entry,
        prompt=f"Complete this function:\n\n{prompt.strip()}",
        signature=prompt.rstrip(),
        visible=Tests(doctest=examples, entry=entry) if ">>>" in examples else None,
        hidden=Tests(code=f"{given}\n{row['test']}", entry=entry, hidden=True),
        solution=prompt + row["canonical_solution"],
    )


def _mbpp(row: Mapping[str, Any]) -> Function:
    """It shows its first test, as its authors do in their prompt; all of them score."""
    tests = [*row["test_list"], *row.get("challenge_test_list", ())]
    head = "\n".join([row.get("test_setup_code", ""), *row.get("test_imports", ())]).strip()
    entry = _called(tests[0], row["code"])
    return Function(
        entry=entry,
        prompt=row.get("prompt") or row["text"],
        signature=next(
            line for line in row["code"].splitlines() if f"def {entry}(" in line
        ).strip(),
        visible=Tests(code=f"{head}\n{tests[0]}", entry=entry),
        hidden=Tests(code="\n".join([head, *tests]), entry=entry, hidden=True),
        solution=row["code"],
    )


def _called(test: str, code: str) -> str:
    """The function of `code` that a test calls."""
    defined = {n.name for n in ast.parse(code).body if isinstance(n, ast.FunctionDef)}
    return next(name for name in _names(ast.parse(test)) if name in defined)


def _names(tree: ast.AST) -> Iterator[str]:
    return (node.id for node in ast.walk(tree) if isinstance(node, ast.Name))
