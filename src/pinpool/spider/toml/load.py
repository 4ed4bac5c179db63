"""From a TOML file to a `Spider`, in the parent. Workers get the plan that this makes, see `stages`."""

import json
import os
import re
import tomllib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pinpool.errors import SpiderError
from pinpool.spider.arguments import Arguments
from pinpool.spider.spider import Spider, SpiderRef
from pinpool.spider.toml import forms
from pinpool.spider.toml.check import check, reported
from pinpool.spider.toml.keys import KeyPath, known_part, shown_key
from pinpool.spider.toml.lines import key_lines
from pinpool.spider.toml.rules import BAN
from pinpool.spider.toml.seeds import seeds_in_file
from pinpool.spider.toml.stages import stages_of
from pinpool.spider.toml.variables import fill
from pinpool.spider.user_errors import shown_file
from pinpool.text import shown_path

MAX_FILE = 10_000_000  # bytes; long lists of seeds belong in a file of their own
_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)")


def load_toml(path: str, arguments: Arguments = ()) -> Spider:
    """
    The spider in the TOML file at `path`, checked, with its `origin` set. Its seeds are made when they are asked for.

    ``${NAME}`` in its texts is the value of `arguments`, else of the environment.

    Raises SpiderError with all problems, each as ``file:line: key: what is wrong``.
    """
    where = shown_path(shown_file(path))
    text = _text(path, where)
    parsed = _parsed(text, where)
    lines = key_lines(text)
    document, faults = fill(parsed, dict(arguments), os.environ)
    if problems := reported(faults, lines, where) or check(document, lines, where):
        raise SpiderError(problems)
    spider = _spider(document, lines, path)
    plan = json.dumps(_plan(forms.stages_in(document), lines), separators=(",", ":"))
    spider.stages = stages_of(plan, path)
    spider.origin = SpiderRef(path=path, arguments=arguments, plan=plan)
    spider.seeds = partial(seeds_in_file, document, lines, Path(path).parent, where, spider.first_stage)
    return spider


def _text(path: str, where: str) -> str:
    try:
        if Path(path).is_dir():
            raise SpiderError(f"{where}: is a folder, not a spider")
        with Path(path).open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except FileNotFoundError:
        raise SpiderError(f"{where}: no such file") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a file name"
        raise SpiderError(f"{where}: cannot be read: {reason}") from None
    if len(data) > MAX_FILE:
        raise SpiderError(f"{where}: larger than {MAX_FILE:,} bytes; is this a spider?")
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
    raise SpiderError(f"{where}:{line}: not UTF-8 from here on; save the file as UTF-8")


def _parsed(text: str, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        place = _PLACE.search(message)
        line = place[1] if place and place[1] else str(text.count("\n") + 1)
        column = f" (column {place[2]})" if place and place[2] else " (at the end of the file)"
        reason = _PLACE.sub("", message)
        raise SpiderError(f"{where}:{line}: not TOML: {reason[:1].lower()}{reason[1:]}{column}") from None
    except (RecursionError, ValueError) as error:  # a number too long for Python
        reason = "its lists or tables are nested too deep" if isinstance(error, RecursionError) else str(error)
        raise SpiderError(f"{where}: not TOML: {reason}") from None


def _spider(document: dict[str, Any], lines: Mapping[KeyPath, int], path: str) -> Spider:
    """Without stages and seeds."""
    settings = {**document.get("settings", {})}
    settings |= {BAN[key]: forms.texts(value) for key, value in document.get("ban", {}).items()}
    if "headers" in document:
        settings["headers"] = document["headers"]
    spider = Spider(**settings)
    spider.name, spider.file = document.get("name", Path(path).stem), path
    spider.line = lines.get(("seeds",), 1)
    return spider


def _plan(stages: list[forms.StageForm], lines: Mapping[KeyPath, int]) -> dict[str, Any]:
    """What workers make their stage functions of."""

    def key(path: KeyPath) -> str:
        return shown_key(known_part(path, lines))

    planned = {}
    for stage in stages:
        links = []
        for link in forms.links_in(stage):
            table = {**link.table, "to": link.target, "key": key(link.path), "data": _fields(link.table.get("data"))}
            if "form" in table:
                table["form"] = {name: forms.form_table(given) for name, given in table["form"].items()}
            links.append(table)
        planned[stage.name] = {
            "key": key(stage.path),
            "fields": _fields(stage.table.get("fields")),
            "links": links,
            **{name: stage.table[name] for name in ("json", "url", "rows") if name in stage.table},
        }
    return {"stages": planned, "lines": {shown_key(path): line for path, line in lines.items() if path[0] != "seeds"}}


def _fields(given: Any) -> dict[str, Any]:
    return {
        field.name: {**field.table, **({"fields": _fields(field.table["fields"])} if "fields" in field.table else {})}
        for field in forms.fields_in(given, ())
    }
