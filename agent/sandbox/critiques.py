"""What a model is told of a failure: the first one, in words, cut to a budget."""

from __future__ import annotations

import signal
from typing import Any

from agent.sandbox.inside.proxies import printable
from agent.sandbox.jobs import Limit, Limits, Tests

BUDGET = 600
"""Characters."""


def limit_of(said: dict[str, Any]) -> Limit | None:
    """The limit that a failure ran into, by its exception or by how the process ended."""
    first: dict[str, Any] = next(iter(said["failures"]), {})
    classes = first.get("classes", [])
    if "MemoryError" in classes:
        return "memory"
    if "OutputLimit" in classes:
        return "output"
    if "BadMessage" in classes:
        return "data"
    if "PermissionError" in classes and "Operation not permitted" in first.get("message", ""):
        return "processes"
    if first.get("kind") == "died" and said.get("ended") in (-signal.SIGXCPU, -signal.SIGKILL):
        return "processor"
    return None


_KINDS = {"assertion": "wrong_answer", "test": "wrong_answer", "raised": "exception",
          "data": "not_data"}  # fmt: skip


def failure_of(said: dict[str, Any], limit: Limit | None) -> str | None:
    """The kind of the first failure, in a word."""
    if said["outcome"] != "fail":
        return None
    if limit:
        return f"limit_{limit}"
    first: dict[str, Any] = next(iter(said["failures"]), {"kind": "test"})
    syntax = "SyntaxError" in first.get("classes", []) and not said["tests"]
    return "syntax" if syntax else _KINDS.get(first["kind"], first["kind"])


def critique(
    said: dict[str, Any], program: str, tests: Tests, limit: Limit | None, limits: Limits
) -> str:
    """One or two sentences about the first failing test; of hidden tests only how many fail."""
    if said["outcome"] != "fail":
        return ""
    if tests.hidden or not said["failures"]:
        if not said["tests"]:
            return "The hidden tests can't be run with this program."
        return f"{said['tests'] - said['passed']} of {said['tests']} hidden tests fail."
    return _cut(_limit(limit, limits) or _told(said["failures"][0], program), BUDGET)


def _limit(limit: Limit | None, limits: Limits) -> str:
    return {
        "memory": f"The program used more than {limits.memory} MB of memory.",
        "output": "The program printed too much.",
        "data": "The program returned too much data, or data nested too deep.",
        "processor": f"The program used more than {limits.seconds:g} s of processor time.",
        "processes": "The program tried what is not allowed here: a process, a file or the network.",
    }.get(limit or "", "")


def _told(failure: dict[str, Any], program: str) -> str:
    call = failure.get("call", "")
    kind = failure["kind"]
    if kind == "assertion":
        return _assertion(failure, call)
    if kind == "raised":
        return f"{_start(call)} raises {failure['message']}{_where(failure['lines'], program)}."
    if kind == "died":
        return f"{_start(call)} ends the process."
    if kind == "data":
        return f"{_start(call)} can't be judged: {failure['message']}."
    if kind == "missing":
        return f"{_start(failure['message'])}."
    return f"Test {failure['test']!r} stopped with {failure['message']}."


def _assertion(failure: dict[str, Any], call: str) -> str:
    got, expected, operator = failure["got"], failure["expected"], failure["operator"]
    if operator == "prints":
        return f"{_start(call)} should print {expected}, got {got}."
    if failure["direct"] and operator == "==":
        return f"{call} should be {expected}, got {got}."
    if operator:
        last = f"; the last call was {call}" if call and not failure["direct"] else ""
        return f"`{failure['text']}` does not hold: {got} against {expected}{last}."
    gave = f"; {call} gave {got}" if call and got else ""
    return f"`{failure['text']}` does not hold{gave}."


def _start(text: str) -> str:
    """As a sentence begins; what is code stays as it is."""
    return text[:1].upper() + text[1:] if text.startswith("the program") else text


def _where(lines: list[int], program: str) -> str:
    """The lines of the program on the way to it, the last ones."""
    source = program.splitlines()
    there = [n for n in lines if 0 < n <= len(source)]
    told = [f"line {n}, `{source[n - 1].strip()[:120]}`" for n in dict.fromkeys(there)]
    return f" in {', then '.join(told)}" if told else ""


def _cut(text: str, most: int) -> str:
    text = printable(text)
    return text if len(text) <= most else f"{text[: most - 4].rstrip()} ..."
