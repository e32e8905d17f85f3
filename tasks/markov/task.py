"""A Markov chain as a task: draw the next symbol, by a law that the prompt states in full.

P is known exactly, so the drift of what a model samples, log q - log p, is measured and not
estimated; and a symbol of probability 0 is an error that nobody can argue about.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Sequence

from agent.errors import ParseFailure, UsageError
from agent.types import AfterError, Answer, Frozen, Json, Message, Question, Score
from tasks.markov.chain import Chain

PROMPTS = 1
"""Version of the texts below; goes up with any change of a character."""

SYSTEM = (
    "You continue a random sequence of letters, drawn from a Markov chain: how likely a letter "
    "is depends on the letter before it alone. Draw the next letter at random, with exactly the "
    "probabilities given. Answer with that one letter only."
)
USER = "{chain}\n\nThe sequence so far:\n{sequence}\n\nWhich letter is next?"
PREFIX = "{chain}\n\nA sequence drawn from this chain:\n{sequence}"
CHAIN = "The chain (what is not listed is impossible):\n{table}"


class MarkovState(Frozen):
    """The sequence so far, as the model's context shows it."""

    seed: int
    """Of the episode."""
    symbols: tuple[str, ...]
    """From the start symbol on; under `leave` an impossible one stays and is gone on from."""
    ended: str | None = None
    """Why the episode is over."""


class Markov:
    """The task. Every option can be given on the command line as `--set name=value`."""

    name = "markov"
    verifiers: Sequence[str] = ("markov-support",)
    oracle_verifiers: Sequence[str] = ("markov-support",)

    def __init__(
        self,
        *,
        horizon: int = 60,
        states: int = 6,
        chain_seed: int = 1,
        impossible: float = 0.3,
    ) -> None:
        """Raises `UsageError` for a value out of range.

        horizon: answers of the model in an episode.
        states: symbols of the chain, 2 to 26, named A, B, C, ...
        chain_seed: decides the chain; the seed of an episode decides where in it one starts.
        impossible: share of transitions with probability 0, as far as each symbol keeps two
            possible successors.
        """
        if horizon < 1:
            raise UsageError(f"horizon must be at least 1, got {horizon!r}")
        if not 2 <= states <= 26:
            raise UsageError(f"states must be 2 to 26, one letter each, got {states!r}")
        if not 0 <= impossible <= 1:
            raise UsageError(f"impossible must be a share from 0 to 1, got {impossible!r}")
        self.horizon, self.chain_seed, self.impossible = horizon, chain_seed, impossible
        self.chain = Chain.seeded(states, chain_seed, impossible)

    def configuration(self) -> dict[str, Json]:
        """Everything that decides an episode besides its seed."""
        return {
            "horizon": self.horizon, "states": len(self.chain.states),
            "chain_seed": self.chain_seed, "impossible": self.impossible, "prompts": PROMPTS,
        }  # fmt: skip

    # -- an episode -----------------------------------------------------------------

    def start(self, seed: int) -> MarkovState:
        """One symbol, any of them as likely as another."""
        first = random.Random(f"start:{seed}").choice(self.chain.states)
        return MarkovState(seed=seed, symbols=(first,))

    def question(self, state: MarkovState) -> Question:
        """The whole chain, exact, and the sequence so far."""
        table = "\n".join(f"After {a}: {self.chain.law(a)}" for a in self.chain.states)
        shown = {"chain": CHAIN.format(table=table), "sequence": " ".join(state.symbols)}
        return Question(
            messages=(
                Message(role="system", content=SYSTEM),
                Message(role="user", content=USER.format(**shown)),
            ),
            prefix=PREFIX.format(**shown),
            state={
                "rows": {last: dict(row) for last, row in self.chain.rows.items()},
                "previous": state.symbols[-1],
                "length": len(state.symbols),
            },
            aside=" [{critique}]",
        )

    def parse(self, text: str, state: MarkovState) -> str:
        """The letter that the text begins with; in a sentence, the only one it names."""
        text = text.replace("_", " ")
        known = self.chain.states
        # Before a word it may be an article or "I", before an arrow or colon the last letter.
        bare = re.match(r"\W*([A-Za-z])(?![\w'\u2019])(?![ \t]*(?:[a-z]{2}|:|[-=]*>|\u2192))", text)
        if bare and (letter := str(bare[1]).upper()) in known:
            return letter
        found = re.findall(r"(?<![\w'\u2019])[A-Z](?![\w'\u2019])", text)
        named: set[str] = set(found).intersection(known)
        if len(named) == 1:
            return named.pop()
        what = "names several letters" if named else "names no letter of the chain"
        raise ParseFailure(
            f"The answer {what}. Answer with one letter only, {known[0]} to {known[-1]}."
        )

    def advance(self, state: MarkovState, answer: Answer, after_error: AfterError) -> MarkovState:
        """Append the answer, or what `after_error` puts in the place of an impossible one.

        A substitute is drawn from the chain itself, so that a repair adds no drift of its own.
        """
        last = state.symbols[-1]
        known, possible = answer in self.chain.states, answer in self.chain.possible(last)
        if not possible and after_error == "stop":
            return state.model_copy(update={"ended": "first error"})
        symbol = answer
        if not possible and not (known and after_error == "leave"):
            rng = random.Random(f"substitute:{state.seed}:{len(state.symbols)}")
            symbol = self.chain.draw(last, rng)
        return state.model_copy(update={"symbols": (*state.symbols, symbol)})

    def with_errors(self, state: MarkovState, share: float) -> MarkovState:
        """The sequence with that share of its symbols replaced by impossible ones.

        The first and the last stay: from the last the model has to go on.
        """
        symbols = list(state.symbols)
        for i in range(1, len(symbols) - 1):
            rng = random.Random(f"inject:{state.seed}:{i}")
            wrong = sorted(set(self.chain.states) - set(self.chain.possible(symbols[i - 1])))
            if rng.random() < share and wrong:
                symbols[i] = rng.choice(wrong)
        return state.model_copy(update={"symbols": tuple(symbols)})

    def done(self, state: MarkovState) -> str | None:
        """`first error`, else only the horizon ends it."""
        return state.ended

    # -- the truth --------------------------------------------------------------------

    def score(self, question: Question, answer: Answer) -> Score:
        """Right is what is possible; `log_p` and `entropy` of the exact law, in nats."""
        last = question.state["previous"]
        p = 0.0 if answer is None else self.chain.probability(last, answer)
        wrong = "unparsable" if answer is None else "impossible_transition"
        return Score(
            correct=p > 0,
            error_class=None if p else wrong,
            measures={"log_p": math.log(p) if p else None, "entropy": self.chain.entropy(last)},
        )
