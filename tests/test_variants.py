"""Arms at several levels, histories with injected errors, answers from recorded histories."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import chess
import pytest
from toy import Counting, is_next

from agent import variants
from agent.api import arms_for, compare, score_again, sketch_of
from agent.errors import UsageError
from agent.experiment import score_trace
from agent.loop import rollout
from agent.measure import compare as measured
from agent.measure.table import from_traces
from agent.models.scripted import ScriptedModel
from agent.replay import Recorded
from agent.report.drawing import Missing, Plot
from agent.report.plots import plots
from agent.resolve import noisy, task_again
from agent.store import Store
from agent.types import Score, Trace
from tasks.chess.rules import read_move
from tasks.chess.task import Chess
from tasks.markov.task import Markov

# -- arms at several levels -------------------------------------------------------------------


def test_each_arm_is_played_at_each_level_under_a_name_of_its_own() -> None:
    arms = arms_for(Counting(), ["baseline", "critique"], [is_next])
    two = variants.injected(arms, [0, 0.5])
    assert [a.name for a in two] == [
        "baseline/inject=0", "baseline/inject=0.5", "critique/inject=0", "critique/inject=0.5",
    ]  # fmt: skip
    assert [a.inject for a in two] == [0, 0.5, 0, 0.5]
    assert two[3].factors == {"inject": 0.5}
    assert two[3].feedback == "reason"


def test_one_choice_after_an_error_keeps_the_name_and_two_do_not() -> None:
    arms = arms_for(Counting(), ["baseline"], [is_next])
    [one] = variants.after_errors(arms, ["repair"])
    assert (one.name, one.after_error) == ("baseline", "repair")
    both = variants.after_errors(arms, ["leave", "repair"])
    assert [(a.name, a.after_error) for a in both] == [
        ("baseline/leave", "leave"), ("baseline/repair", "repair"),
    ]  # fmt: skip


def test_only_arms_that_verify_get_noise() -> None:
    arms = arms_for(Counting(), ["baseline", "critique"], [is_next])
    out = variants.noisy(arms, [(0, 0), (0.5, 0.25)], noisy)
    assert [a.name for a in out] == ["baseline", "critique/noise=0:0", "critique/noise=0.5:0.25"]
    assert out[2].factors == {"false_accept": 0.5, "false_reject": 0.25}
    assert out[2].checks[0].name == "is_next(0.5:0.25)"


def test_a_verifier_that_passes_everything_corrects_nothing() -> None:
    [arm] = variants.noisy(arms_for(Counting(), ["critique"], [is_next]), [(1, 0)], noisy)
    trace = asyncio.run(rollout(Counting(), ScriptedModel(["11", "99", "100"]), arm, 1))
    assert [len(s.attempts) for s in trace.steps] == [1, 1, 1]
    assert trace.steps[1].answer == 99


# -- injected errors --------------------------------------------------------------------------


@pytest.mark.parametrize("style", ["lan", "pgn"])
def test_all_of_the_history_is_illegal_and_the_board_is_untouched(style: str) -> None:
    task = Chess(style=style, start="random:12", quality_nodes=0)
    state = task.start(5)
    wrong = task.with_errors(state, 1.0)
    assert (wrong.fen, wrong.moves) == (state.fen, state.moves)
    board = chess.Board(state.start)
    for uci, text in zip(state.moves, wrong.texts, strict=True):
        assert read_move(board, text).move is None
        board.push_uci(uci)
    assert task.question(wrong).prefix != task.question(state).prefix
    assert task.question(wrong).state == task.question(state).state


def test_a_smaller_share_of_errors_is_part_of_a_larger_one() -> None:
    task = Chess(start="random:40", quality_nodes=0)
    state = task.start(2)
    shares = {s: task.with_errors(state, s).texts for s in (0.0, 0.25, 0.5, 1.0)}
    changed = {
        s: {i for i, (a, b) in enumerate(zip(t, state.texts, strict=True)) if a != b}
        for s, t in shares.items()
    }
    assert changed[0.0] == set()
    assert changed[0.25] < changed[0.5] < changed[1.0]
    assert len(changed[1.0]) == 40
    assert task.with_errors(state, 0.5).texts == shares[0.5]


def test_a_markov_sequence_is_told_with_impossible_symbols_and_its_true_end() -> None:
    task = Markov()
    state = task.start(3).model_copy(update={"symbols": ("A", *"BCDEFABCDEF")})
    wrong = task.with_errors(state, 1.0)
    assert wrong.symbols[-1] == state.symbols[-1]
    told = zip(wrong.symbols[:-2], wrong.symbols[1:-1], strict=True)
    assert any(b not in task.chain.possible(a) for a, b in told)


def test_the_model_is_told_of_errors_that_never_happened() -> None:
    task = Chess(style="lan", start="random:10", horizon=2, quality_nodes=0)
    [arm] = variants.injected(arms_for(task, ["baseline"], []), [1.0])
    asked = []

    def reply(question: Any, seed: int) -> str:
        asked.append(question)
        board = chess.Board(question.state["fen"])
        return board.san(sorted(board.legal_moves, key=str)[0])

    trace = asyncio.run(rollout(task, ScriptedModel(reply), arm, 1))
    assert all(s.correct for row in score_trace(task, trace) for s in row)
    assert asked[0].prefix == task.question(task.with_errors(task.start(1), 1.0)).prefix


# -- recorded histories -----------------------------------------------------------------------


def recording() -> Trace:
    [arm] = arms_for(Counting(), ["baseline"], [])
    return asyncio.run(rollout(Counting(), ScriptedModel(["11", "50", "51"]), arm, 1))


def test_every_arm_answers_from_the_recorded_history_whatever_it_says() -> None:
    task = Recorded(Counting(), [recording()], "run:baseline")
    [arm] = arms_for(task, ["critique"], [is_next])
    script = ScriptedModel(["7", "8", "9", "12", "51"])
    trace = asyncio.run(rollout(task, script, arm, 1))
    assert [s.question.prefix for s in trace.steps] == ["10,", "11,", "50,"]
    assert [s.answer for s in trace.steps] == [7, 12, 51]
    scores = score_trace(task, trace)
    assert [row[s.accepted].correct for s, row in zip(trace.steps, scores, strict=True)] == [
        False, True, True,
    ]  # fmt: skip


def test_a_recording_ends_where_it_ends() -> None:
    short = recording().model_copy(update={"steps": recording().steps[:2]})
    task = Recorded(Counting(), [short], "run")
    [arm] = arms_for(task, ["baseline"], [])
    trace = asyncio.run(rollout(task, ScriptedModel(["1", "2"]), arm, 1))
    assert trace.stop_reason == "end of the recording"
    assert task.configuration() == {"horizon": 3, "prefix_from": "run"}


def test_another_task_or_an_unknown_seed_is_refused() -> None:
    with pytest.raises(UsageError, match="give the options with which it was recorded"):
        Recorded(Markov(), [recording()], "run")
    with pytest.raises(UsageError, match="no episode of seed 2"):
        Recorded(Counting(), [recording()], "run").start(2)


# -- stored runs ------------------------------------------------------------------------------


def test_a_stored_run_is_scored_again_by_its_own_task(tmp_path: Path) -> None:
    compare("chess", "tiny", arms=["baseline"], episodes=2, horizon=6, out=tmp_path / "run")
    store = Store(tmp_path / "run")
    trace, before = next(store.episodes())
    lie = [[Score(correct=False) for _ in row] for row in before]
    store.replace_scores(trace, lie)
    assert score_again(store) == len(before)
    assert next(store.episodes())[1] == before
    assert score_again(store) == 0
    sketch = sketch_of(store.header)
    assert sketch is not None
    drawn = sketch(trace.steps[0].question, trace.steps[0].answer)
    assert drawn["kind"] == "chess"
    assert chess.Board(drawn["fen"]).is_valid()
    store.close()


def test_a_run_whose_task_is_gone_says_so() -> None:
    with pytest.raises(UsageError, match="can't be made again"):
        task_again("tasks.chess.task:Checkers", {})


@pytest.mark.parametrize(
    ("answer", "start", "end"),
    [("e4", "e2", "e4"), ("Ng1-f3", "g1", "f3"), ("Qh5", None, "h5"), ("Ke1-e5", "e1", "e5"),
     (None, None, None), ("O-O-O", None, None)],
)  # fmt: skip
def test_a_sketch_names_the_squares_that_the_answer_names(
    answer: str | None, start: str | None, end: str | None
) -> None:
    task = Chess(start="initial", quality_nodes=0)
    drawn = task.sketch(task.question(task.start(1)), answer)
    assert (drawn["from"], drawn["to"]) == (start, end)


# -- their plots ------------------------------------------------------------------------------


def test_error_is_drawn_against_the_injected_share_and_left_out_where_nothing_was_varied() -> None:
    arms = variants.injected(arms_for(Counting(), ["baseline"], []), [0, 0.5])
    episodes = []
    for arm in arms:
        plain = arm.model_copy(update={"inject": 0.0})
        for seed in (1, 2):
            trace = asyncio.run(rollout(Counting(), ScriptedModel(["5", "6", "7"]), plain, seed))
            episodes.append((trace, score_trace(Counting(), trace)))
    names = [a.name for a in arms]
    table = from_traces(episodes, names)
    comparison = measured(table, 3)
    drawn = {p.name: p for p in plots(table, comparison, {a.name: a.factors for a in arms})}
    p7, p11 = drawn["P7"], drawn["P11"]
    assert isinstance(p7, Plot)
    assert "inject,accepted" in p7.csv.splitlines()[0]
    assert len(p7.csv.splitlines()) == 3
    assert isinstance(p11, Missing)
    assert "--noise" in p11.reason
