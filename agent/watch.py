"""What one may listen to while a run goes on."""

from __future__ import annotations

from agent.arms import Arm
from agent.types import Attempt, Question, Step


class Watcher:
    """Override what is of interest; called in order, in the loop's own thread."""

    def on_attempt(
        self, arm: Arm, seed: int, step: int, question: Question, attempt: Attempt
    ) -> None:
        """An answer was given and judged."""

    async def on_step(self, arm: Arm, seed: int, step: Step) -> None:
        """A step was accepted; the next one begins when this returns."""
