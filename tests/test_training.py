"""What the embedded model is taught must be true: the parts of training that need no torch."""

from __future__ import annotations

import gzip
import importlib.util
import random
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import chess
import pytest

from agent.models.tiny import skills, text, tokenizer
from tasks.chess import engine

TRAINING = Path(__file__).resolve().parents[1] / "training"
GAME = "e4 d5 e5 f5 exf6 Bg4 fxg7 Bxd1 gxh8=Q Nc6 Nf3 Qd6 Be2 O-O-O O-O Nf6 Rxd1 Nd7 Qxf8 *"


def script(name: str) -> ModuleType:
    specification = importlib.util.spec_from_file_location(name, TRAINING / f"{name}.py")
    assert specification
    assert specification.loader
    module = importlib.util.module_from_spec(specification)
    # Where dataclasses look up the names in their annotations.
    sys.modules[name] = module
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def prepare() -> ModuleType:
    return script("prepare")


@pytest.fixture(scope="module")
def lessons(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    module = script("lessons")
    module.GAMES = tmp_path_factory.mktemp("games") / "games.txt.gz"
    with gzip.open(module.GAMES, "wt") as file:
        file.write(GAME + "\n")
    return module


def test_a_game_becomes_tokens_with_every_legal_move_and_every_board(prepare: ModuleType) -> None:
    arrays = prepare.game_arrays(GAME)
    board = chess.Board()
    for ply, san in enumerate(GAME.split()[:-1]):
        start = arrays["starts"][ply]
        first, second = arrays["tokens"][start : start + 2].tolist()
        legal = {prepare.token_pair(board, m) for m in board.legal_moves}
        assert {t for t in arrays["froms"][ply].tolist() if t} == {a for a, _ in legal}
        assert {t for t in arrays["tos"][ply].tolist() if t} == {b for a, b in legal if a == first}
        move = board.parse_san(san)
        assert (first, second) == prepare.token_pair(board, move)
        symbols = ["." if v == 0 else tokenizer.PIECES[v - 1] for v in arrays["boards"][ply]]
        pieces = [board.piece_at(s) for s in chess.SQUARES]
        assert symbols == [p.symbol() if p else "." for p in pieces]
        assert arrays["rights"][ply] == prepare.castling_bits(board)
        board.push(move)
    whole = tokenizer.describe(arrays["tokens"].tolist())
    assert "Pe5< Pf6> e.p." in whole
    assert "ke8< kc8> ra8< rd8>" in whole
    assert "Pg7< Qh8>" in whole


def test_a_game_too_short_to_teach_anything_is_left_out(prepare: ModuleType) -> None:
    assert prepare.game_arrays("e4 e5 *") is None


SKILLS = ("arithmetic", "running-sum", "hanoi", "markov", "board-reading", "proofread-chess",
          "proofread-arithmetic", "code")  # fmt: skip


@pytest.mark.parametrize("skill", SKILLS)
def test_what_a_skill_is_taught_is_right_by_its_judge_and_no_token_leaves_its_piece(
    lessons: ModuleType, skill: str
) -> None:
    rng = random.Random(3)
    judged = 0
    for _ in range(40):
        lesson = lessons.SKILLS[skill][0](rng)
        whole = "".join(piece.text for piece in lesson)
        assert [i for _, ids in lessons.encoded(lesson) for i in ids] == text.encode(whole)
        for piece, ids in lessons.encoded(lesson):
            assert text.decode(ids) == piece.text
            assert not piece.taught or piece.judge
            if piece.judge:
                assert piece.judge(piece.text.strip("\n" if skill == "code" else None)) is None
                assert piece.judge("nonsense") is not None
                judged += 1
    assert judged >= 40
    assert set(lessons.SKILLS) == set(SKILLS)


def test_every_taught_answer_is_asked_for_by_a_text_of_its_skill(lessons: ModuleType) -> None:
    rng = random.Random(4)
    for name, (make, _) in lessons.SKILLS.items():
        for _ in range(10):
            so_far = ""
            for piece in make(rng):
                if piece.taught:
                    skill = skills.asked(so_far)
                    assert skill is not None and skill.name == name, so_far
                so_far += piece.text


REDUCED = [
    ("7*2-5", "14-5", "ok"),
    ("7*2-5", "13-5", "error: 7*2 is 14"),
    ("(3+4)*2-5", "7*2-4", "error: it should be 7*2-5"),
    ("2-5", "-3", "ok"),
]


@pytest.mark.parametrize(("before", "line", "verdict"), REDUCED)
def test_a_proofreader_is_taught_this_verdict(
    lessons: ModuleType, before: str, line: str, verdict: str
) -> None:
    assert lessons.arithmetic_verdict(lessons.ex.parse(before), line) == verdict


@pytest.mark.skipif(engine.find() is None, reason="Stockfish is not installed")
def test_the_generator_makes_legal_games_and_the_same_ones_for_a_seed(tmp_path: Path) -> None:
    def made(name: str) -> list[str]:
        script = [sys.executable, str(TRAINING / "generate_games.py"), str(tmp_path / name)]
        subprocess.run([*script, "--games", "3", "--nodes", "20", "--workers", "1"], check=True,
                       capture_output=True)  # fmt: skip
        return gzip.open(tmp_path / name, "rt").read().splitlines()

    lines = made("a.gz")
    assert lines == made("b.gz")
    assert len(set(lines)) == 3
    for line in lines:
        board = chess.Board()
        *moves, result = line.split()
        for san in moves:
            board.push_san(san)
        assert result == board.result(claim_draw=True)
