"""What holds of every task of short steps: seeds, states, texts, verifiers, what an error does."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent import resolve
from agent.arms import ARMS
from agent.errors import ParseFailure, UsageError
from agent.experiment import score_trace
from agent.loop import rollout
from agent.models.scripted import ScriptedModel
from agent.prompts import ask
from agent.types import Attempt, Question, Task, Usage, Verdict
from agent.verification import Check, judge, preflight
from tasks.arithmetic import expression as ex
from tasks.arithmetic.task import Arithmetic
from tasks.board_reading.positions import Inquiry
from tasks.board_reading.task import BoardReading
from tasks.hanoi import rules
from tasks.hanoi.task import Hanoi
from tasks.running_sum.task import RunningSum

TASKS: dict[str, Any] = {
    "arithmetic": Arithmetic(horizon=12),
    "running-sum": RunningSum(horizon=12, keys=2),
    "hanoi": Hanoi(horizon=12),
    "board-reading": BoardReading(horizon=12),
}
each_task = pytest.mark.parametrize("task", TASKS.values(), ids=list(TASKS))


def right(question: Question) -> str:
    """The right answer, from what the question says of itself."""
    import chess

    told = question.state
    if "pegs" in told:
        return str(rules.best_move(told["pegs"]))
    if "about" in told:
        return Inquiry(told["about"]).answers(chess.BaseBoard(told["board"]))[0]
    before = ex.parse(told["calculation"])
    return str(ex.value(before)) if "words" in told else ex.write(ex.reduced(before))


def wrong(question: Question) -> str:
    """An answer that can be read and is wrong."""
    told = question.state
    if "pegs" in told:
        return f"{len(told['pegs'])} B B"
    if "about" in told:
        at = Inquiry(told["about"])
        return "empty" if not at.wants_square and right(question) != "empty" else (
            "white king" if not at.wants_square else "a8" if right(question) != "a8" else "b8"
        )  # fmt: skip
    return str(ex.value(ex.parse(told["calculation"])) + 5)


def say(what: Any) -> ScriptedModel:
    return ScriptedModel(lambda question, seed: what(question))


def play(task: Task[Any], model: ScriptedModel, arm: str = "baseline", **update: Any) -> Any:
    checks = [Check.of(resolve.verifier(v)) for v in task.verifiers]
    chosen = ARMS[arm].model_copy(update=update).with_checks(checks)
    trace = asyncio.run(rollout(task, model, chosen, 3))
    return trace, [row[step.accepted] for step, row in zip(trace.steps, score_trace(task, trace),
                                                          strict=True)]  # fmt: skip


@each_task
def test_right_answers_are_right_and_on_track_to_the_end(task: Task[Any]) -> None:
    trace, scores = play(task, say(right))
    assert len(trace.steps) == 12 and trace.stop_reason == "horizon"
    assert all(s.correct and s.on_track is not False and not s.error_class for s in scores)


@each_task
def test_states_are_immutable_and_json_and_the_seed_decides(task: Task[Any]) -> None:
    states = [task.start(3)]
    for _ in range(8):
        states.append(task.advance(states[-1], right(task.question(states[-1])), "leave"))
    again = [json.loads(s.model_dump_json()) for s in states]
    assert [type(s).model_validate(d) for s, d in zip(states, again, strict=True)] == states
    with pytest.raises(ValueError, match="frozen"):
        states[0].ended = "now"
    question = task.question(states[3])
    assert task.question(states[3]) == question, "asking changes nothing"
    assert json.loads(json.dumps(question.state)) == question.state
    assert len({task.question(task.start(seed)).hash for seed in range(20)}) > 10


@each_task
@pytest.mark.parametrize("after_error", ["stop", "leave", "repair"])
def test_a_wrong_or_unreadable_answer_never_breaks_the_episode(
    task: Task[Any], after_error: Any
) -> None:
    for text in (wrong, lambda question: "I don't know"):
        trace, scores = play(task, say(text), after_error=after_error)
        assert trace.error is None
        assert not any(s.correct for s in scores)
        assert all(s.error_class for s in scores)
        assert (trace.stop_reason, len(trace.steps)) == (
            ("first error", 1) if after_error == "stop" else ("horizon", 12)
        )


@each_task
def test_under_repair_the_context_is_that_of_right_answers(task: Task[Any]) -> None:
    repaired, _ = play(task, say(wrong), after_error="repair")
    perfect, _ = play(task, say(right))
    assert [s.question.hash for s in repaired.steps] == [s.question.hash for s in perfect.steps]


@each_task
def test_a_critique_in_the_plain_form_ends_with_the_cue_of_the_question(task: Task[Any]) -> None:
    question = task.question(task.start(3))
    text = wrong(question)
    answer = task.parse(text, task.start(3))
    failed = Verdict(verifier="v", outcome="fail", critique="It is {wrong}.")
    attempt = Attempt(text=text, answer=answer, verdicts=(failed,), prompt_hash="", usage=Usage())
    told = ask(question, [attempt], ARMS["critique"])
    cue = question.prefix.rstrip("\n").split("\n")[-1]
    space = "" if question.prefix.endswith("\n") else " "
    assert told.prefix == (
        f"{question.prefix}{space}{text} # It is (wrong). Try again.\n{cue}"
        + ("\n" if question.prefix.endswith("\n") else "")
    )
    assert question.prefix.endswith("\n") or not question.prefix[-1].isspace()


@each_task
def test_a_verifier_that_is_said_to_equal_the_oracle_does(task: Task[Any]) -> None:
    state = task.start(5)
    for name in task.oracle_verifiers:
        check = Check.of(resolve.verifier(name))
        for _ in range(10):
            question = task.question(state)
            for text in (right(question), wrong(question)):
                answer = task.parse(text, state)
                verdict = asyncio.run(judge(check, question, answer))
                correct = task.score(question, answer).correct
                assert verdict.outcome == ("pass" if correct else "fail")
            state = task.advance(state, task.parse(right(question), state), "leave")


@each_task
def test_its_own_verifiers_hold_their_examples_and_correct(task: Task[Any]) -> None:
    checks = [Check.of(resolve.verifier(v)) for v in task.verifiers]
    assert asyncio.run(preflight(checks))
    asked: list[Question] = []

    def reply(question: Question, seed: int) -> str:
        asked.append(question)
        return wrong(question) if len(asked) % 2 else right(question)

    trace, scores = play(task, ScriptedModel(reply), "critique")
    assert all(s.correct for s in scores)
    assert all(len(s.attempts) == 2 and s.attempts[0].failed for s in trace.steps)


@each_task
def test_injected_errors_change_what_is_shown_and_nothing_else(task: Any) -> None:
    if not hasattr(task, "with_errors"):
        assert task.name in ("hanoi", "board-reading"), "the others show a history"
        return
    state = task.start(3)
    for _ in range(10):
        state = task.advance(state, task.parse(right(task.question(state)), state), "leave")
    assert task.with_errors(state, 0) == state
    half, full = (task.question(task.with_errors(state, share)) for share in (0.5, 1.0))
    clean = task.question(state)
    assert half.state == full.state == clean.state
    lines = [q.prefix.split("\n") for q in (clean, half, full)]
    changed = [[a != b for a, b in zip(lines[0], other, strict=True)] for other in lines[1:]]
    assert 0 < sum(changed[0]) < sum(changed[1])
    assert all(f for h, f in zip(*changed, strict=True) if h), "more errors hold the fewer ones"
    assert task.with_errors(state, 1.0) == task.with_errors(state, 1.0)


PIECES = ["0", "7", "12", "-", "+", "*", "(", ")", "=", " ", "\n", "A", "B", "C", "d8", "white",
          "rook", "empty", "Answer:", "answer: ", "->", "disc", "9" * 40, "\u2212", "\u0663",
          "\\boxed{", "}", "$", "**", "`", "(" * 150, "\ud800", "."]  # fmt: skip
TEXTS = st.one_of(st.text(), st.lists(st.sampled_from(PIECES)).map("".join))


@each_task
@settings(max_examples=150, deadline=None)
@given(text=TEXTS)
def test_any_text_is_read_or_refused_and_what_is_read_can_be_judged(
    task: Task[Any], text: str
) -> None:
    state = task.start(4)
    question = task.question(state)
    try:
        answer = task.parse(text, state)
    except ParseFailure:
        answer = None
    score = task.score(question, answer)
    assert score.correct is (score.error_class is None)
    for name in task.verifiers:
        verdict = asyncio.run(judge(Check.of(resolve.verifier(name)), question, answer))
        assert verdict.outcome in ("pass", "fail")
        assert verdict.outcome == "pass" or not score.correct, "it rejects nothing right"
    for after_error in ("stop", "leave", "repair"):
        after = task.advance(state, answer, after_error)  # type: ignore[arg-type]
        if not task.done(after):
            assert task.parse(f" {right(task.question(after))}", after) is not None


@each_task
def test_it_is_made_again_from_what_is_recorded_of_it(task: Task[Any]) -> None:
    path = resolve.TASKS[task.name]
    again = resolve.task_again(path, {"name": task.name, **task.configuration()})
    assert again.configuration() == task.configuration()
    assert again.question(again.start(9)) == task.question(task.start(9))


@each_task
def test_the_form_that_is_asked_for_is_read_and_no_prompt_gives_an_answer(task: Task[Any]) -> None:
    for seed in range(30):
        state = task.start(seed)
        question = task.question(state)
        system = question.messages[0].content
        assert system.endswith(">`.") and "`Answer: <" in system
        answer = task.parse(right(question), state)
        for dressed in ("Answer: {}", "I see.\n**Answer: <{}>**", "Answer: {}.", "answer is: `{}`"):
            assert task.parse(dressed.format(right(question)), state) == answer
        if task.name == "board-reading":
            assert right(question) == "empty" or right(question) not in system


@each_task
def test_a_picture_is_for_people(task: Any) -> None:
    assert task.picture(task.question(task.start(1))).strip()


BAD = [
    ("arithmetic", "horizon", "0"), ("arithmetic", "operations", "41"),
    ("arithmetic", "smallest", "0"), ("arithmetic", "numbers", "0"),
    ("arithmetic", "largest", "1"), ("arithmetic", "context", "none"),
    ("running-sum", "horizon", "-1"), ("running-sum", "keys", "0"), ("running-sum", "keys", "101"),
    ("running-sum", "entries", "1000"), ("running-sum", "largest", "0"),
    ("running-sum", "context", "all"), ("hanoi", "horizon", "0"), ("hanoi", "discs", "0"),
    ("hanoi", "discs", "1001"), ("hanoi", "start", "255"), ("hanoi", "start", "x"),
    ("board-reading", "horizon", "0"), ("board-reading", "style", "prose"),
    ("board-reading", "pieces", "2"), ("board-reading", "pieces", "33"),
    ("board-reading", "ask", "who"), ("board-reading", "ask", "i9"),
    ("board-reading", "position", "nowhere"), ("board-reading", "position", ""),
]  # fmt: skip


@pytest.mark.parametrize(("task", "option", "given"), BAD)
def test_an_option_that_does_not_fit_is_named(task: str, option: str, given: str) -> None:
    with pytest.raises(UsageError, match=rf"^{option} .*{given}"):
        resolve.task(task, {option: given})


def test_a_style_that_a_model_prefers_reaches_only_the_task_that_has_it() -> None:
    assert resolve.task("board-reading", {}, prefers={"style": "lan"}).configuration()[
        "style"
    ] == "all"  # fmt: skip
    assert resolve.task("board-reading", {}, prefers={"style": "fen"}).configuration()[
        "style"
    ] == "fen"  # fmt: skip
    assert resolve.task("chess", {}, prefers={"style": "lan"}).configuration()["style"] == "lan"
