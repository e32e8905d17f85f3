"""Play the same games uncorrected and corrected, and print what correction did.

python examples/compare_runs.py [EPISODES] [HORIZON]
"""

import sys

from rich.console import Console

from agent import compare
from agent.report.terminal import tables


def main(episodes: int = 12, horizon: int = 40) -> None:
    comparison = compare(
        "chess",
        "tiny",
        arms=["baseline", "resample", "critique"],
        episodes=episodes,
        horizon=horizon,
    )
    Console(width=150).print(tables(comparison, oracle_verifiers=["chess-legality"]))
    headline = comparison.differences["critique-resample"].error_rate
    print(f"critique against resample: {headline.value:+.3f} error per step, p = {headline.p}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
