"""From step rows to figures: pure functions, no I/O, no model, no terminal."""

from agent.measure.compare import Comparison, compare
from agent.measure.table import StepTable

__all__ = ["Comparison", "StepTable", "compare"]
