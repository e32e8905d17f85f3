"""Running programs that nobody trusts against tests that nobody may forge."""

from agent.sandbox.jobs import Limits, Outcome, Result, Tests
from agent.sandbox.pool import Sandbox
from agent.sandbox.runner import Runner, configure, runner

__all__ = ["Limits", "Outcome", "Result", "Runner", "Sandbox", "Tests", "configure", "runner"]
