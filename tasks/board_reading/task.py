"""Board reading as a task: "Where is the white rook?", of one position in several descriptions.

Every step is a fresh question without history. In style `all` the same question is asked once
in each description, so that the styles are compared within the episode, position by position.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import chess

from agent.errors import ParseFailure, UsageError
from agent.types import AfterError, Answer, Frozen, Json, Message, Question, Score
from tasks.answers import answer_line
from tasks.board_reading import positions, prompts
from tasks.board_reading.positions import Inquiry

ASKS = ("both", "where", "what")


class BoardReadingState(Frozen):
    """How many questions were answered; seed and number decide the next."""

    seed: int
    """Of the episode."""
    answered: int = 0
    """Questions so far."""
    ended: str | None = None
    """Why the episode is over."""


class BoardReading:
    """The task. Every option can be given on the command line as `--set name=value`."""

    name = "board-reading"
    verifiers: Sequence[str] = ("board-lookup",)
    oracle_verifiers: Sequence[str] = ("board-lookup",)
    styles: Sequence[str] = ("all", *prompts.STYLES)

    def __init__(
        self,
        *,
        horizon: int = 60,
        style: str = "all",
        position: str = "seeded",
        pieces: int = 12,
        ask: str = "both",
    ) -> None:
        """Raises `UsageError` for a value that does not fit.

        horizon: questions of an episode.
        style: one of `prompts.STYLES`, or `all` in turns.
        position: `seeded`, `seed` for that of the discussion, or a FEN.
        pieces: how many a seeded position has, 3 to 32, both kings among them.
        ask: `where` a piece is, `what` is on a square, `both`; or about one alone, as
            `white rook` or `d8`.
        """
        if horizon < 1:
            raise UsageError(f"horizon must be at least 1, got {horizon!r}")
        if style not in self.styles:
            raise UsageError(f"style {style!r} is not one of: {', '.join(self.styles)}")
        if not 3 <= pieces <= 32:
            raise UsageError(f"pieces must be 3 to 32, got {pieces!r}")
        if ask not in (*ASKS, *positions.PIECES, *chess.SQUARE_NAMES):
            raise UsageError(f"ask {ask!r} is not one of: {', '.join(ASKS)}, "
                             "a piece such as 'white rook', a square such as d8")  # fmt: skip
        self.horizon, self.style, self.pieces, self.ask = horizon, style, pieces, ask
        self.position = position
        self._fixed = None if position == "seeded" else _board(position)
        if self._fixed is not None:
            _askable(ask, self._fixed)

    def configuration(self) -> dict[str, Json]:
        """Everything that decides an episode besides its seed."""
        return {
            "horizon": self.horizon, "style": self.style, "position": self.position,
            "pieces": self.pieces, "ask": self.ask, "prompts": prompts.VERSION,
        }  # fmt: skip

    # -- an episode -----------------------------------------------------------------

    def start(self, seed: int) -> BoardReadingState:
        """The first question."""
        return BoardReadingState(seed=seed)

    def question(self, state: BoardReadingState) -> Question:
        """The board in the step's style, and what is asked of it."""
        styles = prompts.STYLES if self.style == "all" else (self.style,)
        number, turn = divmod(state.answered, len(styles))
        board, inquiry = self._drawn(state.seed, number)
        style = styles[turn]
        description = prompts.described(board, style)
        wanted = prompts.WANTED_SQUARE if inquiry.wants_square else prompts.WANTED_PIECE
        user = prompts.USER.format(
            intro=prompts.INTRO[style], board=description, question=inquiry.words
        )
        return Question(
            messages=(
                Message(role="system", content=prompts.SYSTEM.format(wanted=wanted)),
                Message(role="user", content=user),
            ),
            prefix=prompts.plain(description, inquiry.words),
            state={"board": board.board_fen(), "about": inquiry.about, "style": style},
            aside=prompts.ASIDE.format(question=inquiry.words),
        )

    def parse(self, text: str, state: BoardReadingState) -> str:
        """The square or piece in the answer's line."""
        inquiry = Inquiry(self.question(state).state["about"])
        try:
            return positions.read(answer_line(text), inquiry.wants_square)
        except ValueError as error:
            raise ParseFailure(str(error)) from None

    def advance(
        self, state: BoardReadingState, answer: Answer, after_error: AfterError
    ) -> BoardReadingState:
        """The next question; no answer is shown again, so nothing is left or repaired."""
        ended = None
        if after_error == "stop" and not self.score(self.question(state), answer).correct:
            ended = "first error"
        return state.model_copy(update={"answered": state.answered + 1, "ended": ended})

    def done(self, state: BoardReadingState) -> str | None:
        """`first error`, else only the horizon ends it."""
        return state.ended

    # -- the truth --------------------------------------------------------------------

    def score(self, question: Question, answer: Answer) -> Score:
        """Right is what the board says.

        Where a piece stands several times any of its squares is right. `right_STYLE`: the same,
        for the answers in that style alone.
        """
        board = chess.BaseBoard(question.state["board"])
        inquiry = Inquiry(question.state["about"])
        right = answer in inquiry.answers(board)
        return Score(
            correct=right,
            error_class=None if right else _fault(board, inquiry, answer),
            measures={f"right_{question.state['style']}": right},
        )

    def picture(self, question: Question) -> str:
        """The board, whatever the style, and the question."""
        board = chess.BaseBoard(question.state["board"])
        rows = board.unicode(empty_square="\u00b7").splitlines()
        lines = [f"{8 - i} {row}" for i, row in enumerate(rows)]
        return "\n".join([*lines, "  a b c d e f g h", Inquiry(question.state["about"]).words])

    # -- inside -----------------------------------------------------------------------

    def _drawn(self, seed: int, number: int) -> tuple[chess.BaseBoard, Inquiry]:
        rng = random.Random(f"board-reading:{seed}:{number}")
        wanted = self.ask if self.ask in positions.PIECES else None
        board = self._fixed
        if board is None:
            board = positions.placed(rng, self.pieces, wanted)
        asked = positions.inquiry(rng, board, self.ask) if self.ask in ASKS else Inquiry(self.ask)
        return board, asked


def _board(position: str) -> chess.BaseBoard:
    try:
        field = positions.SEED_POSITION if position == "seed" else position.split()[0]
        return chess.BaseBoard(field)
    except (ValueError, IndexError) as error:
        raise UsageError(f"position {position!r} is not seeded, seed or a FEN: {error}") from None


def _askable(ask: str, board: chess.BaseBoard) -> None:
    """Raises `UsageError` where the position has nothing to be asked about like that."""
    if ask in positions.PIECES and not Inquiry(ask).answers(board):
        raise UsageError(f"ask {ask!r}: there is none in this position")
    if ask in ("both", "where") and not positions.single(board):
        raise UsageError(f"ask {ask!r}: no piece is there just once in this position")


def _fault(board: chess.BaseBoard, inquiry: Inquiry, answer: Answer) -> str:
    """The class of a wrong answer."""
    if answer is None:
        return "unparsable"
    if inquiry.wants_square:
        known = answer in chess.SQUARE_NAMES
        return "empty_square" if known and positions.on(board, answer) == "empty" else "other_piece"
    there = positions.on(board, inquiry.about)
    if "empty" in (answer, there):
        return "piece_missed" if answer == "empty" else "piece_imagined"
    same_colour = str(answer).split(" ")[0] == there.split(" ")[0]
    return "wrong_kind" if same_colour else "wrong_colour"
