"""The formats of output files. A new one is one file beside this, and one name here."""

from pinpool.output.csv_table import CsvTable, ExcelTable, SafeCsvTable
from pinpool.output.format import Output
from pinpool.output.json_array import JsonArray
from pinpool.output.jsonl import JsonLines
from pinpool.output.parquet import ParquetTable
from pinpool.output.sqlite_tables import SqliteTables

_ALL: tuple[type[Output], ...] = (
    JsonLines,
    JsonArray,
    CsvTable,
    SafeCsvTable,
    ExcelTable,
    ParquetTable,
    SqliteTables,
)
FORMATS = {output.name: output for output in _ALL}
#: Those that a file's ending can name.
ENDINGS = [name for name in FORMATS if "-" not in name]
