"""Records on their way out: as a step, or a form, is given them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, NotRequired, TypedDict

from starfish_storage.errors import InvalidInputError, NotExportableError, StorageError, shorten


class RecordSource(NamedTuple):
    """Where a record came from.

    Attributes:
        job_id: its execution job.
        master_job_id: its run.
        input_digest: the identity of the input it came of, the same for equal inputs of whatever run; None: it has no
            input, and is the only one of its kind.
        input: that input; None if it was not stored.
    """

    job_id: str | None
    master_job_id: str
    input_digest: str | None
    input: Mapping[str, Any] | None


class ExportedRecord(NamedTuple):
    """A record as a form is given it.

    Attributes:
        uid: of the record.
        payload: its data: one JSON object on one line, with the line's end.
        metadata: what the store knows of it, if the form wants that: see `starfish_storage.export.metadata`.
        annotations_key: the key in the data under which stands what people say of it, if that is exported.
        source: where it came from, if the form or a step wants that.
        split: the split that it belongs to, if the form has splits. It was chosen before any other step saw the record;
            a step that makes one row of several gives it the split of the first.
        reviews: what people say of it, by the names of `filtering.FACTS`, if a step wants that.
    """

    uid: str
    payload: bytes
    metadata: dict[str, Any] | None
    annotations_key: str | None = None
    source: RecordSource | None = None
    split: str | None = None
    reviews: Mapping[str, object] | None = None


class Refusal(NamedTuple):
    """A record that a form, or a step on the way to it, cannot hold.

    Attributes:
        record_uid: which one.
        error: why.
    """

    record_uid: str
    error: StorageError


def refusal_of(uid: str, form: str, error: InvalidInputError) -> Refusal:
    """Return why a record is left out, for an error whose message begins with that record.

    >>> print(refusal_of("r1", "csv", InvalidInputError("record 'r1' has no name.")).error)
    record 'r1' cannot be exported as csv: it has no name. To leave such records out, use skip_damaged=True or \
--skip-damaged.
    """
    said = str(error).rstrip(".").removeprefix(f"record {shorten(uid)}")
    reason = f"it{said}" if said.startswith(" ") else said.removeprefix(", ")
    return Refusal(uid, NotExportableError(uid, form, reason))


class Paired(TypedDict):
    """How preference pairs were made.

    Attributes:
        prefer: what said which output is better.
        pairs: ``"best"``, the best with the worst output; or ``"all"``, each with each worse one.
        pair_by: the field that is equal in the outputs of a pair; missing if they are those of one input.
    """

    prefer: str
    pairs: str
    pair_by: NotRequired[str]
