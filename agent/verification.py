"""Running verifiers: with a time limit, and never letting one break the run.

A verifier that raises, returns nonsense or hangs gives outcome `error`.
"""

from __future__ import annotations

import asyncio
import ctypes
import inspect
import json
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, get_args

from agent.errors import BadVerifier, ErrataError
from agent.types import Answer, AnyVerifier, Json, Question, Severity, Verdict

DEFAULT_TIMEOUT = 10.0
"""Seconds a verifier may take unless it says otherwise."""


class _TimedOut(BaseException):
    """Thrown into a thread whose verifier outstayed its time; not an Exception, so that a
    verifier's own `except Exception` does not swallow it."""


@dataclass(frozen=True)
class Check:
    """A verifier as an arm holds it: resolved, named and with its settings."""

    name: str
    verify: AnyVerifier = field(repr=False)
    severity: Severity = "must"
    timeout: float = DEFAULT_TIMEOUT

    @classmethod
    def of(cls, verifier: AnyVerifier, name: str | None = None) -> Check:
        """Wrap any verifier; its own attributes decide name, severity and timeout.

        Raises `BadVerifier` for what can't be called, or has settings that mean nothing.
        """
        if isinstance(verifier, type):
            try:
                verifier = verifier()
            except Exception as error:  # a stranger's code
                kind = type(error).__name__
                raise BadVerifier(f"{verifier!r} can't be made: {kind}: {error}") from error
        if not callable(verifier):
            raise BadVerifier(f"{verifier!r} is no verifier: it can't be called")
        given = name or getattr(verifier, "name", None) or getattr(verifier, "__name__", None)
        severity: Any = getattr(verifier, "severity", "must")
        if severity not in get_args(Severity):
            raise BadVerifier(
                f"verifier {given!r}: severity {severity!r} is not must, should or shadow"
            )
        timeout: Any = getattr(verifier, "timeout", DEFAULT_TIMEOUT)
        if not isinstance(timeout, int | float) or timeout <= 0:
            raise BadVerifier(f"verifier {given!r}: timeout {timeout!r} is no number of seconds")
        return cls(given or type(verifier).__name__, verifier, severity, float(timeout))

    def configuration(self) -> dict[str, Json]:
        """What is recorded of it."""
        return {"name": self.name, "severity": self.severity, "timeout": self.timeout,
                "version": getattr(self.verify, "version", None)}  # fmt: skip

    def candidates(self, question: Question) -> list[str]:
        """All answers that it would pass, where it can tell; else none."""
        offer = getattr(self.verify, "candidates", None)
        try:
            return [str(c) for c in offer(question)] if offer else []
        except Exception:  # a stranger's code: a hint that fails is no hint
            return []


async def judge(check: Check, question: Question, answer: Answer) -> Verdict:
    """The verdict of one verifier on one answer; never raises."""
    began = time.perf_counter()
    limit = asyncio.timeout(check.timeout)
    try:
        # Not `wait_for`: up to Python 3.11 it swallows a cancellation, and Ctrl-C with it.
        async with limit:
            result = await _call(check, question, answer)
        verdict = _as_verdict(check, result)
    except Exception as error:  # a stranger's code: whatever it raises is its own failure
        late = f"took longer than {check.timeout:g} s"
        verdict = _error(check, late if limit.expired() else f"{type(error).__name__}: {error}")
    return verdict.model_copy(update={"seconds": round(time.perf_counter() - began, 6)})


async def _call(check: Check, question: Question, answer: Answer) -> Any:
    function: Any = check.verify
    target = function if inspect.isroutine(function) else type(function).__call__
    if inspect.iscoroutinefunction(target):
        return await _caged(function(question, answer))
    result = await _in_thread(function, question, answer)
    return await _caged(result) if inspect.isawaitable(result) else result


async def _caged(coroutine: Awaitable[Any]) -> Any:
    """A SystemExit in a task would end the event loop, and the run with it."""
    try:
        return await coroutine
    except SystemExit as error:
        raise RuntimeError(f"SystemExit: {error}") from None


async def _in_thread(function: Callable[..., Any], *args: Any) -> Any:
    """Run a plain function where it can't hold up other episodes, or the program's end.

    Daemon threads, because the ones of `concurrent.futures` are waited for at exit, and a
    verifier that hangs would hang the program with it.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def settle(result: Any, error: BaseException | None) -> None:
        if not future.done():
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

    def work() -> None:
        result, failure = None, None
        try:
            result = function(*args)
        except _TimedOut:
            return
        except BaseException as error:
            # StopIteration can't pass through a future, SystemExit would end the thread mutely.
            exotic = not isinstance(error, Exception) or isinstance(error, StopIteration)
            failure = RuntimeError(f"{type(error).__name__}: {error}") if exotic else error
        try:
            loop.call_soon_threadsafe(settle, result, failure)
        except RuntimeError:
            return  # the run is over and its loop closed

    thread = threading.Thread(target=work, daemon=True, name="verifier")
    thread.start()
    try:
        return await future
    except asyncio.CancelledError:
        if thread.ident is not None:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(thread.ident), ctypes.py_object(_TimedOut)
            )
        raise


def _as_verdict(check: Check, result: Any) -> Verdict:
    if result is None:
        result = Verdict(verifier=check.name, outcome="pass")
    elif isinstance(result, str):
        result = Verdict(verifier=check.name, outcome="fail", critique=result)
    if isinstance(result, Verdict):
        json.dumps(result.evidence)  # what can't be stored is an error of the verifier
        weaker = max(check.severity, result.severity, key=get_args(Severity).index)
        return result.model_copy(update={"verifier": check.name, "severity": weaker})
    return _error(check, f"returned {result!r:.80}, not None, a string or a Verdict")


def _error(check: Check, message: str) -> Verdict:
    return Verdict(verifier=check.name, outcome="error", severity=check.severity,
                   evidence={"error": message})  # fmt: skip


def _examples(check: Check, which: str) -> list[tuple[Question, Answer]]:
    try:
        return [(question, answer) for question, answer in getattr(check.verify, which, ())]
    except ErrataError as error:
        raise BadVerifier(f"verifier {check.name!r}: its examples fail: {error}") from error
    except (TypeError, ValueError):
        raise BadVerifier(
            f"verifier {check.name!r}: {which} is no list of pairs of question and answer"
        ) from None


async def preflight(checks: Iterable[Check]) -> list[str]:
    """Run every verifier's own examples, and those of its parts; returns a line on each.

    Raises `BadVerifier` where one fails its examples: it may not judge anything.
    """
    lines = []
    for check in _with_parts(checks):
        good, bad = _examples(check, "known_good"), _examples(check, "known_bad")
        for wanted, examples in (("pass", good), ("fail", bad)):
            for question, answer in examples:
                verdict = await judge(check, question, answer)
                if verdict.outcome != wanted:
                    told = verdict.critique or (verdict.evidence or {}).get("error", "")
                    raise BadVerifier(
                        f"verifier {check.name!r} should {wanted} its own example {answer!r} "
                        f"but gives {verdict.outcome!r}{': ' + told if told else ''}"
                    )
        lines.append(f"{check.name}: {len(good)} known-good and {len(bad)} known-bad examples hold")
    return lines


def _with_parts(checks: Iterable[Check]) -> Iterator[Check]:
    """Every verifier, each after those that it is put together from."""
    for check in checks:
        yield from _with_parts(getattr(check.verify, "parts", ()))
        yield check
