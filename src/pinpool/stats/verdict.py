"""What became of a run, in a few words: "complete" only if nothing is missing."""

from pinpool.journal.yields import RunYield
from pinpool.text import counted


def verdict(state: str, failed: int, found: RunYield) -> str:
    """
    The heading of a run. `state` is that of the journal, `failed` the number of tasks that were given up.

    A run that is complete but for failed tasks, or without anything in hand, is not called so.
    """
    barren = ", ".join(stage.stage for stage in found.barren)
    if state in ("complete", "stopped") and barren:
        return f"stopped, nothing from stage {barren}"
    if state != "complete":
        return state
    if failed:
        return f"over, {counted(failed, 'page')} missing"
    if found.in_doubt:
        return f"over, {counted(found.in_doubt, 'page')} in doubt"
    if found.problems():
        return "over, nothing extracted"
    return "complete"
