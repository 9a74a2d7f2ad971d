"""What is asked of an export, beside the form."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypedDict

from starfish_storage.errors import InvalidInputError
from starfish_storage.export.annotations import annotations_key
from starfish_storage.export.duplicates import division_of, with_division
from starfish_storage.export.fields import OnlyFields, checked_fields
from starfish_storage.export.forms import Form, check_metadata_key
from starfish_storage.export.halves import HalvesReplaced
from starfish_storage.export.inputs import WithInput, input_key
from starfish_storage.export.provenance import Chosen
from starfish_storage.export.report import ExportProgress
from starfish_storage.export.reshaping import Reshaper
from starfish_storage.filtering import Condition, Sample

OnProgress = Callable[[ExportProgress], None]


class RecordOptions(TypedDict, total=False):
    """Which records leave the store, and what of them: files and tables in memory take the same. Each may be left out.

    Attributes:
        master_job_ids: whose records.
        project_id: the records of all its master jobs.
        statuses: only records in one of these statuses; None for all; if left out, those that are ``completed``.
        where: only records that fit all of these conditions, such as ``"score>=0.5"``: see `filtering.Condition`.
        search: only records that this text search finds, such as ``"photon* -draft topic:physics"``.
        sample: so many records of each master job, of those that fit, in the order of a shuffle.
        accepted_only: only records that at least one author has accepted, and none has rejected.
        limit: write at most so many records: the first ones.
        with_input: True to add the members of the input that each record was made of, before those of its data; or a
            key, to add the input under that.
        fields: only these fields of the data, in this order: names, or paths such as ``messages.0.content``, which are
            their names in the file.
        with_annotations: True, or a key, to add what people say of each record, as a list under ``annotations`` or that
            key: ``kind``, a member of this name with the value (of an edit: ``version``), ``author`` and ``time``.
        dedupe: leave out rows that are equal to an earlier one, in whatever split; the report counts them.
        skip_damaged: leave out and report records that are lost, damaged or do not fit; else the first ends it.
        progress: called now and then with how far it is.
    """

    master_job_ids: Sequence[str]
    project_id: str | None
    statuses: Sequence[str] | None
    where: Sequence[str | Condition]
    search: str | None
    sample: Sample | None
    accepted_only: bool
    limit: int | None
    with_input: bool | str
    fields: Sequence[str] | None
    with_annotations: bool | str
    dedupe: bool
    skip_damaged: bool
    progress: OnProgress | None


class ExportOptions(RecordOptions, total=False):
    """What is asked of an export into a file: see `RecordOptions` for the rest. Each may be left out.

    Attributes:
        overwrite: replace what is at the destination, at the end and in one step.
    """

    overwrite: bool


class FrameOptions(RecordOptions, total=False):
    """What is asked of a table in memory: see `RecordOptions` for the rest. Each may be left out.

    Attributes:
        columns: only these columns of the table, in this order. Unlike `fields`, these may be those of the metadata and
            of the annotations, and are no paths.
        metadata: True, or a name, for a column with what the store knows of each record: ids, status, times, costs.
        pad: objects of which some have keys that others lack are filled up with nulls, in place of JSON text.
        map_fields: the fields whose objects are maps, such as ``scores`` or ``calls[].arguments``.
    """

    columns: Sequence[str] | None
    metadata: bool | str
    pad: bool
    map_fields: Sequence[str]


def check_names(options: Mapping[str, object], kind: type[RecordOptions], function: str) -> None:
    """Refuse an option that there is not, as a function with these parameters would."""
    unknown = options.keys() - kind.__optional_keys__
    if unknown:
        raise TypeError(f"{function}() got an unexpected keyword argument {min(unknown)!r}")


class Shape:
    """What is written of each record: the steps that it takes, and the keys of what stands beside its data.

    Args:
        options: what is asked for.
        form: what is written.
        directory: for temporary files.

    Attributes:
        annotations_key: the key of annotations; None: they are left out.
        limit: how many records are written at most; None: all.
        fields: the fields that are kept; None: all.
        division: how records are divided into splits, and what stands twice.
        steps: those that the records take.
        needs_source: whether records have their `RecordSource`.
        needs_reviews: whether records have what people say of them.

    Raises:
        InvalidInputError: an option cannot be used.
    """

    def __init__(self, options: RecordOptions, form: Form, directory: str) -> None:
        self._form = form
        metadata_key = check_metadata_key(form.metadata_key)
        self.annotations_key = annotations_key(options.get("with_annotations", False), metadata_key)
        self.limit = _checked_limit(options.get("limit"))
        fields = options.get("fields")
        self.fields = None if fields is None else checked_fields(fields)
        steps: list[Reshaper] = []
        with_input = options.get("with_input", False)
        if with_input is not False:
            steps.append(WithInput(input_key(with_input, metadata_key, self.annotations_key), form.name))
        if self.fields is not None:
            steps.append(OnlyFields(self.fields))
        # Before the form's own steps, which make JSON within texts of data; and behind them, as texts are added there.
        halves, own = HalvesReplaced(), form.reshapers()
        steps += [halves, *own, halves] if own else [halves]
        self.division = division_of(form, dedupe=options.get("dedupe", False))
        self.steps = with_division(steps, form, self.division)
        self.needs_source = form.needs_source or any(step.needs_source for step in self.steps)
        self.needs_reviews = any(step.needs_reviews for step in self.steps)
        for step in self.steps:
            step.begin(directory)

    def chosen(self) -> Chosen:
        """Return what of the records was left out; empty if nothing was."""
        found = self._form.chosen()
        if self.limit is not None:
            found["limit"] = self.limit
        if self.fields is not None:
            found["fields"] = self.fields
        return found


def _checked_limit(limit: object) -> int | None:
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 1):
        raise InvalidInputError(f"the limit {limit!a} cannot be used: give a number of records, from 1.")
    return limit
