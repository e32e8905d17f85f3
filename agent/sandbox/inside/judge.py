"""The process of the tests: it runs them against the candidate and says what came of it.

It holds the tests and the expected values, compares, and has the only way to the host. The
candidate's process, at the other end of a socket that the host made for them, has none of that.
"""

from __future__ import annotations

import importlib
import random
import socket
import types
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import lru_cache, partial
from itertools import product
from typing import Any

from .proxies import CandidateDied, NotData, Remote, Stub, is_class_name, printable, shown
from .wire import BadMessage, Closed, Link

# What only some tests need is imported where it is used: every module that the fork server holds
# makes each of its forks dearer.

FAILED = "__errata_failed"
"""The name under which rewritten tests find `Failed`."""

MOST_FAILURES = 20
"""Told in full; all are counted."""


class Failed(AssertionError):
    """An assertion of the tests with both of its sides."""

    def __init__(self, text: str, operator: str, left: Any, right: Any) -> None:
        super().__init__(text)
        self.text, self.operator, self.left, self.right = text, operator, left, right


@dataclass(frozen=True)
class Printed:
    """A side of a comparison that is text already."""

    text: str


class Skipped(Exception):
    """A test that would not run."""


Unit = tuple[str, Callable[[], Any], bool]
"""What it is, how to run it, and whether it is a test or only prepares for one."""


@dataclass
class Verdict:
    """What the host gets, as JSON."""

    outcome: str = "void"
    """`pass`, `fail`, `void` (the tests prove nothing) or `error` (they can't be run)."""
    reason: str = ""
    """Of a void or an error."""
    tests: int = 0
    """Run."""
    passed: int = 0
    """Of them."""
    skipped: int = 0
    """Not run."""
    calls: int = 0
    """Uses of the candidate."""
    weak: int = 0
    """Answers that special methods of the candidate's own classes gave."""
    failures: list[dict[str, Any]] = field(default_factory=list)
    """What failed and how, the first ones."""


def serve(sock: socket.socket) -> None:
    """The life of a judge's process: job after job, each with a candidate of its own.

    Nothing of a job is left for the next one but the code of the tests, compiled.
    """
    host = Link(sock, descriptors=1)
    while True:
        try:
            job = host.receive()
            random.seed(0)  # tests that draw at random draw the same
            host.send(_answer(job, host))
        except Closed:
            return


def _answer(job: dict[str, Any], host: Link) -> dict[str, Any]:
    if job["do"] == "prepare":
        return _prepared(job)
    verdict, tests = Verdict(), _Tests(job)
    if job["do"] == "stub":
        _judge(tests, Stub(tests.wanted), verdict)
        if any(f.get("imports") for f in verdict.failures):  # no program had a part in that
            verdict.outcome, verdict.reason = "error", verdict.failures[0]["message"]
    else:
        with socket.socket(fileno=host.descriptors.pop()) as link:
            remote = Remote(Link(link))
            if remote.begun():
                _judge(tests, remote, verdict)
            else:
                verdict.outcome, verdict.reason = "error", "the candidate's process did not start"
    return asdict(verdict)


def _compiled(source: str) -> types.CodeType:
    if len(source) > 10_000:  # tests with whole tables in them would fill the memory
        return compile(source, "tests.py", "exec")
    return _compiled_once(source)


@lru_cache(4096)
def _compiled_once(source: str) -> types.CodeType:
    return compile(source, "tests.py", "exec")


def _prepared(job: dict[str, Any]) -> dict[str, Any]:
    """The tests taken to pieces, once for all programs."""
    import doctest

    from .rewrite import rewrite

    try:
        known = frozenset(job["known"])
        rewritten = asdict(rewrite(job["code"], known, job["entry"]))
        for _, code, _ in rewritten["units"]:
            compile(code, "tests.py", "exec")
        examples = doctest.DocTestParser().get_examples(job["doctest"])
        shown_ones = asdict(rewrite("".join(e.source for e in examples), known, job["entry"]))
        rewritten["names"] += shown_ones["names"]
        rewritten["libraries"] += shown_ones["libraries"]
        rewritten["evaluates"] |= shown_ones["evaluates"]
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return {"wrong": f"{type(error).__name__}: {_text(error)}"}
    return rewritten


def _judge(tests: _Tests, remote: Remote, verdict: Verdict) -> None:
    try:
        if not tests.job["stdio"]:  # a script is run with each input, not before
            remote.load(tests.job["program"])
        if tests.entry and tests.entry not in remote.kinds:
            there = ", ".join(sorted(remote.kinds)) or "nothing"
            message = f"the program defines no {tests.entry!r}; it defines {printable(there[:200])}"
            verdict.failures.append({"test": "the program", "kind": "missing", "message": message})
        else:
            _run(tests.units(remote), remote, verdict)
    except BaseException as error:
        # Outside every test: while the program was loaded, or a name of it was looked up.
        verdict.failures.append(_failure("the program", error, remote))
    if remote.died and not verdict.failures:  # though a test caught it
        verdict.failures.append(_failure("the program", CandidateDied(), remote))
    verdict.calls, verdict.weak = remote.calls, remote.weak + tests.weak
    if verdict.failures or verdict.passed < verdict.tests:
        verdict.outcome = "fail"
    elif not verdict.tests or verdict.skipped:
        verdict.reason = "tests were skipped" if verdict.skipped else "no test ran"
    elif not remote.calls:
        verdict.reason = "the tests never use the program"
    else:
        verdict.outcome = "pass"


def _run(units: Iterator[Unit], remote: Remote, verdict: Verdict) -> None:
    for name, unit, counts in units:
        before = remote.calls
        try:
            unit()
            verdict.passed += counts
        except BaseException as error:  # pytest's own outcomes are no Exceptions
            # A test that skips itself on what the candidate said is not passed over.
            if _is_skip(error) and remote.calls == before:
                verdict.skipped += 1
                continue
            if len(verdict.failures) < MOST_FAILURES:
                verdict.failures.append(_failure(name, error, remote))
            if not counts or isinstance(error, CandidateDied):
                break  # what follows stands on it
        finally:
            verdict.tests += counts


def _is_skip(error: BaseException) -> bool:
    kind = type(error)
    of_others = kind.__module__ in ("unittest.case", "_pytest.outcomes")
    return kind is Skipped or (of_others and kind.__name__ in ("SkipTest", "Skipped"))


class _Tests:
    """The tests of a job, whatever their form."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.job = job
        self.entry: str | None = job["entry"]
        self.wanted = set(job["names"])
        self.weak = int(job["evaluates"])
        if self.entry:
            self.wanted = (self.wanted - {"candidate"}) | {self.entry}

    def units(self, remote: Remote) -> Iterator[Unit]:
        """What to run, one after the other."""
        yield from self._cases(remote)
        names = self._namespace(remote)
        for text, source, is_test in self.job["units"]:
            yield text, partial(exec, _compiled(source), names), is_test
        yield from _functions(names)
        yield from _test_cases(names)
        if self.job["doctest"]:
            yield from _doctests(self.job["doctest"], names)
        check = names.get("check")
        if isinstance(check, types.FunctionType) and self.entry:
            yield "check", partial(check, remote.name(self.entry)), True

    def _namespace(self, remote: Remote) -> dict[str, Any]:
        remote.objects_allowed = any(
            remote.kinds.get(n) == "class" and is_class_name(n) for n in self.wanted
        )
        names: dict[str, Any] = {"__name__": "tests", FAILED: Failed}
        names |= {m: importlib.import_module(m) for m in self.job["libraries"]}
        names |= {n: remote.name(n) for n in sorted(self.wanted) if n in remote.kinds}
        if self.entry:
            names.setdefault("candidate", names.get(self.entry))
        for whole in self.job["wholes"]:
            names[whole] = _Whole(remote)
        return names

    def _cases(self, remote: Remote) -> Iterator[Unit]:
        run = self._script if self.job["stdio"] else self._call
        for i, case in enumerate(self.job["cases"], start=1):
            yield f"case {i}", partial(run, remote, case), True

    def _script(self, remote: Remote, case: dict[str, Any]) -> None:
        printed = remote.run(self.job["program"], case["input"])
        # As judges of programming contests compare: blanks at the ends of lines say nothing.
        got, want = ("\n".join(line.rstrip() for line in text.rstrip().split("\n"))
                     for text in (printed, case["output"]))  # fmt: skip
        if got != want:
            raise Failed("its output", "prints", Printed(shown(got)), Printed(shown(want)))

    def _call(self, remote: Remote, case: dict[str, Any]) -> None:
        got = remote.name(self.entry or "")(*case["args"], **case.get("kwargs", {}))
        # Cases are written in JSON, which has no tuple.
        if got != case["expected"] and _listed(got) != case["expected"]:
            raise Failed("its result", "==", got, case["expected"])


class _Whole:
    """The candidate's module, where the tests import it as a whole."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    def __getattr__(self, name: str) -> Any:
        if name not in self._remote.kinds:
            raise AttributeError(f"the program defines no {name!r}")
        if self._remote.kinds[name] == "class" and is_class_name(name):
            self._remote.objects_allowed = True
        return self._remote.name(name)


def _listed(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_listed(v) for v in value]
    return {k: _listed(v) for k, v in value.items()} if isinstance(value, dict) else value


def _functions(names: dict[str, Any]) -> Iterator[Unit]:
    """`test_*` functions, each with the values of its `pytest.mark.parametrize`."""
    for name, function in list(names.items()):
        if name.startswith("test") and isinstance(function, types.FunctionType):
            yield from _parametrised(name, function)
        elif name.startswith("Test") and isinstance(function, type) and not _is_case(function):
            for method in [m for m in dir(function) if m.startswith("test")]:
                yield from _parametrised(f"{name}.{method}", getattr(function(), method))


def _is_case(value: Any) -> bool:
    """A class of `unittest`; asked so that it need not be imported for every test."""
    return isinstance(value, type) and any(c.__module__ == "unittest.case" for c in value.__mro__)


def _parametrised(name: str, function: Any) -> Iterator[Unit]:
    import inspect

    marks = getattr(function, "pytestmark", [])
    tables = [_rows(*mark.args[:2]) for mark in marks if mark.name == "parametrize"]
    skipped = any(mark.name in ("skip", "skipif", "xfail") for mark in marks)
    parameters = inspect.signature(function).parameters.values()
    wanted = {p.name for p in parameters if p.default is p.empty and p.kind is not p.VAR_KEYWORD}
    for rows in product(*tables):
        given = {k: v for row in rows for k, v in row.items()}
        if skipped or wanted - given.keys():
            yield name, _skip, True  # what is missing is a fixture: only pytest could give it
            continue
        values = ", ".join(f"{k}={shown(v)}" for k, v in given.items())
        yield f"{name}[{values}]" if given else name, partial(function, **given), True


def _rows(names: Any, values: Any) -> list[dict[str, Any]]:
    """The arguments of `pytest.mark.parametrize` as dictionaries."""
    keys = [k.strip() for k in names.split(",")] if isinstance(names, str) else list(names)
    rows = []
    for value in values:
        of_param = hasattr(value, "marks")  # pytest.param(...)
        row = value.values if of_param else value if len(keys) > 1 else (value,)
        rows.append(dict(zip(keys, row, strict=True)))
    return rows


def _skip() -> None:
    raise Skipped


def _test_cases(names: dict[str, Any]) -> Iterator[Unit]:
    cases = [v for v in names.values() if _is_case(v)]
    if not cases:
        return
    import unittest

    for case in cases:
        for method in unittest.defaultTestLoader.getTestCaseNames(case):
            yield f"{case.__name__}.{method}", partial(_unittest, case(method)), True


def _unittest(test: Any) -> None:
    """Run one method; its failure is raised as it was."""
    import unittest

    caught: list[BaseException] = []

    class Result(unittest.TestResult):
        def addError(self, test: Any, err: Any) -> None:
            caught.append(err[1])

        addFailure = addError

    result = Result()
    test.run(result)
    for error in caught:
        raise error
    if result.skipped or not result.testsRun:
        raise Skipped


def _doctests(text: str, names: dict[str, Any]) -> Iterator[Unit]:
    import doctest

    parsed = doctest.DocTestParser().get_doctest(text, names, "tests", "tests.py", 0)
    for example in parsed.examples:
        one = doctest.DocTest([example], names, "tests", "tests.py", 0, None)
        yield f">>> {example.source.strip()}", partial(_doctest, one, names), bool(example.want)


def _doctest(test: Any, names: dict[str, Any]) -> None:
    import doctest

    runner = doctest.DebugRunner(verbose=False, optionflags=doctest.IGNORE_EXCEPTION_DETAIL)
    try:
        runner.run(test, out=lambda text: None, clear_globs=False)
    except doctest.DocTestFailure as failure:
        got, want = Printed(failure.got.strip()), Printed(failure.example.want.strip())
        raise Failed(failure.example.source.strip(), "==", got, want) from None
    except doctest.UnexpectedException as error:
        raise error.exc_info[1] from None
    names.update(test.globs)


def _failure(name: str, error: BaseException, remote: Remote) -> dict[str, Any]:
    """What failed, as short printable data for the critique; it raises nothing."""
    told: dict[str, Any] = {"test": printable(name[:300]), "call": ""}
    try:
        return {**told, **_told(name, error, remote)}
    except BaseException:  # no memory left to tell it, or an error that can't be printed
        return {**told, "kind": "data", "message": "what it gave can't be told"}


def _told(name: str, error: BaseException, remote: Remote) -> dict[str, Any]:
    call = remote.last
    told: dict[str, Any] = {"call": call.text[:1000] if call else ""}
    if isinstance(error, Failed):
        result = call.result if call else []
        sides = [_side(error.left), _side(error.right)]
        mine = 1 if result and error.right is result[0] and error.left is not result[0] else 0
        direct = bool(result) and (error.left, error.right)[mine] is result[0]
        return {**told, "kind": "assertion", "text": printable(error.text[:300]),
                "operator": error.operator, "got": sides[mine], "expected": sides[1 - mine],
                "direct": direct}  # fmt: skip
    if isinstance(error, CandidateDied):
        return {**told, "kind": "died"}
    if isinstance(error, BadMessage | NotData):
        return {**told, "kind": "data", "message": _text(error)}
    if isinstance(error, MemoryError) and not getattr(error, "__errata_candidate__", False):
        return {**told, "kind": "data", "message": "it is too much for the memory of the tests"}
    if getattr(error, "__errata_candidate__", False) and call:
        return {**told, "kind": "raised", "message": call.raised[:500], "lines": call.lines,
                "classes": call.classes}  # fmt: skip
    gave = shown(call.result[0]) if call and call.result else ""
    if isinstance(error, AssertionError):
        return {**told, "kind": "assertion", "text": _text(error) or printable(name[:300]),
                "operator": "", "got": gave, "expected": "", "direct": False}  # fmt: skip
    return {**told, "kind": "test", "message": f"{type(error).__name__}: {_text(error)}",
            "imports": isinstance(error, ImportError), "got": gave}  # fmt: skip


def _text(error: BaseException) -> str:
    return printable(str(error)[:300])


def _side(value: Any) -> str:
    return printable(value.text[:300]) if isinstance(value, Printed) else shown(value)
