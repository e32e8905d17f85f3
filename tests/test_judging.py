"""`errata check` and `errata doctor`, and a sandbox that refuses where nothing isolates."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from agent.cli import app
from agent.errors import MissingTool, UsageError
from agent.sandbox import Sandbox, Tests, runner

START = json.dumps({"fen": "rnbqkbnr/pppppppp/8/8/8/8/PPPPPPPP/RNBQKBNR w KQkq - 0 1"})


def errata(*arguments: str, stdin: str = "") -> Result:
    return CliRunner().invoke(app, list(arguments), input=stdin)


@pytest.fixture
def boxed() -> None:
    try:
        runner().prepare()
    except MissingTool as error:
        pytest.skip(str(error))


@pytest.mark.usefixtures("boxed")
def test_one_program_is_judged_by_its_tests(tmp_path: Path) -> None:
    program, tests = tmp_path / "p.py", tmp_path / "t.py"
    program.write_text("def f(x):\n    return x\n")
    tests.write_text("assert f(1) == 1\n")
    right = errata("check", "code-run", "--program", str(program), "--tests", str(tests))
    assert right.exit_code == 0 and right.output.startswith("pass\n  isolation: ")
    tests.write_text("assert f(1) == 2\n")
    wrong = errata("check", "code-run", "--program", str(program), "--tests", str(tests), "--json")
    line = json.loads(wrong.output)
    assert wrong.exit_code == 1
    assert line["outcome"] == "fail" and line["critique"] == "f(1) should be 2, got 1."
    assert line["isolation"] == runner().prepare() and line["seconds"] > 0


@pytest.mark.usefixtures("boxed")
def test_many_are_judged_line_by_line_in_their_order() -> None:
    lines = [{"id": i, "program": f"def f(x): return {i % 2}", "tests": "assert f(0) == 1", "entry": "f"}
             for i in range(80)]  # fmt: skip
    done = errata("check", "code-run", "--jsonl", "-", stdin="\n".join(map(json.dumps, lines)))
    out = [json.loads(line) for line in done.output.splitlines()]
    assert [o["id"] for o in out] == list(range(80))
    assert [o["outcome"] for o in out] == ["fail", "pass"] * 40
    assert done.exit_code == 1


def test_any_verifier_judges_an_answer() -> None:
    legal = errata("check", "chess-legality", "--question", START, "--answer", "e4")
    assert (legal.exit_code, legal.output) == (0, "pass\n")
    illegal = errata("check", "chess-legality", "--question", START, "--answer", "Ke2")
    assert illegal.exit_code == 1 and illegal.output.startswith("fail: Ke2 is illegal")


BAD = [
    (("check", "code-run"), "", "give --program and --tests"),
    (("check", "code-run", "--program", "nowhere.py", "--tests", "t.py"), "", "'nowhere.py' can't be read"),
    (("check", "code-run", "--jsonl", "-"), '{"id": 1}', "-, line 1: a job has an answer"),
    (("check", "code-run", "--jsonl", "-"), "what", "-, line 1: no JSON"),
    (("check", "chess-legality", "--question", "{", "--answer", "e4"), "", "--question: no JSON"),
    (("check", "cod-run", "--answer", "x"), "", "did you mean code-run"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "stdin", "said"), BAD, ids=[b[2] for b in BAD])
def test_what_can_not_be_judged_is_said(arguments: tuple[str, ...], stdin: str, said: str) -> None:
    done = errata(*arguments, stdin=stdin)
    assert done.exit_code == 2 and said in done.stderr


@pytest.mark.usefixtures("boxed")
def test_the_doctor_says_which_isolation_there_is() -> None:
    done = errata("doctor", "--json")
    found = json.loads(done.output)
    assert done.exit_code == 0 and found["isolation"] == runner().prepare()
    assert found["isolation"] in [row["level"] for row in found["levels"] if row["works"]]


def test_where_nothing_isolates_no_program_is_run(monkeypatch: Any) -> None:
    monkeypatch.setenv("PATH", "/nowhere")  # neither bwrap nor unshare is found
    with pytest.raises(MissingTool) as caught:
        asyncio.run(Sandbox(isolation="bubblewrap").run("x = 1", Tests(code="assert x == 1")))
    for said in ("bwrap is not installed", "apt-get install bubblewrap", "--allow-unsafe-exec"):
        assert said in str(caught.value).replace("bubblewrap is not", "bwrap is not")


def test_no_isolation_at_all_must_be_asked_for_twice() -> None:
    with pytest.raises(UsageError, match="--allow-unsafe-exec"):
        Sandbox(isolation="none")
