"""What a written move means on a board, and if nothing, why not.

`read_move(board, text)` is the one place that reads chess moves: the task plays by it, the
legality verifier criticises with it. It knows python-chess and nothing of this project but `reasons.py`, its other half.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field

import chess

from tasks.chess.reasons import Intent, listed, why_no_castle

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
    r"^cast(?:le|les|ling)(?:[ -](king|queen)[ -]?side|[ -](short|long))?([+#]*)$", re.IGNORECASE
)
_SAN = re.compile(
    r"^(?P<piece>[KQRBNP])?(?P<file>[a-h])?(?P<rank>[1-8])?(?P<mark>[x\-:])?(?P<to>[a-h][1-8])"
    r"(?:=?(?P<promotion>[QRBNKPqrbnkp]))?(?P<check>[+#]*)$"
)
MOVE_NUMBER = re.compile(r"^(\d+)?\s*((?:[.\u2026]\s*)+)(?=\S)")
"""A number with its dots, or Black's dots alone, before a move."""

_QUOTED = re.compile(
    r"^(?:\*\*|__|[`'\"*_$(\[\u201c\u201d\u201e\u2018\u2019\u201a\u00ab\u2039])(.+?)"
    r"(?:\*\*|__|[`'\"*_$)\]\u201c\u201d\u2018\u2019\u00bb\u203a])$"
)
_TEX = re.compile(r"^\\(?:(?:boxed|text|mathrm|mathbf)\{(.*)\}|\((.*)\\\))$")
_ANNOTATIONS = re.compile(r"(?:\s*(?:e\.?p\.?|\$\d+|[!?]+|[.,;]))+$")
_PROMOTED = re.compile(r"(?<=[18])(?:\(([QRBNqrbn])\)|/([QRBNqrbn]))")
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
    core = text.strip()

    def become(bare: str, note: str) -> None:
        nonlocal core
        if bare != core:
            notes.append(note)
            core = bare

    become(_without_invisible(unicodedata.normalize("NFKC", core)), "unicode")
    become(core.translate(_DASHES), "dash")
    if core in _NULL:
        return core, ()
    become(_unwrapped(core), "wrapped")
    number = MOVE_NUMBER.match(core)
    if number:
        due = _is_due(board, number)
        become(core[number.end() :], "move number" if due else "wrong move number")
        become(_unwrapped(core), "wrapped")
    # An en-passant mark and a full stop say nothing false; they are only not standard.
    become(_ANNOTATIONS.sub("", core).strip() or core, "annotation")
    become(re.sub(r"[+#]+([+#])$", r"\1", core), "annotation")
    become(_PROMOTED.sub(r"=\1\2", core), "promotion")
    return core, tuple(dict.fromkeys(notes))


def _without_invisible(text: str) -> str:
    return "".join(c for c in text if unicodedata.category(c) != "Cf").strip()


def _unwrapped(text: str) -> str:
    """`text` without the quotes, stars, brackets and TeX around it."""
    while True:
        bare = _TEX.sub(lambda m: m[1] or m[2] or "", text)
        bare = _QUOTED.sub(r"\1", bare).strip()
        if bare == text:
            return bare
        text = bare


def _is_due(board: chess.Board, number: re.Match[str]) -> bool:
    """Whether a move number is the one of this turn; more than one dot says that Black moves."""
    whose = (number[2].count(".") == 1) == board.turn
    return whose and number[1] in (None, str(board.fullmove_number))


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
    error_class, reason, squares = why_no_castle(board, kingside)
    return Reading(text, None, error_class, reason, notes, (), squares)


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
        meant = Intent(board, self.kind, self.file, self.rank, self.target)
        error_class, reason, squares = meant.why_not()
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
        reason = f"the {piece}s on {listed(names)} can both go to {target}: write {options}"
        if len(names) > 2:
            reason = reason.replace("can both", "can all")
        return Reading(self.text, None, "ambiguous", reason, notes, (), tuple(names))


def _false_check(board: chess.Board, move: chess.Move, mark: str) -> tuple[str, ...]:
    if not mark:
        return ()
    board.push(move)
    check, mate = board.is_check(), board.is_checkmate()
    board.pop()
    if "#" in mark and not mate:
        return ("mate",)
    return () if check else ("check",)


def long_algebraic(board: chess.Board, move: chess.Move) -> str:
    """`move` in long algebraic notation, e.g. `Ng1-f3`, `e5xd6e.p.`, `O-O+`."""
    text = board.lan(move)
    if board.is_en_passant(move):
        core = text.rstrip("+#")
        return core + "e.p." + text[len(core) :]
    return text
