"""A table wider than its terminal goes on below, and no figure is cut."""

from __future__ import annotations

from io import StringIO

import pytest
from rich import box
from rich.console import Console
from rich.table import Table

from agent.report.stacked import Stacked

ROWS = [["baseline", "model one", *(f"{i}.{i} % [{i}..{i + 1}]" for i in range(6))],
        ["critique", "model two", *(f"{i}.5 % [{i}..{i + 2}]" for i in range(6))]]  # fmt: skip


def printed(table: Table, width: int) -> list[str]:
    console = Console(file=StringIO(), width=width)
    console.print(Stacked(table))
    return [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]


def table(keys: int = 1) -> Table:
    made = Table(title="T1  A title", box=box.SIMPLE_HEAD, pad_edge=False)
    for i, name in enumerate(["arm", "model", *"abcdef"]):
        made.add_column(name, no_wrap=i < keys)
    for row in ROWS:
        made.add_row(*row)
    return made


@pytest.mark.parametrize("width", [40, 60, 80, 100, 150])
@pytest.mark.parametrize("keys", [1, 2])
def test_every_cell_is_there_whole_beside_what_its_row_is_called(width: int, keys: int) -> None:
    lines = printed(table(keys), width)
    assert all(len(line) <= width for line in lines)
    for key, *cells in ROWS:
        told = [line for line in lines if line.strip().startswith(key)]
        for cell in cells:
            assert any(cell in line for line in told), cell
    if keys == 2:
        assert all("model" in line for line in lines if line.strip().startswith("baseline"))


def test_a_table_that_fits_stays_one_and_has_its_title_uncut() -> None:
    lines = printed(table(), 150)
    assert lines[0] == "T1  A title"
    assert len([line for line in lines if line.strip().startswith("baseline")]) == 1
    narrow = Table(title="T10 Why episodes ended", box=box.SIMPLE_HEAD)
    narrow.add_column("arm")
    narrow.add_column("a")
    narrow.add_row("x", "1")
    assert printed(narrow, 80)[0] == "T10 Why episodes ended"


def test_a_column_wider_than_the_terminal_wraps_and_loses_nothing() -> None:
    long = "it is the geometric here: r acts only after the first error"
    made = Table(box=box.SIMPLE_HEAD)
    made.add_column("arm", no_wrap=True)
    made.add_column("why")
    made.add_row("baseline", long)
    assert long in " ".join(" ".join(printed(made, 40)).replace("baseline", "").split())
