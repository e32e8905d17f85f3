"""The embedded language model."""

from agent.models.tiny.model import Tiny

__all__ = ["Tiny"]
