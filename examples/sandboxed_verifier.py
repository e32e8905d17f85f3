"""A verifier of your own that runs a stranger's code: the sandbox does the dangerous part.

python examples/sandboxed_verifier.py
"""

import asyncio

from agent.sandbox import Limits, Tests, runner
from agent.types import Question, Verdict
from agent.verification import Check, judge

BOX = runner(Limits(seconds=2, memory=256))


async def sorts_fast(question, answer):
    """The program must sort, and ten thousand numbers within two seconds."""
    small = Tests(code="assert sort([3, 1, 2]) == [1, 2, 3]", entry="sort")
    large = Tests(code="assert sort(list(range(10000, 0, -1))) == list(range(1, 10001))")
    for tests in (small, large):
        result = await BOX.judge(answer, tests)
        if result.outcome != "pass":
            return Verdict(verifier="", outcome="fail", critique=result.critique)


PROGRAMS = {
    "right": "def sort(xs):\n    return sorted(xs)",
    "wrong": "def sort(xs):\n    return xs",
    "endless": "def sort(xs):\n    while True: pass",
    "hostile": "import os\ndef sort(xs):\n    os.system('rm -rf ~')\n    return os.fork()",
}
for name, program in PROGRAMS.items():
    verdict = asyncio.run(judge(Check.of(sorts_fast), Question(messages=(), prefix=""), program))
    print(f"{name}: {verdict.outcome} {verdict.critique}")
