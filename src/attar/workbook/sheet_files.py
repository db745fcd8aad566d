"""Where the sheets of a workbook are until it is saved: in files without a name, on the result's own disk.

Openpyxl would put them into the system's folder of temporary files, which may be smaller than the disk
of the result, and where a killed process leaves what the reviews say for anyone to find.
"""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import Any

__all__ = ["discard", "write_in"]


def write_in(sheet: Any, folder: Path) -> None:  # noqa: ANN401 - openpyxl's
    """Have openpyxl write a sheet of a write-only workbook into a file without a name.

    Args:
        sheet: New, before its first row.
        folder: On whose disk the file is; it is there.
    """
    from openpyxl.worksheet._writer import WorksheetWriter

    def begun() -> None:
        if sheet._writer is None:
            stream = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed with its writer
            sheet._writer = WorksheetWriter(sheet, stream)
            sheet._writer.cleanup = stream.close
            sheet._writer.write_top()

    sheet._get_writer = begun


def discard(sheet: Any) -> None:  # noqa: ANN401 - openpyxl's
    """Let go of a sheet's file; of one that is not saved, whatever stood in its way."""
    if sheet._writer is None:
        return
    generators = (sheet._rows, sheet._writer.xf)  # each writes the end of its element
    for closed in (*(one for one in generators if one is not None), sheet._writer.out):
        with contextlib.suppress(OSError, ValueError):
            closed.close()
