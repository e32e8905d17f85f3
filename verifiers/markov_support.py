"""Can this symbol follow the last one at all: has it a probability above 0?

For the Markov task this verifier equals the oracle of correctness. It says nothing of how
likely a symbol is: a possible answer passes, however the model came to prefer it.
"""

from __future__ import annotations

from collections.abc import Sequence

from agent.types import Answer, Question
from tasks.markov.chain import Chain


class MarkovSupport:
    """Reads `question.state["rows"]` (hundredths) and `["previous"]`."""

    name = "markov-support"
    version = "1"
    """Goes up when any answer is judged otherwise."""

    def __call__(self, question: Question, answer: Answer) -> str | None:
        """Pass a possible symbol; of any other say what could have come."""
        chain, last = Chain(question.state["rows"]), question.state["previous"]
        if answer in chain.possible(last):
            return None
        fault = f"can't follow {last}" if answer in chain.states else "is no letter of the chain"
        return f"{answer} {fault}: after {last} come {chain.law(last)}."

    def candidates(self, question: Question) -> list[str]:
        """Every possible symbol."""
        return Chain(question.state["rows"]).possible(question.state["previous"])

    known_good: Sequence[tuple[Question, Answer]] = ()
    known_bad: Sequence[tuple[Question, Answer]] = ()


_ROWS = {"A": {"B": 25, "D": 75}, "B": {"A": 50, "C": 50}, "C": {"C": 1, "D": 99},
         "D": {"A": 40, "B": 60}}  # fmt: skip


def _ask(last: str) -> Question:
    return Question(messages=(), prefix="", state={"rows": _ROWS, "previous": last})


MarkovSupport.known_good = [(_ask("A"), "B"), (_ask("A"), "D"), (_ask("C"), "C")]
MarkovSupport.known_bad = [(_ask("A"), a) for a in ("A", "C", "E", "b", "", None)]

markov_support = MarkovSupport()
