"""The command line: what it prints, what it refuses, how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from agent.cli import app

SMALL = ["compare", "chess", "--arms", "baseline,critique", "--episodes", "2", "--horizon", "4",
         "--display", "none"]  # fmt: skip


def errata(*arguments: Any, env: dict[str, str] | None = None) -> Any:
    return CliRunner().invoke(app, [str(a) for a in arguments], env=env)


@pytest.mark.parametrize("command", ["compare", "run", "report", "verify", "list", "serve"])
def test_every_command_explains_itself(command: str) -> None:
    result = errata(command, "--help")
    assert result.exit_code == 0
    assert "Usage" in result.output


@pytest.mark.parametrize(
    ("kind", "named"),
    [("tasks", "chess"), ("verifiers", "chess-legality"), ("models", "langchain:PROVIDER:NAME"),
     ("arms", "best-of-n")],
)  # fmt: skip
def test_everything_there_is_can_be_listed(kind: str, named: str) -> None:
    result = errata("list", kind)
    assert result.exit_code == 0
    assert named in result.output


def test_a_list_says_what_each_part_is_and_how_a_task_can_be_set() -> None:
    tasks = " ".join(errata("list", "tasks").output.split())
    assert "chess Chess as a task: one legal move after another" in tasks
    assert "horizon=60 start=random:4 side= opponent=self style=pgn" in tasks
    assert "Is a written move legal on the board" in errata("list", "verifiers").output


def test_help_imports_nothing_heavy() -> None:
    heavy = "langchain openai scipy statsmodels numpy chess pydantic starlette rich asyncio"
    code = (
        "import sys, agent.cli; from typer.testing import CliRunner\n"
        "assert CliRunner().invoke(agent.cli.app, ['--help']).exit_code == 0\n"
        f"print([m for m in '{heavy}'.split() if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


# -- bad input ------------------------------------------------------------------------------------

REFUSED = [
    (["compare", "ches"], "unknown task 'ches': did you mean chess"),
    (["compare", "chess", "--model", "tinny"], "unknown model 'tinny': did you mean tiny?"),
    (["compare", "chess", "--model", "opnai:x"], "did you mean openai:NAME?"),
    (["compare", "chess", "--arms", "baseline,critic"], "unknown arm 'critic'"),
    (["compare", "chess", "--arms", "baseline,baseline"], "an arm is given twice"),
    (["compare", "chess", "--arms", ","], "no arm is given"),
    (["compare", "chess", "--verifier", "chess-legalty"], "did you mean chess-legality"),
    (["compare", "chess", "--set", "stile=pgn"], "did you mean style"),
    (["compare", "chess", "--set", "engine_nodes=many"], "'many' is no int"),
    (["compare", "chess", "--set", "style"], "NAME=VALUE"),
    (["compare", "chess", "--start", "8/8 w"], "is not initial, random"),
    (["compare", "chess", "--start", "gone.pgn"], "No such file"),
    (["compare", "chess", "--price", "cheap"], "is not two numbers"),
    (["compare", "chess", "--price=-1,2"], "a price is a number from 0 on"),
    (["compare", "chess", "--limit-usd", "1"], "--limit-usd needs --price"),
    (["compare", "chess", "--model", "openai:gpt-4o-mini"], "OPENAI_API_KEY"),
    (["compare", "chess", "--model", "anthropic/claude"], "known: langchain:PROVIDER:NAME, openai"),
    (["compare", "chess", "--model", "openai"], "needs a model name"),
    (["compare", "chess", "--model", "langchain"], "needs a provider and a model"),
    (["compare", "chess", "--model", "langchain:nobody:x"], "langchain:nobody:x"),
    (["compare", "chess", "--model", "langchain/nobody/x"], "langchain:nobody:x"),
    (["compare", "chess", "--model", "scripted"], "needs a file"),
    (["compare", "chess", "--model", "tiny:large"], "give tiny alone"),
    (["run", "chess", "--arm", "hnt"], "did you mean hint?"),
    (["verify", "nothing"], "unknown verifier 'nothing'"),
    (["verify", "file.py"], "give file.py:NAME"),
    (["list", "arm"], "did you mean arms?"),
    (["report", "nowhere"], "no run directory"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "told"), REFUSED, ids=[r[1] for r in REFUSED])
def test_what_cannot_be_used_is_one_line_and_exit_2(
    arguments: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    result = errata(*arguments)
    assert result.exit_code == 2
    assert told in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"


FILES = [
    ("def f(:\n", "v.py:1: SyntaxError"),
    ("\nimport nonesuch\n", "v.py:2: ModuleNotFoundError"),
    ("\n\nraise SystemExit('bye')\n", "v.py:3: SystemExit"),
    ("def judge(q, a): ...\n", "did you mean judge?"),
    ("judges = 5\n", "it can't be called"),
    ("def judges(q, a): ...\njudges.severity = 'may'\n", "not must, should or shadow"),
    ("def judges(q, a): ...\njudges.timeout = 'soon'\n", "'soon' is no number of seconds"),
    ("def judges(q, a): ...\njudges.known_bad = ['e2e4']\n", "no list of pairs"),
    ("class judges:\n    def __init__(self, x): ...\n", "can't be made: TypeError"),
    ("from agent import Question\ndef judges(q, a): ...\n"
     "judges.known_bad = [(Question(messages=(), prefix=''), 'e4')]\n",
     "should fail its own example 'e4' but gives 'pass'"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "told"), FILES, ids=[f[1] for f in FILES])
def test_a_verifier_file_that_cannot_be_used_names_its_own_line(
    tmp_path: Path, code: str, told: str
) -> None:
    (tmp_path / "v.py").write_text(code)
    result = errata("verify", f"{tmp_path}/v.py:judges")
    assert result.exit_code == 2
    assert told in result.stderr
    assert "Traceback" not in result.output


def test_verify_says_what_was_shown() -> None:
    assert "4 known-good and 5 known-bad examples hold" in errata("verify", "chess-legality").output
    module = errata("verify", "verifiers.chess_legality:chess_legality")
    assert module.exit_code == 0


def test_a_verifier_without_examples_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "v.py").write_text("def judges(q, a): ...\n")
    result = errata("verify", f"{tmp_path}/v.py:judges")
    assert result.exit_code == 0
    assert "nothing shows that it judges rightly" in result.output


def test_nobody_listening_is_exit_3_and_names_the_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    result = errata(*SMALL, "--model", "openai:m", "--base-url", "http://127.0.0.1:9/v1",
                    "--out", tmp_path / "run")  # fmt: skip
    assert result.exit_code == 3
    assert "--base-url" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_an_unknown_model_on_a_server_is_exit_3(tmp_path: Path, tiny_url: str) -> None:
    result = errata(*SMALL, "--model", "openai:gpt-9", "--base-url", tiny_url,
                    "--out", tmp_path / "run")  # fmt: skip
    assert result.exit_code == 3
    assert "404" in result.stderr


# -- comparisons ------------------------------------------------------------------------------------


def test_a_comparison_prints_its_tables_and_a_report_prints_them_again(tmp_path: Path) -> None:
    result = errata(*SMALL, "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert all(f"T{n}  " in result.output for n in (0, 1, 3, 4, 5, 6, 9))
    assert "equals the oracle of this task" in result.output
    again = errata("report", tmp_path / "run")
    assert again.output.strip() in result.output
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["command"][0] == "errata"
    assert summary["arms"]["baseline"]["steps"] == 8


def test_json_is_json_and_nothing_else(tmp_path: Path) -> None:
    result = errata(*SMALL, "--json", "--out", tmp_path / "run")
    assert json.loads(result.stdout)["arms"].keys() == {"baseline", "critique"}
    assert json.loads(errata("report", tmp_path / "run", "--json").stdout)["horizon"] == 4


def test_another_command_on_the_same_directory_is_refused(tmp_path: Path) -> None:
    errata(*SMALL, "--out", tmp_path / "run")
    before = {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir()}
    result = errata(*SMALL, "--seed", "9", "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert "another command's run; it differs in seeds" in result.stderr
    assert {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir()} == before


def test_a_limit_is_exit_4_and_the_command_without_it_completes(tmp_path: Path) -> None:
    limited = errata(*SMALL, "--limit-tokens", "50", "--out", tmp_path / "run")
    assert limited.exit_code == 4
    assert limited.stderr == (
        "errata: the limit of 50 tokens is reached, 0 of 4 episodes are finished; "
        "the same command goes on where this one stopped\n"
    )
    rest = errata(*SMALL, "--out", tmp_path / "run")
    assert rest.exit_code == 0
    whole = errata(*SMALL, "--json", "--out", tmp_path / "whole")
    rested = errata("report", tmp_path / "run", "--json")
    assert timeless(rested.stdout) == timeless(whole.stdout)


def timeless(text: str) -> Any:
    def strip(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: strip(v) for k, v in value.items() if k not in ("seconds", "command")}
        return value

    return strip(json.loads(text))


def test_flags_may_be_given_by_the_environment(tmp_path: Path) -> None:
    env = {"ERRATA_COMPARE_EPISODES": "1", "ERRATA_COMPARE_HORIZON": "2",
           "ERRATA_COMPARE_OUT": str(tmp_path / "run"), "ERRATA_COMPARE_ARMS": "baseline"}  # fmt: skip
    result = errata("compare", "chess", "--json", env=env)
    assert json.loads(result.stdout)["arms"]["baseline"]["steps"] == 2


def in_folder(
    folder: Path, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, without keys but those given."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OPENAI", "ERRATA"))}
    return subprocess.run(
        [sys.executable, "-m", "agent.cli", *arguments],
        cwd=folder,
        env={**kept, "PYTHONPATH": str(Path(__file__).parents[1]), **environment},
        capture_output=True,
        text=True,
    )


def test_keys_and_flags_may_stand_in_an_env_file_which_is_never_printed(tmp_path: Path) -> None:
    secret = "sk-very-secret-0123456789"
    (tmp_path / ".env").write_text(
        f'OPENAI_API_KEY="{secret}"\nERRATA_RUN_BASE_URL=http://127.0.0.1:9\n'
    )
    done = in_folder(tmp_path, "run", "chess", "--model", "openai:m")
    assert (done.returncode, done.stderr) == (
        3, "errata: http://127.0.0.1:9: can't connect: All connection attempts failed "
        "(setting: --base-url)\n",
    )  # fmt: skip
    assert secret not in done.stdout + done.stderr
    stronger = in_folder(tmp_path, "run", "chess", "--model", "openai:m",
                         ERRATA_RUN_BASE_URL="http://127.0.0.1:8")  # fmt: skip
    assert "http://127.0.0.1:8: can't connect" in stronger.stderr
    (tmp_path / ".env").write_bytes(b"OPENAI_API_KEY=\xff\xfe")
    broken = in_folder(tmp_path, "list", "arms")
    assert (broken.returncode, broken.stderr) == (
        2, "errata: .env can't be read: UnicodeDecodeError\n"
    )  # fmt: skip


def test_the_other_models_play_too(tmp_path: Path, tiny_url: str) -> None:
    (tmp_path / "script.txt").write_text("e4\ne5\nNf3\nzz\n")
    scripted = errata("compare", "chess", "--model", f"scripted:{tmp_path}/script.txt", "--start",
                      "initial", "--arms", "baseline", "--episodes", "1", "--horizon", "4",
                      "--json", "--out", tmp_path / "a")  # fmt: skip
    arm = json.loads(scripted.stdout)["arms"]["baseline"]
    assert (arm["steps"], arm["error_rate"]["value"], arm["error_classes"]) == (
        4, 0.25, {"unparsable": 1}
    )  # fmt: skip
    (tmp_path / "long.txt").write_text("e4\ne5\nNf3\n")
    unused = errata("run", "chess", "--model", f"scripted:{tmp_path}/long.txt", "--start", "initial",
                    "--horizon", "2")  # fmt: skip
    assert unused.exit_code == 2
    assert "1 scripted replies were never asked for: ['Nf3']" in unused.stderr
    served = errata(*SMALL, "--model", "openai/tiny", "--base-url", tiny_url, "--json",
                    "--out", tmp_path / "b")  # fmt: skip
    assert json.loads(served.stdout)["arms"]["critique"]["steps"] == 8


def test_one_episode_is_shown_with_its_critiques(tmp_path: Path) -> None:
    (tmp_path / "script.txt").write_text("Ke2\ne4\n")
    result = errata("run", "chess", "--model", f"scripted:{tmp_path}/script.txt", "--start",
                    "initial", "--horizon", "1")  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "1. Ke2        x  own_piece_on_target" in result.output
    assert "Ke2 is illegal: the white pawn on e2 stands there." in result.output
    assert "2. e4         ok" in result.output
    assert "first attempt wrong at 1, accepted answer wrong at 0" in result.output


def test_a_broken_verifier_is_counted_and_the_run_goes_on(tmp_path: Path) -> None:
    (tmp_path / "v.py").write_text("def broken(q, a):\n    raise RuntimeError('boom')\n")
    result = errata(*SMALL, "--verifier", f"{tmp_path}/v.py:broken", "--json",
                    "--out", tmp_path / "run")  # fmt: skip
    summary = json.loads(result.stdout)
    assert result.stderr.strip() == "errata: 8 times verifier broken broke: RuntimeError: boom"
    assert summary["verifiers"]["broken"]["errors"] == 8
    assert summary["arms"]["critique"]["unjudged_steps"] == 8
    assert summary["arms"]["baseline"]["unjudged_steps"] == 0


def test_a_terminal_without_unicode_ends_no_run() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "agent.cli", "run", "chess", "--horizon", "2"],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "step 2" in done.stdout
