"""Chess written a second time, from the rules alone: a mailbox, no library, nothing of ours.

It reads a FEN and the plain spellings of a move and says legal, or why not. It exists so that
the legality verifier can be held against somebody else's reasoning.
"""

from __future__ import annotations

import re
from functools import cached_property

FILES = "abcdefgh"
KNIGHT = [(1, 2), (2, 1), (-1, 2), (-2, 1), (1, -2), (2, -1), (-1, -2), (-2, -1)]
STRAIGHT = [(1, 0), (-1, 0), (0, 1), (0, -1)]
SLANTED = [(1, 1), (1, -1), (-1, 1), (-1, -1)]
LINES = {"r": STRAIGHT, "b": SLANTED, "q": STRAIGHT + SLANTED}

Square = tuple[int, int]


def square(name: str) -> Square:
    return FILES.index(name[0]), int(name[1]) - 1


def name(at: Square) -> str:
    return FILES[at[0]] + str(at[1] + 1)


class Position:
    def __init__(self, fen: str) -> None:
        rows, turn, rights, passing, clock = fen.split()[:5]
        self.clock = int(clock)
        self.at: dict[Square, str] = {}
        for r, row in enumerate(rows.split("/")):
            f = 0
            for c in row:
                if c.isdigit():
                    f += int(c)
                else:
                    self.at[f, 7 - r] = c
                    f += 1
        self.white = turn == "w"
        self.rights = "" if rights == "-" else rights
        self.passing = None if passing == "-" else square(passing)

    # -- who attacks what ---------------------------------------------------------------

    def is_white(self, at: Square) -> bool:
        return self.at[at].isupper()

    def mine(self, at: Square) -> bool:
        return at in self.at and self.is_white(at) == self.white

    def reaches(self, source: Square, target: Square, board: dict[Square, str]) -> bool:
        """Does the piece on `source` attack `target`, by its way of moving alone?"""
        kind, white = board[source].lower(), board[source].isupper()
        df, dr = target[0] - source[0], target[1] - source[1]
        if kind == "p":
            return abs(df) == 1 and dr == (1 if white else -1)
        if kind == "n":
            return (df, dr) in KNIGHT
        if kind == "k":
            return max(abs(df), abs(dr)) == 1
        return bool(self.way(source, target, kind)) and not self.blockers(source, target, board)

    def way(self, source: Square, target: Square, kind: str) -> list[Square]:
        """The squares from `source` to `target`, the latter included; empty if off its lines."""
        df, dr = target[0] - source[0], target[1] - source[1]
        if source == target or (df and dr and abs(df) != abs(dr)):
            return []
        step = ((df > 0) - (df < 0), (dr > 0) - (dr < 0))
        if step not in LINES[kind]:
            return []
        length = max(abs(df), abs(dr))
        return [(source[0] + step[0] * i, source[1] + step[1] * i) for i in range(1, length + 1)]

    def blockers(self, source: Square, target: Square, board: dict[Square, str]) -> list[Square]:
        kind = board[source].lower()
        return [s for s in self.way(source, target, kind)[:-1] if s in board]

    def attackers(
        self, target: Square, by_white: bool, board: dict[Square, str] | None = None
    ) -> set[Square]:
        board = self.at if board is None else board
        return {
            s
            for s, p in board.items()
            if p.isupper() == by_white and self.reaches(s, target, board)
        }

    def king(self, board: dict[Square, str] | None = None) -> Square:
        wanted = "K" if self.white else "k"
        return next(s for s, p in (board or self.at).items() if p == wanted)

    # -- one piece, one target --------------------------------------------------------------

    def after(self, source: Square, target: Square) -> dict[Square, str]:
        board = dict(self.at)
        piece = board.pop(source)
        if piece.lower() == "p" and target == self.passing and source[0] != target[0]:
            board.pop((target[0], source[1]))
        board[target] = piece
        return board

    def verdict(self, source: Square, target: Square) -> tuple[int, str]:
        """(how far it gets, class) of the piece on `source` going to `target`; class '' is legal."""
        kind = self.at[source].lower()
        df, dr = target[0] - source[0], target[1] - source[1]
        if kind == "p":
            stage, why = self.pawn(source, target, df, dr)
            if why:
                return stage, why
        elif kind == "n" or kind == "k":
            shape = (df, dr) in KNIGHT if kind == "n" else max(abs(df), abs(dr)) == 1
            if not shape:
                return 0, "geometry"
            if self.mine(target):
                return 2, "own_piece_on_target"
        else:
            if not self.way(source, target, kind):
                return 0, "geometry"
            if self.blockers(source, target, self.at):
                return 1, "path_blocked"
            if self.mine(target):
                return 2, "own_piece_on_target"
        board = self.after(source, target)
        checking = self.attackers(self.king(board), not self.white, board)
        if not checking:
            return 4, ""
        before = self.attackers(self.king(), not self.white)
        return 3, "does_not_answer_check" if checking & before else "leaves_king_in_check"

    def pawn(self, source: Square, target: Square, df: int, dr: int) -> tuple[int, str]:
        ahead = dr if self.white else -dr
        home = source[1] == (1 if self.white else 6)
        if df == 0 and (ahead == 1 or (ahead == 2 and home)):
            middle = (source[0], (source[1] + target[1]) // 2)
            if ahead == 2 and middle in self.at:
                return 1, "path_blocked"
            if target in self.at:
                return (2, "own_piece_on_target") if self.mine(target) else (1, "path_blocked")
            return 3, ""
        if abs(df) == 1 and ahead == 1:
            if self.mine(target):
                return 2, "own_piece_on_target"
            if target in self.at or target == self.passing:
                return 3, ""
            beside = self.at.get((target[0], source[1]))
            fifth = source[1] == (4 if self.white else 3)
            if fifth and beside == ("p" if self.white else "P"):
                return 1, "ep_not_available"
            return 1, "pawn_capture_empty"
        return 0, "geometry"

    # -- what is written ------------------------------------------------------------------

    @cached_property
    def over(self) -> bool:
        return self.bare() or self.clock >= 150 or not self.any_legal()

    def any_legal(self) -> bool:
        return any(
            not self.verdict(s, (f, r))[1]
            for s in self.at
            if self.mine(s)
            for f in range(8)
            for r in range(8)
            if s != (f, r)
        )

    def bare(self) -> bool:
        """Too little is left to mate with."""
        rest = [(p.lower(), (s[0] + s[1]) % 2) for s, p in self.at.items() if p.lower() != "k"]
        kinds = sorted(k for k, _ in rest)
        if kinds in ([], ["n"]):
            return True
        return bool(kinds) and set(kinds) == {"b"} and len({c for _, c in rest}) == 1

    def classify(self, text: str) -> str:
        """'' for a legal move, else one of the classes of errors."""
        if text in ("--", "0000", "Z0", "@@@@"):
            return "null"
        if self.over:
            return "game_over"
        if text.rstrip("+#") in ("O-O", "O-O-O"):
            return self.castle(text.rstrip("+#") == "O-O")
        match = re.fullmatch(
            r"([KQRBNP])?([a-h])?([1-8])?[-x]?([a-h][1-8])(?:=?([QRBNKP]))?[+#]?", text
        )
        if not match:
            return "unparsable"
        letter, file, rank, to, promotion = match.groups()
        if letter is None and rank is None and file == "b" and to[0] not in "abc":
            letter, file = "B", None  # no pawn goes there: a bishop in small letters
        target = square(to)
        exact = file is not None and rank is not None
        if exact:
            source = square(file + rank)
            if source not in self.at:
                return "no_such_piece"
            if not self.mine(source):
                return "wrong_side"
            kind = self.at[source].lower()
            if letter and letter.lower() != kind:
                return "no_such_piece"
            if kind == "k" and not letter and self.castles_in_uci(source, target):
                return ""
        else:
            kind = (letter or "P").lower()
        candidates = [
            s
            for s, p in self.at.items()
            if self.mine(s)
            and p.lower() == kind
            and (file is None or FILES[s[0]] == file)
            and (rank is None or s[1] == int(rank) - 1)
            and not (kind == "p" and file is None and s[0] != target[0])
        ]
        if not candidates:
            return self.nobody(kind, file, rank, target)
        results = [self.verdict(s, target) for s in candidates if s != target]
        legal = [r for r in results if not r[1]]
        if legal:
            if kind == "p" and target[1] in (0, 7):
                if promotion in (None, "K", "P"):
                    return "missing_promotion"
                return "" if len(legal) == 1 else "ambiguous"
            if promotion:
                return "unparsable"
            return "" if len(legal) == 1 else "ambiguous"
        return max(results, key=lambda r: r[0])[1] if results else "geometry"

    def nobody(self, kind: str, file: str | None, rank: str | None, target: Square) -> str:
        """Nobody of that kind is there: is it the other side's piece that could do it?"""
        for s, p in self.at.items():
            if self.mine(s) or p.lower() != kind:
                continue
            if file is not None and FILES[s[0]] != file:
                continue
            if rank is not None and s[1] != int(rank) - 1:
                continue
            if kind == "p" and file is None and s[0] != target[0]:
                continue
            other = Position.__new__(Position)
            other.at, other.white, other.rights = self.at, not self.white, ""
            other.passing = None
            if s != target and other.verdict(s, target)[0] >= 3:
                return "wrong_side"
        return "no_such_piece"

    def castles_in_uci(self, source: Square, target: Square) -> bool:
        rank = 0 if self.white else 7
        if source != (4, rank) or target[1] != rank:
            return False
        sides = {6: True, 7: True, 2: False, 0: False}
        return target[0] in sides and self.castle(sides[target[0]]) == ""

    def castle(self, kingside: bool) -> str:
        right = "K" if kingside else "Q"
        if (right if self.white else right.lower()) not in self.rights:
            return "castling_rights"
        rank = 0 if self.white else 7
        between = (5, 6) if kingside else (1, 2, 3)
        if any((f, rank) in self.at for f in between):
            return "castling_path"
        walked = (4, 5, 6) if kingside else (4, 3, 2)
        without = {s: p for s, p in self.at.items() if s != (4, rank)}
        for f in walked:
            # The king does not shield the square behind it from the piece that checks it.
            board = self.at if f == 4 else without
            if self.attackers((f, rank), not self.white, board):
                return "castling_check"
        return ""


def replay(start: str, moves: list[str]) -> list[dict]:
    """What each move of a record did: number, side, piece, squares, and what it took where."""
    position, told = Position(start), []
    board, number = dict(position.at), int(start.split()[5])
    for uci in moves:
        source, target = square(uci[:2]), square(uci[2:4])
        piece = board.pop(source)
        taken_on = target
        if piece.lower() == "p" and source[0] != target[0] and target not in board:
            taken_on = (target[0], source[1])
        taken = board.pop(taken_on, None)
        if piece.lower() == "k" and abs(target[0] - source[0]) == 2:
            rook = (7 if target[0] == 6 else 0, target[1])
            beside = (source[0] + target[0]) // 2, target[1]
            board[beside] = board.pop(rook)
            told.append({"number": number, "white": piece.isupper(), "piece": board[beside],
                         "from": name(rook), "to": name(beside),
                         "taken": None, "taken_on": name(beside)})  # fmt: skip
        promoted = uci[4:]
        if promoted:
            board[target] = promoted.upper() if piece.isupper() else promoted
        else:
            board[target] = piece
        told.append({"number": number, "white": piece.isupper(), "piece": piece,
                     "from": name(source), "to": name(target),
                     "taken": taken, "taken_on": name(taken_on)})  # fmt: skip
        number += piece.islower()
    return told
