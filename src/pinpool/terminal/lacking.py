"""The last lines of a run with nothing in hand: what is missing, and how to find out why."""

import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

from pinpool.journal.yields import RunYield, StageYield
from pinpool.model import FILE_STAGE
from pinpool.text import bare_url, one_line


def lacking_lines(
    found: RunYield, journal: Path, spider: str, proxies: str, samples: Mapping[str, int], arguments: Iterable[str] = ()
) -> list[str]:
    """
    A line for each thing that is missing, then what to do. Empty if nothing is.

    `spider` and `proxies` are as a command takes them; `samples` are the page samples, by stage; `arguments` are the
    names of those of the spider: their values may be secret.
    """
    lines, run = [], shlex.quote(str(journal))
    through = "".join(f" -a {name}=VALUE" for name in arguments) + f" -p {proxies}"
    for stage in found.barren:
        is_files = stage.stage == FILE_STAGE
        command = f"pinpool failures {run}" if is_files else _try(stage, journal, spider, through, samples)
        lines += [one_line(str(stage)), f"  see why: `{command}`"]
    pages = [stage for stage in found.barren if stage.stage != FILE_STAGE]
    if found.barren and not pages:
        lines.append(f"  take other proxies if that is a block page; then `pinpool resume {run}` asks for them again")
    if pages:
        resume = f"`pinpool resume {run}` asks for these pages again"
        fine = "; if they may be empty, add -s empty_ok=yes" if any(stage.is_empty for stage in pages) else ""
        lines.append(f"  mend the spider, or take other proxies if that is a block page; then {resume}{fine}")
    for problem in found.problems()[len(found.barren) :]:
        if problem == found.doubt:
            lines += [problem, f"  `pinpool resume {run}` asks for them once more"]
            continue
        look = f"see what the spider makes of a seed: `pinpool try {shlex.quote(spider)}{through}`"
        if all(stage.stage == FILE_STAGE for stage in found.stages):
            look = f"see what came of each: `pinpool failures {run}`, `pinpool stats {run} --faults`"
        lines += [problem, f"  {look}"]
    return lines


def _try(stage: StageYield, journal: Path, spider: str, through: str, samples: Mapping[str, int]) -> str:
    command = f"pinpool try {shlex.quote(spider)}"
    if stage.stage in samples:
        return f"{command} --page {shlex.quote(f'{journal}:{samples[stage.stage]}')} --stage {stage.stage}"
    return f"{command} {shlex.quote(bare_url(stage.url))} --stage {stage.stage}{through}"
