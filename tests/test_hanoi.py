"""Hanoi: the shortest way against a search, legality against the rules told otherwise, the task."""

from __future__ import annotations

from collections import deque
from itertools import product

import pytest

from agent.errors import ParseFailure
from agent.types import Question
from tasks.hanoi import rules
from tasks.hanoi.rules import Move
from tasks.hanoi.task import Hanoi, HanoiState
from verifiers.hanoi_legality import hanoi_legality


def neighbours(pegs: str) -> dict[Move, str]:
    """Positions one move away, with pegs as stacks: written a second time."""
    out = {}
    stacks = {p: [d for d in range(len(pegs), 0, -1) if pegs[d - 1] == p] for p in "ABC"}
    for a, b in product("ABC", repeat=2):
        if a != b and stacks[a] and (not stacks[b] or stacks[a][-1] < stacks[b][-1]):
            disc = stacks[a][-1]
            out[Move(disc, a, b)] = "".join(b if d == disc else p for d, p in enumerate(pegs, 1))
    return out


@pytest.mark.parametrize("discs", range(1, 8))
def test_the_best_move_and_the_distance_are_those_of_a_search(discs: int) -> None:
    goal = "C" * discs
    found, queue = {goal: 0}, deque([goal])
    while queue:
        here = queue.popleft()
        for there in neighbours(here).values():
            if there not in found:
                found[there] = found[here] + 1
                queue.append(there)
    assert len(found) == 3**discs
    for pegs, moves in found.items():
        assert rules.distance(pegs) == moves
        nearer = [m for m, there in neighbours(pegs).items() if found[there] == moves - 1]
        best = rules.best_move(pegs)
        assert nearer == ([best] if best else []), "the shortest way is unique"


@pytest.mark.parametrize("discs", range(1, 6))
def test_legality_agrees_with_stacks_for_every_position_and_move(discs: int) -> None:
    for pegs in map("".join, product("ABC", repeat=discs)):
        legal = set(neighbours(pegs))
        assert set(rules.legal_moves(pegs)) == legal
        for move in (Move(d, a, b) for d in range(discs + 2) for a in "ABC" for b in "ABC"):
            question = Question(messages=(), prefix="", state={"pegs": pegs})
            verdict = hanoi_legality(question, str(move))
            assert (verdict.outcome == "pass") == (move in legal)
            assert bool(verdict.critique) == (move not in legal)


@pytest.mark.parametrize("discs", range(1, 11))
def test_the_positions_of_the_way_are_known_in_closed_form(discs: int) -> None:
    pegs = "A" * discs
    for step in range((1 << discs) - 1):
        assert rules.after(discs, step) == pegs
        assert rules.on_shortest_way(pegs)
        move = rules.best_move(pegs)
        assert move
        # The policy that the prompt states: disc 1 at even numbers, always the same way round.
        assert (move.disc == 1) == (step % 2 == 0)
        if move.disc == 1:
            assert move.source + move.target in ("AC CB BA" if discs % 2 else "AB BC CA").split()
        pegs = rules.moved(pegs, move)
    assert pegs == "C" * discs == rules.after(discs, (1 << discs) - 1)


def test_most_positions_are_not_on_the_way() -> None:
    on = [p for p in map("".join, product("ABC", repeat=5)) if rules.on_shortest_way(p)]
    assert len(on) == 32


WHY = [("CAA", "3 A B", "not_on_top", "Disc 3 is not on top of A: disc 2 is."),
       ("CAA", "2 A C", "onto_smaller", "Disc 2 can't lie on disc 1, which is on C."),
       ("CAA", "1 A B", "wrong_peg", "Disc 1 is on C, not on A."),
       ("CAA", "1 C C", "same_peg", "Disc 1 is on C already."),
       ("CAA", "9 A B", "no_such_disc", "There is no disc 9.")]  # fmt: skip


@pytest.mark.parametrize(("pegs", "move", "error_class", "sentence"), WHY)
def test_an_illegal_move_is_told_why(pegs: str, move: str, error_class: str, sentence: str) -> None:
    question = Question(messages=(), prefix="", state={"pegs": pegs})
    verdict = hanoi_legality(question, move)
    assert (verdict.critique, verdict.evidence) == (sentence, {"class": error_class})
    assert Hanoi().score(question, move).error_class == error_class


READ = ["2 A B", " 2 A B\nhanoi n=3", "disc 2 from A to B", "Move disk 2 from peg A to peg B.",
        "2: A -> B", "2 a b", "**2 A B**", "First disc 1.\nAnswer: 2 A B", "#2 A>B", "2 AB"]  # fmt: skip


@pytest.mark.parametrize("text", READ)
def test_a_move_is_read_however_it_is_dressed(text: str) -> None:
    assert Hanoi().parse(text, Hanoi().start(1)) == "2 A B"


@pytest.mark.parametrize("text", ["", "A B", "2", "2 A", "2 A D", "two A B", "2 A Bob", "the disc"])
def test_a_text_without_a_move_is_a_critique(text: str) -> None:
    with pytest.raises(ParseFailure, match=r"answer|no move"):
        Hanoi().parse(text, Hanoi().start(1))


def test_the_plain_form_is_the_position_alone() -> None:
    task = Hanoi(discs=3, start="1")
    assert task.question(task.start(7)).prefix == "hanoi n=3 step=1\nA: 3 2\nB:\nC: 1\nmove:"


def test_twenty_discs_stay_as_short_at_the_end_as_at_the_beginning() -> None:
    task = Hanoi(discs=20, start="0", horizon=2**20 - 1)
    first = task.start(1)
    late = HanoiState(pegs=rules.after(20, 2**20 - 3), step=2**20 - 3)
    sizes = [(len(s.model_dump_json()), len(task.question(s).prefix)) for s in (first, late)]
    assert sizes[1][0] - sizes[0][0] == sizes[1][1] - sizes[0][1] == 6, "digits of the step alone"
    for _ in range(2):
        late = task.advance(late, str(rules.best_move(late.pegs)), "leave")
    assert (task.done(late), late.pegs, late.step) == ("solved", "C" * 20, 2**20 - 1)


def test_a_seeded_start_leaves_the_horizon_ahead() -> None:
    task = Hanoi(discs=8, horizon=60)
    steps = [task.start(seed).step for seed in range(200)]
    assert max(steps) <= 255 - 60 and len(set(steps)) > 100
    assert {Hanoi(discs=5).start(seed).step for seed in range(9)} == {0}, "31 moves are all needed"


def test_a_legal_detour_is_wrong_goes_on_and_can_come_back() -> None:
    task = Hanoi(discs=3, start="0")
    state = task.start(1)
    score = task.score(task.question(state), "1 A B")
    assert (score.correct, score.error_class, score.on_track) == (False, "detour", False)
    assert score.measures == {"legal": True, "moves_lost": 1.0}
    state = task.advance(state, "1 A B", "leave")
    assert state == HanoiState(pegs="BAA", step=1)
    back = task.score(task.question(state), "1 B C")
    assert (back.correct, back.on_track) == (True, True), "late, but on the way again"
    assert task.score(task.question(state), "1 B A").measures["moves_lost"] == 1.0


def test_an_illegal_move_is_replaced_by_the_right_one() -> None:
    task = Hanoi(discs=3, start="0")
    for answer in ("3 A B", None):
        assert task.advance(task.start(1), answer, "leave").pegs == "CAA"
    assert task.advance(task.start(1), "1 A B", "repair").pegs == "CAA"
    assert task.advance(task.start(1), "1 A B", "stop").ended == "first error"


def test_key_moves_are_a_quarter() -> None:
    task = Hanoi(discs=6)
    keys = [task.score(task.question(HanoiState(pegs=rules.after(6, s), step=s)), None).key
            for s in range(63)]  # fmt: skip
    assert sum(map(bool, keys)) == 15
