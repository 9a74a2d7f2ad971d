"""How an export was divided, in sentences for people."""

from __future__ import annotations

from collections.abc import Sequence

from starfish_storage.export.report import DuplicateReport
from starfish_storage.export.splitting import GROUPS, Division, SplitOptions


def sentences_of(division: Division | None, empty: Sequence[str] = ()) -> list[str]:
    """Return how records were divided, which splits are empty, and what stands twice.

    >>> sentences_of(Division(SplitOptions({"train": 0.9, "test": 0.1}), DuplicateReport(records=1)), ["test"])[1:]
    ['No record came into the split test.', '1 record is equal to an earlier one, none to one in another split.']
    """
    if division is None:
        return ["All records are in one split."]
    told = [how_divided(division.options)]
    if empty:
        told.append(f"No record came into the split{'s' * (len(empty) > 1)} {', '.join(empty)}.")
    return told if division.duplicates is None else [*told, *_of_duplicates(division.duplicates)]


def how_divided(options: SplitOptions) -> str:
    """Return how records are divided.

    >>> how_divided(SplitOptions({"train": 0.9, "test": 0.1}, group_by="question")).partition(". ")[0]
    'Records are divided by a hash of their field question, with the seed 0: train 0.9, test 0.1'
    """
    if options.split_by is not None:
        return f"The field {options.split_by} of a record names its split."
    if not options.is_divided:
        return "All records are in one split."
    shares = ", ".join(f"{name} {fraction:g}" for name, fraction in (options.splits or {}).items())
    by = GROUPS.get(options.group_by) or f"their field {options.group_by.removeprefix('@')}"
    return (
        f"Records are divided by a hash of {by}, with the seed {options.seed}: {shares}. Records that are equal in it "
        "are in one split, and keep it when others are added."
    )


def _of_duplicates(found: DuplicateReport) -> list[str]:
    told: list[str] = []
    if not found.records:
        told.append("No two records are equal.")
    elif found.left_out:
        told.append(f"{_counted(found.records)} equal to an earlier one, and left out.")
    else:
        over = f"{found.over_splits:,} of them to one" if found.over_splits else "none to one"
        told.append(f"{_counted(found.records)} equal to an earlier one, {over} in another split.")
    for count, of in ((found.inputs_over_splits, "input"), (found.prompts_over_splits, "prompt")):
        if count:
            told.append(f"{count:,} {of}{' stands' if count == 1 else 's stand'} in more than one split.")
    return told


def _counted(records: int) -> str:
    return "1 record is" if records == 1 else f"{records:,} records are"
