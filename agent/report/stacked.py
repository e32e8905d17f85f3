"""A table on a terminal that may be narrower than the table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console, ConsoleOptions, RenderableType
from rich.table import Table
from rich.text import Text

WIDE = 10_000
"""Characters: wider than any table."""


class Stacked:
    """Its title, and below it the columns as far as they fit; the others follow underneath.

    No figure is ever cut. Columns that tell rows apart, the leading ones that don't wrap, are
    repeated in every part.
    """

    def __init__(self, table: Table) -> None:
        self.table = table
        self.keys = 1
        while self.keys < len(table.columns) - 1 and table.columns[self.keys].no_wrap:
            self.keys += 1

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        if self.table.title:
            yield Text(str(self.table.title), style=self.table.title_style or "")
        left = list(range(self.keys, len(self.table.columns)))
        while left:
            count = len(left)
            while count > 1 and not self._fits(left[:count], console, options):
                count -= 1
            yield self._part(left[:count])
            left = left[count:]

    def _fits(self, columns: Sequence[int], console: Console, options: ConsoleOptions) -> bool:
        natural = console.measure(self._part(columns), options=options.update(max_width=WIDE))
        return natural.maximum <= options.max_width

    def _part(self, columns: Sequence[int]) -> Table:
        chosen = [self.table.columns[i] for i in (*range(self.keys), *columns)]
        part = Table(*(column.copy() for column in chosen), box=self.table.box,
                     pad_edge=self.table.pad_edge)  # fmt: skip
        for cells in zip(*(column.cells for column in chosen), strict=True):
            part.add_row(*cells)
        return part
