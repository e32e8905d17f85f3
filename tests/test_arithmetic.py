"""Arithmetic: notation, the one reduction, classes of errors, and what an accepted error does."""

from __future__ import annotations

import ast
import asyncio
import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import ParseFailure
from agent.types import Question
from agent.verification import Check, judge
from tasks.arithmetic import expression as ex
from tasks.arithmetic.task import Arithmetic, ArithmeticState
from verifiers.equals_calculator import equals_calculator

expressions = st.builds(
    lambda seed, count: ex.drawn(random.Random(seed), count), st.integers(0, 10**6),
    st.integers(0, 8),
)  # fmt: skip


def python(text: str) -> int:
    """The value by Python's own arithmetic."""
    return int(eval(compile(ast.parse(text, mode="eval"), "", "eval"), {"__builtins__": {}}))


# -- the notation -----------------------------------------------------------------------------


@given(expressions)
def test_what_is_written_is_read_back_and_worth_the_same_in_python(e: ex.Expression) -> None:
    text = ex.write(e)
    assert ex.parse(text) == e
    assert ex.value(e) == python(text)
    assert " " not in text


WRITTEN = [("-3", "-3"), ("(-3)", "-3"), ("-3+4", "(-3)+4"), ("4--3", "4-(-3)"),
           ("2*(3*4)", "2*(3*4)"), ("(2*3)*4", "2*3*4"), ("2-(3-4)", "2-(3-4)"),
           ("(2-3)-4", "2-3-4"), ("((7))*2", "7*2"), ("3 \u00d7 4 \u2212 1", "3*4-1"),
           ("2+(3*4)", "2+3*4"), ("(-2)*(-3)", "(-2)*(-3)"), ("-2*3", "(-2)*3")]  # fmt: skip


@pytest.mark.parametrize(("given_", "wanted"), WRITTEN)
def test_other_ways_of_writing_are_brought_to_one(given_: str, wanted: str) -> None:
    assert ex.write(ex.parse(given_)) == wanted


UNREADABLE = ["", "x", "2**3", "2//3", "2/3", "2(3)", "(2)(3)", "()", "2+", "*2", "(2", "2)", "1.5",
              "1e9", "--3", "+3", "-(2+3)", "007", "2,3", "\u0663", "__import__('os')",
              "1" + "+1" * 101, "(" * 5000]  # fmt: skip


@pytest.mark.parametrize("text", UNREADABLE)
def test_what_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expression|operations|read"):
        ex.parse(text)


# -- one reduction ----------------------------------------------------------------------------


@given(expressions)
def test_a_chain_of_reductions_keeps_the_value_and_ends_in_it(e: ex.Expression) -> None:
    truth = ex.value(e)
    for left in range(ex.operations(e), 0, -1):
        assert ex.operations(e) == left
        after = ex.reduced(e)
        assert ex.fault(e, after) is None
        e = after
    assert e == truth


RULE = [("(3+4)*2-5", "7*2-5"), ("2+3+4*5", "2+3+20"), ("2*3+4*5", "6+4*5"),
        ("(1+2)*((3+4)*5)", "3*((3+4)*5)"), ("9-(2-(3+4))", "9-(2-7)"), ("2-5+1", "(-3)+1"),
        ("(2-5)*3", "(-3)*3"), ("4-(-3)*2", "4-(-6)"), ("4-(-6)", "10"), ("2*(3-3)", "2*0"),
        ("8-2*(1+3*2)", "8-2*(1+6)"), ("7", "7")]  # fmt: skip


@pytest.mark.parametrize(("before", "after"), RULE)
def test_the_rule_takes_parentheses_then_products_then_the_left(before: str, after: str) -> None:
    assert ex.write(ex.reduced(ex.parse(before))) == after


FAULTS = [
    ("7*2-5", "14-5", None), ("2*3+4*5", "2*3+20", None), ("2*3+4*5", "6+4*5", None),
    ("(2-5)*3", "-3*3", None), ("7*2-5", "13-5", "value_changed"), ("7*2-5", "9", "skipped_steps"),
    ("7*2-5", "7*2-5", "not_a_reduction"), ("2+3+4", "4+3+2", "not_a_reduction"),
    ("2+3+4", "2+7", "not_a_reduction"), ("7*2-5", "10+4-5", "not_a_reduction"),
    ("7*2-5", None, "unparsable"), ("2+3*4", "5*4", "value_changed"), ("14-5", "9", None),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after", "wanted"), FAULTS)
def test_each_kind_of_wrong_line_has_its_class(
    before: str, after: str | None, wanted: str | None
) -> None:
    assert ex.fault(ex.parse(before), None if after is None else ex.parse(after)) == wanted


CRITIQUES = [("7*2-5", "13-5", "7*2 is 14."), ("(3+4)*2", "8*2", "3+4 is 7."),
             ("14-5", "8", "14-5 is 9."), ("(-4)+12", "9", "(-4)+12 is 8."),
             ("2+3*4", "5*4", "5*4 is 20, but 2+3*4 is 14."), ("3-5", "2", "3-5 is -2."),
             ("(3+4)*2-5", "8", "(3+4)*2-5 is 9.")]  # fmt: skip


@pytest.mark.parametrize(("before", "after", "wanted"), CRITIQUES)
def test_the_calculator_names_the_operation_that_went_wrong(
    before: str, after: str, wanted: str
) -> None:
    question = Question(messages=(), prefix="", state={"calculation": before})
    assert equals_calculator(question, after) == wanted


@given(expressions, expressions)
def test_the_calculator_compares_values_and_nothing_else(
    before: ex.Expression, after: ex.Expression
) -> None:
    question = Question(messages=(), prefix="", state={"calculation": ex.write(before)})
    verdict = asyncio.run(judge(Check.of(equals_calculator), question, ex.write(after)))
    same = python(ex.write(before)) == python(ex.write(after))
    assert verdict.outcome == ("pass" if same else "fail")


@given(st.integers(0, 10**6), st.integers(0, 40), st.integers(1, 10**6))
def test_drawn_expressions_keep_to_their_limits(seed: int, count: int, numbers: int) -> None:
    e = ex.drawn(random.Random(seed), count, numbers, 3 * numbers)
    assert ex.operations(e) == count
    while ex.operations(e):
        e = ex.reduced(e)
        assert all(int(n) <= 3 * numbers for n in re.findall(r"\d+", ex.write(e)))


# -- the task ---------------------------------------------------------------------------------


def at(*lines: str) -> ArithmeticState:
    return ArithmeticState(seed=1, work=(lines,), original=lines[0])


def test_the_plain_form_is_the_work_so_far() -> None:
    task = Arithmetic()
    state = task.advance(at("(3+4)*2-5"), "7*2-5", "leave")
    assert task.question(state).prefix == "(3+4)*2-5\n= 7*2-5\n="
    for line in ("14-5", "9"):
        state = task.advance(state, line, "leave")
    following = state.current
    assert task.question(state).prefix == (f"(3+4)*2-5\n= 7*2-5\n= 14-5\n= 9\n\n{following}\n=")
    assert state.number == 1 and state.original == following


def test_the_state_alone_is_one_line_at_any_step() -> None:
    task = Arithmetic(context="state")
    state = task.start(1)
    for _ in range(40):
        assert task.question(state).prefix == f"{state.current}\n="
        state = task.advance(state, ex.write(ex.reduced(ex.parse(state.current))), "leave")
    assert state.number > 5 and len(state.work) == 1


READ = [("14-5", "14-5"), (" 14 - 5\n= 9\n", "14-5"), ("= 14-5", "14-5"), ("**14-5**", "14-5"),
        ("7*2 is 14.\nAnswer: 14-5", "14-5"), ("Answer: 7*2-5 = 14-5.", "14-5"),
        ("The answer is: `14-5`", "14-5"), ("$\\boxed{14-5}$", "14-5"), ("-3+4", "(-3)+4"),
        ("Answer: 1\nNo.\nAnswer: 14-5", "14-5")]  # fmt: skip


@pytest.mark.parametrize(("text", "wanted"), READ)
def test_a_line_is_read_however_it_is_dressed(text: str, wanted: str) -> None:
    assert Arithmetic().parse(text, at("7*2-5")) == wanted


@pytest.mark.parametrize("text", ["", "\n \n", "I think it is nine", "14 and 5", "9" * 2000])
def test_a_line_that_is_none_is_a_critique(text: str) -> None:
    with pytest.raises(ParseFailure, match=r"answer|next line"):
        Arithmetic().parse(text, at("7*2-5"))


def test_under_leave_the_wrong_line_is_gone_on_from_and_stays_off_track() -> None:
    task = Arithmetic(endless=False)
    state = task.advance(at("(3+4)*2-5"), "8*2-5", "leave")
    question = task.question(state)
    assert question.prefix == "(3+4)*2-5\n= 8*2-5\n="
    score = task.score(question, "16-5")
    assert (score.correct, score.on_track) == (True, False)
    assert task.score(question, "14-5").on_track, "back on track by an error the other way"
    for line in ("16-5", "11"):
        state = task.advance(state, line, "leave")
    assert task.done(state) == "worked out"


def test_what_can_not_be_read_is_replaced_by_the_right_line() -> None:
    task = Arithmetic()
    for answer in (None, "nonsense"):
        assert task.advance(at("7*2-5"), answer, "leave").current == "14-5"
    assert task.advance(at("7*2-5"), "13-5", "repair").current == "14-5"
    assert task.advance(at("7*2-5"), "13-5", "stop").ended == "first error"


def test_huge_numbers_are_worked_with_and_not_tripped_over() -> None:
    task = Arithmetic(context="state")
    nines = "9" * 300
    state = task.advance(at("2*3"), f"{nines}*{nines}-{nines}", "leave")
    assert task.score(task.question(state), None).error_class == "unparsable"
    state = task.advance(state, None, "leave")
    assert state.current == f"{int(nines) ** 2}-{nines}"
    assert task.advance(state, None, "leave").number == 1


def test_a_key_step_is_one_where_the_order_matters() -> None:
    task = Arithmetic()
    keys = {text: task.score(task.question(at(text)), None).key
            for text in ("2+3*4", "2*3+4", "(2+3)*4", "2*(3+4)", "2-3-4")}  # fmt: skip
    assert keys == {"2+3*4": True, "2*3+4": False, "(2+3)*4": False, "2*(3+4)": True,
                    "2-3-4": False}  # fmt: skip


def test_another_order_than_the_prompts_is_right_but_not_by_rule() -> None:
    task = Arithmetic()
    question = task.question(at("2*3+4*5"))
    by_rule, other = task.score(question, "6+4*5"), task.score(question, "2*3+20")
    assert by_rule.correct and other.correct
    assert by_rule.measures == {"by_rule": True} and other.measures == {"by_rule": False}
