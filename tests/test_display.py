"""What a person sees while it runs: everything that counts, uncut, on any usual terminal."""

from __future__ import annotations

import asyncio
import re
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from toy import Counting as CountingTask
from toy import is_next

from agent.api import arms_for, header
from agent.arms import ARMS, Arm
from agent.budget import Budget
from agent.display import Counting, Episode, Live, Plain
from agent.errors import ModelError
from agent.experiment import Experiment
from agent.loop import rollout
from agent.models.scripted import ScriptedModel
from agent.store import Store
from agent.types import Question
from agent.verification import Check
from tasks.chess.task import Chess
from verifiers.chess_legality import chess_legality

NAMES = ["baseline", "best-of-n", "critique"]


def right(question: Question, seed: int) -> str:
    return str(question.state["last"] + 1)


def screen(width: int = 80) -> Console:
    return Console(file=StringIO(), width=width, force_terminal=True, color_system=None)


def on_screen(console: Console) -> str:
    """What was printed, without what moves the cursor."""
    return re.sub(r"\x1b\[[\d?;]*[A-Za-z]", "", console.file.getvalue()).rstrip()  # type: ignore[attr-defined]


def played(
    kind: type[Counting], folder: Path, console: Console, tokens: int | None = None, **model: Any
) -> Counting:
    """Two episodes of three steps in three arms, or what a limit of tokens lets be played."""
    task, told = CountingTask(), {"reply": right, **model}
    fake = ScriptedModel(told["reply"], tokens=1000)
    arms = arms_for(task, NAMES, [is_next])
    budget = Budget(tokens=tokens, price=(10.0, 20.0))
    store = Store(folder, header(task, fake, arms, [1, 2]))
    options: Any = () if kind is Counting else (console,)
    progress = kind(arms, 2, 3, budget, *options)
    for trace, scores in store.episodes():
        progress.already(trace, scores)
    experiment = Experiment(task, fake, arms, [1, 2], store, 2, budget, progress)
    with progress:
        asyncio.run(experiment.run())
    store.close()
    return progress


@pytest.mark.parametrize("width", [80, 100, 120])
def test_the_live_table_shows_every_figure_uncut(tmp_path: Path, width: int) -> None:
    console = screen(width)
    progress = played(Live, tmp_path / "run", console)
    shown = on_screen(console)
    assert "\u2026" not in shown
    last = [line.rstrip() for line in shown.splitlines()[-4:]]
    assert all(len(line) <= width for line in last)
    assert re.sub(r" +", " ", last[0]).strip() == "arm episodes steps wrong tokens per s USD left"
    for name, line in zip(NAMES, last[1:], strict=True):
        tokens = progress.tallies[name].usage.total
        assert re.search(
            rf"{name} .* 2/2 +6 +0/6 +{tokens:,} +[\d,]+ +{tokens * 15 / 1e6:.2f} +0:00:00", line
        )


def test_plain_lines_say_the_same(tmp_path: Path) -> None:
    console = Console(file=StringIO(), width=150)
    played(Plain, tmp_path / "run", console)
    [line] = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert re.fullmatch(
        r"baseline 2/2 episodes, 6 steps, 0 of 6 wrong, 12,000 tokens; "
        r"best-of-n 2/2 episodes, 6 steps, 0 of 6 wrong, 36,000 tokens; "
        r"critique 2/2 episodes, 6 steps, 0 of 6 wrong, 12,000 tokens; "
        r"[\d,]+ tokens/s; 0.90 USD; 0:00:00 left",
        line,
    )


def test_a_resumed_run_counts_what_earlier_starts_spent(tmp_path: Path) -> None:
    whole = played(Counting, tmp_path / "whole", screen())
    played(Counting, tmp_path / "run", screen(), tokens=20_000)
    rest = played(Counting, tmp_path / "run", screen())
    for name in NAMES:
        assert rest.tallies[name].usage == whole.tallies[name].usage
        assert rest.tallies[name].steps == whole.tallies[name].steps == 6
    fresh = sum(t.fresh.total for t in rest.tallies.values())
    assert 0 < fresh < sum(t.usage.total for t in rest.tallies.values())


def test_the_time_left_follows_from_the_steps_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    progress = Counting([ARMS["baseline"]], 2, 30, Budget())
    tally = progress.tallies["baseline"]
    assert progress.left(tally) == "-"
    tally.steps = tally.fresh_steps = 15
    monkeypatch.setattr("agent.display.time.monotonic", lambda: progress.began + 10)
    assert progress.ahead(tally) == 45
    assert progress.left(tally) == "0:00:30"
    tally.episodes, tally.ended_steps = 1, 15  # ended before its horizon
    assert progress.left(tally) == "0:00:20"


def test_lost_episodes_are_said_while_it_runs(tmp_path: Path) -> None:
    def lost(question: Question, seed: int) -> str:
        raise ModelError("503")

    console = screen()
    played(Live, tmp_path / "run", console, reply=lost)
    assert re.search(r"baseline .*\(2 lost\) 2/2", on_screen(console))


# -- one episode ----------------------------------------------------------------------------


def watched(width: int, replies: list[str], arm: Arm) -> list[str]:
    task = Chess(start="initial", horizon=1)
    console = Console(file=StringIO(), width=width)
    with Episode(task, console) as watcher:
        asyncio.run(rollout(task, ScriptedModel(replies), arm, 1, watcher=watcher))
    return [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]


CRITIQUE = ARMS["critique"].with_checks([Check.of(chess_legality)])


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_board_stands_beside_the_words_however_long_they_are(width: int) -> None:
    lines = watched(width, ["Bc4", "e4"], CRITIQUE)
    assert all(len(line) <= width for line in lines)
    assert re.match(r"8 (\S )+ +step 1$", lines[0])
    beside = " ".join(line[20:].strip() for line in lines)
    assert (
        "1. Bc4 x path_blocked Bc4 is illegal: the bishop on f1 cannot reach c4: the white pawn "
        "on e2 is in the way. 2. e4 ok" in re.sub(r" +", " ", beside)
    )


def test_what_is_taken_is_said_where_it_is_not_the_last() -> None:
    assert "no attempt passed; number 1 is taken" in " ".join(
        watched(80, ["Ke2", "Kd2", "Kf2"], CRITIQUE)
    )
    best = ARMS["best-of-n"].with_checks([Check.of(chess_legality)])
    assert "number 2 is taken" in " ".join(watched(80, ["Ke2", "e4", "d4"], best))
    vote = ARMS["vote"].model_copy(update={"max_attempts": 3})
    split = " ".join(watched(80, ["e4", "d4", "c4"], vote))
    assert "no answer won the vote; number 1 is taken" in split
    assert "is taken" not in " ".join(watched(80, ["Ke2", "e4"], CRITIQUE))


def test_each_attempt_is_shown_before_the_next_is_asked_for() -> None:
    console = screen()
    seen: list[str] = []

    def reply(question: Question, seed: int) -> str:
        seen.append(console.file.getvalue())  # type: ignore[attr-defined]
        return ["Ke2", "e4"][len(seen) - 1]

    task = Chess(start="initial", horizon=1)
    with Episode(task, console) as watcher:
        asyncio.run(rollout(task, ScriptedModel(reply), CRITIQUE, 1, watcher=watcher))
    assert "Ke2" not in seen[0]
    assert "Ke2 is illegal" in seen[1]
