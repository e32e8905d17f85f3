"""The commands that study: varied arms, recorded histories, logs, power, scores, the page served."""

from __future__ import annotations

import json
import math
import random
import re
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from typer.testing import CliRunner

from agent import compare
from agent.cli import app
from agent.measure.statistics import holm
from agent.store import Store
from tasks.markov.task import Markov

SMALL = ["compare", "chess", "--episodes", "3", "--horizon", "6", "--display", "none",
         "--set", "quality_nodes=0"]  # fmt: skip


def errata(*arguments: Any) -> Any:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def done(*arguments: Any) -> str:
    result = errata(*arguments)
    assert result.exit_code == 0, result.output
    return str(result.output)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("studies") / "run"
    done(*SMALL, "--arms", "baseline,critique", "--out", directory)
    return directory


@pytest.mark.parametrize("command", ["measure", "view", "score", "power"])
def test_every_study_explains_itself(command: str) -> None:
    assert "Usage" in done(command, "--help")


# -- varied arms --------------------------------------------------------------------------------


def test_injected_errors_are_arms_of_their_own_and_a_plot(tmp_path: Path) -> None:
    told = done(*SMALL, "--start", "random:20", "--arms", "baseline", "--inject", "0,50,100",
                "--out", tmp_path / "run")  # fmt: skip
    assert "baseline/inject=1 against baseline/inject=0" in told
    arms = json.loads((tmp_path / "run" / "summary.json").read_text())["arms"]
    assert list(arms) == ["baseline/inject=0", "baseline/inject=0.5", "baseline/inject=1"]
    page = (tmp_path / "run" / "report.html").read_text()
    assert 'id="P7"' in page
    assert 'download="P7.csv"' in page


def test_a_noisy_verifier_is_told_from_the_oracle(tmp_path: Path) -> None:
    done(*SMALL, "--arms", "critique", "--start", "random:40", "--noise", "0:0,0:100",
         "--out", tmp_path / "run")  # fmt: skip
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    noisy = summary["verifiers"]["chess-legality(0:1)"]
    assert noisy["false_reject"]["value"] == 1
    assert summary["verifiers"]["chess-legality(0:0)"]["false_reject"]["value"] == 0
    assert 'id="P12"' in (tmp_path / "run" / "report.html").read_text()


def test_leave_and_repair_are_compared_in_one_run(tmp_path: Path) -> None:
    told = done(*SMALL, "--arms", "baseline", "--after-error", "leave,repair", "--out",
                tmp_path / "run")  # fmt: skip
    assert "baseline/repair against baseline/leave" in told


def test_every_arm_answers_from_the_same_recorded_histories(run: Path, tmp_path: Path) -> None:
    done(*SMALL, "--arms", "baseline,critique", "--prefix-from", f"{run}:baseline", "--out",
         tmp_path / "again")  # fmt: skip
    store, recorded = Store(tmp_path / "again"), Store(run)
    histories = {t.seed: [s.question.hash for s in t.steps] for t, _ in recorded.episodes()
                 if t.arm == "baseline"}  # fmt: skip
    for trace, _ in store.episodes():
        assert [s.question.hash for s in trace.steps] == histories[trace.seed]
    store.close()
    recorded.close()


VARIED = [
    (["--inject", "half"], "'half' is no number of per cent"),
    (["--inject", "150"], "not between 0 and 100"),
    (["--noise", "10"], "is not FALSE_ACCEPT:FALSE_REJECT"),
    (["--after-error", "ignore"], "'ignore' is not one of: stop, leave, repair"),
    (["--prefix-from", "nowhere"], "no run directory"),
]


@pytest.mark.parametrize(("options", "told"), VARIED, ids=[v[1] for v in VARIED])
def test_what_cannot_be_varied_is_said(options: list[str], told: str, tmp_path: Path) -> None:
    result = errata(*SMALL, *options, "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert told in result.stderr
    assert not (tmp_path / "run").exists()


def test_another_start_is_not_the_recorded_one(run: Path, tmp_path: Path) -> None:
    result = errata(*SMALL, "--start", "initial", "--prefix-from", f"{run}:baseline",
                    "--out", tmp_path / "x")  # fmt: skip
    assert result.exit_code == 2
    assert "give the options with which it was recorded" in result.stderr
    result = errata(*SMALL, "--prefix-from", f"{run}:critic", "--out", tmp_path / "x")
    assert "did you mean critique?" in result.stderr


def test_markov_is_played_from_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "replies.txt").write_text("A\nB\n" * 3)
    told = done("compare", "markov", "--model", f"scripted:{tmp_path}/replies.txt", "--arms",
                "baseline", "--episodes", "2", "--horizon", "3", "--display", "none", "--out",
                tmp_path / "run", "--concurrency", "1")  # fmt: skip
    assert "markov by scripted" in told


# -- logs, scores, power ------------------------------------------------------------------------


def draws_too_evenly(request: Request, count: int) -> Response:
    """A server whose model reads the chain in its prompt and draws by the fifth roots of its law."""
    asked = json.loads(request._body)
    prompt = asked["messages"][-1]["content"]
    last = prompt.split("so far:\n")[1].split("\n")[0].split()[-1]
    [row] = re.findall(rf"After {last}: (.*)", prompt)
    law = {b: float(p) ** 0.2 for b, p in re.findall(r"(\w) \(([\d.]+)\)", row)}
    letter = random.Random(asked["seed"]).choices(list(law), list(law.values()))[0]
    told = {"token": letter, "logprob": math.log(law[letter] / sum(law.values()))}
    content = [told | {"bytes": None, "top_logprobs": []}] if asked.get("logprobs") else None
    return JSONResponse({
        "id": "1", "object": "chat.completion", "created": 0, "model": "even",
        "choices": [{"index": 0, "finish_reason": "stop", "logprobs": {"content": content},
                     "message": {"role": "assistant", "content": letter}}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10},
    })  # fmt: skip


def test_drift_from_a_known_chain_is_measured_over_http(misbehaving: Any, tmp_path: Path) -> None:
    url, steps = misbehaving(draws_too_evenly), 8
    command = ["compare", "markov", "--model", "openai:even", "--base-url", url, "--episodes", 40,
               "--horizon", steps, "--arms", "baseline", "--display", "none"]  # fmt: skip
    done(*command, "--logprobs", "--out", tmp_path / "run")
    chain = Markov().chain
    p = np.array([[chain.probability(a, b) for b in chain.states] for a in chain.states])
    q = np.where(p > 0, p**0.2, 0)
    q /= q.sum(1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        kl = np.nansum(q * np.log(q / p), axis=1)
    at, truth = np.full(len(p), 1 / len(p)), 0.0
    for _ in range(steps):
        truth, at = truth + float(at @ kl) / steps, at @ q
    drift = json.loads((tmp_path / "run" / "summary.json").read_text())["arms"]["baseline"]["drift"]
    assert truth > 0.2
    assert drift["kl"]["value"] == pytest.approx(truth, abs=0.1)
    assert (drift["impossible"]["value"], drift["kl"]["n"]) == (0, 40 * steps)
    assert 'download="P9.csv"' in (tmp_path / "run" / "report.html").read_text()
    # Where the server was not asked for them, there is a reason in place of the figure.
    told = done(*command, "--out", tmp_path / "without")
    assert "drift, it needs the model's log-probabilities (--logprobs)" in told
    refused = errata(*command, "--logprobs", "--temperature", "0.7", "--out", tmp_path / "no")
    assert (refused.exit_code, "temperature 1" in refused.output) == (2, True)


def test_a_log_of_another_program_gets_the_whole_report(tmp_path: Path) -> None:
    lines = ["game,turn,legal,model"]
    for model in ("a", "b"):
        lines += [f"{g},{t},{int((g + t) % (4 if model == 'a' else 7) > 0)},{model}"
                  for g in range(12) for t in range(1, 21)]  # fmt: skip
    file = tmp_path / "games.csv"
    file.write_text("\n".join(lines))
    told = done("measure", file, "--episode", "game", "--step", "turn", "--correct", "legal",
                "--arm", "model", "--out", tmp_path / "out")  # fmt: skip
    assert "b against a" in told
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["arms"]["a"]["error_rate"]["value"] == pytest.approx(0.25)
    assert summary["arms"]["b"]["steps"] == 240
    page = (tmp_path / "out" / "report.html").read_text()
    assert "games.csv" in page and 'id="P1"' in page
    assert json.loads(done("measure", file, "--episode", "game", "--step", "turn", "--correct",
                           "legal", "--arm", "model", "--json")) == summary | {
        "command": json.loads(done("measure", file, "--episode", "game", "--step", "turn",
                                   "--correct", "legal", "--arm", "model", "--json"))["command"]}  # fmt: skip


def test_a_run_directory_can_be_measured_like_a_log(run: Path) -> None:
    assert done("measure", run) == done("report", run)


def test_a_log_that_means_nothing_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    result = errata("measure", tmp_path / "x.csv")
    assert result.exit_code == 2
    assert "say which one it is, --episode NAME" in result.stderr


def test_a_run_is_scored_again(run: Path) -> None:
    assert "0 scores changed" in done("score", run)


def test_power_of_a_plan_and_of_a_finished_run(run: Path) -> None:
    plan = done("power", "--e", "0.05", "--effect", "0.5")
    assert "   20 matched episodes: power" in plan
    assert re.search(r"power of 80% needs about \d+", plan)
    assert "critique-baseline" in done("power", run)


def test_several_runs_get_p_values_for_their_number(run: Path, tmp_path: Path) -> None:
    done(*SMALL, "--seed", "50", "--arms", "baseline,critique", "--out", tmp_path / "other")
    told = done("report", run, tmp_path / "other")
    assert "Primary results of all runs" in told
    assert told.count("critique-baseline") >= 4


def test_holm_by_hand() -> None:
    assert holm([0.01, None, 0.04, 0.03]) == pytest.approx([0.03, None, 0.06, 0.06])
    assert holm([None]) == [None]
    assert holm([]) == []


# -- what others read ---------------------------------------------------------------------------


def test_the_page_is_served_on_loopback(run: Path) -> None:
    command = [sys.executable, "-m", "agent.cli", "view", str(run), "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = re.search(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())
        assert url is not None
        with urllib.request.urlopen(url[0], timeout=10) as answer:
            assert answer.headers["content-type"].startswith("text/html")
            assert answer.read() == (run / "report.html").read_bytes()
        process.terminate()


def test_a_notebook_shows_a_comparison_as_a_table() -> None:
    comparison = compare("chess", "tiny", arms=["baseline", "critique"], episodes=2, horizon=4)
    frame = comparison.to_pandas()
    assert list(frame.index) == ["baseline", "critique"]
    assert frame.loc["baseline", "steps"] == 8
    assert frame.loc["baseline", "error"] == comparison.arms["baseline"].error_rate.value
    html = comparison._repr_html_()
    assert html.startswith("<table") and "critique" in html
