"""A language model that corrects itself step by step, and the proof whether that works.

What one needs from Python; everything else is an import away from its own module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent.api import compare, compare_async
    from agent.arms import ARMS, Arm
    from agent.loop import rollout
    from agent.types import Question, Verdict

_HOME = {
    "compare": "agent.api",
    "compare_async": "agent.api",
    "ARMS": "agent.arms",
    "Arm": "agent.arms",
    "rollout": "agent.loop",
    "Question": "agent.types",
    "Verdict": "agent.types",
}

__all__ = ["ARMS", "Arm", "Question", "Verdict", "compare", "compare_async", "rollout"]


def __getattr__(name: str) -> Any:
    """Import what is asked for, so that `errata --help` pays for nothing else."""
    if name not in _HOME:
        raise AttributeError(f"module 'agent' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOME[name]), name)
