"""The skills of the embedded model: which text asks for which, where answers end, what is read."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent import prompts
from agent.arms import ARMS
from agent.errors import ModelUnusable
from agent.models.tiny import Tiny, skills, text
from agent.models.tiny.language import described, load
from agent.models.tiny.model import SKILLS
from agent.types import Attempt, Question, Usage, Verdict
from tasks.arithmetic.task import Arithmetic
from tasks.board_reading.task import BoardReading
from tasks.chess.task import Chess
from tasks.code import family
from tasks.hanoi.task import Hanoi
from tasks.markov.task import Markov
from tasks.running_sum.task import RunningSum

TASKS: list[tuple[str, Any]] = [
    ("arithmetic", Arithmetic()),
    ("running-sum", RunningSum(keys=2)),
    ("hanoi", Hanoi(discs=20)),
    ("markov", Markov()),
    *(("board-reading", BoardReading(style=style)) for style in BoardReading.styles[1:]),
]
PARTS = [k.removesuffix("heads") for k in described(SKILLS) if k.endswith(".heads")]
TAUGHT = [
    (name, task)
    for name, task in TASKS
    if any(skill.name == name and skill.part in PARTS for skill in skills.SKILLS)
]
CODE = Question(
    messages=(),
    prefix="# Return the sum of xs.\ndef f(xs):\n",
    aside="\n# error: {critique}\ndef f(xs):\n",
)


def criticised(question: Question) -> Question:
    verdict = Verdict(verifier="v", outcome="fail", critique="No: [3] {x} (so) is wrong.")
    attempt = Attempt(text="1", answer="1", verdicts=(verdict,), prompt_hash="", usage=Usage())
    return prompts.ask(question, [attempt], ARMS["critique"])


# -- the text ------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(st.text() | st.text("ABC: 0123456789\n->=()*rnbqkpRNBQKP/."))
def test_any_text_can_be_encoded_and_what_it_knows_comes_back(said: str) -> None:
    ids = text.encode(said)
    assert all(0 <= i < len(text.VOCABULARY) for i in ids)
    if said.isascii() and all(c == "\n" or c.isprintable() for c in said):
        assert text.decode(ids) == said


SPELT = [
    ("= 14-5", ["=", " 1", "4", "-", "5"]),
    ("A: 20 19 2 1\nB:", ["A", ":", " 20", " 19", " 2", " 1", "\nB:"]),
    ("move: 12 A B", ["move", ":", " 12", " A", " B"]),
    ("r . b", ["r", " .", " b"]),
    ("river island -> -40", ["river", " ", "island", " ->", " -", "4", "0"]),
    ("    xs = xs[::2]", ["    ", "xs", " =", " xs", "[::", "2", "]"]),
]


@pytest.mark.parametrize(("said", "tokens"), SPELT, ids=[s[0] for s in SPELT])
def test_numbers_go_digit_by_digit_and_discs_as_names(said: str, tokens: list[str]) -> None:
    assert [text.VOCABULARY[i] for i in text.encode(said)] == tokens


def test_no_token_reaches_from_a_cue_into_its_answer() -> None:
    for cue, answer in (("=", " 14-5\n"), ("river ->", " -8\n"), ("move:", " 12 A B\n"),
                        ("verdict:", " error: 7*2 is 14\n"), ("d8?\n", "white rook\n"),
                        ("def f(xs):\n", "    return xs\n\n")):  # fmt: skip
        assert text.decode(text.encode(cue)) == cue
        assert text.encode(cue + answer)[: len(text.encode(cue))] == text.encode(cue)


# -- which skill ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "task"), TASKS, ids=[f"{n}{i}" for i, (n, _) in enumerate(TASKS)])
def test_every_question_of_a_task_asks_for_its_skill_before_and_after_a_critique(
    name: str, task: Any
) -> None:
    for seed in range(5):
        state = task.start(seed)
        for _ in range(12):
            question = task.question(state)
            for asked in (question, criticised(question)):
                skill = skills.asked(asked.prefix)
                assert skill is not None and skill.name == name, asked.prefix
                assert len(skill.read(asked.prefix)) <= skills.CONTEXT
            state = task.advance(state, None, "repair")


OTHERS = [
    ("code", CODE.prefix),
    ("code", criticised(CODE).prefix),
    ("proofread-arithmetic", "proofread arithmetic\n7*2-5\n= 13-5\nverdict:"),
    ("proofread-chess", "proofread chess\n8/8/8/8/8/8/8/K6k w - - 0 1\nKa1-a2\nverdict:"),
    (None, Chess(style="lan", quality_nodes=0).question(Chess(quality_nodes=0).start(1)).prefix),
    (None, "proofread poetry\nverdict:"),
]


@pytest.mark.parametrize(("name", "prefix"), OTHERS)
def test_a_text_asks_for_this_skill_or_none(name: str | None, prefix: str) -> None:
    skill = skills.asked(prefix)
    assert (skill and skill.name) == name


@pytest.mark.parametrize("prefix", ["", "Once upon a time", "Translate: good day", "1+1"])
def test_what_it_was_not_taught_is_said_so(prefix: str) -> None:
    with pytest.raises(ModelUnusable, match="it continues chess games, hanoi"):
        asyncio.run(Tiny().generate(Question(messages=(), prefix=prefix), 1, 0))


def test_a_skill_that_the_file_lacks_is_named() -> None:
    lacking = [skill for skill in skills.SKILLS if skill.part not in PARTS]
    for prefix in [p for n, p in OTHERS if n] + [t.question(t.start(1)).prefix for _, t in TASKS]:
        skill = skills.asked(prefix)
        if skill in lacking:
            with pytest.raises(ModelUnusable, match=f"not taught {skill.name}; it continues"):
                asyncio.run(Tiny().generate(Question(messages=(), prefix=prefix), 1, 0))
    assert lacking


def test_of_a_long_text_the_head_and_the_latest_lines_are_read_and_change_seldom() -> None:
    task = RunningSum(horizon=100)
    state, starts = task.start(1), set()
    for _ in range(100):
        prefix = task.question(state).prefix
        skill = skills.asked(prefix)
        assert skill is not None
        read = text.decode(skill.read(prefix))
        assert read.splitlines()[:2] == prefix.splitlines()[:2]
        assert read.splitlines()[-2:] == prefix.splitlines()[-2:]
        starts.add(read.splitlines()[2])
        state = task.advance(state, None, "repair")
    assert 3 < len(starts) < 20


# -- the answers ---------------------------------------------------------------------------------


def answers(question: Question, n: int = 4, temperature: float = 1.0) -> list[str]:
    found = asyncio.run(Tiny(temperature=temperature).generate(question, n, 3))
    return [completion.text for completion in found]


def test_answers_end_where_their_skill_says() -> None:
    for _, task in TAUGHT:
        assert all(
            answer and "\n" not in answer for answer in answers(task.question(task.start(2)))
        )
    for body in answers(CODE):
        assert body.startswith("    ") and not body.endswith("\n")


def test_games_and_skills_are_asked_side_by_side_and_a_seed_decides() -> None:
    chess = Chess(style="lan", quality_nodes=0)
    questions = [
        task.question(task.start(s)) for s in range(3) for _, task in (*TAUGHT, ("", chess))
    ]

    async def ask(order: list[int]) -> dict[int, str]:
        model = Tiny()
        found = await asyncio.gather(*(model.generate(questions[i], 1, i) for i in order))
        return {i: completion.text for i, [completion] in zip(order, found, strict=True)}

    order = list(range(len(questions)))
    together = asyncio.run(ask(order))
    assert together == asyncio.run(ask(order[::-1]))
    assert all(asyncio.run(ask([i]))[i] == together[i] for i in (0, 4, len(order) - 1))


def test_the_tower_is_moved_as_it_should_be() -> None:
    # The one skill that others build on: seldom wrong, so never in forty.
    task = Hanoi(discs=20, horizon=40)
    state = task.start(7)
    for _ in range(40):
        question = task.question(state)
        answer = task.parse(answers(question, 1, temperature=0)[0], state)
        assert task.score(question, answer).correct
        state = task.advance(state, answer, "leave")


# -- the arithmetic ------------------------------------------------------------------------------


@pytest.mark.parametrize("part", PARTS)
def test_each_network_reads_a_text_in_parts_as_the_whole(part: str) -> None:
    network, precise, metadata = load(SKILLS, text.fingerprint(), part)
    ids = [random.Random(part).randrange(2, 600) for _ in range(90)]
    memory = network.memory()
    whole = network.forward(memory, {memory.add(): ids})[0]
    memory = network.memory()
    place = memory.add()
    for cut in range(0, len(ids), 7):
        logits = network.forward(memory, {place: ids[cut : cut + 7]})[0]
    np.testing.assert_allclose(logits, whole, atol=2e-3)
    memory = precise().memory()
    np.testing.assert_allclose(precise().forward(memory, {memory.add(): ids})[0], whole, atol=2e-3)
    assert int(metadata[f"{part}training_tokens"]) > 0


def test_the_file_fits_its_budget() -> None:
    assert Path(SKILLS).stat().st_size <= 8_000_000


# -- the family of programs ----------------------------------------------------------------------


def test_problems_pass_their_own_tests_and_a_tenth_of_the_combinations_is_held_out() -> None:
    rng = random.Random(1)
    combinations: dict[str, bool] = {}
    caught = 0
    for _ in range(600):
        problem = family.sample(rng)
        assert problem.passes(problem.body), problem.prefix
        space: dict[str, Any] = {}
        exec("\n".join([problem.signature, problem.body, *problem.tests]), space)
        combinations[problem.combination] = problem.held_out
        caught += not problem.passes(family.mutant(problem, rng))
    assert 0.05 < sum(combinations.values()) / len(combinations) < 0.15
    assert caught > 300
    assert family.sample(rng, held_out=True).held_out
    assert not family.sample(rng, held_out=False).held_out


WRONG = [
    ("    return 0", "f([2, 1]) should be 3, got 0."),
    ("    return", "f([2, 1]) should be 3, got None."),
    ("    return xs[5]", "f([2, 1]) raises IndexError: list index out of range."),
    ("    return (", "invalid syntax."),
    ("    return open('x')", "f([2, 1]) raises NameError: name 'open' is not defined."),
    ("    return sum(xs)", None),
]


@pytest.mark.parametrize(("body", "failure"), WRONG)
def test_a_wrong_body_is_told_its_first_failing_test(body: str, failure: str | None) -> None:
    end = next(t for t in family.KINDS["xs"][1] if t.name == "sum")
    problem = family.Problem("xs", (family.Link(end, {}),), "noun", ([2, 1],))
    assert problem.description == "Return the sum of xs."
    assert problem.first_failure(body) == failure
