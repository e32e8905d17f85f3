"""Attacks on the sandbox, and whether it holds: on this machine, by whoever runs it."""

from agent.sandbox.attacks.case import Attack, Kind
from agent.sandbox.attacks.run import ATTACKS, Held, run_attacks, siege

__all__ = ["ATTACKS", "Attack", "Held", "Kind", "run_attacks", "siege"]
