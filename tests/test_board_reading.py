"""Board reading: every style says the same board, the oracle is the board, styles are paired."""

from __future__ import annotations

import random
import re

import chess
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import ParseFailure, UsageError
from agent.types import Question
from tasks.board_reading import positions, prompts
from tasks.board_reading.task import BoardReading, BoardReadingState
from verifiers.board_lookup import board_lookup

boards = st.builds(
    lambda seed, count: positions.placed(random.Random(seed), count), st.integers(0, 10**6),
    st.integers(3, 32),
)  # fmt: skip


def read_back(text: str, style: str) -> chess.BaseBoard:
    """The board that a description describes, by an own reading of each style."""
    board = chess.BaseBoard(None)
    if style == "fen":
        return chess.BaseBoard(text)
    if style == "ascii":
        for rank, line in zip("87654321", text.splitlines(), strict=True):
            for file, symbol in zip("abcdefgh", line.split(), strict=True):
                if symbol != ".":
                    board.set_piece_at(
                        chess.parse_square(file + rank), chess.Piece.from_symbol(symbol)
                    )
    elif style == "pieces":
        for line in text.splitlines():
            for kind, square in re.findall(r"(\w+) ([a-h][1-8])", line):
                piece = chess.Piece(chess.PIECE_NAMES.index(kind), line.startswith("White"))
                board.set_piece_at(chess.parse_square(square), piece)
    else:
        for symbol, square in re.findall(r"([KQRBNPkqrbnp]) on ([a-h][1-8])", text):
            board.set_piece_at(chess.parse_square(square), chess.Piece.from_symbol(symbol))
    return board


@pytest.mark.parametrize("style", prompts.STYLES)
@given(board=boards)
def test_every_style_describes_the_whole_board(style: str, board: chess.BaseBoard) -> None:
    text = prompts.described(board, style)
    assert read_back(text, style).board_fen() == board.board_fen()


@given(board=boards)
def test_the_squares_style_names_every_empty_square(board: chess.BaseBoard) -> None:
    text = prompts.described(board, "squares")
    named = [s for group in re.findall(r"empty squares? on ([a-h1-8 ]+)", text)
             for s in group.split()]  # fmt: skip
    assert sorted(named) == sorted(
        s for s in chess.SQUARE_NAMES if board.piece_at(chess.parse_square(s)) is None
    )


def test_the_two_texts_of_the_discussion_are_two_of_the_styles() -> None:
    board = chess.BaseBoard(positions.SEED_POSITION)
    first = {s: prompts.described(board, s).splitlines()[0] for s in ("words", "squares")}
    assert first["words"].startswith("Rank 8: three empty squares, then a white rook R on d8, ")
    assert first["squares"].startswith(
        "Rank 8: 3 empty squares on a8 b8 c8, then a white rook R on d8, "
    )


@given(seed=st.integers(0, 10**6), count=st.integers(3, 32))
def test_placed_boards_have_both_kings_and_no_pawn_where_none_can_be(seed: int, count: int) -> None:
    for wanted in (None, "black rook", "white king"):
        board = positions.placed(random.Random(seed), count, wanted)
        pieces = board.piece_map()
        assert len(pieces) == count
        symbols = "".join(p.symbol() for p in pieces.values())
        assert symbols.count("K") == symbols.count("k") == 1
        assert wanted != "black rook" or "r" in symbols
        assert not any(
            p.piece_type == chess.PAWN and chess.square_rank(s) in (0, 7) for s, p in pieces.items()
        )


@given(board=boards, seed=st.integers(0, 1000), kind=st.sampled_from(["where", "what"]))
def test_a_question_has_one_answer_and_the_board_gives_it(
    board: chess.BaseBoard, seed: int, kind: str
) -> None:
    inquiry = positions.inquiry(random.Random(seed), board, kind)
    assert inquiry.wants_square == (kind == "where")
    [answer] = inquiry.answers(board)
    if kind == "where":
        piece = board.piece_at(chess.parse_square(answer))
        assert piece
        colour = "white" if piece.color else "black"
        assert inquiry.words == f"Where is the {colour} {chess.piece_name(piece.piece_type)}?"
    else:
        assert (answer == "empty") == (board.piece_at(chess.parse_square(inquiry.about)) is None)


def test_the_styles_take_turns_over_one_position_and_question() -> None:
    task, styles = BoardReading(), len(prompts.STYLES)
    asked = [task.question(BoardReadingState(seed=5, answered=i)) for i in range(2 * styles)]
    for block in (asked[:styles], asked[styles:]):
        assert [q.state["style"] for q in block] == list(prompts.STYLES)
        assert len({(q.state["board"], q.state["about"]) for q in block}) == 1
        assert len({q.prefix for q in block}) == styles
    assert asked[0].state["board"] != asked[styles].state["board"]


def test_one_style_alone_meets_the_same_positions_as_another() -> None:
    by_style = [
        [t.question(BoardReadingState(seed=5, answered=i)).state for i in range(6)]
        for t in (BoardReading(style="words"), BoardReading(style="squares"))
    ]
    for one, other in zip(*by_style, strict=True):
        assert {**one, "style": ""} == {**other, "style": ""}


def test_the_plain_form_is_the_description_and_the_question() -> None:
    task = BoardReading(style="words", position="seed", ask="white rook")
    question = task.question(task.start(1))
    board = chess.BaseBoard(positions.SEED_POSITION)
    assert question.prefix == (f"{prompts.described(board, 'words')}\nWhere is the white rook?\n")
    assert task.score(question, "d8").correct and task.score(question, "a1").correct
    assert question.aside == " # {critique}\nWhere is the white rook?\n"


def test_accuracy_is_measured_by_style() -> None:
    task = BoardReading()
    question = task.question(BoardReadingState(seed=5, answered=3))
    [answer] = board_lookup.candidates(question)
    assert task.score(question, answer).measures == {"right_squares": True}


SEED = {"board": positions.SEED_POSITION}
FAULTS = [("white rook", "c8", "empty_square", "c8 is empty."),
          ("white rook", "g8", "other_piece", "On g8 is a black king."),
          ("d8", "empty", "piece_missed", "d8 is not empty."),
          ("d8", "black rook", "wrong_colour", "There is no black rook on d8."),
          ("d8", "white queen", "wrong_kind", "There is no white queen on d8."),
          ("c8", "white rook", "piece_imagined", "There is no white rook on c8."),
          ("white rook", None, "unparsable", "None is no square.")]  # fmt: skip


@pytest.mark.parametrize(("about", "answer", "error_class", "critique"), FAULTS)
def test_a_wrong_answer_has_a_class_and_a_critique_that_does_not_give_it_away(
    about: str, answer: str | None, error_class: str, critique: str
) -> None:
    question = Question(messages=(), prefix="", state={**SEED, "about": about, "style": "fen"})
    assert BoardReading().score(question, answer).error_class == error_class
    assert board_lookup(question, answer) == critique


READ = [("white rook", "d8", "d8"), ("white rook", "It stands on D8.", "d8"),
        ("white rook", "Rd8", "d8"), ("white rook", "a1? No.\nAnswer: d8", "d8"),
        ("d8", "A white rook.", "white rook"), ("d8", "White's rook", "white rook"),
        ("d8", "The square is empty", "empty"), ("d8", "nothing", "empty")]  # fmt: skip


@pytest.mark.parametrize(("about", "text", "wanted"), READ)
def test_an_answer_is_read_however_it_is_dressed(about: str, text: str, wanted: str) -> None:
    task = BoardReading(position="seed", ask=about)
    assert task.parse(text, task.start(1)) == wanted


@pytest.mark.parametrize(("about", "text"), [("white rook", "d8 or a1"), ("white rook", "i9"),
                                             ("white rook", ""), ("d8", "rook"), ("d8", "d8"),
                                             ("d8", "white rook or black rook")])  # fmt: skip
def test_what_names_not_one_thing_is_a_critique(about: str, text: str) -> None:
    task = BoardReading(position="seed", ask=about)
    with pytest.raises(ParseFailure, match="answer"):
        task.parse(text, task.start(1))


def test_a_position_that_can_not_be_asked_about_is_refused() -> None:
    with pytest.raises(UsageError, match="there is none"):
        BoardReading(position="8/8/8/8/8/8/8/K1k5", ask="white rook")
    with pytest.raises(UsageError, match="just once"):
        BoardReading(position="8/8/8/8/8/8/8/8")
    empty = BoardReading(position="8/8/8/8/8/8/8/8", ask="what")
    assert empty.score(empty.question(empty.start(1)), "empty").correct
