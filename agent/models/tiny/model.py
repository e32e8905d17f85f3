"""`tiny`: the language models that ship with this package, as one `Model`.

One continues chess games, the other the short texts of `skills.py`; the text that is asked
decides. A text that neither was taught is refused.
"""

from __future__ import annotations

import re
from pathlib import Path

from agent.errors import ModelError, ModelUnusable, UsageError
from agent.models.tiny import skills, text, tokenizer
from agent.models.tiny.language import LanguageModel, described
from agent.models.tiny.network import MAX_TOKENS
from agent.models.tiny.skills import Skill
from agent.types import Completion, Json, Question

WEIGHTS = Path(__file__).with_name("weights.safetensors")
SKILLS = Path(__file__).with_name("skills.safetensors")

_GAME = re.compile(r"\d\.|\bFEN\b|[a-h][1-8][-x]?[a-h][1-8]|A legal move for (?:White|Black):\Z")


class Tiny:
    """The embedded model.

    temperature: 1 samples as it was taught, 0 always takes the likeliest token.
    """

    preferred_style = "lan"

    def __init__(self, *, temperature: float = 1.0, weights: str | None = None) -> None:
        if not 0 <= temperature <= 10:
            raise UsageError(f"temperature must lie in 0 to 10, got {temperature!r}")
        self.name = "tiny"
        self.temperature = temperature
        path = Path(weights) if weights else WEIGHTS
        self.games = LanguageModel(path, tokenizer.fingerprint(), temperature)
        self._networks: dict[str, LanguageModel] = {}

    def configuration(self) -> dict[str, Json]:
        """Temperature, which weights, and that it continues the plain form."""
        return {
            "temperature": self.temperature, "weights": self.games.metadata.get("fingerprint"),
            "skills": described(SKILLS).get("fingerprint"), "api": "completions",
        }  # fmt: skip

    def network(self, skill: Skill) -> LanguageModel:
        """The one that has a skill, read when first asked. Raises `ModelUnusable` for none."""
        if f"{skill.part}heads" not in described(SKILLS):
            raise ModelUnusable(f"tiny was not taught {skill.name}; {_known()}")
        if skill.part not in self._networks:
            self._networks[skill.part] = LanguageModel(
                SKILLS, text.fingerprint(), self.temperature, skill.part
            )
        return self._networks[skill.part]

    async def generate(self, question: Question, n: int, seed: int) -> list[Completion]:
        """`n` continuations of `question.prefix`: one move, or one answer of the skill it asks.

        Raises `ModelUnusable` for a text of no kind that it was taught, `ModelError` for one
        longer than the network reads.
        """
        prefix = question.prefix
        skill = skills.asked(prefix)
        if skill is not None:
            return await self.network(skill).generate(skill.read(prefix), skill, n, seed)
        if not _GAME.search(prefix):
            raise ModelUnusable(f"tiny can't continue {prefix[:40]!r}; {_known()}")
        ids, _ = tokenizer.encode(prefix)
        if len(ids) > MAX_TOKENS - 8:
            raise ModelError(
                f"the text has {len(ids)} tokens and tiny reads {MAX_TOKENS - 8}: "
                "take a smaller horizon"
            )
        return await self.games.generate(ids, tokenizer.MOVE, n, seed)


def _known() -> str:
    taught = [s.name for s in skills.SKILLS if f"{s.part}heads" in described(SKILLS)]
    return f"it continues chess games, {', '.join(taught)}, each in its own form (see its card)"
