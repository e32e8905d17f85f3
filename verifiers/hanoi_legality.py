"""Can this disc be moved there? Legal is not yet right: most legal moves lead astray."""

from __future__ import annotations

from collections.abc import Sequence

from agent.types import Answer, Question, Verdict
from tasks.hanoi import rules


class HanoiLegality:
    """Reads `question.state["pegs"]`, the peg of every disc, the smallest first."""

    name = "hanoi-legality"

    def __call__(self, question: Question, answer: Answer) -> Verdict:
        """Pass a legal move; fail any other with its class and the disc that is in the way."""
        try:
            fault = rules.illegal(question.state["pegs"], rules.read(str(answer)))
        except ValueError as error:
            fault = "unparsable", f"{error}."
        if fault is None:
            return Verdict(verifier=self.name, outcome="pass")
        error_class, sentence = fault
        return Verdict(verifier=self.name, outcome="fail", critique=sentence,
                       evidence={"class": error_class})  # fmt: skip

    def candidates(self, question: Question) -> list[str]:
        """The two or three legal moves."""
        return [str(move) for move in rules.legal_moves(question.state["pegs"])]

    known_good: Sequence[tuple[Question, Answer]] = ()
    known_bad: Sequence[tuple[Question, Answer]] = ()


_POSITION = Question(messages=(), prefix="", state={"pegs": "CAA"})
HanoiLegality.known_good = [(_POSITION, m) for m in ("2 A B", "1 C A", "1 C B")]
HanoiLegality.known_bad = [(_POSITION, m) for m in ("2 A C", "3 A B", "1 A B", "4 A B", "1 C C",
                                                    "A", "", None)]  # fmt: skip

hanoi_legality = HanoiLegality()
