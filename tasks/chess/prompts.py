"""The words in which a chess position is put to a model, by style.

Each is named and versioned: what was asked belongs to what was measured. `VERSION` goes up
with any change of a character.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import chess

VERSION = 1

STYLES = ("pgn", "fen", "history", "ascii", "words", "alphazero", "recall", "lan")

SYSTEM = (
    "You play chess. Reply with one legal move in standard algebraic notation, "
    "on a last line of the form `Move: Nf3`."
)

# The prompt of the discussion that this software answers, word for word up to the last line.
ALPHAZERO = """\
You will play the role of AlphaZero, a superhuman AI chess player, and I will play moves from \
Stockfish, another superhuman AI chess player, we will take turns playing chess moves in \
algebraic notation. At each turn I will write out the complete sequence of moves in the game \
so far.

Before outputting a move, it's very important that you write one paragraph analysing the \
current board state. Then write out 3 good legal moves for the current board state, with an \
explanation for the reasoning behind each of them. Only output your new move after writing \
this analysis, not before. After writing your move, write a paragraph figuring out if the move \
is legal or not. If the move you wrote is illegal, choose another move that is legal.

End with a line of the form `Move: Nf3` that holds your final move alone."""

PGN = "The game so far:\n{movetext}\n\n{side} to move. Continue the game."
FEN = "The position (FEN):\n{fen}\n\n{side} to move."
HISTORY = "The game so far:\n{movetext}\n\nThe position (FEN):\n{fen}\n\n{side} to move."
ASCII = "The board, White below, capitals are White's, a dot is an empty square:\n{board}\n\n{side} to move."
WORDS = "The board:\n{board}\n\n{side} to move."
SEED = "{opponent}: {last}\n\ngame moves: {moves}"
RECALL = (
    "The game so far:\n{movetext}\n\n{side} to move. First repeat all moves of the game in "
    "order and say what stands on each rank now; then give the move."
)

_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight")


def system(style: str) -> str:
    """What a chat model is told before anything else."""
    return ALPHAZERO if style == "alphazero" else SYSTEM


def chat(style: str, board: chess.Board, start: str, texts: Sequence[str], opponent: str) -> str:
    """What a chat model is asked on `board`, after the moves `texts` from the FEN `start`."""
    if style == "alphazero":
        last = texts[-1] if texts else "(you begin)"
        return SEED.format(opponent=opponent, last=last, moves=" ".join(texts))
    form = {"fen": FEN, "history": HISTORY, "ascii": ASCII, "words": WORDS, "recall": RECALL}
    drawn = in_words(board) if style == "words" else str(board)
    return form.get(style, PGN).format(
        movetext=movetext(start, texts), fen=board.fen(), board=drawn, side=side(board)
    )


def plain(style: str, board: chess.Board, start: str, texts: Sequence[str]) -> str:
    """The text that a base model continues: the record of the game, or the position alone."""
    if style == "fen":
        return f"FEN: {board.fen()}\nA legal move for {side(board)}:"
    if style in ("ascii", "words"):
        drawn = str(board) if style == "ascii" else in_words(board)
        return f"{drawn}\n\nA legal move for {side(board)}:"
    return movetext(start, texts)


def side(board: chess.Board) -> str:
    """`White` or `Black`, whoever is to move."""
    return "White" if board.turn else "Black"


def in_words(board: chess.BaseBoard, *, squares: bool = False) -> str:
    """The board rank by rank in words; with `squares`, empty ones are counted in digits and named.

    >>> board = chess.Board("3R2k1/8/8/8/8/8/8/K7 w - - 0 1")
    >>> in_words(board).splitlines()[0]
    'Rank 8: three empty squares, then a white rook R on d8, two empty squares, then a black king k on g8, one empty square.'
    >>> in_words(board, squares=True).splitlines()[0][:62]
    'Rank 8: 3 empty squares on a8 b8 c8, then a white rook R on d8'
    """
    empty = _empty_squares if squares else _empty
    return "\n".join(
        f"Rank {rank + 1}: {_rank_in_words(board, rank, empty)}." for rank in range(7, -1, -1)
    )


def _rank_in_words(
    board: chess.BaseBoard, rank: int, tell_empty: Callable[[Sequence[str]], str]
) -> str:
    parts: list[str] = []
    empty: list[str] = []
    for file in range(8):
        square = chess.square_name(chess.square(file, rank))
        piece = board.piece_at(chess.square(file, rank))
        if piece is None:
            empty.append(square)
            continue
        if empty:
            parts.append(tell_empty(empty))
        name = f"{chess.COLOR_NAMES[piece.color]} {chess.piece_name(piece.piece_type)}"
        then = "then " if empty else ""
        parts.append(f"{then}a {name} {piece.symbol()} on {square}")
        empty = []
    if empty:
        parts.append(tell_empty(empty))
    return ", ".join(parts)


def _empty(squares: Sequence[str]) -> str:
    return f"{_NUMBERS[len(squares)]} empty square{'s' if len(squares) > 1 else ''}"


def _empty_squares(squares: Sequence[str]) -> str:
    return f"{len(squares)} empty square{'s' if len(squares) > 1 else ''} on {' '.join(squares)}"


def movetext(start: str, moves: Sequence[str]) -> str:
    """Numbered moves from the position `start`, ending where the next move is to be written.

    >>> movetext(chess.STARTING_FEN, ["e4", "e5"])
    '1. e4 e5 2.'
    """
    board = chess.Board(start)
    number, white = board.fullmove_number, board.turn
    words = [] if start == chess.STARTING_FEN else [f'[FEN "{start}"]']
    renumber = True
    for move in moves:
        if white:
            words.append(f"{number}.")
        elif renumber:
            words.append(f"{number}...")
        words.append(move)
        # After a text that is no move a reader must be told whose turn it is.
        renumber = not _looks_like_move(move)
        number += not white
        white = not white
    if white:
        words.append(f"{number}.")
    elif renumber:
        words.append(f"{number}...")
    return " ".join(words)


def _looks_like_move(text: str) -> bool:
    return text[:1] in "abcdefghKQRBNO" and len(text) > 1
