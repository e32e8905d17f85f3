"""What a written move means on a board, and if nothing, why not.

`read_move(board, text)` is the one place that reads chess moves: the task plays by it, the
legality verifier criticises with it. It knows python-chess and nothing of this project.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field

import chess

#: Why an answer is rejected; one class per rejected answer.
ERROR_CLASSES = (
    "unparsable", "ambiguous", "missing_promotion", "no_such_piece", "wrong_side", "geometry",
    "path_blocked", "own_piece_on_target", "pawn_capture_empty", "leaves_king_in_check",
    "does_not_answer_check", "castling_rights", "castling_path", "castling_check",
    "ep_not_available", "null", "game_over",
)  # fmt: skip


@dataclass(frozen=True)
class Reading:
    """What `text` says on a board."""

    text: str
    """The move as understood, without decoration."""
    move: chess.Move | None = None
    """The legal move, or None."""
    error_class: str | None = None
    """One of ERROR_CLASSES, or None for a legal move."""
    reason: str = ""
    """Why it is rejected: one true sentence about this board."""
    notes: tuple[str, ...] = ()
    """What had to be normalised before it could be read."""
    false_marks: tuple[str, ...] = ()
    """Marks that the board contradicts: a capture that takes nothing, a mate that is none."""
    squares: tuple[str, ...] = field(default=())
    """The squares that `reason` is about."""

    @property
    def well_formed(self) -> bool:
        """It is a move in some notation, be it legal or not."""
        return self.error_class not in ("unparsable", "null")

    @property
    def strict(self) -> bool:
        """Legal, written as the standard says, and every mark is true."""
        return self.move is not None and not self.notes and not self.false_marks


_NULL = {"--", "0000", "Z0", "@@@@", "null", "pass"}
_DASHES = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2212\ufe63\u2015"), "-")
# Letters that look like the O of castling: zero, small o, Cyrillic and Greek O.
_ROUND = "0oO\u041e\u043e\u039f\u03bf"
_CASTLE = re.compile(rf"^([{_ROUND}])-?([{_ROUND}])(-?([{_ROUND}]))?([+#]*)$")
_CASTLE_WORDS = re.compile(
    r"^castles?(?:[ -](king|queen)[ -]?side|[ -](short|long))?([+#]*)$", re.IGNORECASE
)
_SAN = re.compile(
    r"^(?P<piece>[KQRBNP])?(?P<file>[a-h])?(?P<rank>[1-8])?(?P<mark>[x\-:])?(?P<to>[a-h][1-8])"
    r"(?:=?(?P<promotion>[QRBNKPqrbnkp]))?(?P<check>[+#]*)$"
)
_LETTERS = {"K": chess.KING, "Q": chess.QUEEN, "R": chess.ROOK,
            "B": chess.BISHOP, "N": chess.KNIGHT, "P": chess.PAWN}  # fmt: skip


def read_move(board: chess.Board, text: str) -> Reading:
    """Read one written move on `board`.

    >>> read_move(chess.Board(), "1. nf3!").move
    Move.from_uci('g1f3')
    >>> read_move(chess.Board(), "Bc4").reason
    'the bishop on f1 cannot reach c4: the white pawn on e2 is in the way'
    """
    core, notes = _undress(board, text)
    if core in _NULL or core.lower() in _NULL:
        return Reading(core, None, "null", "a move must be made; passing is not allowed")
    if board.is_game_over():
        return Reading(core, None, "game_over", "the game is over; no move can be played")
    castle = _castling(board, core)
    if castle is not None:
        side, canonical, marks = castle
        if not _CASTLE_WORDS.match(core) and core.rstrip("+#") in ("O-O", "O-O-O", "0-0", "0-0-0"):
            return _finish_castle(board, side, canonical, marks, notes)
        return _finish_castle(board, side, canonical, marks, (*notes, "castling"))
    if _CASTLE_WORDS.match(core):
        return Reading(core, None, "ambiguous",
                       "both sides are open for castling: write O-O or O-O-O", notes)  # fmt: skip
    match, fold = _match(board, core)
    if match is None:
        shown = core if len(core) <= 24 else core[:24] + "..."
        return Reading(core, None, "unparsable",
                       f"{shown!r} is not a move in algebraic notation" if core
                       else "there is no move in the answer", notes)  # fmt: skip
    return _Written(board, match).read((*notes, *fold))


# -- undressing -------------------------------------------------------------------------


def _undress(board: chess.Board, text: str) -> tuple[str, tuple[str, ...]]:
    """Take off what is not the move; the notes say what was taken off."""
    notes: list[str] = []
    core = unicodedata.normalize("NFKC", text)
    core = "".join(c for c in core if unicodedata.category(c) != "Cf").strip()
    if core != text.strip():
        notes.append("unicode")
    plain = core.translate(_DASHES)
    if plain != core:
        notes.append("dash")
        core = plain
    if core in _NULL:
        return core, ()
    while True:
        bare = re.sub(r"^\\boxed\{(.*)\}$", r"\1", core)
        bare = re.sub(r"^(\*\*|__|[`'\"*_$(\[])(.+?)(\*\*|__|[`'\"*_$)\]])$", r"\2", bare).strip()
        if bare == core:
            break
        core = bare
        notes.append("wrapped")
    number = re.match(r"^(\d+)\s*(\.{1,3}|\u2026)\s*(?=\S)", core)
    if number:
        core = core[number.end() :]
        white = len(number[2]) == 1 and number[2] != "\u2026"
        right = int(number[1]) == board.fullmove_number and white == board.turn
        notes.append("move number" if right else "wrong move number")
    annotated = re.sub(r"(\s*(e\.?p\.?|\$\d+|[!?]+|\.))+$", "", core).strip()
    if annotated and annotated != core:
        # An en-passant mark and a full stop say nothing false; they are only not standard.
        notes.append("annotation")
        core = annotated
    if re.search(r"[+#]{2,}$", core):
        core = core.rstrip("+#") + ("#" if core.endswith("#") else "+")
        notes.append("annotation")
    promoted = re.sub(r"(?<=[18])(?:\(([QRBNqrbn])\)|/([QRBNqrbn]))", r"=\1\2", core)
    if promoted != core:
        notes.append("promotion")
        core = promoted
    return core, tuple(dict.fromkeys(notes))


def _match(board: chess.Board, core: str) -> tuple[re.Match[str] | None, tuple[str, ...]]:
    """The written move; its case is mended only where that can mean one thing alone."""
    exact = _SAN.match(core)
    if exact and not _is_small_bishop(exact):
        return exact, ()
    upper_first = core[:1].upper() + core[1:].lower()
    order = (
        (upper_first, core.lower()) if exact or core[:1].isupper() else (core.lower(), upper_first)
    )
    for candidate in order:
        found = _SAN.match(candidate)
        if found and candidate != core:
            return found, ("case",)
    return None, ()


def _is_small_bishop(match: re.Match[str]) -> bool:
    """`bf8` can only be a bishop: no pawn goes from the b file to the f file."""
    if match["piece"] or match["rank"] or match["file"] != "b":
        return False
    return match["to"][0] not in "abc"


def _castling(board: chess.Board, core: str) -> tuple[bool, str, str] | None:
    """(kingside, canonical text, marks) if `core` writes castling."""
    match = _CASTLE.match(core)
    if match:
        kingside = match[3] is None
        return kingside, "O-O" if kingside else "O-O-O", match[5]
    words = _CASTLE_WORDS.match(core)
    if not words:
        return None
    side = (words[1] or words[2] or "").lower()
    if not side:
        open_sides = [m for m in board.legal_moves if board.is_castling(m)]
        if len(open_sides) > 1:
            return None
        kingside = not open_sides or board.is_kingside_castling(open_sides[0])
    else:
        kingside = side in ("king", "short")
    return kingside, "O-O" if kingside else "O-O-O", words[3]


# -- castling ---------------------------------------------------------------------------


def _finish_castle(
    board: chess.Board, kingside: bool, text: str, marks: str, notes: tuple[str, ...]
) -> Reading:
    for move in board.legal_moves:
        if board.is_castling(move) and board.is_kingside_castling(move) == kingside:
            return Reading(text + marks, move, None, "", notes, _false_check(board, move, marks))
    error_class, reason, squares = _why_no_castle(board, kingside)
    return Reading(text, None, error_class, reason, notes, (), squares)


def _why_no_castle(board: chess.Board, kingside: bool) -> tuple[str, str, tuple[str, ...]]:
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


# -- every other move -------------------------------------------------------------------


class _Written:
    """A move as written: piece, where from (if said), where to, promotion, marks."""

    def __init__(self, board: chess.Board, match: re.Match[str]) -> None:
        self.board = board
        self.text = match.group()
        self.target = chess.parse_square(match["to"])
        self.file = None if match["file"] is None else chess.FILE_NAMES.index(match["file"])
        self.rank = None if match["rank"] is None else int(match["rank"]) - 1
        self.mark = match["mark"]
        self.check = match["check"]
        self.promotion_letter = (match["promotion"] or "").upper()
        self.exact = self.file is not None and self.rank is not None
        letter = match["piece"]
        source = self.source
        if letter:
            self.kind: int | None = _LETTERS[letter]
        elif source is not None:
            # e2e4 and g1f3: where the squares are given, the piece needs no name.
            self.kind = board.piece_type_at(source)
        else:
            self.kind = chess.PAWN

    @property
    def source(self) -> int | None:
        if self.file is None or self.rank is None:
            return None
        return chess.square(self.file, self.rank)

    def read(self, notes: tuple[str, ...]) -> Reading:
        board = self.board
        candidates = [m for m in board.legal_moves if self._fits(m)]
        promoting = [m for m in candidates if m.promotion]
        if promoting:
            if self.promotion_letter not in tuple("QRBN"):
                return self._reject("missing_promotion", notes)
            wanted = _LETTERS[self.promotion_letter]
            candidates = [m for m in promoting if m.promotion == wanted]
        elif self.promotion_letter and candidates:
            return Reading(
                self.text, None, "unparsable",
                f"nothing promotes on {chess.square_name(self.target)}", notes,
            )  # fmt: skip
        if len(candidates) > 1:
            return self._reject("ambiguous", notes, candidates)
        if len(candidates) == 1:
            move = candidates[0]
            return Reading(self.text, move, None, "", notes, self._false_marks(move))
        error_class, reason, squares = self._why_not()
        return Reading(self.text, None, error_class, reason, notes, (), squares)

    def _fits(self, move: chess.Move) -> bool:
        if self.board.is_castling(move):
            # It has a notation of its own; only UCI writes it as a move of the king.
            if not self._is_uci_castling(move):
                return False
        elif move.to_square != self.target:
            return False
        source = move.from_square
        if self.file is not None and chess.square_file(source) != self.file:
            return False
        if self.rank is not None and chess.square_rank(source) != self.rank:
            return False
        if self.board.piece_type_at(source) != self.kind:
            return False
        # A pawn that changes its file must say so: "e5" is never dxe5.
        plain = self.kind == chess.PAWN and self.file is None
        return not plain or chess.square_file(source) == chess.square_file(self.target)

    def _is_uci_castling(self, move: chess.Move) -> bool:
        if not re.fullmatch(r"[a-h][1-8]-?[a-h][1-8][+#]?", self.text):
            return False
        rook = {6: 7, 2: 0}[chess.square_file(move.to_square)]
        rank = chess.square_rank(move.to_square)
        return self.target in (move.to_square, chess.square(rook, rank))

    def _false_marks(self, move: chess.Move) -> tuple[str, ...]:
        marks = []
        capture = self.board.is_capture(move)
        if self.mark in ("x", ":") and not capture:
            marks.append("capture")
        if capture and ((self.mark is None and not self.exact) or self.mark == "-"):
            marks.append("no capture")
        return (*marks, *_false_check(self.board, move, self.check))

    def _reject(
        self, error_class: str, notes: tuple[str, ...], moves: Iterable[chess.Move] = ()
    ) -> Reading:
        target = chess.square_name(self.target)
        if error_class == "missing_promotion":
            reason = f"the pawn promotes on {target}: add =Q, =R, =B or =N"
            return Reading(self.text, None, error_class, reason, notes, (), (target,))
        moves = sorted(moves, key=lambda m: m.from_square)
        names = [chess.square_name(m.from_square) for m in moves]
        piece = chess.piece_name(self.board.piece_type_at(moves[0].from_square) or chess.PAWN)
        options = " or ".join(self.board.san(m) for m in moves)
        reason = f"the {piece}s on {_and(names)} can both go to {target}: write {options}"
        if len(names) > 2:
            reason = reason.replace("can both", "can all")
        return Reading(self.text, None, "ambiguous", reason, notes, (), tuple(names))

    # -- why not --------------------------------------------------------------------

    def _why_not(self) -> tuple[str, str, tuple[str, ...]]:
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

    def _wrong_source(self, source: int) -> tuple[str, str, tuple[str, ...]] | None:
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

    def _nobody(self) -> tuple[str, str, tuple[str, ...]]:
        """No piece of that kind where the move says it comes from."""
        board, turn = self.board, self.board.turn
        assert self.kind is not None
        what, target = chess.piece_name(self.kind), chess.square_name(self.target)
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
        return "no_such_piece", f"{_side(turn)} has no {what}{where}", (target,)

    def _would_reach(self, square: int, color: chess.Color) -> bool:
        other = self.board.copy(stack=False)
        other.turn = color
        return any(
            m.from_square == square and m.to_square == self.target
            for m in other.generate_pseudo_legal_moves(
                chess.BB_SQUARES[square], chess.BB_SQUARES[self.target]
            )
        )

    def _out_of_reach(self, sources: list[int]) -> tuple[str, str, tuple[str, ...]]:
        assert self.kind is not None
        what, target = chess.piece_name(self.kind), chess.square_name(self.target)
        names = [chess.square_name(s) for s in sources if s != self.target]
        castle = self._meant_castling(sources)
        if castle:
            return "geometry", f"the king moves one square at a time: {castle}", (names[0],)
        if len(names) == 1:
            reason = f"the {what} on {names[0]} does not move to {target}"
        else:
            reason = f"none of the {what}s on {_and(names)} moves to {target}"
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


def _false_check(board: chess.Board, move: chess.Move, mark: str) -> tuple[str, ...]:
    if not mark:
        return ()
    board.push(move)
    check, mate = board.is_check(), board.is_checkmate()
    board.pop()
    if "#" in mark and not mate:
        return ("mate",)
    return () if check else ("check",)


def _name(board: chess.Board, square: int) -> str:
    piece = board.piece_at(square)
    assert piece is not None
    kind = chess.piece_name(piece.piece_type)
    return f"{_colour(piece.color)} {kind} on {chess.square_name(square)}"


def _colour(color: chess.Color) -> str:
    return "white" if color else "black"


def _side(color: chess.Color) -> str:
    return "White" if color else "Black"


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def long_algebraic(board: chess.Board, move: chess.Move) -> str:
    """`move` in long algebraic notation, e.g. `Ng1-f3`, `e5xd6e.p.`, `O-O+`."""
    text = board.lan(move)
    if board.is_en_passant(move):
        core = text.rstrip("+#")
        return core + "e.p." + text[len(core) :]
    return text
