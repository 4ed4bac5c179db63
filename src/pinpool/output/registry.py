"""The formats of output files. A new one is one file beside this, and one name here."""

from pinpool.output.csv_table import CsvTable
from pinpool.output.format import Output
from pinpool.output.jsonl import JsonLines
from pinpool.output.parquet import ParquetTable

FORMATS: dict[str, type[Output]] = {output.name: output for output in (JsonLines, CsvTable, ParquetTable)}
