"""The model's own tests: written before the program, agreed on among themselves, then judging.

Several suites are sampled for a question. An assertion may judge where at least two suites make
it and no more suites say otherwise of the same call (as in CodeT, arXiv 2207.10397, where
programs and tests that agree support one another).
"""

from __future__ import annotations

import ast
import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from agent.sandbox import Limits, Tests, runner
from agent.types import Answer, Message, Model, Question, Usage, Verdict, total
from verifiers.code_run import verdict

ASK = (
    "Before the function is written, write tests for it: up to ten lines of the form "
    "`assert {entry}(...) == ...` with literal arguments and results that the description alone "
    "decides. Reply with these lines only."
)
PLAIN = "# Tests of {entry}, one assert a line:\nassert {entry}("

FEWEST = 2
"""Suites that must agree on an assertion."""


class GeneratedTests:
    """Reads `question.state["entry"]` and asks `model` what the tests should be.

    suites: how many are sampled for a question, once; what they cost is in the first verdict.
    """

    name = "generated-tests"
    timeout = 300.0

    def __init__(self, model: Model, *, suites: int = 5, limits: Limits | None = None) -> None:
        self.model, self.suites, self.limits = model, suites, limits or Limits()
        self._written: dict[str, asyncio.Task[tuple[list[str], Usage]]] = {}

    async def __call__(self, question: Question, answer: Answer) -> Verdict:
        """Pass or fail by the agreed assertions; abstain where there are none."""
        first = question.hash not in self._written
        if first:
            self._written[question.hash] = asyncio.ensure_future(self._write(question))
        tests, spent = await self._written[question.hash]
        usage = spent if first else Usage()
        if not tests:
            evidence = {"reason": f"no test on which {FEWEST} of {self.suites} suites agree"}
            return Verdict(verifier=self.name, outcome="abstain", evidence=evidence, usage=usage)
        parts = (question.state.get("before"), str(answer))
        program = "\n\n".join(part for part in parts if part)
        suite = Tests(code="\n".join(tests), entry=question.state["entry"], trusted=False)
        judged = verdict(self.name, await runner(self.limits).judge(program, suite))
        return judged.model_copy(update={"usage": usage})

    async def _write(self, question: Question) -> tuple[list[str], Usage]:
        entry = question.state["entry"]
        asked = question.model_copy(
            update={
                "messages": (
                    *question.messages,
                    Message(role="user", content=ASK.format(entry=entry)),
                ),
                "prefix": question.prefix + PLAIN.format(entry=entry),
            }
        )
        seed = int(question.hash[:7], 16)
        replies = await self.model.generate(asked, self.suites, seed)
        suites = [assertions(reply.text, entry) for reply in replies]
        return agreed(suites), total(reply.usage for reply in replies)


def assertions(text: str, entry: str) -> dict[str, str]:
    """What a reply asserts: the call and its result, each as source; the first of a call counts.

    >>> assertions("Sure:\\nassert f(1) == 2\\nassert f(x) == 3", "f")
    {'f(1)': '2'}
    """
    found: dict[str, str] = {}
    for line in _lines(text, entry):
        try:
            [statement] = ast.parse(line).body
        except (SyntaxError, ValueError, RecursionError):
            continue
        pair = _literal(statement, entry)
        if pair:
            found.setdefault(*pair)
    return found


def agreed(suites: Iterable[dict[str, str]]) -> list[str]:
    """The assertions that may judge, as source.

    >>> agreed([{"f(1)": "2"}, {"f(1)": "2", "f(2)": "3"}, {"f(1)": "5"}])
    ['assert f(1) == 2']
    """
    said: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for suite in suites:
        for call, result in suite.items():
            said[call][result] += 1
    tests = []
    for call, results in said.items():
        (result, count), *others = results.most_common(2)
        if count >= FEWEST and all(count > other for _, other in others):
            tests.append(f"assert {call} == {result}")
    return tests


def _lines(text: str, entry: str) -> Iterator[str]:
    for number, line in enumerate(text.splitlines()):
        line = line.strip().strip("`")
        if line.startswith("assert"):
            yield line
        elif number == 0:
            # A base model goes on where its prompt ends: in the middle of the first assertion.
            yield f"assert {entry}({line}"


def _literal(statement: ast.stmt, entry: str) -> tuple[str, str] | None:
    """(call, result) of `assert entry(literals) == literal`."""
    match statement:
        case ast.Assert(
            test=ast.Compare(
                left=ast.Call(func=ast.Name(id=name), args=args, keywords=named) as call,
                ops=[ast.Eq()],
                comparators=[result],
            )
        ) if name == entry:
            values = [*args, *(keyword.value for keyword in named), result]
            try:
                for value in values:
                    ast.literal_eval(value)
            except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
                return None
            return ast.unparse(call), ast.unparse(result)
    return None
