"""Items as one JSON array, for programs that read a whole document. Written at the end of the run."""

from pathlib import Path

from pinpool.output.format import Items, Output, fields_of


class JsonArray(Output):
    """A file with one JSON array, an item a line. Nothing can be added behind its last bracket."""

    name = "json"
    title = "a JSON array"
    can_append = False

    @classmethod
    def write_file(cls, path: Path, items: Items) -> int:
        last_item, before = 0, "[\n"
        with path.open("wb") as file:
            for last_item, _, text in items():
                fields_of(last_item, text)  # one damaged item would spoil the whole document
                file.write(f"{before}{text}".encode())
                before = ",\n"
            file.write(b"\n]\n" if last_item else b"[]\n")
        return last_item
