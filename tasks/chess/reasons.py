"""Why a written move can't be played: one class and one true sentence about the board.

Where several pieces of the kind could be meant, the one that came nearest to being able to is
explained: out of reach, blocked, target taken, king unsafe.
"""

from __future__ import annotations

from dataclasses import dataclass

import chess

Reason = tuple[str, str, tuple[str, ...]]
"""(error class, sentence without a full stop, squares it is about)"""


def why_no_castle(board: chess.Board, kingside: bool) -> Reason:
    """Why castling on that wing is not legal; it must not be."""
    side, wing = _side(board.turn), "kingside" if kingside else "queenside"
    has = (
        board.has_kingside_castling_rights(board.turn)
        if kingside
        else board.has_queenside_castling_rights(board.turn)
    )
    if not has:
        return "castling_rights", f"{side} has no right to castle {wing}", ()
    king = board.king(board.turn)
    assert king is not None
    rank = chess.square_rank(king)
    rook = chess.square(7 if kingside else 0, rank)
    for square in sorted(chess.SquareSet.between(king, rook), key=lambda s: abs(s - king)):
        if board.piece_at(square):
            return (
                "castling_path",
                f"the {_name(board, square)} stands between king and rook",
                (chess.square_name(square),),
            )
    steps = (5, 6) if kingside else (3, 2)
    for square in (king, *(chess.square(f, rank) for f in steps)):
        attackers = board.attackers(not board.turn, square)
        if attackers:
            by = _name(board, min(attackers))
            name = chess.square_name(square)
            if square == king:
                reason = f"the king on {name} is in check from the {by}"
            elif square == chess.square(steps[0], rank):
                reason = f"the king would pass through {name}, attacked by the {by}"
            else:
                reason = f"the king would land on {name}, attacked by the {by}"
            return "castling_check", reason, (name,)
    raise AssertionError(f"castling {wing} is legal in {board.fen()}")


@dataclass(frozen=True)
class Intent:
    """An illegal move as it was meant: which piece, where from (if said), where to."""

    board: chess.Board
    kind: int | None
    """Type of the piece; None where the source square was given and is empty."""
    file: int | None
    rank: int | None
    target: int

    @property
    def source(self) -> int | None:
        """The source square, where file and rank were both given."""
        if self.file is None or self.rank is None:
            return None
        return chess.square(self.file, self.rank)

    def why_not(self) -> Reason:
        """The reason, for a move that is not legal."""
        board, turn = self.board, self.board.turn
        source = self.source
        if source is not None:
            missing = self._wrong_source(source)
            if missing:
                return missing
        elif self.kind is None:
            raise AssertionError("a move without source square names its piece")
        assert self.kind is not None
        sources = [s for s in board.pieces(self.kind, turn) if self._may_start(s)]
        if not sources:
            return self._nobody()
        if self.target in sources and len(sources) == 1:
            name = chess.square_name(self.target)
            return "geometry", f"the {self._piece(self.target)} is already on {name}", (name,)
        reasons = [self._why_not_from(s) for s in sources if s != self.target]
        # The piece that came nearest to being able to is the one meant.
        stage, error_class, reason, squares = max(reasons, key=lambda r: r[0])
        if stage == 0:
            return self._out_of_reach(sources)
        return error_class, reason, squares

    def _may_start(self, square: int) -> bool:
        if self.file is not None and chess.square_file(square) != self.file:
            return False
        if self.rank is not None and chess.square_rank(square) != self.rank:
            return False
        plain = self.kind == chess.PAWN and self.file is None
        return not plain or chess.square_file(square) == chess.square_file(self.target)

    def _wrong_source(self, source: int) -> Reason | None:
        board, name = self.board, chess.square_name(source)
        piece = board.piece_at(source)
        if piece is None:
            return "no_such_piece", f"{name} is empty", (name,)
        if piece.color != board.turn:
            side, owner = _side(board.turn), _side(piece.color)
            what = chess.piece_name(piece.piece_type)
            return (
                "wrong_side",
                f"it is {side}'s turn and the {what} on {name} is {owner}'s",
                (name,),
            )
        if piece.piece_type != self.kind:
            assert self.kind is not None
            what = chess.piece_name(self.kind)
            stands = f"{_colour(piece.color)} {chess.piece_name(piece.piece_type)}"
            return "no_such_piece", f"there is a {stands} on {name}, not a {what}", (name,)
        return None

    def _nobody(self) -> Reason:
        """No piece of that kind where the move says it comes from."""
        board, turn = self.board, self.board.turn
        assert self.kind is not None
        what = chess.piece_name(self.kind)
        rivals = [
            s
            for s in board.pieces(self.kind, not turn)
            if self._may_start(s) and self._would_reach(s, not turn)
        ]
        if rivals:
            name = chess.square_name(min(rivals))
            return (
                "wrong_side",
                f"it is {_side(turn)}'s turn and the {what} on {name} is {_side(not turn)}'s",
                (name,),
            )
        file = self.file
        if self.kind == chess.PAWN and file is None:
            file = chess.square_file(self.target)
        if file is not None:
            where = f" on the {chess.FILE_NAMES[file]} file"
        elif self.rank is not None:
            where = f" on rank {self.rank + 1}"
        else:
            where = ""
        return "no_such_piece", f"{_side(turn)} has no {what}{where}", ()

    def _would_reach(self, square: int, color: chess.Color) -> bool:
        other = self.board.copy(stack=False)
        other.turn = color
        return any(
            m.from_square == square and m.to_square == self.target
            for m in other.generate_pseudo_legal_moves(
                chess.BB_SQUARES[square], chess.BB_SQUARES[self.target]
            )
        )

    def _out_of_reach(self, sources: list[int]) -> Reason:
        assert self.kind is not None
        what, target = chess.piece_name(self.kind), chess.square_name(self.target)
        names = [chess.square_name(s) for s in sources if s != self.target]
        castle = self._meant_castling(sources)
        if castle:
            return "geometry", f"the king moves one square at a time: {castle}", (names[0],)
        if len(names) == 1:
            reason = f"the {what} on {names[0]} does not move to {target}"
        else:
            reason = f"none of the {what}s on {listed(names)} moves to {target}"
        return "geometry", reason, tuple(names)

    def _meant_castling(self, sources: list[int]) -> str:
        if self.kind != chess.KING:
            return ""
        for move in self.board.legal_moves:
            if self.board.is_castling(move) and move.to_square == self.target:
                written = "O-O" if self.board.is_kingside_castling(move) else "O-O-O"
                return f"to castle write {written}"
        return ""

    def _why_not_from(self, source: int) -> tuple[int, str, str, tuple[str, ...]]:
        """(how near it came, class, reason, squares) for the piece on `source`."""
        if self.kind == chess.PAWN:
            return self._why_not_pawn(source)
        board, target = self.board, self.target
        empty = chess.Board(None)
        empty.set_piece_at(source, board.piece_at(source))
        name, at = chess.square_name(target), chess.square_name(source)
        if target not in empty.attacks(source):
            return 0, "geometry", "", ()
        blockers = [s for s in chess.SquareSet.between(source, target) if board.piece_at(s)]
        if blockers:
            first = min(blockers, key=lambda s: chess.square_distance(source, s))
            return (
                1,
                "path_blocked",
                f"the {self._piece(source)} cannot reach {name}: "
                f"the {_name(board, first)} is in the way",
                (at, chess.square_name(first)),
            )
        if board.color_at(target) == board.turn:
            return 2, "own_piece_on_target", f"the {_name(board, target)} stands there", (name,)
        return self._why_king_unsafe(chess.Move(source, target))

    def _why_not_pawn(self, source: int) -> tuple[int, str, str, tuple[str, ...]]:
        board, target = self.board, self.target
        at, name = chess.square_name(source), chess.square_name(target)
        forward = 1 if board.turn == chess.WHITE else -1
        ranks = (chess.square_rank(target) - chess.square_rank(source)) * forward
        files = abs(chess.square_file(target) - chess.square_file(source))
        home = chess.square_rank(source) == (1 if board.turn == chess.WHITE else 6)
        occupant = board.color_at(target)
        last = chess.square_rank(target) in (0, 7)
        move = chess.Move(source, target, promotion=chess.QUEEN if last else None)
        if files == 0 and (ranks == 1 or (ranks == 2 and home)):
            way = [target] if ranks == 1 else [source + 8 * forward, target]
            for square in way:
                if board.piece_at(square):
                    if square == target and occupant == board.turn:
                        return (2, "own_piece_on_target",
                                f"the {_name(board, target)} stands there", (name,))  # fmt: skip
                    return (
                        1,
                        "path_blocked",
                        f"the {_name(board, square)} blocks the pawn on {at}",
                        (at, chess.square_name(square)),
                    )
            return self._why_king_unsafe(move)
        if files == 1 and ranks == 1:
            if occupant == board.turn:
                return (2, "own_piece_on_target",
                        f"the {_name(board, target)} stands there", (name,))  # fmt: skip
            if occupant is None and target != board.ep_square:
                beside = chess.square(chess.square_file(target), chess.square_rank(source))
                passed = board.piece_at(beside)
                fifth = chess.square_rank(source) == (4 if board.turn == chess.WHITE else 3)
                if fifth and passed == chess.Piece(chess.PAWN, not board.turn):
                    return (
                        1,
                        "ep_not_available",
                        f"{name} is empty and the {_name(board, beside)} "
                        "did not just make a double step",
                        (name, chess.square_name(beside)),
                    )
                return (
                    1,
                    "pawn_capture_empty",
                    f"the pawn on {at} moves diagonally only to capture and {name} is empty",
                    (at, name),
                )
            return self._why_king_unsafe(move)
        return 0, "geometry", "", ()

    def _why_king_unsafe(self, move: chess.Move) -> tuple[int, str, str, tuple[str, ...]]:
        """`move` is pseudo-legal and not legal: it is the king."""
        board = self.board
        before = board.checkers()
        after = board.copy(stack=False)
        after.push(move)
        king = after.king(board.turn)
        assert king is not None
        attackers = after.attackers(not board.turn, king)
        still = [s for s in attackers if s in before]
        where = chess.square_name(king)
        if still:
            by = _name(board, min(still))
            standing = board.king(board.turn)
            assert standing is not None
            now = chess.square_name(standing)
            return (
                3,
                "does_not_answer_check",
                f"the king on {now} is in check from the {by} and this does not stop it",
                (now, chess.square_name(min(still))),
            )
        by = _name(after, min(attackers))
        if move.to_square == king:
            reason = f"the king would stand on {where}, attacked by the {by}"
        else:
            moved = self._piece(move.from_square)
            reason = f"moving the {moved} leaves the king on {where} attacked by the {by}"
        return 3, "leaves_king_in_check", reason, (where, chess.square_name(min(attackers)))

    def _piece(self, square: int) -> str:
        kind = self.board.piece_type_at(square)
        assert kind is not None
        return f"{chess.piece_name(kind)} on {chess.square_name(square)}"


def _name(board: chess.Board, square: int) -> str:
    piece = board.piece_at(square)
    assert piece is not None
    kind = chess.piece_name(piece.piece_type)
    return f"{_colour(piece.color)} {kind} on {chess.square_name(square)}"


def _colour(color: chess.Color) -> str:
    return "white" if color else "black"


def _side(color: chess.Color) -> str:
    return "White" if color else "Black"


def listed(names: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
