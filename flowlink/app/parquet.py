"""Clicks as Parquet, made of the same rows as the CSV by DuckDB, which also reads it."""

from collections.abc import Sequence
from pathlib import Path

import duckdb

_TYPES = {"at": "TIMESTAMPTZ", "valid": "BOOLEAN"}


def from_csv(source: Path, out: Path, *, header: Sequence[str]) -> None:
    """Write `out` from a CSV with these columns. It appears whole or not at all."""
    scratch = out.with_name(f".{out.name}.part")
    columns = ", ".join(f'"{name}"::{_TYPES.get(name, "VARCHAR")} AS "{name}"' for name in header)
    try:
        with duckdb.connect(config={"threads": 1}) as engine:
            engine.execute("SET TimeZone = 'UTC'")
            rows = engine.read_csv(str(source), header=True, all_varchar=True, na_values="\x00")
            rows.project(columns).to_parquet(str(scratch), compression="zstd")
        scratch.replace(out)
    finally:
        scratch.unlink(missing_ok=True)
