"""A checker that the model writes itself, for the task at hand, before anything is checked.

It is a Python function, run in the sandbox. It may judge only if it gets examples right: the
question's own known answers where there are some, else examples that the model gives with it,
and never by what the truth is.
"""

from __future__ import annotations

import ast
import asyncio
import json
import re
from typing import Any

from agent.sandbox import Limits, Tests, runner
from agent.types import Answer, Message, Model, Outcome, Question, Usage, Verdict, total

ASK = """\
Write a checker for answers to the task below: a Python function

def check(state, answer):
    ...

that returns None where `answer` is right and else one sentence that says what is wrong. `state` \
is the JSON below; use the standard library alone. Then give examples: a line `GOOD = [...]` with \
right answers to this task and a line `BAD = [...]` with wrong ones, at least two of each. Reply \
with one block of code, fenced by ```python and ```.

The task:
{task}

The state:
{state}"""

_FENCED = re.compile(r"```[ \t]*(?:python|py)?[ \t]*\n(.*?)(?:\n[ \t]*```|\Z)", re.DOTALL)

_EXAMPLES = """\
assert len(GOOD) >= 2 and len(BAD) >= 2
for answer in GOOD:
    assert check(STATE, answer) is None
for answer in BAD:
    assert isinstance(check(STATE, answer), str)
"""

# A program that does nothing has no list: it does not pass this.
_JUDGE = "assert isinstance(BAD, list)\nassert check(STATE, ANSWER) is None\n"


class Generated:
    """Asks `model` for a checker once for every kind of question, and lets that judge.

    tries: how often it may write one until its examples hold; without one the verifier abstains.
    """

    name = "generated"
    timeout = 300.0

    def __init__(self, model: Model, *, tries: int = 3, limits: Limits | None = None) -> None:
        self.model, self.tries = model, tries
        self.limits = limits or Limits(seconds=2)
        self._checkers: dict[str, asyncio.Task[tuple[str | None, Usage]]] = {}

    async def __call__(self, question: Question, answer: Answer) -> Verdict:
        """Pass or fail by the checker; abstain where no checker was fit to judge."""
        kind = json.dumps(sorted(question.state)) if isinstance(question.state, dict) else ""
        first = kind not in self._checkers
        if first:
            self._checkers[kind] = asyncio.ensure_future(self._write(question))
        checker, spent = await self._checkers[kind]
        usage = spent if first else Usage()
        if checker is None:
            evidence = {"reason": f"no checker in {self.tries} tries got its own examples right"}
            return Verdict(verifier=self.name, outcome="abstain", evidence=evidence, usage=usage)
        verdict = await self._judge(checker, question, answer)
        return verdict.model_copy(update={"usage": usage})

    async def _judge(self, checker: str, question: Question, answer: Answer) -> Verdict:
        """Judge by what the checker returns."""
        result = await runner(self.limits).judge(checker, _tests(_JUDGE, question, ANSWER=answer))
        if result.outcome == "fail" and result.failure != "wrong_answer":
            # The checker itself broke, or never ended: that says nothing of the answer.
            evidence = {"error": f"the checker breaks: {result.critique}"}
            return Verdict(verifier=self.name, outcome="error", evidence=evidence)
        outcome: Outcome = "abstain" if result.outcome == "void" else result.outcome
        return Verdict(verifier=self.name, outcome=outcome, critique=_said(result.got))

    async def _write(self, question: Question) -> tuple[str | None, Usage]:
        task = "\n\n".join(m.content for m in question.messages) or question.prefix
        asked = ASK.format(task=task, state=json.dumps(question.state))
        put = Question(messages=(Message(role="user", content=asked),), prefix=asked)
        seed, usages = int(put.hash[:7], 16), []
        for attempt in range(self.tries):
            [reply] = await self.model.generate(put, 1, seed + attempt)
            usages.append(reply.usage)
            [code] = _FENCED.findall(reply.text)[-1:] or [reply.text]
            result = await runner(self.limits).judge(code, _tests(_EXAMPLES, question))
            if result.outcome == "pass":
                return code, total(usages)
        return None, total(usages)


def _said(shown: str) -> str:
    """The text whose `repr` is shown."""
    try:
        return str(ast.literal_eval(shown)) if shown else ""
    except (ValueError, SyntaxError):
        return shown  # cut, or no text


def _tests(code: str, question: Question, **values: Any) -> Tests:
    given = {"STATE": question.state, **values}
    # As JSON in a string: what a model answered is data here, whatever it looks like.
    head = "import json\n" + "".join(
        f"{name} = json.loads({json.dumps(json.dumps(value))})\n" for name, value in given.items()
    )
    return Tests(code=head + code, trusted=False)
