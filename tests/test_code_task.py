"""Programs as answers: what is asked, read, run and scored."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from agent.api import arms_for, compare
from agent.arms import arm
from agent.errors import MissingTool, ParseFailure, UsageError
from agent.loop import rollout
from agent.models.scripted import ScriptedModel
from agent.sandbox import runner
from agent.types import Question
from tasks.code import recorded
from tasks.code.problems import load, shipped
from tasks.code.task import Code
from verifiers.code_run import CodeRun
from verifiers.generated_tests import GeneratedTests, agreed, assertions


@pytest.fixture(autouse=True, scope="module")
def _boxed() -> None:
    try:
        runner().prepare()
    except MissingTool as error:
        pytest.skip(str(error))


def program_of(task: Code, question: Question) -> Any:
    return next(p for p in task._all if p.id == question.state["problem"]).steps[
        question.state["step"]
    ]


def right(task: Code) -> ScriptedModel:
    return ScriptedModel(lambda q, seed: f"```python\n{program_of(task, q).solution}\n```")


def test_no_hidden_test_is_in_any_question() -> None:
    for kind in ("functions", "programs"):
        task = Code(set=kind, horizon=200)
        state = task.start(1)
        while not task.done(state):
            question = task.question(state)
            function = program_of(task, question)
            shown = json.dumps(
                [m.content for m in question.messages] + [question.prefix, question.state]
            )
            for line in re.findall("^assert .*", function.hidden.code, re.MULTILINE):
                assert line not in function.visible.code
                assert json.dumps(line)[1:-1] not in shown
            state = task.advance(state, function.solution, "leave")


@pytest.mark.parametrize("kind", ["functions", "programs", "family"])
def test_right_programs_pass_every_hidden_test(kind: str) -> None:
    task = Code(set=kind, horizon=12)
    trace = asyncio.run(rollout(task, right(task), arm("baseline"), 3))
    scores = [task.score(s.question, s.answer) for s in trace.steps]
    assert [s.correct for s in scores] == [True] * 12
    assert all(s.on_track in (None, True) for s in scores)


def test_an_early_error_leaves_later_functions_right_but_off_track() -> None:
    task = Code(set="programs", horizon=4)
    state = task.start(2)
    first = task.question(state)
    wrong = next(w for w in program_of(task, first).wrong)
    assert task.score(first, wrong).correct is False
    state = task.advance(state, wrong, "leave")
    spoilt = []
    while state.step:
        question = task.question(state)
        assert wrong in question.state["before"]
        solution = program_of(task, question).solution
        score = task.score(question, solution)
        assert score.correct is True
        spoilt.append(score.on_track)
        state = task.advance(state, solution, "leave")
    assert spoilt and not any(spoilt)


def test_repair_puts_the_right_function_in_the_place_of_a_wrong_one_and_stop_ends() -> None:
    task = Code(set="programs", horizon=4)
    state = task.start(2)
    function = program_of(task, task.question(state))
    wrong = function.wrong[0]
    assert task.advance(state, wrong, "repair").before == (function.solution,)
    assert task.advance(state, function.solution, "stop").before == (function.solution,)
    assert task.done(task.advance(state, wrong, "stop")) == "first error"


READINGS = [
    ("fenced", "Here:\n```python\ndef f(x):\n    return x\n```\nDone.", "def f(x):\n    return x"),
    ("the block that defines it", "```\nprint(1)\n```\n```py\ndef f(x):\n    return 2\n```\n```\nf(1)\n```", "def f(x):\n    return 2"),
    ("an unclosed fence", "```python\ndef f(x):\n    return x", "def f(x):\n    return x"),
    ("bare code", "def f(x):\n    return x\n", "def f(x):\n    return x"),
    ("a body", "    return x\n", "def f(x):\n    return x"),
    ("a body without its indent", "return x", "def f(x):\n    return x"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "text", "code"), READINGS, ids=[r[0] for r in READINGS])
def test_the_program_is_found_in_what_a_model_writes(
    tmp_path: Path, what: str, text: str, code: str
) -> None:
    task = Code(problems=str(mbpp(tmp_path)))
    assert task.parse(text, task.start(1)) == code


def test_a_text_without_code_is_a_critique() -> None:
    task = Code()
    with pytest.raises(ParseFailure, match="no code"):
        task.parse(" \n", task.start(1))


def mbpp(folder: Path) -> Path:
    path = folder / "mbpp.jsonl"
    row = {"task_id": 7, "text": "Return x.", "code": "def f(x):\n    return x",
           "test_list": ["assert f(1) == 1", "assert f('a') == 'a'"], "challenge_test_list": []}  # fmt: skip
    path.write_text(json.dumps(row) + "\n")
    return path


def humaneval(folder: Path) -> Path:
    path = folder / "humaneval.jsonl"
    prompt = 'def f(x):\n    """ Twice x.\n    >>> f(2)\n    4\n    """\n'
    row = {"task_id": "H/0", "prompt": prompt, "entry_point": "f", "canonical_solution": "    return 2 * x\n",
           "test": "def check(candidate):\n    assert candidate(3) == 6\n"}  # fmt: skip
    path.write_text(json.dumps(row) + "\n")
    return path


@pytest.mark.parametrize("made", [mbpp, humaneval])
def test_published_formats_are_read_and_their_solutions_pass(tmp_path: Path, made: Any) -> None:
    task = Code(problems=str(made(tmp_path)), horizon=1)
    question = task.question(task.start(1))
    function = load(made(tmp_path))[0].steps[0]
    assert task.score(question, function.solution).correct is True
    assert task.score(question, f"def {function.entry}(x):\n    return None").correct is False
    assert asyncio.run(CodeRun()(question, function.solution)).outcome == "pass"


@pytest.mark.parametrize(
    ("options", "named"),
    [({"set": "poems"}, "poems"), ({"grade": "9"}, "grade"), ({"problems": "nowhere.jsonl"}, "nowhere")],
)  # fmt: skip
def test_options_that_mean_nothing_are_named(options: dict[str, Any], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        Code(**options)


def test_a_broken_line_of_a_problem_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text(mbpp(tmp_path).read_text() + '{"task_id": 1}\n')
    with pytest.raises(UsageError, match=r"p\.jsonl, line 2"):
        load(path)


def test_correction_by_visible_tests_lowers_the_hidden_error() -> None:
    task = Code(horizon=16, grade="1")
    model = ScriptedModel(recorded.reply)
    comparison = compare(task, model, arms=["baseline", "critique"], episodes=2, max_attempts=4)
    first, corrected = (comparison.arms[a].error_rate.value for a in ("baseline", "critique"))
    assert first is not None and corrected is not None and corrected < first
    accept = comparison.verifiers["code-run"].false_accept.value
    assert accept is not None and accept > 0  # visible tests are weaker than the truth


def test_mutation_shows_the_best_rejected_program_and_critique_the_last() -> None:
    bad = "def initials(name):\n    return 1 / 0"
    shown: dict[str, list[str]] = {"mutate": [], "critique": []}
    for name, seen in shown.items():
        task = Code(horizon=1, grade="1")
        function = program_of(task, task.question(task.start(3)))
        near = f"{function.solution}\n\nbefore = {function.entry}\n\ndef {function.entry}(name):\n    return before(name) if ' S' not in name else 0"

        def reply(question: Question, seed: int, near: str = near, seen: list[str] = seen) -> str:
            seen.append(question.prefix)
            return [near, bad, bad][len(seen) - 1]

        arms = arms_for(task, [name])
        asyncio.run(rollout(task, ScriptedModel(reply), arms[0], 3))
    assert "before(name)" in shown["mutate"][2] and "1 / 0" not in shown["mutate"][2]
    assert "1 / 0" in shown["critique"][2] and "before(name)" not in shown["critique"][2]


def test_of_generated_tests_only_those_that_suites_agree_on_may_judge() -> None:
    suites = [assertions(t, "f") for t in (
        "assert f(1) == 2\nassert f(2) == 3\nassert f([1]) == [2]",
        "1) == 2\nassert f(2) == 4",
        "```python\nassert f(1) == 2\nassert g(1) == 1\nassert f(open('x')) == 1\n```",
    )]  # fmt: skip
    assert suites[1] == {"f(1)": "2", "f(2)": "4"}
    assert agreed(suites) == ["assert f(1) == 2"]


def test_generated_tests_judge_by_what_the_model_wrote_and_cost_what_it_cost() -> None:
    task = Code(horizon=1, grade="1")
    question = task.question(task.start(3))
    writer = ScriptedModel(["assert initials('a b') == 'A.B.'"] * 5, tokens=3)
    verifier = GeneratedTests(writer)

    async def judged() -> list[Any]:
        solution = program_of(task, question).solution
        return [
            await verifier(question, a) for a in (solution, "def initials(name):\n    return ''")
        ]

    good, bad = asyncio.run(judged())
    assert (good.outcome, bad.outcome) == ("pass", "fail")
    assert (good.usage.calls, bad.usage.calls) == (5, 0)
    writer.close()


def test_generated_tests_abstain_where_nothing_is_agreed_on() -> None:
    task = Code(horizon=1, grade="1")
    question = task.question(task.start(3))
    verifier = GeneratedTests(ScriptedModel([f"assert initials('a') == '{i}'" for i in range(5)]))
    assert (
        asyncio.run(verifier(question, "def initials(name):\n    return ''")).outcome == "abstain"
    )


def test_the_shipped_set_is_as_large_as_it_says() -> None:
    assert len(shipped("functions")) >= 64 and len(shipped("programs")) >= 8
