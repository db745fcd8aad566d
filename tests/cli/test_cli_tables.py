"""Tables on a narrow terminal: columns go before a cell is cut."""

from __future__ import annotations

import pytest
from rich.console import Console
from rich.table import Table

from attar.cli.tables import drop_columns

HEADINGS = ("model", "macro-F1 (95 %)", "accuracy", "size", "examples/s", "one example")
CELLS = ("student_int8", "0.831 (0.796-0.860)", "0.836", "12.8 MB", "28,806", "2.3 ms")


@pytest.mark.parametrize(("width", "num_left"), [(120, 6), (87, 6), (80, 5), (60, 4), (40, 2), (20, 2)])
def test_columns_go_before_an_interval_is_cut(width, num_left):
    table = Table()
    for heading in HEADINGS:
        table.add_column(heading)
    table.add_row(*CELLS)
    assert drop_columns(table, width, 4) == list(HEADINGS[num_left:])
    console = Console(width=width, record=True, file=None, quiet=True)
    with console.capture() as captured:
        console.quiet = False
        console.print(table)
    assert (CELLS[1] in captured.get()) == (width >= 40)
