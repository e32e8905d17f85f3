"""The chess task: where games start, who moves, what is asked, read, played and scored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import chess
import pytest

from agent.errors import MissingTool, ParseFailure, UsageError
from agent.types import AfterError
from tasks.chess import engine, prompts
from tasks.chess.starts import SEED_GAME
from tasks.chess.task import Chess, ChessState

needs_stockfish = pytest.mark.skipif(
    engine.find() is None, reason="Stockfish is not installed: apt install stockfish"
)

PGN = '[Event "x"]\n\n1. e4 e5 2. Nf3 Nc6 *\n\n[Event "y"]\n\n1. d4 d5 *\n'


@pytest.fixture
def pgn(tmp_path: Path) -> Path:
    path = tmp_path / "games.pgn"
    path.write_text(PGN)
    return path


def board_of(state: ChessState) -> chess.Board:
    return chess.Board(state.fen)


# -- starts ---------------------------------------------------------------------------------


def test_the_initial_position() -> None:
    assert Chess(start="initial").start(9).fen == chess.STARTING_FEN


def test_a_random_opening_belongs_to_its_seed() -> None:
    task = Chess(start="random:6")
    assert task.start(1) == task.start(1)
    assert len({task.start(seed).fen for seed in range(20)}) > 10
    assert all(len(task.start(seed).moves) == 6 for seed in range(20))


def test_the_seeds_game_stands_where_gpt4_went_wrong() -> None:
    state = Chess(start="seed").start(1)
    assert state.fen == "3R2k1/p4pp1/1pq1pn1p/2b5/8/1P2P2P/PB2QPP1/R5K1 b - - 0 25"
    assert len(state.moves) == len(SEED_GAME) == 49
    assert sorted(board_of(state).san(m) for m in board_of(state).legal_moves) == [
        "Bf8", "Kh7", "Ne8", "Qe8"
    ]  # fmt: skip


def test_a_fen_and_who_moves_first() -> None:
    fen = "8/8/8/4k3/8/8/4P3/4K3 b - - 0 30"
    task = Chess(start=fen)
    assert task.start(1).fen == fen
    question = task.question(task.start(1))
    assert question.prefix == f'[FEN "{fen}"] 30...'
    assert "Black to move" in question.messages[-1].content


def test_games_of_a_pgn_file_are_dealt_by_seed(pgn: Path) -> None:
    task = Chess(start=str(pgn))
    assert [len(task.start(seed).moves) for seed in range(4)] == [4, 2, 4, 2]
    assert len(Chess(start=f"{pgn}:3").start(0).moves) == 3


BAD = [
    ({"start": "8/8/8/8/8/8/8/8 w - - 0 1"}, "not a possible position"),
    ({"start": "rnbqkbnr/pppppppp/8/8/8/8/PPPPPPPP/RNBQKBNX w KQkq - 0 1"}, "not a FEN"),
    ({"start": "7k/6Q1/6K1/8/8/8/8/8 b - - 0 1"}, "game is over"),
    ({"start": "ruy lopez"}, "not initial, random"),
    ({"start": "nowhere.pgn"}, "No such file"),
    ({"start": "rnbqkbnr/pppppppp/8/8/8/8/PPPPPPPP/RNBQKBNR"}, "who may castle"),
    ({"start": "rnbqkbnr/pppppppp/8/8/8/8/PPPPPPPP/RNBQKBNR w"}, "who may castle"),
    ({"style": "poem"}, "not one of: pgn, fen"),
    ({"opponent": "karpov"}, "not one of: self, random"),
    ({"side": "red"}, "not one of: white, black"),
    ({"horizon": 0}, "at least 1"),
    ({"side": "white"}, "needs an opponent"),
    ({"side": "both", "opponent": "random"}, "leaves opponent 'random' nothing to move"),
    ({"opponent": "replay"}, "needs replay="),
    ({"opponent": "replay", "replay": "e4 e5"}, "needs a fixed start"),
    ({"opponent": "replay", "replay": "e4 Ke2 Ke7", "start": "initial"}, "'Ke2' is not legal"),
]


@pytest.mark.parametrize(("options", "told"), BAD, ids=[t for _, t in BAD])
def test_bad_options_say_what_was_given(options: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        Chess(**options)


def test_a_pgn_file_without_a_game_or_with_a_broken_one_is_refused(tmp_path: Path) -> None:
    empty, broken = tmp_path / "empty.pgn", tmp_path / "broken.pgn"
    empty.write_text("")
    broken.write_text("1. e4 e5 2. Qd5 *\n")
    with pytest.raises(UsageError, match="holds no game"):
        Chess(start=str(empty))
    with pytest.raises(UsageError, match="game 1"):
        Chess(start=str(broken))


def test_stockfish_missing_is_said_with_the_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOCKFISH", "/nowhere/stockfish")
    with pytest.raises(MissingTool, match="apt install stockfish"):
        Chess(opponent="stockfish")


# -- what happens after an answer --------------------------------------------------------------


def after(answer: str | None, after_error: AfterError, **options: Any) -> ChessState:
    task = Chess(start="initial", **options)
    return task.advance(task.start(1), answer, after_error)


def test_a_legal_answer_is_played_and_shown_as_it_is_written() -> None:
    state = after("1. e2e4!", "leave")
    assert (state.moves, state.texts) == (("e2e4",), ("e4",))
    assert after("e4", "leave", style="lan").texts == ("e2-e4",)


AFTER: list[tuple[AfterError, str | None, str]] = [
    ("leave", "Ke2", "its own text stays"),
    ("leave", "1.Ke2", "the record has numbers of its own"),
    ("repair", "Ke2", "the substitute is shown"),
    ("leave", None, "an unreadable answer leaves nothing behind"),
]


@pytest.mark.parametrize(("after_error", "answer", "why"), AFTER, ids=[a[2] for a in AFTER])
def test_after_an_illegal_answer(after_error: AfterError, answer: str | None, why: str) -> None:
    state = after(answer, after_error)
    [uci] = state.moves
    board = chess.Board()
    assert chess.Move.from_uci(uci) in board.legal_moves
    shown = board.san(chess.Move.from_uci(uci))
    own = (answer or "").removeprefix("1.")
    assert state.texts == ((own,) if after_error == "leave" and own else (shown,))
    assert state.ended is None


def test_stop_ends_at_the_first_error() -> None:
    task = Chess(start="initial")
    state = task.advance(task.start(1), "Ke2", "stop")
    assert task.done(state) == "first error"
    assert state.moves == ()


def test_the_substitute_depends_on_seed_and_ply_alone() -> None:
    task = Chess(start="initial")
    by_answer = {task.advance(task.start(7), a, "leave").fen for a in ("Ke2", "x", "Qh5")}
    by_seed = {task.advance(task.start(s), "Ke2", "leave").fen for s in range(20)}
    assert len(by_answer) == 1
    assert len(by_seed) > 5


def test_after_a_text_that_is_no_move_the_next_move_is_numbered() -> None:
    assert prompts.movetext(chess.STARTING_FEN, ["e4", "zz?", "d4", "x!", "e5"]) == (
        "1. e4 zz? 2. d4 x! 3. e5"
    )
    assert prompts.movetext(chess.STARTING_FEN, ["!!", "e5"]) == "1. !! 1... e5 2."


def test_a_game_that_is_over_ends_the_episode() -> None:
    task = Chess(start="initial")
    state = task.start(1)
    for move in ("f3", "e5", "g4", "Qh4"):
        state = task.advance(state, move, "leave")
    assert task.done(state) == "checkmate"


# -- opponents ----------------------------------------------------------------------------------


def test_a_random_opponent_is_the_same_for_the_same_seed_and_answers() -> None:
    task = Chess(start="initial", opponent="random", side="black")
    state = task.start(3)
    assert len(state.moves) == 1
    assert board_of(state).turn == chess.BLACK
    state = task.advance(state, "e5", "leave")
    assert len(state.moves) == 3
    assert state == task.advance(task.start(3), "e5", "repair")


@needs_stockfish
def test_stockfish_repeats_itself_and_differs_by_seed() -> None:
    played = set()
    for _ in range(2):
        task = Chess(start="initial", opponent="stockfish", engine_nodes=100)
        for seed in range(4):
            state = task.advance(task.start(seed), "e4", "leave")
            state = task.advance(state, "Nf3", "leave")
            played.add((seed, state.moves))
        task.close()
    assert len(played) == 4
    assert len({moves for _, moves in played}) > 1


def test_a_replayed_game_goes_on_whatever_is_answered() -> None:
    task = Chess(start="initial", opponent="replay", replay="1. e4 e5 2. Nf3 Nc6")
    state = task.start(1)
    asked = []
    while task.done(state) is None:
        asked.append(task.question(state).prefix)
        state = task.advance(state, "Kd4", "leave")
    assert asked == ["1.", "1. e4", "1. e4 e5 2.", "1. e4 e5 2. Nf3"]
    assert task.done(state) == "end of the replayed game"


# -- reading the reply --------------------------------------------------------------------------

REPLIES = [
    ("Nf3", "Nf3"),
    (" Nf3 Nc6 3. Bb5", "Nf3"),
    ("2. Nf3 Nc6", "2.Nf3"),
    ("1... Nf6", "1...Nf6"),
    ("12\u2026 Nf6 13. e4", "12\u2026Nf6"),
    ("... Nf6", "...Nf6"),
    ("2. ... Nf6", "2....Nf6"),
    ("Some thoughts about e4.\nMove: Nf3", "Nf3"),
    ("Move: e4\nNo, better:\nMove: Nf3", "Nf3"),
    ("Move: Nf3. This is best.", "Nf3."),
    ("**Move:** `Nf3`", "Nf3"),
    ("**Move**: Nf3", "Nf3"),
    ("My move: \u201cNf3\u201d.", "\u201cNf3\u201d."),
    ("move: 12. Nf3", "12.Nf3"),
    ("Move:\nNf3", "Nf3"),
    ("Move: castles kingside.", "castles kingside"),
    ("Move: Castling short, to be safe", "Castling short"),
    ("Move: castles, I think", "castles"),
    ("O-O", "O-O"),
    ("e8=Q+ Kxe8", "e8=Q+"),
]


@pytest.mark.parametrize(("text", "move"), REPLIES, ids=[r[0][:20] for r in REPLIES])
def test_the_move_in_a_reply(text: str, move: str) -> None:
    task = Chess(start="initial")
    assert task.parse(text, task.start(1)) == move


@pytest.mark.parametrize("text", ["", "   ", "I would rather not say.", "Move:"])
def test_a_reply_without_a_move_is_a_critique(text: str) -> None:
    task = Chess(start="initial")
    with pytest.raises(ParseFailure, match="Move: "):
        task.parse(text, task.start(1))


# -- prompts ------------------------------------------------------------------------------------


def test_the_board_in_words_is_said_as_in_the_discussion() -> None:
    words = prompts.in_words(
        chess.Board("3R2k1/p4pp1/1pq1pn1p/2b5/8/1P2P2P/PB2QPP1/R5K1 b - - 0 25")
    )
    assert words.startswith("Rank 8: three empty squares, then a white rook R on d8,")
    assert "Rank 4: eight empty squares." in words


def test_a_pgn_prefix_ends_where_the_move_is_to_be_written_without_a_space() -> None:
    task = Chess(start="initial")
    state = task.start(1)
    assert task.question(state).prefix == "1."
    state = task.advance(state, "d4", "leave")
    assert task.question(state).prefix == "1. d4"


@pytest.mark.parametrize("style", prompts.STYLES)
def test_every_style_says_who_is_to_move_or_shows_the_game(style: str) -> None:
    task = Chess(start="seed", style=style)
    question = task.question(task.start(1))
    assert question.state["style"] == style
    asked = question.messages[-1].content
    assert "Black to move" in asked or "game moves:" in asked
    assert question.prefix


# -- the truth ----------------------------------------------------------------------------------


def test_levels_of_ability_are_scored_apart() -> None:
    task = Chess(start="initial", quality_nodes=0)
    question = task.question(task.start(1))
    levels = {
        answer: task.score(question, answer)
        for answer in ("e4", "e2e4", "1. e4!", "Ke2", "zz", None)
    }
    assert [s.correct for s in levels.values()] == [True, True, True, False, False, False]
    assert [s.measures["well_formed"] for s in levels.values()] == [True] * 4 + [False] * 2
    assert levels["1. e4!"].measures["strict"] is False
    assert levels["e4"].measures["strict"] is True
    assert levels["Ke2"].error_class == "own_piece_on_target"
    assert levels["zz"].error_class == levels[None].error_class == "unparsable"
    assert levels["e4"].measures["not_blunder"] is None


@needs_stockfish
def test_stockfish_tells_a_blunder_from_a_good_move() -> None:
    fen = "6k1/5ppp/8/8/8/8/5PPP/3RQ1K1 w - - 0 1"
    task = Chess(start=fen, quality_nodes=2000)
    question = task.question(task.start(1))
    good, bad = task.score(question, "Qe8"), task.score(question, "Qe5")
    again = task.score(question, "Qe5")
    task.close()
    assert good.measures["not_blunder"] is True
    assert good.measures["expected_score_loss"] == pytest.approx(0, abs=0.02)
    assert bad == again
    lost = Chess(start="4r1k1/5ppp/8/8/8/8/5PPP/R2Q2K1 w - - 0 1", quality_nodes=2000)
    blunder = lost.score(lost.question(lost.start(1)), "Qd8")
    lost.close()
    assert blunder.measures["not_blunder"] is False
    assert blunder.measures["expected_score_loss"] > 0.3
