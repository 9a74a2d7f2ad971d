"""The row changes of a group's operations; those of one kind are made together, in few statements.

Each does what the operations' own changes would do one after the other. One by one, an outcome took five statements,
and a claim of one input takes as long as a claim of ten; data without its row took four, and a row without data five.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import chain
from typing import Any

from starfish_storage.interface import DataWrite
from starfish_storage.metadata.finishing import Finishing, claim_for_all
from starfish_storage.metadata.ledger_writer import input_row
from starfish_storage.metadata.operations import NOTE_DATA, SAVE_ROWS, WriteOperation
from starfish_storage.metadata.row import Change
from starfish_storage.metadata.row_writer import portions
from starfish_storage.metadata.sqlite.row_writer import SQLiteRowWriter


def apply_all(writer: SQLiteRowWriter, operations: Sequence[WriteOperation]) -> list[Sequence[Change]]:
    """Make the row changes of operations, whose records are saved already; return of each what takes it back."""
    given: defaultdict[str, list[Any]] = defaultdict(list)
    for one in operations:
        if one.batch:
            given[one.batch[0]].append(one.batch[1])
    undo: dict[Any, Sequence[Change]] = dict(_finish_plain(writer, given["finish_inputs"]))
    undo.update(zip(given[NOTE_DATA], writer.note_record_data(given[NOTE_DATA]), strict=True))
    writer.save_rows(given[SAVE_ROWS])
    undo.update((row, ()) for row in given[SAVE_ROWS])
    applied: list[Sequence[Change]] = []
    for one in operations:
        own = undo.get(one.batch[1]) if one.batch else None
        if own is None and one.apply is not None:
            own = one.apply(writer)
        applied.append(own or ())
    return applied


def note_undo(
    operations: Sequence[WriteOperation],
    saved: Sequence[Sequence[Change]],
    applied: Sequence[Sequence[Change]],
    files: Sequence[Sequence[DataWrite]],
    numbers: Sequence[int],
) -> None:
    """Note in operations what takes them back once they are committed, if their data cannot be put in place.

    Args:
        operations: those that were applied together.
        saved: what takes back the records, of all of them in turn.
        applied: what takes back the other changes of each.
        files: what was journaled of each.
        numbers: the journal entries of these, of all of them in turn.
    """
    of_records, of_data = iter(saved), iter(numbers)
    for operation, changes, some in zip(operations, applied, files, strict=True):
        own = [change for _ in operation.records for change in next(of_records)]
        operation.undo = [*own, *changes]
        operation.numbers = [next(of_data) for _ in some]


def mark_done(writer: SQLiteRowWriter, committed: Sequence[WriteOperation]) -> None:
    """Note that operations are done, but for those that failed, and what rows will ask for whose data came first."""
    for one in committed:
        one.done = one.error is None
        if one.places and one.done and one.batch is not None and one.batch[0] == NOTE_DATA:
            writer.remember(one.places)


def _finish_plain(writer: SQLiteRowWriter, finishing: Sequence[Finishing]) -> dict[Finishing, list[Change]]:
    """Make the changes of those outcomes that are plain, and return what takes back each of them."""
    if len(finishing) < 2:  # noqa: PLR2004 (nothing to be made together)
        return {}
    parts = portions([one.job_id for one in finishing], writer.most_rows)
    found = chain.from_iterable(writer.execute_repeated("lock_inputs", len(ids), tuple(ids)) for ids in parts)
    there = {row.end.job_id: row for row in map(input_row, found)}
    undo: dict[Finishing, list[Change]] = {}
    for one in finishing:
        before = there.pop(one.job_id, None)  # of two outcomes of one input, the second finds it finished
        if before is not None and one.is_plain(before):
            undo[one] = [("finish_input", before.end), ("delete_attempt", (one.job_id, 1))]
    if undo:
        # Their ids are random: in order, neighbours share pages.
        rows = sorted((one.plain_rows() for one in undo), key=lambda rows: rows[0].job_id)
        attempts, ends = zip(*rows, strict=True)
        writer.change_repeated("save_attempt", attempts)
        writer.change_each("finish_input", ends)
        for one, taking_back in claim_for_all(writer, list(undo)):
            undo[one].append(taking_back)
    return undo
