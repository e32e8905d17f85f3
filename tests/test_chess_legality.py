"""The legality verifier against CHESS as written down twice: tables, and independent logic."""

from __future__ import annotations

import random
import re
from collections import Counter
from functools import lru_cache
from typing import Any

import chess
import independent_chess as independent
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wrong_moves import pairs

from agent.types import Question
from tasks.chess.rules import ERROR_CLASSES, Reading, read_move
from verifiers.chess_legality import ChessLegality, chess_legality

EACH, ALL = 200, 20_000

START = chess.STARTING_FEN
BLACK = "rnbqkbnr/pppppppp/8/8/4P3/8/PPPP1PPP/RNBQKBNR b KQkq - 0 1"
CASTLE = "r3k2r/8/8/8/8/8/8/R3K2R w KQkq - 0 12"
KINGSIDE = "4k3/8/8/8/8/8/8/4K2R w K - 0 12"
PROMOTE = "8/4P3/8/8/8/k7/8/4K3 w - - 0 40"
KNIGHTS = "4k3/8/8/8/8/5N2/8/1N2K3 w - - 0 20"
PASSING = "4k3/8/8/4Pp2/8/8/8/4K3 w - f6 0 20"
BISHOP = "4k3/8/8/8/8/2p5/1P1B4/4K3 w - - 0 20"
NO_CAPTURE = "4k3/8/8/8/8/8/P7/4K1N1 w - - 0 20"
TAKES = "r3k3/8/8/8/8/8/8/R3K3 w - - 0 20"

# -- how a move may be written ------------------------------------------------------------------

READ = [
    (START, " e4\n", "e2e4"), (START, "\u200be4", "e2e4"), (START, "\uff45\uff14", "e2e4"),
    (START, '"e4"', "e2e4"), (START, "'e4'", "e2e4"), (START, "**e4**", "e2e4"),
    (START, "`e4`", "e2e4"), (START, "(e4)", "e2e4"), (START, "$e4$", "e2e4"),
    (START, "\\boxed{e4}", "e2e4"), (START, "1.e4", "e2e4"), (START, "1. e4", "e2e4"),
    (START, "\u201ce4\u201d", "e2e4"), (START, "\u2018e4\u2019", "e2e4"), (START, "\u00abe4\u00bb", "e2e4"),
    (START, "\\(e4\\)", "e2e4"), (START, "$\\boxed{\\text{e4}}$", "e2e4"), (START, "1.**e4**", "e2e4"),
    (BLACK, "...Nf6", "g8f6"), (BLACK, "\u2026Nf6", "g8f6"), (BLACK, "1. ... Nf6", "g8f6"),
    (START, "e4,", "e2e4"), (START, "e4!", "e2e4"), (START, "e4.", "e2e4"), (START, "Nf3$1", "g1f3"),
    (PASSING, "exf6 e.p.", "e5f6"), (PASSING, "exf6e.p.", "e5f6"), (PASSING, "exf6", "e5f6"),
    (CASTLE, "O-O", "e1g1"), (CASTLE, "o-o", "e1g1"), (CASTLE, "OO", "e1g1"),
    (CASTLE, "O-0", "e1g1"), (CASTLE, "0-0", "e1g1"), (CASTLE, "O\u2013O\u2013O", "e1c1"),
    (CASTLE, "O\u2212O", "e1g1"), (CASTLE, "\u041e-\u041e", "e1g1"),
    (CASTLE, "castles kingside", "e1g1"), (CASTLE, "castles queenside", "e1c1"),
    (CASTLE, "castles long", "e1c1"), (CASTLE, "Castling short", "e1g1"), (KINGSIDE, "castles", "e1g1"),
    (CASTLE, "e1g1", "e1g1"), (CASTLE, "e1h1", "e1g1"), (CASTLE, "O-O+", "e1g1"),
    (CASTLE, "0-0-0", "e1c1"),
    (PROMOTE, "e8=Q", "e7e8q"), (PROMOTE, "e8(Q)", "e7e8q"), (PROMOTE, "e8/Q", "e7e8q"),
    (PROMOTE, "e8Q", "e7e8q"), (PROMOTE, "e7e8Q", "e7e8q"), (PROMOTE, "e8=N", "e7e8n"),
    (START, "nf3", "g1f3"), (START, "E4", "e2e4"), (START, "Pe4", "e2e4"),
    (START, "E2E4", "e2e4"), (START, "e2-e4", "e2e4"), (START, "Ng1-f3", "g1f3"),
    (START, "NF3", "g1f3"), (BISHOP, "bxc3", "b2c3"), (BISHOP, "Bxc3", "d2c3"),
    (KNIGHTS, "Nbd2", "b1d2"), (KNIGHTS, "Nfd2", "f3d2"),
]  # fmt: skip


@pytest.mark.parametrize(("fen", "text", "uci"), READ, ids=[repr(r[1]) for r in READ])
def test_a_legal_move_is_read_however_it_is_dressed(fen: str, text: str, uci: str) -> None:
    board = chess.Board(fen)
    # Castling is the king's move of two squares in the library's own form.
    assert read_move(board, text).move == board.parse_uci(uci)


REJECTED = [
    (CASTLE, "castles", "ambiguous", "O-O or O-O-O"),
    (CASTLE, "Kg1", "geometry", "write O-O"),
    (CASTLE, "Ke1g1", "geometry", "write O-O"),
    (PROMOTE, "e8", "missing_promotion", "=Q, =R, =B or =N"),
    (PROMOTE, "e7e8", "missing_promotion", "=Q, =R, =B or =N"),
    (PROMOTE, "e8=K", "missing_promotion", "=Q, =R, =B or =N"),
    (START, "e4=Q", "unparsable", "nothing promotes on e4"),
    (KNIGHTS, "Nd2", "ambiguous", "write Nbd2 or Nfd2"),
    (START, "--", "null", "a move must be made"),
    (START, "0000", "null", "a move must be made"),
    (START, "Z0", "null", "a move must be made"),
    (START, "@@@@", "null", "a move must be made"),
    (START, "", "unparsable", "there is no move"),
    (START, "knight to f3", "unparsable", "not a move"),
    (START, "e7e5", "wrong_side", "it is White's turn and the pawn on e7 is Black's"),
    (START, "e3e4", "no_such_piece", "e3 is empty"),
    (START, "Ng1e2", "own_piece_on_target", "the white pawn on e2 stands there"),
    (START, "Bc4", "path_blocked", "the white pawn on e2 is in the way"),
    (START, "Bg1f3", "no_such_piece", "there is a white knight on g1, not a bishop"),
    (START, "exd3", "pawn_capture_empty", "d3 is empty"),
    (START, "Nd5", "geometry", "none of the knights on b1 and g1 moves to d5"),
    (START, "O-O", "castling_path", "the white bishop on f1 stands between king and rook"),
    ("4k3/8/8/8/8/8/8/4K2R w - - 0 9", "O-O", "castling_rights", "no right to castle kingside"),
    ("4kr2/8/8/8/8/8/8/4K2R w K - 0 9", "O-O", "castling_check", "pass through f1"),
    ("4k1r1/8/8/8/8/8/8/4K2R w K - 0 9", "O-O", "castling_check", "land on g1"),
    ("k3r3/8/8/8/8/8/8/4K2R w K - 0 9", "O-O", "castling_check", "the king on e1 is in check"),
    (PASSING.replace("f6", "-"), "exf6", "ep_not_available", "did not just make a double step"),
    ("k3r3/8/8/8/8/8/4B3/4K3 w - - 0 9", "Bd3", "leaves_king_in_check", "moving the bishop on e2"),
    ("k3r3/8/8/8/8/8/8/B3K3 w - - 0 9", "Bb2", "does_not_answer_check", "does not stop it"),
    ("k3r3/8/8/8/8/8/8/3K4 w - - 0 9", "Ke1", "leaves_king_in_check", "would stand on e1"),
    ("7k/6Q1/6K1/8/8/8/8/8 b - - 0 1", "Kg8", "game_over", "the game is over"),
]  # fmt: skip


@pytest.mark.parametrize(("fen", "text", "wanted", "told"), REJECTED)
def test_a_wrong_move_gets_its_class_and_reason(
    fen: str, text: str, wanted: str, told: str
) -> None:
    reading = read_move(chess.Board(fen), text)
    assert (reading.move, reading.error_class) == (None, wanted)
    assert told in reading.reason


def test_every_class_is_in_the_table() -> None:
    assert {r[2] for r in REJECTED} == set(ERROR_CLASSES)


MARKS = [
    (NO_CAPTURE, "Nxf3", ("capture",)),
    (TAKES, "Ra8", ("no capture",)),
    (START, "e4#", ("mate",)),
    (START, "e4+", ("check",)),
    (TAKES, "Rxa8+", ()),
    (TAKES, "Rxa8", ()),
    (TAKES, "a1a8", ()),
]


@pytest.mark.parametrize(("fen", "text", "marks"), MARKS)
def test_a_false_mark_is_recorded_as_a_false_belief(
    fen: str, text: str, marks: tuple[str, ...]
) -> None:
    reading = read_move(chess.Board(fen), text)
    assert reading.move is not None
    assert reading.false_marks == marks
    assert reading.strict == (not marks)


NOTED = [("12. O-O", "move number"), ("**12.O-O**", "move number"), (".O-O", "move number"),
         ("...O-O", "wrong move number"), ("\u201cO-O\u201d", "wrapped"), ("11. O-O", "wrong move number"), ("12...O-O", "wrong move number"),
         ("o-o", "castling"), ("O-O!?", "annotation"), ("`O-O`", "wrapped")]  # fmt: skip


@pytest.mark.parametrize(("text", "note"), NOTED)
def test_what_was_normalised_is_recorded(text: str, note: str) -> None:
    reading = read_move(chess.Board(CASTLE), text)
    assert note in reading.notes
    assert not reading.strict


# -- against independent logic ----------------------------------------------------------------

position_of, board_of = (
    lru_cache(maxsize=1)(independent.Position),
    lru_cache(maxsize=1)(chess.Board),
)
"""Several texts in a row are of one position."""


@pytest.fixture(scope="module")
def judged() -> list[tuple[str, list[str], str, Reading, str]]:
    """(FEN, record, text, what the verifier reads, the independent class)."""
    out, seen = [], Counter[str]()
    for board, text in pairs(seed=1):
        fen = board.fen(en_passant="fen")
        verdict = position_of(fen).classify(text)
        # By its FEN alone, as the verifier gets it: repetition is not known there.
        reading = read_move(board_of(board.fen()), text)
        seen[verdict or "legal"] += 1
        out.append((fen, [m.uci() for m in board.move_stack], text, reading, verdict))
        if seen.total() - seen["legal"] >= ALL and all(seen[c] >= EACH for c in ERROR_CLASSES):
            break
    return out


def test_the_class_is_the_one_of_independent_logic(judged: Any) -> None:
    confusion = Counter(
        (verdict, reading.error_class or "") for _, _, _, reading, verdict in judged
    )
    assert {pair: n for pair, n in confusion.items() if pair[0] != pair[1]} == {}
    assert sum(n for (verdict, _), n in confusion.items() if verdict) >= ALL
    assert min(confusion[c, c] for c in ERROR_CLASSES) >= EACH
    assert confusion["", ""] > 1000, "legal moves are among them too"


PIECES = {"pawn": "p", "knight": "n", "bishop": "b", "rook": "r", "queen": "q", "king": "k"}
KIND = "|".join(PIECES)
AT = "[a-h][1-8]"


def test_no_critique_says_what_the_board_contradicts(judged: Any) -> None:
    claims: Counter[str] = Counter()
    for fen, moves, text, reading, _ in judged:
        if reading.move is not None:
            continue
        question = Question(
            messages=(), prefix="", state={"fen": fen, "moves": moves, "start": START}
        )
        verdict = chess_legality(question, text)
        assert verdict.outcome == "fail"
        now, _, before = verdict.critique.partition(";")
        where = f"{text!r} on {fen}: {verdict.critique}"
        for kind in check_now(fen, now):
            claims[kind] += 1
        if before and reading.error_class == "no_such_piece":
            check_history(fen, moves, now, before, where)
            claims["history"] += 1
    assert min(claims.values()) > 20, claims
    assert len(claims) >= 12, claims


def check_now(fen: str, said: str) -> list[str]:
    """Assert every claim of a critique about the board; returns the kinds of claims met."""
    position = position_of(fen)
    at = {independent.name(s): p for s, p in position.at.items()}
    met = []

    def claim(kind: str, holds: bool) -> None:
        assert holds, f"{kind}: {said!r} on {fen}"
        met.append(kind)

    body = said.partition(": ")[2]
    for colour, kind, where in re.findall(rf"(white|black) ({KIND}) on ({AT})", body):
        letter = PIECES[kind].upper() if colour == "white" else PIECES[kind]
        claim("coloured piece", at.get(where) == letter)
    for kind, where in re.findall(rf"the ({KIND}) on ({AT})", body):
        claim("piece", at.get(where, "").lower() == PIECES[kind])
    for kind, where in re.findall(rf"the ({KIND})s on ((?:{AT}(?:, | and )?)+)", body):
        for one in re.findall(AT, where):
            claim("pieces", at.get(one, "").lower() == PIECES[kind])
            claim("own pieces", position.mine(independent.square(one)))
    for where in re.findall(rf"({AT}) is empty", body):
        claim("empty", where not in at)
    for side in re.findall(r"it is (White|Black)'s turn", body):
        claim("turn", position.white == (side == "White"))
    for where, owner in re.findall(rf"on ({AT}) is (White|Black)'s", body):
        claim("owner", at[where].isupper() == (owner == "White"))
    none = re.search(rf"(White|Black) has no ({KIND})(?: on (?:the ([a-h]) file|rank (\d)))?", body)
    if none:
        side, kind, file, rank = none.groups()
        letter = PIECES[kind].upper() if side == "White" else PIECES[kind]
        claim("none", not [w for w, p in at.items() if p == letter
                           and file in (None, w[0]) and rank in (None, w[1])])  # fmt: skip
    way = re.search(
        rf"the \w+ on ({AT}) cannot reach ({AT}): the \w+ \w+ on ({AT}) is in the way", body
    )
    if way:
        source, target, blocker = map(independent.square, way.groups())
        claim("in the way", blocker in position.blockers(source, target, position.at))
    checked = re.search(rf"the king on ({AT}) is in check from the \w+ \w+ on ({AT})", body)
    if checked:
        king, by = map(independent.square, checked.groups())
        claim("check", by in position.attackers(king, not position.white))
    hit = re.search(
        rf"(?:stand on|pass through|land on|king on) ({AT}),? attacked by the \w+ \w+ on ({AT})",
        body,
    )
    if hit:
        target, by = map(independent.square, hit.groups())
        attacked = position.reaches(by, target, {by: position.at[by], target: "K"})
        claim("attacked", attacked)
    castle = re.search(r"to castle write (O-O(?:-O)?)", body)
    if castle:
        claim("castle instead", position.classify(castle[1]) == "")
    for san in re.findall(r"write (\S+) or (\S+?)\.?$", body):
        for one in san:
            claim("way to write it", position.classify(one.rstrip(".+#")) == "")
    return met


def check_history(fen: str, moves: list[str], now: str, said: str, where: str) -> None:
    """Assert what a critique says became of a piece, by a replay of its own."""
    white = position_of(fen).white
    told = independent.replay(START, moves)
    moved = re.search(rf"the ({KIND}) from there moved to ({AT}) on move (\d+)", said)
    taken = re.search(
        rf"the (last )?({KIND}) (?:was captured )?on ({AT}) (?:was captured )?on move (\d+)", said
    )
    if moved:
        source = re.search(rf"({AT}) is empty", now)
        assert source, where
        assert any(t["white"] == white and t["from"] == source[1] and t["to"] == moved[2]
                   and t["number"] == int(moved[3]) and t["piece"].lower() == PIECES[moved[1]]
                   for t in told), where  # fmt: skip
    else:
        assert taken, where
        assert any(t["white"] != white and t["taken_on"] == taken[3]
                   and (t["taken"] or "").lower() == PIECES[taken[2]]
                   and t["number"] == int(taken[4]) for t in told), where  # fmt: skip


# -- any text at all --------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 10_000), st.text(max_size=20) | st.from_regex(r"[KQRBNPa-hO0x=+#1-8\-]{1,8}"))
def test_reading_never_raises_and_calls_nothing_illegal_legal(seed: int, text: str) -> None:
    rng = random.Random(seed)
    board = chess.Board()
    for _ in range(rng.randint(0, 60)):
        if board.is_game_over():
            break
        board.push(rng.choice(list(board.legal_moves)))
    reading = read_move(board, text)
    assert (reading.move is None) == (reading.error_class is not None)
    assert reading.move is None or reading.move in board.legal_moves
    assert reading.error_class is None or reading.reason


@pytest.mark.parametrize("style", ["pgn", "lan"])
def test_the_candidates_are_the_legal_moves_and_pass(style: str) -> None:
    for fen in (START, CASTLE, PROMOTE, KNIGHTS, PASSING):
        question = Question(messages=(), prefix="", state={"fen": fen, "style": style})
        candidates = chess_legality.candidates(question)
        assert len(set(candidates)) == chess.Board(fen).legal_moves.count()
        assert all(chess_legality(question, c).outcome == "pass" for c in candidates)


def test_the_three_moves_of_gpt4_are_criticised_with_their_history() -> None:
    from tasks.chess.task import Chess

    task = Chess(start="seed")
    question = task.question(task.start(1))
    told = {m: ChessLegality()(question, m).critique for m in ("Kxd8", "Qxd8", "Rxd8")}
    assert told == {
        "Kxd8": "Kxd8 is illegal: the king on g8 does not move to d8.",
        "Qxd8": "Qxd8 is illegal: the queen on c6 does not move to d8.",
        "Rxd8": "Rxd8 is illegal: Black has no rook; the last rook was captured on d8 on move 25.",
    }
