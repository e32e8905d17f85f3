"""Text of a chess game <-> token ids of the embedded model.

The text is a game in long algebraic notation with PGN furniture around it:

    [FEN "8/8/..."] 1. e2-e4 e7-e5 2. Ng1-f3 Nb8-c6 3. Bf1-e2 {Critique of Be2.}

A move is two tokens: *which piece stands where* and *what stands where afterwards*. What
is on a square is then told by the last token that names it, which even a small network
learns to look up; bare from-to squares hide it behind a chain of moves. A comment after a
move means that the move was rejected: the same side is to move again.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import lru_cache

FILES, RANKS = "abcdefgh", "12345678"
SQUARES = [f + r for r in RANKS for f in FILES]
PIECES = "PNBRQKpnbrqk"

#: Words of critiques that have a token of their own; any other word is `<unk>`. A change here
#: makes the shipped weights useless.
WORDS = [
    "a",
    "add",
    "again",
    "algebraic",
    "all",
    "allowed",
    "already",
    "ambiguous",
    "an",
    "and",
    "another",
    "answer",
    "answers",
    "any",
    "are",
    "at",
    "attacked",
    "away",
    "back",
    "be",
    "because",
    "been",
    "before",
    "behind",
    "between",
    "bishop",
    "bishops",
    "black",
    "black's",
    "block",
    "blocked",
    "blocks",
    "board",
    "both",
    "but",
    "by",
    "can",
    "cannot",
    "capture",
    "captured",
    "captures",
    "castle",
    "castled",
    "castles",
    "castling",
    "check",
    "checked",
    "checkmate",
    "choose",
    "could",
    "destination",
    "diagonal",
    "diagonally",
    "did",
    "different",
    "do",
    "does",
    "double",
    "each",
    "empty",
    "end",
    "enemy",
    "every",
    "file",
    "first",
    "for",
    "forward",
    "found",
    "four",
    "from",
    "further",
    "game",
    "give",
    "go",
    "goes",
    "had",
    "has",
    "have",
    "here",
    "if",
    "illegal",
    "in",
    "incomplete",
    "instead",
    "into",
    "is",
    "it",
    "its",
    "just",
    "king",
    "king's",
    "kingside",
    "knight",
    "knights",
    "land",
    "last",
    "leave",
    "leaves",
    "left",
    "legal",
    "line",
    "lost",
    "made",
    "make",
    "mate",
    "means",
    "meant",
    "more",
    "move",
    "moved",
    "moves",
    "moving",
    "must",
    "name",
    "names",
    "need",
    "next",
    "no",
    "none",
    "not",
    "notation",
    "nothing",
    "now",
    "occupied",
    "of",
    "on",
    "once",
    "one",
    "only",
    "onto",
    "open",
    "opponent",
    "or",
    "other",
    "out",
    "over",
    "own",
    "pass",
    "passant",
    "passed",
    "passes",
    "passing",
    "path",
    "pawn",
    "pawns",
    "piece",
    "pieces",
    "pinned",
    "place",
    "played",
    "player",
    "position",
    "promote",
    "promotes",
    "promotion",
    "put",
    "queen",
    "queens",
    "queenside",
    "rank",
    "reach",
    "reached",
    "reaches",
    "reject",
    "rejected",
    "rejects",
    "right",
    "rights",
    "rook",
    "rook's",
    "rooks",
    "same",
    "say",
    "side",
    "sides",
    "since",
    "six",
    "square",
    "squares",
    "stalemate",
    "stand",
    "standing",
    "stands",
    "start",
    "starting",
    "step",
    "steps",
    "still",
    "stop",
    "stops",
    "straight",
    "take",
    "taken",
    "takes",
    "target",
    "than",
    "that",
    "the",
    "their",
    "them",
    "then",
    "there",
    "these",
    "they",
    "this",
    "those",
    "three",
    "through",
    "time",
    "to",
    "too",
    "try",
    "turn",
    "two",
    "twice",
    "unclear",
    "unreadable",
    "use",
    "used",
    "was",
    "way",
    "were",
    "what",
    "when",
    "where",
    "which",
    "while",
    "white",
    "white's",
    "will",
    "with",
    "without",
    "would",
    "write",
    "written",
    "wrong",
    "yes",
    "yet",
    "you",
    "your",
]

PAD, START, UNK, CHECK, MATE, EP, OPEN, CLOSE, SETUP = (
    "<pad>", "<start>", "<unk>", "+", "#", "e.p.", "{", "}", "<setup>",
)  # fmt: skip


def _vocabulary() -> list[str]:
    names = [PAD, START, UNK, CHECK, MATE, EP, OPEN, CLOSE, SETUP]
    names += [f"castling:{c}" for c in "KQkq"]
    names += [f"{p}{s}<" for p in PIECES for s in SQUARES]
    names += [f"{p}{s}>" for p in PIECES for s in SQUARES]
    names += SQUARES
    names += sorted(set(WORDS))
    return names + [f"<spare{i}>" for i in range(-len(names) % 64)]


VOCABULARY = _vocabulary()
ID = {name: i for i, name in enumerate(VOCABULARY)}
FROM, TO = ID["Pa1<"], ID["Pa1>"]
CONTINUATIONS = [ID[CHECK], ID[MATE], ID[EP]]
"""Tokens that belong to the word before them, and so never begin an answer."""

_MOVE = r"[KQRBN]?[a-h][1-8][-x]?[a-h][1-8](?:=[QRBN])?(?:e\.p\.)?[+#]?|O-O(?:-O)?[+#]?"
_SCAN = re.compile(
    r"\[FEN \"(?P<fen>[^\"]*)\"\]"
    r"|(?P<number>\d+)(?P<dots>\.+)"
    rf"|(?P<move>{_MOVE})(?![A-Za-z0-9])"
    r"|(?P<open>\{)|(?P<close>\})"
    r"|(?P<word>[^\s{}]+)"
)


def move_tokens(move: str, white: bool) -> list[int]:
    """Token ids of one move in long algebraic notation, e.g. `Ng1-f3`, `e7-e8=Q`, `O-O`."""
    return list(_move_tokens(move, white))


@lru_cache(maxsize=65536)
def _move_tokens(move: str, white: bool) -> tuple[int, ...]:
    end = [ID[CHECK]] if move.endswith("+") else [ID[MATE]] if move.endswith("#") else []
    core = move.rstrip("+#")
    if core.startswith("O-O"):
        rank = "1" if white else "8"
        king, rook = ("g", "hf") if core == "O-O" else ("c", "ad")
        parts = [("K", "e", king), ("R", rook[0], rook[1])]
        ids = [i for p, a, b in parts for i in _pair(p, a + rank, p, b + rank, white)]
        return (*ids, *end)
    passant = core.endswith("e.p.")
    core = core.removesuffix("e.p.")
    piece = core[0] if core[0] in "KQRBN" else "P"
    core = core if piece == "P" else core[1:]
    core = core.replace("-", "").replace("x", "")
    after = core[5] if len(core) > 5 else piece
    ids = _pair(piece, core[:2], after, core[2:4], white)
    return (*ids, *([ID[EP]] if passant else []), *end)


def _pair(before: str, source: str, after: str, target: str, white: bool) -> list[int]:
    before, after = (before, after) if white else (before.lower(), after.lower())
    return [ID[f"{before}{source}<"], ID[f"{after}{target}>"]]


def setup_tokens(fen: str) -> list[int]:
    """Token ids of a starting position: every piece, then the castling rights."""
    fields = fen.split()
    ids = [ID[SETUP]]
    for rank, row in zip("87654321", fields[0].split("/"), strict=False):
        column = 0
        for c in row:
            if c in PIECES and column < 8:
                ids.append(ID[f"{c}{FILES[column]}{rank}>"])
            column += int(c) if c.isdigit() else 1
    rights = fields[2] if len(fields) > 2 else ""
    return ids + [ID[f"castling:{c}"] for c in rights if c in "KQkq"]


def encode(text: str) -> tuple[list[int], bool]:
    """Token ids of `text`, and whether White is to move at its end.

    Never fails: what it doesn't know becomes `<unk>`.
    """
    ids: list[int] = [ID[START]]
    white, inside, moved = True, False, False
    for match in _SCAN.finditer(text):
        kind, piece = match.lastgroup, match.group()
        if match["fen"] is not None:
            ids = setup_tokens(match["fen"])
            white = " b " not in match["fen"]
        elif kind == "dots":
            if not inside:
                white, moved = match["dots"] == ".", False
        elif kind == "move":
            # Inside a comment the side that was refused is still the one to move.
            ids += move_tokens(piece, white)
            if not inside:
                white, moved = not white, True
        elif kind == "open":
            ids.append(ID[OPEN])
            if moved:
                white, moved = not white, False
            inside = True
        elif kind == "close":
            ids.append(ID[CLOSE])
            inside = False
        else:
            word = piece.strip(".,:;!?()\"'").lower()
            if word:
                ids.append(ID.get(word, ID[UNK]))
    return ids, white


def decode_move(first: int, second: int) -> str | None:
    """The move that two generated tokens spell, or None where they are no move."""
    if not (FROM <= first < TO and TO <= second < TO + 768):
        return None
    before, after = VOCABULARY[first], VOCABULARY[second]
    source, target = before[1:3], after[1:3]
    piece = before[0].upper()
    if piece == "K" and source in ("e1", "e8") and source[1] == target[1] and target[0] in "gc":
        return "O-O" if target[0] == "g" else "O-O-O"
    letter = "" if piece == "P" else piece
    promotion = "=" + after[0].upper() if after[0] != before[0] else ""
    return f"{letter}{source}{target}{promotion}"


class Move:
    """The form of an answer: one move, or the word that stands in its place."""

    def barred(self, position: int) -> Sequence[int]:
        """A move begins a new word, so what only continues the last one can't begin it."""
        return CONTINUATIONS if position == 0 else ()

    def ended(self, written: Sequence[int]) -> bool:
        """After the square it goes to, or at once where no piece was named."""
        return len(written) == 2 or not FROM <= written[0] < TO

    def text(self, written: Sequence[int]) -> str:
        """In long algebraic notation; tokens that spell no move by their names."""
        move = decode_move(written[0], written[1]) if len(written) == 2 else None
        return move or " ".join(VOCABULARY[i] for i in written)


MOVE = Move()


def describe(ids: Sequence[int]) -> str:
    """The tokens in words, for people who look inside."""
    return " ".join(VOCABULARY[i] for i in ids)


def fingerprint() -> str:
    """Of the vocabulary: weights made for another one must not be loaded."""
    return hashlib.sha256("\n".join(VOCABULARY).encode()).hexdigest()[:16]
