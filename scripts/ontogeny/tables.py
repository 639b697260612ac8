"""Reading tables back that were written here, with errors that name the file."""

import os
from collections.abc import Mapping

import polars as pl

from ontogeny.origins import reading


def read_table(path: str | os.PathLike, columns: Mapping[str, type[pl.DataType]]) -> pl.DataFrame:
    """The named columns of a CSV in their types; other columns are left out.

    Raises ValueError that names the file where it is no such table, or was cut short.
    """
    with open(reading(path), "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - 1, 0))
        whole = file.read() == b"\n"  # a file that was cut short seldom ends with a line
    if not size:
        raise ValueError(f"{path}: it is empty; remove it to make it again")
    if not whole:
        raise ValueError(f"{path}: its last line has no end; remove it to make it again")
    try:
        table = pl.read_csv(path, infer_schema=False, schema_overrides=columns)
    except pl.exceptions.PolarsError as error:
        raise ValueError(f"{path}: {first_line(error)}; remove it to make it again") from None
    if not set(columns) <= set(table.columns):
        raise ValueError(f"{path}: its columns should be {', '.join(columns)}")
    return table.select(*columns)


def first_line(error: Exception) -> str:
    """What is wrong, without the advice that polars adds and the rest of a row that it quotes."""
    return str(error).splitlines()[0]
