"""Let a skills file err, criticise the errors, and write them down followed by what is right.

    python training/skill_corrections.py --games games.txt.gz --weights skills.safetensors \\
        --skills code --out code.jsonl --minutes 3

At one answer of every lesson the model gives its own; where that is wrong the lesson is written
down with it, what the loop says of it, and the right answer; often it is asked twice. The
rejected answer and the critique carry no weight in the loss.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import random
import time
from collections import Counter
from pathlib import Path

import lessons
from lessons import Lesson, Piece

from agent.models.tiny import skills, text
from agent.models.tiny.language import LanguageModel, Request

BATCH = 64


class Pupil:
    """A skills file that is asked in batches."""

    def __init__(self, weights: Path, temperature: float) -> None:
        self.weights, self.temperature = weights, temperature
        self.models: dict[str, LanguageModel] = {}

    def answers(self, prefixes: list[str], seed: int) -> list[str]:
        """An answer to each of these texts, which all ask for the same skill."""
        skill = skills.asked(prefixes[0])
        assert skill is not None, prefixes[0]
        if skill.part not in self.models:
            known = text.fingerprint()
            model = LanguageModel(self.weights, known, self.temperature, skill.part)
            self.models[skill.part] = model
        requests = [Request(skill.read(p), seed + i, skill) for i, p in enumerate(prefixes)]
        out: list[str] = []
        for at in range(0, len(requests), BATCH):
            done = self.models[skill.part].complete(requests[at : at + BATCH])
            out += [completion.text for completion in done]
        return out


def given(answer: str, piece: Piece) -> str:
    """The answer as the loop quotes it: what stands in a piece is the answer and its marks."""
    return answer if piece.text.startswith("    ") else answer.strip()


def corrected(batch: list[Lesson], pupil: Pupil, rng: random.Random) -> tuple[list[Lesson], int]:
    """The lessons in which the pupil erred, and how often it did at the first attempt."""
    at = [rng.choice([i for i, piece in enumerate(x) if piece.judge]) for x in batch]
    wrong: list[Lesson] = [x[:i] for x, i in zip(batch, at, strict=True)]
    going, first = list(range(len(batch))), 0
    for attempt in range(2):
        prefixes = ["".join(piece.text for piece in wrong[i]) for i in going]
        answers = pupil.answers(prefixes, rng.getrandbits(31)) if going else []
        still = []
        for i, prefix, answer in zip(going, prefixes, answers, strict=True):
            piece = batch[i][at[i]]
            assert piece.judge is not None
            answer = given(answer, piece)
            critique = piece.judge(answer)
            if critique is not None:
                wrong[i].append(lessons.retry(prefix, answer, piece, critique, rng))
                still.append(i)
        first += len(still) * (attempt == 0)
        going = still
    written = [
        [*kept, *x[i:]] for kept, x, i in zip(wrong, batch, at, strict=True) if len(kept) > i
    ]
    return written, first


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--games", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--skills", nargs="+", choices=lessons.SKILLS, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    lessons.GAMES = args.games
    rng = random.Random(f"corrections:{args.seed}")
    pupil = Pupil(args.weights, 1.0)
    asked: Counter[str] = Counter()
    erred: Counter[str] = Counter()
    began, n = time.time(), 0
    with args.out.open("w") as file:
        while time.time() - began < args.minutes * 60:
            name = args.skills[n % len(args.skills)]
            n += 1
            batch = [lessons.SKILLS[name][0](rng) for _ in range(BATCH)]
            written, first = corrected(batch, pupil, rng)
            asked[name] += len(batch)
            erred[name] += first
            for lesson in written:
                plain = [dataclasses.replace(piece, judge=None, probe=None) for piece in lesson]
                file.write(json.dumps([dataclasses.asdict(piece) for piece in plain]) + "\n")
    for name, count in asked.items():
        print(f"{name}: {erred[name]} errors in {count} answers")


if __name__ == "__main__":
    main()
