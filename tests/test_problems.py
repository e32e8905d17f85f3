"""The shipped problems: right programs pass, wrong ones fail where it is said, stubs never pass."""

from __future__ import annotations

import ast
import builtins
import json
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[1] / "tasks" / "code" / "problems"
GRADES = ["1-first", "2-easy", "3-medium", "4-hard"]
FILES = [*GRADES, "programs"]

FIELDS = {"entry", "prompt", "signature", "visible", "hidden", "solution", "wrong"}
CONSTANTS = ["None", "0", "1", "True", "False", "''", "[]", "{}", "set()", "args[0]"]

PATIENCE, HASTE = 30.0, 0.25
"""Seconds of processor time, so that a busy machine changes no verdict: for right programs, which
take 0.2 at most, and for wrong ones, some of which never end."""

JUDGE = """
import functools, json, os, signal, sys

class Late(BaseException):
    pass

def ring(*_):
    raise Late

@functools.cache
def code(text):
    return compile(text, "text", "exec")

def run(texts):
    space = {"__name__": "candidate"}
    for text in texts:
        exec(code(text), space)
    for name in [name for name in space if name.startswith("test_")]:
        space[name]()

def judge(texts, tests, seconds):
    try:
        try:
            signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
            run([*texts, tests])
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return ""

signal.signal(signal.SIGVTALRM, ring)
out, sys.stdout = sys.stdout, open(os.devnull, "w")
json.dump([judge(*case) for case in json.load(sys.stdin)], out)
"""


@dataclass(frozen=True)
class Item:
    """A function that is asked for: a problem, or a step of a program."""

    name: str
    table: dict[str, Any]
    earlier: tuple[dict[str, Any], ...] = ()

    @property
    def entry(self) -> str:
        return str(self.table["entry"])

    def program(self, text: str) -> list[str]:
        return [*(step["solution"] for step in self.earlier), text]


@cache
def document(file: str) -> dict[str, Any]:
    return tomllib.loads((FOLDER / f"{file}.toml").read_text(encoding="utf-8"))


@cache
def items(file: str) -> list[Item]:
    problems = [Item(table["id"], table) for table in document(file).get("problem", [])]
    for program in document(file).get("program", []):
        steps = program["step"]
        for place, step in enumerate(steps):
            problems.append(Item(f"{program['id']}/{step['entry']}", step, tuple(steps[:place])))
    return problems


def judged(cases: list[tuple[list[str], str, float]]) -> list[str]:
    """For each (texts of a program, tests, seconds) why it failed, "" where it passed."""
    command = [sys.executable, "-I", "-c", JUDGE]
    done = subprocess.run(
        command, input=json.dumps(cases), capture_output=True, text=True, timeout=300, check=True
    )
    verdicts: list[str] = json.loads(done.stdout)
    assert len(verdicts) == len(cases)
    return verdicts


def stub(entry: str, value: str) -> str:
    return f"def {entry}(*args, **named):\n    return {value}\n"


# -- form -------------------------------------------------------------------------------------


def test_there_are_16_problems_of_each_grade_and_8_programs_of_6_to_10_steps() -> None:
    assert sorted(path.stem for path in FOLDER.iterdir()) == FILES
    assert all(len(document(grade)["problem"]) >= 16 for grade in GRADES)
    programs = document("programs")["program"]
    assert len(programs) >= 8
    assert all(6 <= len(program["step"]) <= 10 for program in programs)


def test_names_are_unique_and_have_the_form_of_names() -> None:
    tables = [
        t for f in FILES for kind in ("problem", "program") for t in document(f).get(kind, [])
    ]
    ids = [table["id"] for table in tables]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch("[a-z]+(-[a-z]+)*", name) for name in ids)
    names = [item.name for file in FILES for item in items(file)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("file", FILES)
def test_every_table_has_the_fields_and_enough_wrong_programs(file: str) -> None:
    for program in document(file).get("program", []):
        assert set(program) == {"id", "prompt", "step"}, program["id"]
    for item in items(file):
        assert set(item.table) - {"id"} == FIELDS, item.name
        fewest, most = (1, 3) if item.earlier or file == "programs" else (2, 5)
        assert fewest <= len(item.table["wrong"]) <= most, item.name
        for wrong in item.table["wrong"]:
            assert set(wrong) == {"why", "passes_visible", "program"}, item.name
            assert isinstance(wrong["passes_visible"], bool), item.name
        assert len({wrong["program"] for wrong in item.table["wrong"]}) == len(item.table["wrong"])


@pytest.mark.parametrize("file", FILES)
def test_a_signature_needs_no_import_and_is_that_of_the_solution(file: str) -> None:
    for item in items(file):
        signature = item.table["signature"]
        space: dict[str, Any] = {}
        exec(f"{signature}\n    pass", space)
        assert callable(space[item.entry]), item.name
        assert signature in item.table["solution"].splitlines(), item.name


def free_names(tree: ast.AST) -> set[str]:
    """The names a text reads and neither binds itself nor finds among the builtins."""
    bound, read = set(dir(builtins)), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (read if isinstance(node.ctx, ast.Load) else bound).add(node.id)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.FunctionDef | ast.alias | ast.ExceptHandler):
            bound.add(node.name or "")
    return read - bound


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize(("part", "fewest", "most"), [("visible", 2, 4), ("hidden", 6, 12)])
def test_tests_are_few_and_each_calls_the_function_and_knows_no_other(
    file: str, part: str, fewest: int, most: int
) -> None:
    for item in items(file):
        known = {item.entry, *(step["entry"] for step in item.earlier)}
        body = ast.parse(item.table[part]).body
        tests = [node for node in body if not isinstance(node, ast.ImportFrom)]
        assert fewest <= len(tests) <= most, (item.name, len(tests))
        assert free_names(ast.Module(body, [])) <= known, item.name
        for node in tests:
            assert isinstance(node, ast.Assert | ast.FunctionDef), (item.name, ast.unparse(node))
            assert item.entry in free_names(node), (item.name, ast.unparse(node))


# -- verdicts ---------------------------------------------------------------------------------


@pytest.mark.parametrize("file", FILES)
def test_solutions_pass_all_tests(file: str) -> None:
    parts = [(item, part) for item in items(file) for part in ("visible", "hidden")]
    cases = [(i.program(i.table["solution"]), i.table[part], PATIENCE) for i, part in parts]
    for (item, part), failure in zip(parts, judged(cases), strict=True):
        assert failure == "", (item.name, part)


@pytest.mark.parametrize("file", FILES)
def test_wrong_programs_fail_the_hidden_tests_and_the_visible_ones_as_stated(file: str) -> None:
    pairs = [(item, wrong) for item in items(file) for wrong in item.table["wrong"]]
    programs = [item.program(wrong["program"]) for item, wrong in pairs]
    for part in ("visible", "hidden"):
        cases = [(p, i.table[part], HASTE) for p, (i, _) in zip(programs, pairs, strict=True)]
        for (item, wrong), failure in zip(pairs, judged(cases), strict=True):
            passes = part == "visible" and wrong["passes_visible"]
            assert (failure == "") is passes, (item.name, wrong["why"], part, failure)


@pytest.mark.parametrize("file", FILES)
def test_some_wrong_program_gets_past_the_visible_tests(file: str) -> None:
    for item in items(file):
        passing = [wrong["passes_visible"] for wrong in item.table["wrong"]]
        assert any(passing), item.name
        assert file == "programs" or not all(passing), item.name


@pytest.mark.parametrize("file", FILES)
def test_a_function_that_always_returns_the_same_fails(file: str) -> None:
    stubs = [(item, value) for item in items(file) for value in CONSTANTS]
    cases = [(i.program(stub(i.entry, v)), i.table["hidden"], HASTE) for i, v in stubs]
    for (item, value), failure in zip(stubs, judged(cases), strict=True):
        assert failure, (item.name, value)
    nothing = [(i.program(stub(i.entry, "None")), i.table["visible"], HASTE) for i in items(file)]
    for item, failure in zip(items(file), judged(nothing), strict=True):
        assert failure, item.name


# -- programs ---------------------------------------------------------------------------------


@pytest.mark.parametrize("program", document("programs")["program"], ids=lambda p: str(p["id"]))
def test_the_last_function_of_a_program_needs_all_others(program: dict[str, Any]) -> None:
    steps = program["step"]
    needed: dict[str, set[str]] = {}
    for step in steps:
        called = free_names(ast.parse(step["solution"])) & needed.keys()
        needed[step["entry"]] = called.union(*(needed[name] for name in called))
    assert needed[steps[-1]["entry"]] == {step["entry"] for step in steps[:-1]}


@pytest.mark.parametrize("program", document("programs")["program"], ids=lambda p: str(p["id"]))
def test_most_errors_in_early_functions_spoil_the_last_one(program: dict[str, Any]) -> None:
    steps = program["step"]
    cases = []
    for place, step in enumerate(steps[:-1]):
        for wrong in step["wrong"]:
            texts = [s["solution"] for s in steps]
            texts[place] = wrong["program"]
            cases.append((texts, steps[-1]["hidden"], HASTE))
    spoilt = [failure != "" for failure in judged(cases)]
    assert sum(spoilt) > len(spoilt) / 2
