"""Which split of a dataset a record belongs to."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from starfish_storage.codec import decode, value_digest
from starfish_storage.conversations.prompts import prompt_of
from starfish_storage.errors import InvalidInputError, shorten
from starfish_storage.export.records import ExportedRecord, Refusal, refusal_of
from starfish_storage.export.report import DuplicateReport, SplitReport
from starfish_storage.export.reshaping import Reshaper
from starfish_storage.filtering import MISSING, value_of
from starfish_storage.form_option import FormOption

MOST_SPLITS = 50
"""Of a field that names splits: with more different values, it is refused."""

WHOLE = "train"
"""The split of records that are not divided, as `datasets` calls it."""

BY_INPUT = "@input"
OF_INPUT = "@input."
GROUPS = {
    BY_INPUT: (
        "the input that they were made of, or of their prompt or data",
        "All records of one input",
    ),
    "@record": ("their uid", "Those of one uid"),
    "@run": ("the run that made them", "All records of one run"),
}
"""What can keep records together beside a field of theirs: what people call it, and what they call those records."""

PromptOf = Callable[[Mapping[str, Any]], object]
"""What a row asks a model; None if it asks nothing: see `prompt_of`."""

_NAME = re.compile(r"\w+(\.\w+)*", re.ASCII)  # what `datasets` takes, and every file system
_RESERVED = frozenset({"all"})  # `datasets` means every split by it
_CLOSE = 1e-6


@dataclass(frozen=True, slots=True)
class SplitOptions:
    """How records are divided into splits.

    Attributes:
        splits: names of splits and what fraction of the groups each gets, together 1, such as ``{"train": 0.9, "test":
            0.1}``. Which one a group gets follows from it and the seed: it keeps it when other records are added.
            With neither this nor `split_by`, all records are ``train``.
        split_by: in place of that, the field of the data that names the split.
        group_by: what records have in common that are never in two splits: ``"@input"``, the input that they were made
            of, of whatever run (a row of an imported file goes by its prompt if it is a conversation, else by its
            data); ``"@input.question"``, a field of that input; a field of their data, such as ``"question"`` or
            ``"source.url"``; ``"@run"``; or ``"@record"``, each record on its own.
        seed: another one divides otherwise.

    Raises:
        InvalidInputError: a name, a fraction or a group cannot be used, or both kinds of splits are asked for.
    """

    splits: Mapping[str, float] | None = None
    split_by: str | None = None
    group_by: str = BY_INPUT
    seed: int = 0

    def __post_init__(self) -> None:
        if self.splits is not None and self.split_by is not None:
            raise InvalidInputError("records are split by fractions or by a field: give splits or split_by, not both.")
        if self.group_by not in GROUPS and re.match(r"[^@]|@@|@input\..", self.group_by) is None:
            raise InvalidInputError(
                f"records cannot be grouped by {shorten(self.group_by)}: name a field of their data, or one of "
                f"{', '.join(GROUPS)}, {OF_INPUT}FIELD. A field whose name begins with @ gets another @ before it."
            )
        if self.splits is None and (self.group_by != BY_INPUT or self.seed):
            given = "group_by" if self.group_by != BY_INPUT else "a seed"
            raise InvalidInputError(
                f"{given} says how records are drawn for splits, and no shares are given to draw by: give splits too "
                "(--split train=0.9,test=0.1), or leave it out."
            )
        if self.splits is not None:
            _check_fractions(self.splits)

    @property
    def is_divided(self) -> bool:
        """Whether there can be more than one split."""
        return self.split_by is not None or (self.splits is not None and len(self.splits) > 1)

    @property
    def keeps_inputs_together(self) -> bool:
        """Whether all that was made of one input is in one split."""
        return not self.is_divided or (self.split_by is None and self.goes_by_input)

    @property
    def goes_by_input(self) -> bool:
        """Whether the input of a record, or a field of that, says which records stay together."""
        return self.group_by == BY_INPUT or self.group_by.startswith(OF_INPUT)

    @property
    def names(self) -> tuple[str, ...]:
        """The splits that are known beforehand, in order."""
        if self.split_by is not None:
            return ()
        return (WHOLE,) if self.splits is None else tuple(self.splits)


class Division(NamedTuple):
    """How an export was divided, for what it says about itself.

    Attributes:
        options: how; the default ones if it was not.
        duplicates: what stands twice in it, counted while it is written; None if nobody looked.
    """

    options: SplitOptions
    duplicates: DuplicateReport | None

    def told(self) -> dict[str, object]:
        """Return it as the metadata of a file has it; empty for records that are as they come."""
        options = self.options
        told: dict[str, object] = {}
        if options.split_by is not None:
            told["split_by"] = options.split_by
        elif options.splits is not None:
            told |= {"splits": dict(options.splits), "group_by": options.group_by, "seed": options.seed}
        if self.duplicates is not None and self.duplicates.left_out:
            told["dedupe"] = True
        return told

    def report(self, rows: Mapping[str, int]) -> SplitReport | None:
        """Return what an export says of its splits, given how many rows each has; None without splits."""
        options = self.options
        if options.split_by is not None:
            return SplitReport(rows, split_by=options.split_by)
        if options.splits is None:
            return None
        return SplitReport(rows, dict(options.splits), group_by=options.group_by, seed=options.seed)


def parse_splits(text: str) -> dict[str, float]:
    """Return the splits that are written as on the command line.

    Raises:
        InvalidInputError: a share is not a number, or a split is named twice.

    >>> parse_splits("train=0.9,test=0.1")
    {'train': 0.9, 'test': 0.1}
    """
    found: dict[str, float] = {}
    for part in text.split(","):
        name, _, share = (word.strip() for word in part.partition("="))
        if name in found:
            raise InvalidInputError(f"splits {text!r} name {name!r} twice: give each split one share.")
        try:
            found[name] = float(share)
        except ValueError:
            raise InvalidInputError(
                f"splits {text!r} cannot be read: write NAME=SHARE, such as train=0.9,test=0.1."
            ) from None
    return found


SPLIT_OPTIONS = (
    FormOption(
        "splits",
        "Divide the records: train=0.9,test=0.1.",
        "NAME=SHARE,...",
        flag="split",
        read=parse_splits,
    ),
    FormOption("split_by", "The field that names a record's split.", "FIELD"),
    FormOption(
        "group_by",
        f"Never in two splits: records that are equal in this field, or {', '.join(GROUPS)} [default: {BY_INPUT}].",
        "FIELD",
    ),
    FormOption("seed", "Draw splits and samples otherwise [default: 0].", kind=int),
)
"""The options of the forms that can be divided."""


class Dividing(Reshaper):
    """Gives each record its split: the first step of an export, so that it sees the data as it is stored.

    Args:
        options: how they are divided.
        form: the name of the form, for messages.
        asked: what a row of a file asks; None if it asks nothing.
    """

    def __init__(self, options: SplitOptions, form: str, asked: PromptOf = prompt_of) -> None:
        self._form = form
        self.needs_source = (
            options.is_divided and options.split_by is None and (options.goes_by_input or options.group_by == "@run")
        )
        self._split = split_of(options, asked)

    def reshape(self, records: Sequence[ExportedRecord]) -> Iterator[ExportedRecord | Refusal]:
        """See `Reshaper.reshape`."""
        for record in records:
            try:
                yield record._replace(split=self._split(record))
            except InvalidInputError as error:
                yield refusal_of(record.uid, self._form, error)


def split_of(options: SplitOptions, asked: PromptOf = prompt_of) -> Callable[[ExportedRecord], str]:
    """Return what tells the split of a record, given one after the other; see `Dividing`.

    It raises `InvalidInputError` for a record that has none.
    """
    if options.split_by is not None:
        return _by_field(options.split_by)
    if not options.is_divided:
        only = options.names[0]
        return lambda _: only
    return _by_group(options.splits or {}, _group_of(options.group_by, asked), options.seed)


def stored_data(record: ExportedRecord) -> dict[str, Any]:
    """Return the data of a record, without what people say of it."""
    data = cast("dict[str, Any]", decode(record.payload))
    if record.annotations_key is not None:
        data.pop(record.annotations_key, None)
    return data


def check_split_name(name: object, where: str) -> str:
    """Return a name, if it can name a split.

    Raises:
        InvalidInputError: it cannot name a split; the message begins with ``where``.
    """
    if not isinstance(name, str):
        raise InvalidInputError(f"{where}: the name of a split must be a string, not {type(name).__name__}.")
    if name in _RESERVED:
        raise InvalidInputError(f"{where}: {name!r} means all splits together to datasets: choose another name.")
    if not can_name_split(name):
        raise InvalidInputError(
            f"{where}: {shorten(name, 40)} cannot name a split: use letters, digits and '_', such as 'train'."
        )
    return name


def can_name_split(name: str) -> bool:
    """Return whether a text can name a split, and the files of one.

    >>> can_name_split("train"), can_name_split("all"), can_name_split("../x")
    (True, False, False)
    """
    return _NAME.fullmatch(name) is not None and name not in _RESERVED and len(name) <= 100  # noqa: PLR2004 (files are named by it)


def _check_fractions(splits: Mapping[str, float]) -> None:
    if not splits:
        raise InvalidInputError('no split is named: give at least one, such as {"train": 0.9, "test": 0.1}.')
    for name, fraction in cast("Mapping[str, object]", splits).items():
        check_split_name(name, "splits")
        if not isinstance(fraction, int | float) or isinstance(fraction, bool) or not 0 < fraction <= 1:
            raise InvalidInputError(f"split {name!r} must get a fraction above 0 and up to 1, not {fraction!r}.")
    if not math.isclose(sum(splits.values()), 1, abs_tol=_CLOSE):
        raise InvalidInputError(f"the fractions of the splits make {sum(splits.values()):g}: they must make 1.")
    _refuse_same(splits, "splits")


def _refuse_same(names: Collection[str], where: str) -> None:
    if len({name.lower() for name in names}) < len(names):
        raise InvalidInputError(f"{where}: two splits have names that differ only in case, as their files would.")


def _group_of(group_by: str, asked: PromptOf) -> Callable[[ExportedRecord], str]:
    if group_by == "@record":
        return lambda record: record.uid
    if group_by == "@run":
        return lambda record: "" if record.source is None else record.source.master_job_id
    if group_by == BY_INPUT:
        return lambda record: _input_of(record, asked)
    is_of_input = group_by.startswith(OF_INPUT)
    field = group_by.removeprefix(OF_INPUT) if is_of_input else group_by.removeprefix("@")

    def group(record: ExportedRecord) -> str:
        given = None if record.source is None else record.source.input
        value = value_of(given if is_of_input else stored_data(record), field)
        if value is MISSING:
            raise InvalidInputError(
                f"record {shorten(record.uid)} has no {'input with the ' if is_of_input else ''}field "
                f"{shorten(field, 40)} that says which records stay together."
            )
        return value_digest(value).hex()

    return group


def _input_of(record: ExportedRecord, asked: PromptOf) -> str:
    digest = None if record.source is None else record.source.input_digest
    if digest is not None:
        return digest
    # A row of a file. Those that ask the same stay together, and equal ones: of files that overlap, or imported twice.
    data = stored_data(record)
    prompt = asked(data)
    return value_digest(data if prompt is None else ["prompt", prompt]).hex()


def _by_group(
    splits: Mapping[str, float], group_of: Callable[[ExportedRecord], str], seed: int
) -> Callable[[ExportedRecord], str]:
    bounds: list[tuple[float, str]] = []
    total = 0.0
    for name, fraction in splits.items():
        total += fraction
        bounds.append((total, name))
    last = bounds[-1][1]

    def split(record: ExportedRecord) -> str:
        digest = hashlib.sha256(f"{seed}\n{group_of(record)}".encode()).digest()
        place = int.from_bytes(digest[:6]) / 2**48  # 48 bits are exact in a float
        return next((name for bound, name in bounds if place < bound), last)

    return split


def _by_field(field: str) -> Callable[[ExportedRecord], str]:
    known: set[str] = set()

    def split(record: ExportedRecord) -> str:
        uid = shorten(record.uid)
        where = f"record {uid}, field {shorten(field, 40)}"
        name = value_of(stored_data(record), field)
        if name is MISSING:
            raise InvalidInputError(f"record {uid} has no field {shorten(field, 40)} that names its split.")
        if isinstance(name, str) and name in known:
            return name
        name = check_split_name(name, where)
        _refuse_same([name, *known], where)
        if len(known) >= MOST_SPLITS:
            raise InvalidInputError(f"{where}: it has more than {MOST_SPLITS} values, so it does not name splits.")
        known.add(name)
        return name

    return split
