"""What the skills file of `tiny` is taught: one generator a skill, each an endless supply of texts.

A text is a list of pieces; only taught ones carry weight in the loss. A generator takes a
`random.Random` and knows the exact answer; some wrong answers stand in the text with the
critique that the loop would show and the right answer after it.
"""

from __future__ import annotations

import gzip
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise
from pathlib import Path

import chess

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from agent import prompts
from agent.arms import ARMS
from agent.models.tiny import text
from agent.types import Attempt, Question, Usage, Verdict
from tasks.arithmetic import expression as ex
from tasks.arithmetic.prompts import ASIDE
from tasks.board_reading.positions import PIECES, inquiry, placed
from tasks.board_reading.prompts import ASIDE as BOARD_ASIDE
from tasks.board_reading.prompts import STYLES, described
from tasks.chess.rules import long_algebraic, read_move
from tasks.code import family
from tasks.hanoi import rules
from tasks.hanoi.prompts import ASIDE as HANOI_ASIDE
from tasks.markov.chain import Chain
from tasks.markov.task import Markov
from tasks.running_sum.ledger import WORDS, calculation, plain
from tasks.running_sum.prompts import CRITIQUE_ASIDE
from verifiers.board_lookup import board_lookup
from verifiers.equals_calculator import equals_calculator
from verifiers.markov_support import markov_support

Judge = Callable[[str], str | None]
"""What is wrong with an answer, as the loop's verifier says it; None for a right one."""


@dataclass(frozen=True)
class Piece:
    """A stretch of text."""

    text: str
    taught: bool = False
    law: dict[str, float] | None = None
    """The exact probabilities of what could stand here instead; each is one token."""
    probe: Callable[[list[int]], list[int]] | None = None
    """What a teacher says at each of its tokens: a number, or `NOTHING`."""
    judge: Judge | None = None
    """Of an answer in the place of this piece."""
    aside: str = ""
    """How a critique is written after an answer, with the cue once more: `Question.aside`."""


Lesson = list[Piece]

NOTHING = 64
"""Label of a token of which the teacher says nothing."""

ERRING = 0.25
"""Share of answers that are first given wrongly, and criticised."""
FLAGS = 0.3
"""Share of the wrong answers of which only that is said."""


def again(question: Question, wrong: str, critique: str, arm: str) -> Question:
    """As the loop of that arm asks after a wrong answer."""
    verdict = Verdict(verifier="v", outcome="fail", critique=critique)
    attempt = Attempt(text=wrong, answer=wrong, verdicts=(verdict,), prompt_hash="", usage=Usage())
    return prompts.ask(question, [attempt], ARMS[arm])


def retry(prefix: str, wrong: str, piece: Piece, critique: str, rng: random.Random) -> Piece:
    """What the loop adds to `prefix` when it asks again after a wrong answer."""
    question = Question(messages=(), prefix=prefix, aside=piece.aside)
    arm = "flag" if rng.random() < FLAGS else "critique"
    return Piece(again(question, wrong, critique, arm).prefix.removeprefix(prefix))


def erring(
    before: str, piece: Piece, rng: random.Random, wrong: Callable[[], str], share: float = ERRING
) -> list[Piece]:
    """The piece, now and then after one or two wrong answers and what is said of them."""
    retries: list[Piece] = []
    while rng.random() < share and len(retries) < 2:
        answer = wrong()
        critique = piece.judge(answer) if piece.judge else None
        if critique is not None:
            retries.append(retry(before, answer, piece, critique, rng))
    return [*retries, piece]


def encoded(lesson: Lesson) -> list[tuple[Piece, list[int]]]:
    """The tokens of each piece, as they are where the pieces stand in one text."""
    ids = text.encode("".join(piece.text for piece in lesson))
    out, at, end, reached = [], 0, 0, 0
    for piece in lesson:
        begin, reached = at, reached + len(piece.text)
        while end < reached:
            end += len(text.VOCABULARY[ids[at]])
            at += 1
        assert end == reached, f"a token crosses the end of {piece.text!r}"
        out.append((piece, ids[begin:at]))
    return out


# -- what the teacher names -----------------------------------------------------------------------


def squares_of(ids: list[int]) -> list[int]:
    """The square each token of a drawn board reaches, from a8 on; between ranks none."""
    out, at = [], -1
    for i in ids:
        token = text.VOCABULARY[i].strip()
        steps = int(token) if token.isdigit() else int(token.isalpha() or token == ".")
        at += steps
        out.append((7 - at // 8) * 8 + at % 8 if steps else NOTHING)
    return out


def named_squares(ids: list[int]) -> list[int]:
    """The square that each token names; after it the rest of a question goes on to say it.

    A question then looks for a square by what the drawn board says at it.
    """
    out, square = [], NOTHING
    for i in ids:
        token = text.VOCABULARY[i]
        if token in chess.SQUARE_NAMES:
            square = chess.parse_square(token)
        elif token not in ("?", "\n"):
            square = NOTHING
        out.append(square)
    return out


def columns_of(ids: list[int]) -> list[int]:
    """Which token of its line each one is; a line begins after its newline or equals sign."""
    out, column = [], 0
    for i in ids:
        out.append(min(column, NOTHING))
        column = 0 if text.VOCABULARY[i] in ("\n", "=") else column + 1
    return out


def tops_of(ids: list[int]) -> list[int]:
    """At the end of each peg the disc on top of it, 0 for none."""
    tokens = [text.VOCABULARY[i].strip() for i in ids]
    ends = [text.VOCABULARY[i] in ("\nB:", "\nC:") or pair == ("", "move")
            for i, pair in zip(ids, pairwise([*tokens, ""]), strict=True)]  # fmt: skip
    tops = [int(token) if token.isdigit() else 0 for token in ["", *tokens]]
    return [top if end else NOTHING for top, end in zip(tops, ends, strict=False)]


def values_of(ids: list[int], values: Sequence[int]) -> list[int]:
    """At the end of each key its value, counted from -32."""
    tokens = [text.VOCABULARY[i] for i in ids]
    left = iter(values)
    named = [next(left) if after in (" ", " ->") else 99 for _, after in pairwise([*tokens, ""])]
    return [n + 32 if abs(n) < 32 else NOTHING for n in named]


def entries_of(ids: list[int], values: Sequence[int]) -> list[int]:
    """At the end of each number of a dictionary the same label as at the key in a turn."""
    tokens = [text.VOCABULARY[i] for i in ids]
    left = iter(values)
    named = [next(left, 99) if token.isdigit() and after in (" ", "\n") else 99
             for token, after in pairwise([*tokens, ""])]  # fmt: skip
    return [n + 32 if abs(n) < 32 else NOTHING for n in named]


def letters_of(ids: list[int]) -> list[int]:
    """In a row of a chain the letter that the row is of, A as 0; in a sequence each letter."""
    out, row = [], NOTHING
    tokens = [text.VOCABULARY[i] for i in ids]
    for before, token in pairwise(["", *tokens]):
        lone = len(token.strip()) == 1 and token.strip().isupper()
        if before == "After" and lone:
            row = ord(token[-1]) - ord("A")
        elif token == "\n":
            row = NOTHING
        own = ord(token.strip()) - ord("A") if lone and row == NOTHING else NOTHING
        out.append(row if row != NOTHING else own)
    return out


# -- arithmetic ---------------------------------------------------------------------------------


def drawn(rng: random.Random) -> ex.Expression:
    """Mostly as the task draws them, some longer, some of larger numbers."""
    count = rng.choices((1, 2, 3, 4, 5, 6), (16, 24, 24, 18, 14, 4))[0]
    return ex.drawn(rng, count, rng.choices((9, 20, 99), (90, 7, 3))[0])


def wrong_line(before: ex.Expression, rng: random.Random) -> str:
    """A wrong next line: a wrong result three times of four, else a number or a part miscopied."""
    after = ex.reduced(before)
    right = ex.write(after)
    if rng.random() < 0.75:
        operation = reckoned(before)
        off = rng.choice((1, -1, 2, -2, 10, -10, rng.randint(-20, 20)))
        bad = ex.value(operation) + off if rng.random() < 0.85 else -ex.value(operation)
        return ex.write(replaced(before, operation, bad))
    if rng.random() < 0.7:
        return ex.write(ex.misread(after, rng))
    at = rng.randrange(len(right))
    try:
        return ex.write(ex.parse(right[:at] + right[at + rng.randint(1, 2) :]))
    except ValueError:
        return ex.write(ex.misread(after, rng))


def reckoned(before: ex.Expression) -> ex.Operation:
    """The operation that the rule takes first."""
    return next(o for o, after in ex.reductions(before) if after == ex.reduced(before))


def replaced(before: ex.Expression, operation: ex.Operation, result: int) -> ex.Expression:
    """`before` with that operation's value: the very object, not its like elsewhere."""
    if before is operation or isinstance(before, int):
        return result if before is operation else before
    return ex.Operation(
        replaced(before.left, operation, result),
        before.operator,
        replaced(before.right, operation, result),
    )


def arithmetic(rng: random.Random) -> Lesson:
    pieces: Lesson = []
    for i in range(rng.randint(1, 3)):
        now = drawn(rng)
        pieces.append(Piece("\n" * bool(i) + f"{ex.write(now)}\n=", probe=columns_of))
        while not isinstance(now, int):
            before, now = now, ex.reduced(now)
            piece = Piece(
                f" {ex.write(now)}\n",
                taught=True,
                probe=columns_of,
                aside=ASIDE,
                judge=partial(miscalculated, before),
            )
            pieces += erring("=", piece, rng, lambda b=before: wrong_line(b, rng), share=0.1)
            if not isinstance(now, int):
                pieces.append(Piece("="))
    return pieces


def miscalculated(before: ex.Expression, answer: str) -> str | None:
    try:
        after = ex.parse(answer)
    except ValueError as error:
        return f"The next line can't be read: {error}."
    if ex.fault(before, after) is None:
        return None
    return ex.critique(before, after) or "That is not one step."


def arithmetic_verdict(before: ex.Expression, line: str) -> str:
    """`ok`, or the error: the operation where its result is all that is wrong, else the line."""
    after = ex.parse(line)
    if ex.fault(before, after) is None:
        return "ok"
    operation, right = reckoned(before), ex.reduced(before)
    if any(isinstance(p, int) and line == ex.write(replaced(before, operation, p))
           for p in numbers_in(after)):  # fmt: skip
        return f"error: {ex.write(operation)} is {ex.value(operation)}"
    return f"error: it should be {ex.write(right)}"


def numbers_in(expression: ex.Expression) -> list[int]:
    if isinstance(expression, int):
        return [expression]
    return numbers_in(expression.left) + numbers_in(expression.right)


def proofread_arithmetic(rng: random.Random) -> Lesson:
    now = drawn(rng)
    for _ in range(rng.randrange(ex.operations(now))):
        now = ex.reduced(now)
    line = ex.write(ex.reduced(now)) if rng.random() < 0.5 else wrong_line(now, rng)
    head = f"proofread arithmetic\n{ex.write(now)}\n= {line}\nverdict:"
    return [Piece(head, probe=columns_of), verdict_piece(arithmetic_verdict(now, line))]


def verdict_piece(verdict: str) -> Piece:
    """A proofreader's answer; it is right when its first word is."""
    right = verdict.partition(":")[0]

    def judge(answer: str) -> str | None:
        return None if answer.partition(":")[0] == right else "That is not so."

    return Piece(f" {verdict}\n", taught=True, judge=judge, aside=" # {critique}\nverdict:")


# -- running sum --------------------------------------------------------------------------------


def noun(rng: random.Random) -> str:
    """A word of the task, or letters that spell nothing: any key must do."""
    if rng.random() < 0.95:
        return rng.choice(WORDS)
    return "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(3, 6)))


def running_sum(rng: random.Random) -> Lesson:
    keys = list({noun(rng) for _ in range(rng.randint(3, 12))})
    largest = rng.choices((9, 20, 99), (4, 5, 1))[0]
    values = {k: rng.choice((-1, 1)) * rng.randint(1, largest) for k in keys}
    total = 0 if rng.random() < 0.3 else rng.randint(-300, 300)
    entries = partial(entries_of, values=list(values.values()))
    pieces = [Piece(plain(values, total, [], []).removesuffix(" ->"), probe=entries)]
    per_turn = rng.choices((1, 2, 3), (7, 2, 1))[0]
    for _ in range(rng.randint(3, 12)):
        chosen = rng.choices(keys, k=per_turn)
        before, total = total, total + sum(values[k] for k in chosen)
        if abs(total) > 999:
            break
        told = " ".join(chosen)
        work = calculation(before, [values[k] for k in chosen])

        def judge(answer: str, work: str = work) -> str | None:
            return equals_calculator(calculated(work), answer)

        piece = Piece(f" {total}\n", taught=True, judge=judge,
                      aside=CRITIQUE_ASIDE.format(words=told))  # fmt: skip
        numbers = [values[k] for k in chosen]
        pieces.append(Piece(f"{told} ->", probe=partial(values_of, values=numbers)))
        pieces += erring("->", piece, rng, lambda total=total: near(total, rng), share=0.1)
    return pieces


def calculated(work: str) -> Question:
    return Question(messages=(), prefix="", state={"calculation": work})


def near(number: int, rng: random.Random) -> str:
    return str(number + rng.choice((1, -1, 2, 10, -10, rng.randint(-30, 30))))


# -- hanoi --------------------------------------------------------------------------------------


def wrong_move(pegs: str, rng: random.Random) -> str:
    """A move, legal or not, seldom the right one."""
    kind = rng.random()
    if kind < 0.5:
        return str(rng.choice(rules.legal_moves(pegs)))
    source, target = rng.sample(rules.PEGS, 2)
    top = rules.top(pegs, source)
    if kind < 0.8 and top:
        return str(rules.Move(top, source, target))
    return str(rules.Move(rng.randint(1, len(pegs)), source, target))


def hanoi(rng: random.Random) -> Lesson:
    discs = rng.randint(3, 9) if rng.random() < 0.3 else rng.randint(10, 20)
    step = rng.randrange(2**discs - 1)
    if rng.random() < 0.5:
        # Disc k moves once in 2^k moves: drawn evenly, lest the large ones are never seen.
        disc = rng.randint(2, discs)
        step = ((2 * rng.randrange(1 << (discs - disc)) + 1) << (disc - 1)) - 1
    pegs = rules.after(discs, step)
    right = str(rules.best_move(pegs))

    def judge(answer: str) -> str | None:
        if answer == right:
            return None
        try:
            broken = rules.illegal(pegs, rules.read(answer))
        except ValueError as error:
            return f"{error}."
        return broken[1] if broken else "That move is not on the shortest way."

    piece = Piece(f" {right}\n", taught=True, judge=judge, aside=HANOI_ASIDE)
    retries = erring("move:", piece, rng, lambda: wrong_move(pegs, rng), share=0.12)
    return [Piece(rules.plain(pegs, step), probe=tops_of), *retries]


# -- markov -------------------------------------------------------------------------------------


def markov(rng: random.Random) -> Lesson:
    states = rng.choices((2, 3, 4, 5, 6, 7, 8), (1, 2, 3, 4, 8, 2, 1))[0]
    task = Markov(states=states, chain_seed=rng.getrandbits(40) + 10_000,
                  impossible=rng.choice((0.1, 0.2, 0.3, 0.3, 0.4)))  # fmt: skip
    chain: Chain = task.chain
    state = task.start(rng.getrandbits(32))
    pieces = [Piece(task.question(state).prefix, probe=letters_of)]
    last = state.symbols[-1]
    for _ in range(rng.randint(4, 60)):
        law = {f" {b}": chain.probability(last, b) for b in chain.possible(last)}
        asked = Question(messages=(), prefix="", state={"rows": chain.rows, "previous": last})
        symbol = chain.draw(last, rng)
        piece = Piece(f" {symbol}", taught=True, law=law, probe=letters_of,
                      judge=partial(markov_support, asked), aside=" [{critique}]")  # fmt: skip
        # Critiques state the law again and are long: few of them.
        pieces += erring("", piece, rng, lambda: rng.choice(chain.states), share=0.04)
        last = symbol
    return pieces


# -- boards -------------------------------------------------------------------------------------

GAMES = Path("games.txt.gz")
"""Games as `generate_games.py` makes them; the last ones are held out."""
HELD_GAMES = 600
TAUGHT_GAMES = 2000


@cache
def positions(held_out: bool) -> list[str]:
    """Some twenty positions a game, as FEN."""
    rng, fens = random.Random("positions"), []
    with gzip.open(GAMES, "rt") as file:
        lines = file.read().splitlines()
    for line in lines[-HELD_GAMES:] if held_out else lines[:TAUGHT_GAMES]:
        board = chess.Board()
        for san in line.split()[:-1]:
            board.push_san(san)
            if rng.random() < 0.2:
                fens.append(board.fen())
    return fens


def position(rng: random.Random, held_out: bool = False) -> chess.Board:
    """From a game, some of them a few random moves on."""
    board = chess.Board(rng.choice(positions(held_out)))
    for _ in range(rng.choice((0, 0, 0, 1, 4))):
        if legal := list(board.legal_moves):
            board.push(rng.choice(legal))
    return chess.Board(board.fen())


def board_reading(rng: random.Random, style: str | None = None) -> Lesson:
    style = style or rng.choices(STYLES, (3, 3, 1, 1, 2))[0]
    most = 24 if style in ("words", "squares") else 32
    board: chess.BaseBoard = placed(rng, rng.choice((12, rng.randint(3, most))))
    if most == 32 and rng.random() < 0.3:
        board = position(rng)
    drawn = style in ("fen", "ascii")
    pieces = [
        Piece(described(board, style), probe=squares_of if drawn else named_squares),
        Piece("\n"),
    ]
    for _ in range(8):
        about = inquiry(rng, board, rng.choice(("where", "what", "what")))
        asked = Question(messages=(), prefix="",
                         state={"board": board.board_fen(), "about": about.about})  # fmt: skip
        piece = Piece(f"{about.answers(board)[0]}\n", taught=True, judge=partial(board_lookup, asked),
                      aside=BOARD_ASIDE.format(question=about.words))  # fmt: skip
        others = chess.SQUARE_NAMES if about.wants_square else [*PIECES, "empty"]
        pieces.append(Piece(f"{about.words}\n", probe=named_squares))
        pieces += erring("\n", piece, rng, lambda others=others: rng.choice(others), share=0.1)
    return pieces


# -- proofreading of chess moves ----------------------------------------------------------------


def candidate(board: chess.Board, rng: random.Random) -> str:
    """A move in long algebraic notation, as likely as not illegal, often by a hair."""
    kind = rng.random()
    legal = list(board.legal_moves)
    if kind < 0.45 and legal:
        return long_algebraic(board, rng.choice(legal))
    pseudo = [m for m in board.pseudo_legal_moves if not board.is_legal(m)]
    if kind < 0.6 and pseudo:
        return unmarked(board, rng.choice(pseudo))
    own = [s for s, p in board.piece_map().items() if p.color == board.turn]
    source = rng.choice(own)
    letter = board.piece_at(source).symbol().upper().replace("P", "")
    if kind < 0.8:
        # Right for its kind on an empty board: blocked, or its own piece is there.
        empty = chess.Board(None)
        empty.set_piece_at(source, board.piece_at(source))
        empty.turn = board.turn
        reach = list(empty.attacks(source)) or list(chess.SQUARES)
        target = rng.choice(reach)
    elif kind < 0.9:
        target = rng.choice(chess.SQUARES)
    else:
        # A piece that was there before, or never.
        source, target = rng.choice(chess.SQUARES), rng.choice(chess.SQUARES)
        if legal and rng.random() < 0.6:
            move = rng.choice(legal)
            target = move.to_square
        letter = rng.choice(("", "N", "B", "R", "Q", "K"))
    mark = "x" if board.piece_at(target) else "-"
    return f"{letter}{chess.square_name(source)}{mark}{chess.square_name(target)}"


def unmarked(board: chess.Board, move: chess.Move) -> str:
    if board.is_castling(move):
        return "O-O" if chess.square_file(move.to_square) == 6 else "O-O-O"
    letter = board.piece_at(move.from_square).symbol().upper().replace("P", "")
    mark = "x" if board.is_capture(move) else "-"
    promotion = f"={chess.piece_symbol(move.promotion).upper()}" if move.promotion else ""
    a, b = chess.square_name(move.from_square), chess.square_name(move.to_square)
    return f"{letter}{a}{mark}{b}{promotion}"


def chess_verdict(board: chess.Board, text: str) -> str:
    reading = read_move(board, text)
    return "ok" if reading.move else f"error: {reading.reason}"


def proofread_chess(rng: random.Random) -> Lesson:
    board = position(rng)
    while board.is_game_over():
        board = position(rng)
    text = candidate(board, rng)
    if rng.random() < 0.5:
        text = text.rstrip("+#").replace("x", "-")
    fen = board.board_fen()
    rest = board.fen()[len(fen) :]
    return [Piece("proofread chess\n"), Piece(fen, probe=squares_of), Piece(f"{rest}\n{text}\nverdict:"),
            verdict_piece(chess_verdict(board, text))]  # fmt: skip


# -- code ---------------------------------------------------------------------------------------


def code(rng: random.Random, held_out: bool = False) -> Lesson:
    problem = family.sample(rng, held_out=held_out)
    piece = Piece(f"{problem.body}\n\n", taught=True, judge=problem.first_failure,
                  aside=f"\n# error: {{critique}}\n{problem.signature}\n")  # fmt: skip
    return [Piece(problem.prefix), *erring("\n", piece, rng, lambda: family.mutant(problem, rng))]


SKILLS: dict[str, tuple[Callable[[random.Random], Lesson], float]] = {
    "arithmetic": (arithmetic, 0.12),
    "running-sum": (running_sum, 0.14),
    "hanoi": (hanoi, 0.15),
    "markov": (markov, 0.07),
    "board-reading": (board_reading, 0.20),
    "proofread-chess": (proofread_chess, 0.08),
    "proofread-arithmetic": (proofread_arithmetic, 0.06),
    "code": (code, 0.09),
}
"""By name: the generator, and the share of tokens."""
