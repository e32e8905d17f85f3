"""A verifier made worse by known amounts: how good must one be for correction to pay?"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Awaitable
from typing import Any

from agent.errors import UsageError
from agent.types import Answer, AnyVerifier, Json, Question, Verdict

CRITIQUE = "That answer is wrong."
"""All that can be said against a right answer: any reason would be a lie in detail."""


class Noisy:
    """The wrapped verifier, with a set share of its verdicts turned round.

    Which ones is decided by the seed, the question and the answer: asked again, it says the
    same again. The examples of the wrapped one are not its own, noise would fail them.

    >>> contrary = Noisy(lambda question, answer: None, false_reject=1.0)
    >>> contrary(Question(messages=(), prefix=""), "e4").critique
    'That answer is wrong.'
    """

    def __init__(
        self,
        verifier: AnyVerifier,
        *,
        false_accept: float = 0.1,
        false_reject: float = 0.05,
        seed: int = 0,
    ) -> None:
        """Raises `UsageError` for a rate that is no probability.

        false_accept: share of the answers it would fail that pass.
        false_reject: share of the answers it would pass that fail.
        """
        for option, rate in (("false_accept", false_accept), ("false_reject", false_reject)):
            if not 0 <= rate <= 1:
                raise UsageError(f"{option} must be a rate from 0 to 1, got {rate!r}")
        inner: Any = verifier() if isinstance(verifier, type) else verifier
        self.false_accept, self.false_reject, self.seed = false_accept, false_reject, seed
        self.name = f"noisy({_name(inner)})"
        self.version = f"false accept {false_accept}, false reject {false_reject}, seed {seed}"
        if version := getattr(inner, "version", None):
            self.version += f", of {version}"
        # What the wrapped one leaves to the default is left to it here too.
        for setting in ("severity", "timeout", "candidates"):
            if hasattr(inner, setting):
                setattr(self, setting, getattr(inner, setting))
        self._inner = inner

    def __call__(self, question: Question, answer: Answer) -> Any:
        """The wrapped verdict or its opposite; awaitable where the wrapped one is."""
        result = self._inner(question, answer)
        if inspect.isawaitable(result):
            return self._later(question, answer, result)
        return self._disturbed(question, answer, result)

    async def _later(self, question: Question, answer: Answer, result: Awaitable[Any]) -> Any:
        return self._disturbed(question, answer, await result)

    def _disturbed(self, question: Question, answer: Answer, result: Any) -> Any:
        """Only a pass or a failure has an opposite; anything else goes through as it came."""
        verdict = result
        if result is None or isinstance(result, str):
            verdict = Verdict(verifier=self.name, outcome="pass" if result is None else "fail")
        outcome = verdict.outcome if isinstance(verdict, Verdict) else None
        chance = self._chance(question, answer)
        if outcome == "pass" and chance < self.false_reject:
            return _turned(verdict, "fail", CRITIQUE, {"noise": "false reject"})
        if outcome == "fail" and chance < self.false_accept:
            return _turned(verdict, "pass", "", {"noise": "false accept"})
        return result

    def _chance(self, question: Question, answer: Answer) -> float:
        """Uniform on [0, 1), and always the same for the same question and answer."""
        key = json.dumps([self.seed, question.hash, answer], sort_keys=True)
        digest = hashlib.blake2b(key.encode(), digest_size=6).digest()
        return int.from_bytes(digest, "big") / 2**48


def _turned(verdict: Verdict, outcome: str, critique: str, evidence: Json) -> Verdict:
    """What it cost stays: tokens were spent on the verdict all the same."""
    return verdict.model_copy(
        update={"outcome": outcome, "critique": critique, "evidence": evidence}
    )


def _name(verifier: Any) -> str:
    given = getattr(verifier, "name", None) or getattr(verifier, "__name__", None)
    return str(given or type(verifier).__name__)
