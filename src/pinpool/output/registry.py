"""The formats of output files. A new one is one file beside this, and one line here."""

from __future__ import annotations

from pinpool.output.csv_table import CsvTable
from pinpool.output.format import Output
from pinpool.output.jsonl import JsonLines
from pinpool.output.parquet import ParquetTable

_ALL: tuple[type[Output], ...] = (
    JsonLines,
    CsvTable,
    ParquetTable,
)
FORMATS = {output.name: output for output in _ALL}
