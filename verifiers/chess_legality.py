"""Is a written move legal on the board, and if not, why, in a sentence a player would say.

For chess this verifier equals the oracle: corrected legality is then right by construction,
and every report says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import chess

from agent.types import Answer, Question, Verdict
from tasks.chess.rules import Reading, long_algebraic, read_move

_WORD = {"ambiguous": "ambiguous", "missing_promotion": "incomplete", "unparsable": "unreadable"}


class ChessLegality:
    """Reads `question.state["fen"]`, and `["moves"]` (UCI) where there is a history."""

    name = "chess-legality"
    version = "1"
    """Goes up when any answer is judged otherwise."""

    def __call__(self, question: Question, answer: Answer) -> Verdict:
        """Pass a legal move; fail any other with its class and a sentence."""
        board = chess.Board(question.state["fen"])
        reading = read_move(board, str(answer))
        evidence = {
            "class": reading.error_class,
            "strict": reading.strict,
            "notes": list(reading.notes),
            "false_marks": list(reading.false_marks),
            "squares": list(reading.squares),
        }
        if reading.move is not None:
            return Verdict(verifier=self.name, outcome="pass", evidence=evidence)
        sentence = critique(board, reading, question.state)
        return Verdict(verifier=self.name, outcome="fail", critique=sentence, evidence=evidence)

    def candidates(self, question: Question) -> list[str]:
        """Every legal move, in the notation of the question."""
        board = chess.Board(question.state["fen"])
        write = long_algebraic if question.state.get("style") == "lan" else chess.Board.san
        return [write(board, move) for move in board.legal_moves]

    known_good: Sequence[tuple[Question, Answer]] = ()
    known_bad: Sequence[tuple[Question, Answer]] = ()


def critique(board: chess.Board, reading: Reading, state: Mapping[str, Any]) -> str:
    """One sentence that names the move, the reason, and what became of a missing piece.

    >>> board = chess.Board()
    >>> critique(board, read_move(board, "Ra3"), {})
    'Ra3 is illegal: the rook on a1 cannot reach a3: the white pawn on a2 is in the way.'
    """
    word = _WORD.get(reading.error_class or "", "illegal")
    subject = reading.text if reading.text and reading.error_class != "unparsable" else "The move"
    sentence = f"{subject} is {word}: {reading.reason}"
    if reading.error_class == "no_such_piece":
        sentence += _what_became(board, reading, state)
    return sentence + "."


def _what_became(board: chess.Board, reading: Reading, state: Mapping[str, Any]) -> str:
    """Where the piece went that the answer still believes in; empty where history is silent."""
    moves, start = state.get("moves"), state.get("start")
    if not moves or not start:
        return ""
    named = map(chess.parse_square, reading.squares)
    believed = next((square for square in named if not board.piece_at(square)), None)
    kind = chess.PIECE_SYMBOLS.index(reading.text[0].lower()) if reading.text[0].isupper() else None
    extinct = kind if kind and not board.pieces(kind, board.turn) else None
    told = ""
    for number, piece, origin, target in _ways(start, moves, board.turn):
        name, at = chess.piece_name(piece), chess.square_name(origin)
        if origin == believed and target is not None:
            to = chess.square_name(target)
            told = f"; the {name} from there moved to {to} on move {number}"
        elif origin == believed:
            told = f"; the {name} on {at} was captured on move {number}"
        elif believed is None and target is None and piece == extinct:
            told = f"; the last {name} was captured on {at} on move {number}"
    return told


def _ways(
    start: str, moves: Sequence[str], side: chess.Color
) -> Iterator[tuple[int, chess.PieceType, chess.Square, chess.Square | None]]:
    """(move number, piece, where it stood, where it went) of one side; None: it was captured."""
    replay = chess.Board(start)
    for uci in moves:
        move, number = chess.Move.from_uci(uci), replay.fullmove_number
        steps: list[tuple[chess.Square, chess.Square | None]] = [(move.from_square, move.to_square)]
        if replay.is_castling(move):
            rank = chess.square_rank(move.from_square)
            corner, beside = (7, 5) if replay.is_kingside_castling(move) else (0, 3)
            steps.append((chess.square(corner, rank), chess.square(beside, rank)))
        elif replay.is_capture(move):
            steps.append((_captured_square(replay, move), None))
        for origin, target in steps:
            piece = replay.piece_at(origin)
            if piece and piece.color == side:
                yield number, piece.piece_type, origin, target
        replay.push(move)


def _captured_square(board: chess.Board, move: chess.Move) -> chess.Square:
    if board.is_en_passant(move):
        return chess.square(chess.square_file(move.to_square), chess.square_rank(move.from_square))
    return move.to_square


def _ask(fen: str) -> Question:
    return Question(messages=(), prefix="", state={"fen": fen})


_SEED_GAME = _ask("3R2k1/p4pp1/1pq1pn1p/2b5/8/1P2P2P/PB2QPP1/R5K1 b - - 0 25")
_START = _ask(chess.STARTING_FEN)
ChessLegality.known_good = [(_START, "e4"), (_START, "1. nf3!"), (_SEED_GAME, "Kh7"),
                            (_SEED_GAME, "**Bf8**")]  # fmt: skip
ChessLegality.known_bad = [(_SEED_GAME, m) for m in ("Kxd8", "Qxd8", "Rxd8", "--", "a knight")]

chess_legality = ChessLegality()
