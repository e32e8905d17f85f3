"""Judging answers that are there already, and what this machine can judge them with."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.common import AllowUnsafe, Isolation, Json_, errors_shown, isolate

if TYPE_CHECKING:
    import asyncio

    from agent.types import Question, Verdict
    from agent.verification import Check

WINDOW = 64
"""Judgements begun before the oldest one is printed."""

Job = tuple[Any, "Question", Any]
"""(id, question, answer)."""


def check(
    verifier: Annotated[str, typer.Argument(help="As for --verifier: `errata list verifiers`.")],
    program: Annotated[Path | None, typer.Option(help="File with the program to judge.")] = None,
    tests: Annotated[Path | None, typer.Option(help="File with its tests.")] = None,
    entry: Annotated[str | None, typer.Option(help="The function that the tests are of.")] = None,
    question: Annotated[
        str | None, typer.Option(help="Of another verifier: its state, JSON.")
    ] = None,
    answer: Annotated[str | None, typer.Option(help="And the answer to judge.")] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="For a verifier that asks one.")
    ] = None,
    jsonl: Annotated[
        Path | None,
        typer.Option(
            help='Many: {"id", "program", "tests", "entry"} or {"id", "state", "answer"} a line; '
            "- reads standard input."
        ),
    ] = None,
    isolation: Isolation = None,
    allow_unsafe_exec: AllowUnsafe = False,
    seconds: Annotated[float, typer.Option(help="Per program, by the clock.", min=0.1)] = 5.0,
    memory: Annotated[int, typer.Option(help="Megabytes per program.", min=64)] = 512,
    json: Json_ = False,
) -> None:
    """Judge one answer, or many from a file, by any verifier.

    Exit code 0: all pass; 1: some do not.
    """
    with errors_shown():
        import asyncio

        from agent import resolve
        from agent.errors import UsageError
        from agent.sandbox import Limits
        from agent.verification import Check

        isolate(isolation, allow_unsafe_exec)
        made: Any = resolve.verifier(verifier, resolve.model(model) if model else None)
        if verifier == "code-run":
            made = type(made)(Limits(seconds=seconds, memory=memory))
        checked = Check.of(made)
        if jsonl is not None:
            jobs: Iterable[Job] = _lines(jsonl)
        elif program is not None and tests is not None:
            record = {"id": str(program), "answer": _text(program)}
            jobs = [_job({**record, "state": {"tests": _text(tests), "entry": entry}}, "")]
        elif question is not None and answer is not None:
            state = _json(question, "--question")
            jobs = [_job({"id": None, "answer": answer, "state": state}, "")]
        else:
            raise UsageError("give --program and --tests, --question and --answer, or --jsonl FILE")
        passed = asyncio.run(_print(checked, jobs, json or jsonl is not None))
    raise typer.Exit(0 if passed else 1)


def doctor(
    isolation: Isolation = None,
    json: Json_ = False,
) -> None:
    """What this machine has: isolation for programs, engines and tools."""
    with errors_shown():
        import asyncio

        from agent.sandbox.boxes import AUTOMATIC

        found = asyncio.run(_levels([isolation] if isolation else AUTOMATIC))
        best = next((row["level"] for row in found if row["works"]), None)
        tools = _tools()
        if json:
            import json as module

            typer.echo(module.dumps({"isolation": best, "levels": found, "tools": tools}, indent=1))
        else:
            _show_levels(found, best, tools)
    raise typer.Exit(0 if best else 1)


async def _print(checked: Check, jobs: Iterable[Job], as_json: bool) -> bool:
    from json import dumps

    passed = True
    async for number, verdict in _judged(checked, jobs):
        passed &= verdict.outcome == "pass"
        evidence = verdict.evidence if isinstance(verdict.evidence, dict) else {}
        line = {"id": number, "outcome": verdict.outcome, "critique": verdict.critique}
        line |= {k: evidence[k] for k in ("isolation", "error", "reason") if k in evidence}
        line |= {"seconds": verdict.seconds}
        if as_json:
            typer.echo(dumps(line))
        else:
            told = verdict.critique or line.get("error") or line.get("reason") or ""
            typer.echo(f"{verdict.outcome}{': ' if told else ''}{told}")
            if "isolation" in line:
                typer.echo(f"  isolation: {line['isolation']}, {verdict.seconds:.3f} s")
    return passed


async def _judged(checked: Check, jobs: Iterable[Job]) -> AsyncIterator[tuple[Any, Verdict]]:
    """Verdicts in the order of the jobs, `WINDOW` of them at once."""
    import asyncio

    from agent.verification import judge

    begun: deque[tuple[Any, asyncio.Task[Verdict]]] = deque()
    for number, question, answer in jobs:
        begun.append((number, asyncio.ensure_future(judge(checked, question, answer))))
        if len(begun) >= WINDOW:
            done, task = begun.popleft()
            yield done, await task
    for done, task in begun:
        yield done, await task


def _lines(path: Path) -> Iterator[Job]:
    file = sys.stdin if str(path) == "-" else None
    text = file.read() if file else _text(path)
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            yield _job(_json(line, f"{path}, line {number}"), f"{path}, line {number}: ")


def _job(record: Any, where: str) -> Job:
    from agent.errors import UsageError
    from agent.types import Question

    if not isinstance(record, dict):
        raise UsageError(f"{where}a job is an object, not {record!r:.60}")
    answer = record.get("answer", record.get("program"))
    state = record.get("state")
    if state is None and "tests" in record:
        state = {"tests": record["tests"], "entry": record.get("entry")}
    if answer is None or state is None:
        raise UsageError(f"{where}a job has an answer (or program) and a state (or tests)")
    return record.get("id"), Question(messages=(), prefix="", state=state), answer


def _json(text: str, where: str) -> Any:
    from json import loads

    from agent.errors import UsageError

    try:
        return loads(text)
    except ValueError as error:
        raise UsageError(f"{where}: no JSON: {error}") from None


def _text(path: Path) -> str:
    from agent.errors import UsageError

    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{str(path)!r} can't be read: {error}") from None


async def _levels(levels: Iterable[Any]) -> list[dict[str, Any]]:
    import time

    from agent.errors import ErrataError
    from agent.sandbox import Sandbox
    from agent.sandbox.boxes import LEVELS

    rows = []
    for level in levels:
        began, why = time.perf_counter(), ""
        sandbox = Sandbox(isolation=level)
        try:
            await sandbox.prepare()
        except ErrataError as error:
            why = str(error)
        finally:
            sandbox.close()
        rows.append({"level": level, "what": LEVELS[level], "works": not why, "why": why,
                     "seconds": round(time.perf_counter() - began, 3)})  # fmt: skip
    return rows


def _tools() -> dict[str, str | None]:
    import shutil

    from tasks.chess.engine import find

    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    return {"stockfish": find(), "bwrap": shutil.which("bwrap"), "chromium": browser}


def _show_levels(
    rows: list[dict[str, Any]], best: str | None, tools: dict[str, str | None]
) -> None:
    for row in rows:
        mark = "works" if row["works"] else "fails"
        typer.echo(f"{row['level']:<11} {mark}  {row['what']} ({row['seconds']:.2f} s to start)")
        if row["why"]:
            typer.echo(f"            {row['why']}")
    used = (
        f"programs run in: {best}" if best else "no program is run here without --allow-unsafe-exec"
    )
    typer.echo(used)
    for tool, path in tools.items():
        typer.echo(f"{tool:<11} {path or 'not installed'}")
