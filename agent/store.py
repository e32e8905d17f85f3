"""The run directory: written as the run goes, read back, resumed.

    run.json        what was asked: version, command, configuration; never changed
    run.sqlite      every acknowledged attempt, step and score, durable once written
    summary.json    the figures, rewritten from the above at any time

What is identical is stored once: prompts by their hash, with the states they came from.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from agent.errors import RunMismatch, UsageError
from agent.types import TRACE_VERSION, Json, Question, Score, Step, Trace

STORE_VERSION = 1

Statement = tuple[str, tuple[Any, ...]]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS questions (hash TEXT PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS steps (
    arm TEXT NOT NULL, seed INTEGER NOT NULL, step INTEGER NOT NULL,
    question TEXT NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (arm, seed, step)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS episodes (
    arm TEXT NOT NULL, seed INTEGER NOT NULL, stop_reason TEXT NOT NULL, error TEXT,
    steps INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (arm, seed)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS scores (
    arm TEXT NOT NULL, seed INTEGER NOT NULL, step INTEGER NOT NULL, attempt INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (arm, seed, step, attempt)) WITHOUT ROWID;
"""


class Store:
    """One run directory.

    Raises `RunMismatch` for a directory that another version or another command made, and
    leaves it untouched; `UsageError` where it can't be written or isn't one.
    """

    def __init__(self, directory: str | Path, header: Json | None = None) -> None:
        self.directory = directory = Path(directory)
        self._pending: list[tuple[tuple[Statement, ...], asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._lock = threading.Lock()
        path = directory / "run.json"
        try:
            if header is not None and not path.exists():
                self._create(directory, header)
            self.header = self._read_header(path)
            if header is not None:
                self._compare(self.header, header)
            self._db = sqlite3.connect(
                directory / "run.sqlite", timeout=30, check_same_thread=False
            )
            self._db.execute("PRAGMA journal_mode=WAL")
            # FULL: what is acknowledged survives a power cut, not only a kill.
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(_SCHEMA)
        except OSError as error:
            raise UsageError(f"run directory {str(directory)!r}: {error.strerror}") from None
        except sqlite3.Error as error:
            raise UsageError(f"run directory {str(directory)!r}: {error}") from None

    def _create(self, directory: Path, header: Json) -> None:
        if directory.exists() and any(directory.iterdir()):
            raise RunMismatch(f"{str(directory)!r} is not empty and no run: give another --out")
        directory.mkdir(parents=True, exist_ok=True)
        body = {"store_version": STORE_VERSION, "trace_version": TRACE_VERSION, **header}
        write_text(directory / "run.json", json.dumps(body, indent=1))

    def _read_header(self, path: Path) -> dict[str, Json]:
        if not path.exists():
            raise UsageError(f"{str(path.parent)!r} is no run directory: it has no run.json")
        try:
            header: dict[str, Json] = json.loads(path.read_text("utf-8"))
            versions = header["store_version"], header["trace_version"]
        except (ValueError, KeyError, TypeError) as error:
            raise RunMismatch(f"{str(path)!r} can't be read: {error!r}") from None
        if versions != (STORE_VERSION, TRACE_VERSION):
            raise RunMismatch(
                f"{str(path.parent)!r} was made by another version (format {versions[0]}."
                f"{versions[1]}, this one writes {STORE_VERSION}.{TRACE_VERSION}): "
                "give another --out"
            )
        return header

    def _compare(self, stored: dict[str, Json], given: Json) -> None:
        wanted = json.loads(json.dumps(given))
        differing = sorted(_differences(stored.get("identity"), wanted.get("identity"), ""))
        if differing:
            raise RunMismatch(
                f"{str(self.directory)!r} holds another command's run; it differs in "
                f"{'; '.join(differing[:4])}: give another --out"
            )

    # -- writing ----------------------------------------------------------------------

    async def add_step(self, arm: str, seed: int, step: Step) -> None:
        """Acknowledge a step: once this returns, no kill can lose it."""
        # The state belongs to the key: two states may be asked about in the same words.
        body = step.question.model_dump_json()
        key = f"{step.question.hash}-{_short_hash(body)}"
        answers = step.model_dump_json(exclude={"question"})
        await self._acknowledge(
            ("INSERT OR IGNORE INTO questions VALUES (?, ?)", (key, body)),
            (
                "INSERT OR REPLACE INTO steps VALUES (?, ?, ?, ?, ?)",
                (arm, seed, step.index, key, answers),
            ),
        )

    async def finish(self, trace: Trace, scores: list[list[Score]]) -> None:
        """Seal an episode and store what its oracle said: a score per step and attempt."""
        head = trace.model_dump_json(exclude={"steps"})
        ended = (trace.stop_reason, trace.error, len(trace.steps), head)
        await self._acknowledge(
            (
                "INSERT OR REPLACE INTO episodes VALUES (?, ?, ?, ?, ?, ?)",
                (trace.arm, trace.seed, *ended),
            ),
            *_score_rows(trace, scores),
        )

    async def _acknowledge(self, *statements: Statement) -> None:
        """Return once all are durable.

        A commit waits for the disk, some milliseconds; what other episodes want to write in
        the meantime shares the next one.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._pending.append((statements, done))
        if self._writing is None or self._writing.done() or self._writing.get_loop() is not loop:
            self._writing = loop.create_task(self._write())
        await done

    async def _write(self) -> None:
        while self._pending:
            batch, self._pending = self._pending, []
            statements = [s for group, _ in batch for s in group]
            failure: BaseException | None = None
            try:
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(self._thread, self._commit, statements)
            except sqlite3.Error as error:
                failure = UsageError(f"run directory {str(self.directory)!r}: {error}")
            for _, done in batch:
                if not done.done():
                    if failure is None:
                        done.set_result(None)
                    else:
                        done.set_exception(failure)

    def _commit(self, statements: Sequence[Statement]) -> None:
        with self._lock, self._db:
            for sql, values in statements:
                self._db.execute(sql, values)

    def forget_errors(self) -> int:
        """Reopen the episodes that ended in an infrastructure error, keeping their steps."""
        with self._lock, self._db:
            cursor = self._db.execute("DELETE FROM episodes WHERE error IS NOT NULL")
        return cursor.rowcount

    def replace_scores(self, trace: Trace, scores: list[list[Score]]) -> None:
        """What the oracle says of a sealed episode now."""
        self._commit(_score_rows(trace, scores))

    # -- reading ----------------------------------------------------------------------

    def finished(self) -> set[tuple[str, int]]:
        """(arm, seed) of every sealed episode."""
        return set(self._read("SELECT arm, seed FROM episodes"))

    def steps(self, arm: str, seed: int) -> list[Step]:
        """The acknowledged steps of one episode, in order."""
        rows = self._read(
            "SELECT s.body, q.body FROM steps s JOIN questions q ON q.hash = s.question "
            "WHERE arm = ? AND seed = ? ORDER BY step",
            arm,
            seed,
        )
        return [_step(body, question) for body, question in rows]

    def episodes(self) -> Iterator[tuple[Trace, list[list[Score]]]]:
        """Every sealed episode with its scores, ordered by seed, then arm."""
        for (body,) in self._read("SELECT body FROM episodes ORDER BY seed, arm"):
            head: dict[str, Any] = json.loads(body)
            steps = tuple(self.steps(head["arm"], head["seed"]))
            yield Trace(**head, steps=steps), self._scores(head["arm"], head["seed"])

    def _scores(self, arm: str, seed: int) -> list[list[Score]]:
        out: list[list[Score]] = []
        for step, body in self._read(
            "SELECT step, body FROM scores WHERE arm = ? AND seed = ? ORDER BY step, attempt",
            arm,
            seed,
        ):
            if step == len(out):
                out.append([])
            out[step].append(Score.model_validate_json(body))
        return out

    def _read(self, sql: str, *values: Any) -> list[Any]:
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    def close(self) -> None:
        """Close the database."""
        self._thread.shutdown()
        self._db.close()


def _score_rows(trace: Trace, scores: list[list[Score]]) -> list[Statement]:
    insert = "INSERT OR REPLACE INTO scores VALUES (?, ?, ?, ?, ?)"
    return [
        (insert, (trace.arm, trace.seed, step, attempt, score.model_dump_json()))
        for step, row in enumerate(scores)
        for attempt, score in enumerate(row)
    ]


def _step(body: str, question: str) -> Step:
    fields: dict[str, Any] = json.loads(body)
    return Step(question=Question.model_validate_json(question), **fields)


def _short_hash(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()[:16]


def write_text(path: Path, text: str) -> None:
    """Aside and renamed: a reader never meets half a file."""
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def _differences(stored: Json, given: Json, path: str) -> Iterator[str]:
    if isinstance(stored, dict) and isinstance(given, dict):
        for key in stored.keys() | given.keys():
            yield from _differences(stored.get(key), given.get(key), f"{path}.{key}".strip("."))
    elif stored != given:
        yield f"{path} ({stored!r:.60} there, {given!r:.60} now)"
