"""How an export was divided, in sentences for people."""

from __future__ import annotations

from collections.abc import Sequence

from starfish_storage.export.report import DuplicateReport, ExportReport
from starfish_storage.export.splitting import GROUPS, OF_INPUT, Division, SplitOptions
from starfish_storage.wording import number_of


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
    what, who = GROUPS.get(options.group_by) or _by_field(options.group_by)
    return (
        f"Records are divided by a hash of {what}, with the seed {options.seed}: {shares}. {who} are in one split, and "
        "keep it when others are added."
    )


def _by_field(group_by: str) -> tuple[str, str]:
    field = group_by.removeprefix(OF_INPUT)
    what = f"their field {field.removeprefix('@')}" if field == group_by else f"the field {field} of their input"
    return what, f"All records with one value of {field.removeprefix('@')}"


def warnings_of(report: ExportReport) -> list[str]:
    """Return why a test with the splits of an export would say less than it seems to, with what to do about it."""
    told: list[str] = []
    if report.splits is not None and report.splits.empty and report.records:
        told.append(
            f"No record came into {', '.join(report.splits.empty)}: records stay together by "
            f"{report.splits.group_by}. --group-by names something else."
        )
    found = report.duplicates
    if found is None:
        return told
    if found.over_splits and not found.left_out:
        told.append(f"{_are_equal(found.over_splits)} equal to one of another split; --dedupe leaves such out.")
    if found.inputs_over_splits:
        told.append(f"{_stand(found.inputs_over_splits, 'input')} in several splits; without --group-by, none does.")
    if found.prompts_over_splits:
        told.append(f"{_stand(found.prompts_over_splits, 'prompt')} in several splits; --group-by FIELD prevents that.")
    return told


def _of_duplicates(found: DuplicateReport) -> list[str]:
    told: list[str] = []
    if not found.records:
        told.append("No two records are equal.")
    elif found.left_out:
        told.append(f"{_are_equal(found.records)} equal to an earlier one, and left out.")
    else:
        over = f"{found.over_splits:,} of them to one" if found.over_splits else "none to one"
        told.append(f"{_are_equal(found.records)} equal to an earlier one, {over} in another split.")
    for count, of in ((found.inputs_over_splits, "input"), (found.prompts_over_splits, "prompt")):
        if count:
            told.append(f"{_stand(count, of)} in more than one split.")
    return told


def _are_equal(records: int) -> str:
    return f"{number_of(records, 'record')} {'is' if records == 1 else 'are'}"


def _stand(count: int, of: str) -> str:
    return f"{number_of(count, of)} {'stands' if count == 1 else 'stand'}"
