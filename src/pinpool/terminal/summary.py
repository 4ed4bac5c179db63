"""A run in a few lines for people: its summary, and what `verify` found."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from pinpool.journal.verify import Coverage
from pinpool.stats.columns import STANDINGS, Row, standing
from pinpool.stats.fields import StageFields
from pinpool.text import counted, first_few, nonzero, one_line

_NAMED = 10  # empty fields in one warning


def summary(
    document: Row, journal: Path, advice: str = "", *, verdict: str = "", fields: Iterable[StageFields] = ()
) -> str:
    """
    A run in a few lines, from the document of `pinpool stats --json`; `advice` is one of them. It begins with the
    `verdict`, the run's state if there is none. `fields` are those of its items.
    """
    run, tasks = document["run"], document["run"]["tasks"]
    pages, seconds = run["pages"], run["seconds"]
    speed, word = f", {pages / seconds:.1f} pages/s" if seconds else "", verdict or run["state"]
    lines = [
        f"{word}: {counted(pages, 'page')}, {counted(run['items'], 'item')} in {seconds:.1f} s{speed}",
        f"tasks: {tasks['done']} done, {tasks['gone']} gone, {tasks['failed']} failed, {tasks['waiting']} waiting",
        _proxies(document["proxies"]),
    ]
    for stage in fields:
        lines.append(one_line(f"fields of {counted(stage.items, 'item')} of stage {stage.stage}: {stage}"))
    if run["worker_losses"] or run["pool_rebuilds"]:
        lines.append(f"workers lost: {run['worker_losses']}, pool rebuilt: {run['pool_rebuilds']}")
    if advice:
        lines.append(f"advice: {advice}")
    lines.append(f"proxy by proxy: pinpool stats {journal}")
    return "\n".join(lines)


def empty_fields(fields: Iterable[StageFields]) -> list[str]:
    """A warning for each stage with fields that are empty in all of its items."""
    warnings = []
    for stage in fields:
        if stage.empty:
            empty = f"{first_few(stage.empty, _NAMED)} {'is' if len(stage.empty) == 1 else 'are'} empty"
            items = counted(stage.items, "item")
            warnings.append(
                f"warning: stage {stage.stage}: {empty} in all {items}: see whether the selectors are right"
            )
    return warnings


def coverage_line(coverage: Coverage) -> str:
    """What `verify` found, in one line, and a line for each doubt."""
    doubts = "".join(f"\ndoubt: {doubt}" for doubt in coverage.doubts)
    if not coverage.complete:
        return f"coverage: NOT complete: {'; '.join(coverage.problems)}{doubts}"
    seeds, tasks = counted(coverage.seeds, "seed"), counted(coverage.tasks, "task")
    items = f"{counted(coverage.items, 'item')}, none twice"
    return f"coverage: proven complete: {seeds}, {tasks}, each ended once, {items}{doubts}"


def _proxies(rows: Sequence[Row]) -> str:
    standings = Counter(map(standing, rows))
    resting = sum(row["state"] == "cooling" and standing(row) == "good" for row in rows)
    good = f"{standings['good']:,} good" + (f" ({resting:,} of them resting)" if resting else "")
    return f"proxies: {len(rows):,}, {nonzero(good, {word: standings[word] for word in STANDINGS[1:]})}"
