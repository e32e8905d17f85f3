"""One sandbox for a whole process, usable from any thread and any event loop.

Verifiers, scores and commands share it: it lives on an event loop of its own.
"""

from __future__ import annotations

import asyncio
import atexit
import threading
from functools import cache
from typing import Any

from agent.sandbox.boxes import Level
from agent.sandbox.jobs import Limits, Result, Tests
from agent.sandbox.pool import Sandbox
from agent.types import Frozen


class Settings(Frozen):
    """How programs are run; of the whole process."""

    isolation: Level | None = None
    """A level; None takes the strongest one that works."""
    allow_unsafe_exec: bool = False
    """Go on without isolation where there is none."""


_settings = Settings()


def configure(**settings: Any) -> None:
    """Set what the sandboxes made from now on are like; see `Settings`."""
    global _settings
    _settings = Settings(**settings)


class Runner:
    """A sandbox on an event loop of its own."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True, name="sandbox").start()

    def run(self, program: str, tests: Tests) -> Result:
        """As `Sandbox.run`, from a thread that may wait."""
        return self._call(self.sandbox.run(program, tests)).result()  # type: ignore[no-any-return]

    async def judge(self, program: str, tests: Tests) -> Result:
        """As `Sandbox.run`, from an event loop."""
        return await asyncio.wrap_future(self._call(self.sandbox.run(program, tests)))

    def prepare(self) -> Level:
        """Start it, and say at which level it runs. Raises `MissingTool` where none works."""
        self._call(self.sandbox.prepare()).result()
        return self.sandbox.isolation

    def _call(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def close(self) -> None:
        """End its workers."""
        self._loop.call_soon_threadsafe(self.sandbox.close)


def runner(limits: Limits | None = None) -> Runner:
    """The one with these limits and the settings of the process."""
    return _runner(limits or Limits(), _settings)


@cache
def _runner(limits: Limits, settings: Settings) -> Runner:
    made = Runner(Sandbox(limits=limits, **settings.model_dump()))
    atexit.register(made.close)
    return made
