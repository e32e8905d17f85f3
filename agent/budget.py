"""One object for every limit: tokens, money, seconds."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from agent.errors import BudgetExhausted
from agent.types import Attempt, Usage


@dataclass
class Budget:
    """Limits of a run, None for none. It fails closed: a token or money limit on a server
    that reports no usage stops the run, since nobody could tell when it is reached."""

    tokens: int | None = None
    usd: float | None = None
    seconds: float | None = None
    price: tuple[float, float] | None = None
    """USD per million tokens read and written, where known."""
    spent: Usage = field(default_factory=Usage)
    _began: float = field(default_factory=time.monotonic)

    @property
    def cost(self) -> float | None:
        """USD spent so far; None where the price is unknown."""
        return self.cost_of(self.spent)

    def cost_of(self, usage: Usage) -> float | None:
        """USD that `usage` costs; None where the price is unknown."""
        if self.price is None:
            return None
        read, written = self.price
        return (usage.prompt_tokens * read + usage.completion_tokens * written) / 1e6

    def check(self) -> None:
        """Before each call. Raises `BudgetExhausted`."""
        if self.seconds is not None and time.monotonic() - self._began >= self.seconds:
            raise BudgetExhausted(f"the limit of {self.seconds:g} seconds is reached")
        if self.tokens is not None and self.spent.total >= self.tokens:
            raise BudgetExhausted(f"the limit of {self.tokens} tokens is reached")
        if (self.tokens is not None or self.usd is not None) and self.spent.unreported:
            raise BudgetExhausted("the server reports no usage, so that a limit can't be kept")
        if self.usd is not None:
            if self.cost is None:
                raise BudgetExhausted("a limit in USD needs --price, which is not known here")
            if self.cost >= self.usd:
                raise BudgetExhausted(f"the limit of {self.usd:g} USD is reached")

    def spend(self, attempt: Attempt) -> None:
        """After each attempt, verifiers included."""
        self.spent = sum((v.usage for v in attempt.verdicts), self.spent + attempt.usage)
