"""What a run did over time, in a line of a terminal and as JSON."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from starfish_storage.cli.json_form import as_json
from starfish_storage.interface import Storage
from starfish_storage.runs import RunProgress, Timeline
from starfish_storage.wording import number_of

_HEIGHTS = "▁▂▃▄▅▆▇█"
_LEVELS = 40
_LONGEST_COUNT = 1.0  # seconds; of very large runs a part is shown, and how large it is


async def timeline_of(storage: Storage, progress: RunProgress) -> Timeline:
    """Count the attempts of a run over time, or the records of one that has no ledger."""
    of = "records" if progress.state is None else "attempts"
    return await storage.ledger.get_timeline(progress.job.master_job_id, of=of, seconds=_LONGEST_COUNT)


def timeline_text(timeline: Timeline) -> str | None:
    """Return a timeline as a line: how much happened in each of equal spans of time. None if nothing has."""
    levels = timeline.levels(_LEVELS)
    if not levels:
        return None
    most = max(levels)
    heights = "".join(_HEIGHTS[round(level / most * (len(_HEIGHTS) - 1))] if level else " " for level in levels)
    first, last = timeline.buckets[0].start, timeline.end or timeline.buckets[-1].start
    day = "" if first.date() == last.date() else f"{last:%Y-%m-%d} "
    counted = number_of(timeline.counted, timeline.of.removesuffix("s"))
    part = "" if timeline.counted == timeline.total else f" of {timeline.total:,}, which take long to count"
    return f"{heights} {first:%Y-%m-%d %H:%M:%S} to {day}{last:%H:%M:%S}Z, {counted}{part}"


def timeline_as_json(timeline: Timeline) -> dict[str, Any]:
    """Return a timeline as it is printed with ``--json``."""
    found = {one.name: getattr(timeline, one.name) for one in fields(timeline)}
    width = found.pop("width").total_seconds()
    return {"of": found.pop("of"), "bucket_seconds": width, **as_json(found)}
