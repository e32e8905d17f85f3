"""`python -m agent.sandbox.attacks [LEVEL [EVERY]]`: which attacks this machine's sandbox stops."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from agent.sandbox.attacks.run import siege

if __name__ == "__main__":
    level: Any = sys.argv[1] if len(sys.argv) > 1 else None
    every = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    raise SystemExit(0 if asyncio.run(siege(level, print, every)) else 1)
