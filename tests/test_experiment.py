"""Comparisons on disk: matched, resumed, killed, refused."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from toy import Counting, is_next

from agent.arms import ARMS
from agent.budget import Budget
from agent.errors import ModelError, RunMismatch, UsageError
from agent.experiment import Experiment
from agent.measure import compare
from agent.measure.table import from_traces
from agent.models.scripted import ScriptedModel
from agent.store import Store
from agent.types import Completion, Question
from agent.verification import Check

HEADER = {"identity": {"task": {"name": "counting"}, "seeds": [1, 2, 3]}, "command": ["x"]}


def reply(question: Question, seed: int) -> str:
    return str(question.state["last"] + (1 if seed % 3 else 2))


def experiment(directory: Path, model: Any = None, **options: Any) -> Experiment:
    checks = [Check.of(is_next)]
    arms = [ARMS[n].with_checks(checks) for n in ("baseline", "resample", "critique")]
    store = Store(directory, HEADER)
    return Experiment(Counting(horizon=5), model or ScriptedModel(reply), arms, [1, 2, 3], store,
                      **options)  # fmt: skip


def figures(directory: Path) -> dict[str, Any]:
    table = from_traces(Store(directory).episodes(), ["baseline", "resample", "critique"])
    return without_seconds(compare(table, 5).model_dump())


def without_seconds(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: without_seconds(v) for k, v in value.items() if k != "seconds"}
    return value


def test_every_arm_meets_every_seed_and_a_second_run_asks_nothing(tmp_path: Path) -> None:
    first = experiment(tmp_path / "run")
    assert asyncio.run(first.run()) is None
    traces = [t for t, _ in first.store.episodes()]
    assert sorted((t.arm, t.seed) for t in traces) == sorted(
        (a, s) for a in ("baseline", "resample", "critique") for s in (1, 2, 3)
    )
    silent = experiment(tmp_path / "run", ScriptedModel([]))
    assert asyncio.run(silent.run()) is None


def test_what_is_stored_is_what_was_played(tmp_path: Path) -> None:
    run = experiment(tmp_path / "run", concurrency=1)
    asyncio.run(run.run())
    for trace, scores in run.store.episodes():
        assert len(trace.steps) == 5
        assert [len(row) for row in scores] == [len(s.attempts) for s in trace.steps]
        assert all(s.question.prefix.endswith(",") for s in trace.steps)
        assert trace.configuration["arm"]["name"] == trace.arm


@pytest.mark.parametrize("limit", range(2, 60, 7))
def test_a_run_stopped_at_any_limit_resumes_to_the_same_figures(tmp_path: Path, limit: int) -> None:
    whole = experiment(tmp_path / "whole")
    asyncio.run(whole.run())
    part = experiment(tmp_path / "part", budget=Budget(tokens=limit), concurrency=2)
    assert "limit" in str(asyncio.run(part.run()))
    rest = experiment(tmp_path / "part", concurrency=2)
    assert asyncio.run(rest.run()) is None
    assert figures(tmp_path / "part") == figures(tmp_path / "whole")


class Flaky:
    """Fails for good on one seed until it is mended."""

    name = "scripted"
    broken = True

    def configuration(self) -> dict[str, Any]:
        return {}

    async def generate(self, question: Question, n: int, seed: int) -> list[Completion]:
        if self.broken and question.state["seed"] == 2:
            raise ModelError("503: the server is on fire")
        return await ScriptedModel(reply).generate(question, n, seed)


def test_infrastructure_errors_are_counted_beside_the_rates_and_retried_alone(
    tmp_path: Path,
) -> None:
    model = Flaky()
    asyncio.run(experiment(tmp_path / "run", model).run())
    figure = figures(tmp_path / "run")["arms"]["baseline"]
    assert (figure["episodes"], figure["infrastructure_errors"], figure["steps"]) == (3, 1, 10)
    model.broken = False
    again = experiment(tmp_path / "run", model)
    assert again.store.forget_errors() == 3
    asyncio.run(again.run())
    asyncio.run(experiment(tmp_path / "whole").run())
    assert figures(tmp_path / "run") == figures(tmp_path / "whole")


REFUSED = [
    ("another seed list", {"identity": {"task": {"name": "counting"}, "seeds": [1]}}, "seeds"),
    ("another task", {"identity": {"task": {"name": "chess"}, "seeds": [1, 2, 3]}}, "task.name"),
]


@pytest.mark.parametrize(("why", "header", "told"), REFUSED, ids=[r[0] for r in REFUSED])
def test_a_directory_of_another_command_is_refused_untouched(
    tmp_path: Path, why: str, header: dict[str, Any], told: str
) -> None:
    asyncio.run(experiment(tmp_path / "run").run())
    before = {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir()}
    with pytest.raises(RunMismatch, match=told):
        Store(tmp_path / "run", header)
    assert {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir()} == before


def test_a_directory_of_another_format_is_refused_untouched(tmp_path: Path) -> None:
    asyncio.run(experiment(tmp_path / "run").run())
    path = tmp_path / "run" / "run.json"
    path.write_text(path.read_text().replace('"store_version": 1', '"store_version": 0'))
    with pytest.raises(RunMismatch, match="another version"):
        Store(tmp_path / "run", HEADER)


def test_a_directory_that_is_no_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(RunMismatch, match="not empty"):
        Store(tmp_path, HEADER)
    with pytest.raises(UsageError, match=r"no run\.json"):
        Store(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["precious.txt"]


COMPARE = [
    sys.executable, "-m", "agent.cli", "compare", "chess", "--arms", "baseline,critique",
    "--episodes", "3", "--horizon", "12", "--seed", "3", "--display", "none", "--concurrency", "4",
]  # fmt: skip


def nearly(value: Any, drift: bool = False) -> Any:
    """What must be equal: all of it, log-probabilities to the precision of single floats.

    A resumed run has other batches, and a sum of single floats depends on the batch's shape.
    """
    if isinstance(value, dict):
        return {k: nearly(v, drift or k == "drift") for k, v in value.items()}
    if isinstance(value, list):
        return [nearly(v, drift) for v in value]
    return pytest.approx(value, abs=1e-3) if drift and isinstance(value, float) else value


def summary_of(directory: Path) -> dict[str, Any]:
    summary = json.loads((directory / "summary.json").read_text())
    return without_seconds({k: v for k, v in summary.items() if k != "command"})


def test_a_killed_comparison_resumes_to_the_summary_of_an_undisturbed_one(tmp_path: Path) -> None:
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "env": environment}
    subprocess.run([*COMPARE, "--out", str(tmp_path / "whole")], check=True, **quiet)
    for number, kill_after in enumerate((1, 17, 40)):
        directory = tmp_path / f"killed{number}"
        process = subprocess.Popen([*COMPARE, "--out", str(directory)], **quiet)
        while process.poll() is None and acknowledged(directory) < kill_after:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        if process.stderr:
            process.stderr.close()
        assert not (directory / "summary.json").exists(), "it ended before it was killed"
        kept = acknowledged(directory)
        assert kept >= kill_after
        subprocess.run([*COMPARE, "--out", str(directory)], check=True, **quiet)
        assert acknowledged(directory) >= kept
        assert summary_of(directory) == nearly(summary_of(tmp_path / "whole"))


def acknowledged(directory: Path) -> int:
    """Steps in the database of a run, read beside its writer."""
    path = directory / "run.sqlite"
    if not path.exists():
        return 0
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)
    try:
        return int(connection.execute("SELECT COUNT(*) FROM steps").fetchone()[0])
    except sqlite3.OperationalError:
        return 0
    finally:
        connection.close()


def test_ctrl_c_stops_with_a_report_and_the_same_command_goes_on(tmp_path: Path) -> None:
    command = [*COMPARE, "--out", str(tmp_path / "run")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and acknowledged(tmp_path / "run") < 5:
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted; nothing stored is lost" in told
    assert "Traceback" not in told
    again = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert again.returncode == 0
    assert "T1" in again.stdout
