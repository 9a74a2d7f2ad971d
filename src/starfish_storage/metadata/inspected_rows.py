"""What the rows of checking queries mean, whatever the engine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from starfish_storage.interface.inspection import RowFault
from starfish_storage.metadata.row import Row
from starfish_storage.statuses import COUNTED_STATUSES

FAULT_QUERIES = (
    "every_wrong_record_count",
    "every_wrong_total",
    "every_wrong_job_count",
    "every_lost_output",
    "every_unfinished_deletion",
)
"""The queries of counts that are not what the rows say, and of rows that are missing; each engine has them."""


def faults_of_rows(rows: Mapping[str, Iterable[Row]]) -> Iterator[RowFault]:
    """Yield what the rows of `FAULT_QUERIES` say."""
    for job, status, kept, counted in rows["every_wrong_record_count"]:
        yield RowFault("record_count_wrong", job, f"{kept} {status} records are kept count of, there are {counted}")
    for run, kept, counted in rows["every_wrong_total"]:
        detail = f"the totals kept of {kept} attempts are not those of the {counted} there are"
        yield RowFault("run_totals_wrong", run, detail)
    for job, outputs, records in rows["every_lost_output"]:
        yield RowFault("output_lost", job, f"this input has {outputs} outputs, and {records} records of them")
    for run, since in rows["every_unfinished_deletion"]:
        detail = f"it is being deleted since {since}, and a part of it is gone; delete it again to remove the rest"
        yield RowFault("deletion_unfinished", run, detail)
    for job, *counts in rows["every_wrong_job_count"]:
        pairs = zip(COUNTED_STATUSES, counts, counts[len(COUNTED_STATUSES) :], strict=False)
        differ = ", ".join(f"{status} {told}, has {counted}" for status, told, counted in pairs if told != counted)
        yield RowFault("job_count_differs", job, f"the execution job reported {differ}")
