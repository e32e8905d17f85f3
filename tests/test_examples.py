"""Every example is short and runs without a key."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))

SAYS = {
    "compare_runs.py": ["T1", "critique against resample:"],
    "custom_verifier.py": ["without a pass", "no_pawn_moves: judged"],
    "seed_game.py": ["Rxd8   fail: Rxd8 is illegal: Black has no rook", "legal: Kg8-h7", "tiny:"],
    "any_model.py": [" 8. ", "tokens read"],
    "board_styles.py": ["squares ", "empty squares named instead of counted in words:"],
    "code_with_tests.py": [
        "attempt 1: fail",
        "should be 'A.L.', got 'a.l.'",
        "attempt 2: pass",
        "hidden tests: pass",
    ],
    "sandboxed_verifier.py": [
        "right: pass",
        "wrong: fail sort([3, 1, 2]) should be [1, 2, 3]",
        "endless: fail The program took longer than 2 s",
        "hostile: fail",
    ],
    "replay_a_trace.py": ["critique, seed 1: 20 steps", "with a correction"],
}
ARGUMENTS = {"compare_runs.py": ["3", "8"], "board_styles.py": ["", "2"]}


def test_all_examples_are_known_to_this_test() -> None:
    assert {e.name for e in EXAMPLES} == set(SAYS)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.name)
def test_the_example_runs_and_says_what_it_promises(example: Path) -> None:
    keyless = {k: v for k, v in os.environ.items() if not k.startswith("OPENAI_")}
    done = subprocess.run(
        [sys.executable, str(example), *ARGUMENTS.get(example.name, [])],
        capture_output=True, text=True, timeout=120, env=keyless, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for said in SAYS[example.name]:
        assert said in done.stdout
    assert len(example.read_text().splitlines()) < 40
