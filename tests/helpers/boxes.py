"""Tables of boxes with a change, as a damaged file or another program would have it."""

from pathlib import Path

import pandas as pd

from ffpp_tools.store.boxes import BoxTable


def changed(path: Path, target: Path, column: str, value: object, row: int = 0) -> Path:
    """Write a copy of a table of boxes with another value in one row; return its path.

    A value of another type is written to all rows, since a column has one type.
    """
    rows = pd.read_parquet(path)
    attributes = rows.attrs
    if value is None or isinstance(value, str) == pd.api.types.is_string_dtype(rows[column]):
        rows.loc[row, column] = value
    else:
        rows[column] = value
    rows.attrs = attributes
    rows.to_parquet(target)
    return target


def with_rows(table: BoxTable, target: Path, rows: pd.DataFrame) -> Path:
    """Write a table with the given rows and the settings of another one; return its path."""
    BoxTable(target, rows, table.settings).write()
    return target
