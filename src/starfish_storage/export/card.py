"""The card of a dataset: YAML that `datasets` and the hub read, and a body for people."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from starfish_storage.codec import readable_text
from starfish_storage.conversations.shapes import shape_named
from starfish_storage.export.features import DTYPES, dtype
from starfish_storage.export.provenance import Chosen, Provenance, RunProvenance, words_of
from starfish_storage.export.schema import Conflict, Plan
from starfish_storage.export.split_words import sentences_of
from starfish_storage.export.splitting import Division
from starfish_storage.export.tokens import without_tokens
from starfish_storage.runs.segment_history import Stretch, made_of, newest

CARD_BEGINS = "---\ntags:\n- synthetic\n"
"""Of every card."""

_SIZES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000, 10_000_000_000, 100_000_000_000)
_MOST_TEXT = 20_000  # characters of a configuration or a prompt in a card
_MOST_SEGMENTS = 20
_MOST_CHANGES = 20
_NOT_YAML = re.compile("[^\t -\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class SplitFacts:
    """A split as it was written.

    Attributes:
        name: its name.
        rows: how many records.
        file_bytes: of its files.
        arrow_bytes: of its records in memory; None if they are not a table.
        pattern: what fits the paths of its files.
    """

    name: str
    rows: int
    file_bytes: int
    arrow_bytes: int | None
    pattern: str


@dataclass(frozen=True, slots=True)
class DatasetFacts:
    """A dataset as it was written.

    Attributes:
        splits: its splits that have records.
        empty: the names of those that have none.
        plan: its columns; None if its files have none.
        conflicts: which of its values are not written as they are.
        division: how records were divided; None if they were not.
    """

    splits: Sequence[SplitFacts]
    empty: Sequence[str] = ()
    plan: Plan | None = None
    conflicts: Sequence[Conflict] = ()
    division: Division | None = None


def card_text(facts: DatasetFacts, source: Provenance | str) -> str:
    """Return the content of a dataset's ``README.md``.

    Args:
        facts: the dataset.
        source: where its records come from, or the text to use as its body.
    """
    body = source if isinstance(source, str) else "\n".join(_body(facts, source))
    return CARD_BEGINS + "\n".join([*_front(facts), "---", "", without_tokens(body).strip(), ""])


# --- YAML -------------------------------------------------------------------------------------------------------------


def _front(facts: DatasetFacts) -> Iterator[str]:
    rows = sum(split.rows for split in facts.splits)
    yield "size_categories:"
    yield f"- {_size_category(rows)}"
    if facts.plan is not None and not any(facts.plan.of_kind("map")):  # `datasets` has no type for maps
        yield from _info(facts.plan, facts.splits)
    yield "configs:"
    yield "- config_name: default"
    yield "  data_files:"
    for split in facts.splits:
        yield f"  - split: {quoted(split.name)}"
        yield f"    path: {quoted(split.pattern)}"


def _info(plan: Plan, splits: Sequence[SplitFacts]) -> Iterator[str]:
    yield "dataset_info:"
    yield "  features:"
    yield from _indented(_fields(plan))
    yield "  splits:"
    for split in splits:
        yield f"  - name: {quoted(split.name)}"
        yield f"    num_bytes: {split.arrow_bytes}"
        yield f"    num_examples: {split.rows}"
    yield f"  download_size: {sum(split.file_bytes for split in splits)}"
    yield f"  dataset_size: {sum(split.arrow_bytes or 0 for split in splits)}"


def _fields(plan: Plan) -> Iterator[str]:
    for name, member in plan.members:
        yield f"- name: {quoted(name)}"
        yield from _indented(_feature(member))


def _feature(plan: Plan) -> Iterator[str]:
    if plan.kind == "object":
        yield "struct:"
        yield from _fields(plan)
    elif plan.items is None:
        yield f"dtype: {_dtype(plan)}"
    elif plan.items.kind == "object":
        yield "list:"
        yield from _fields(plan.items)
    elif plan.items.items is not None:
        yield "list:"
        yield from _indented(_feature(plan.items))
    else:
        yield f"list: {_dtype(plan.items)}"


def _dtype(plan: Plan) -> str:
    return dtype(plan) if plan.kind != "null" else '"null"'  # YAML's own null, without quotes


def _indented(lines: Iterator[str]) -> Iterator[str]:
    return (f"  {line}" for line in lines)


def quoted(text: str) -> str:
    r"""Return a text as YAML's double quotes write it.

    >>> print(quoted('say "é"\n\x7f🐟'))
    "say \"é\"\n\x7f🐟"
    """
    return _NOT_YAML.sub(lambda found: _escaped(found[0]), readable_text(text))


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"  # noqa: PLR2004 (two digits)


def _size_category(rows: int) -> str:
    names = ["1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B", "100B", "1T"]
    for number, most in enumerate(_SIZES):
        if rows < most:
            return f"n<{names[0]}" if number == 0 else f"{names[number - 1]}<n<{names[number]}"
    return f"n>{names[-1]}"


# --- the body ---------------------------------------------------------------------------------------------------------


def _body(facts: DatasetFacts, source: Provenance) -> Iterator[str]:
    runs = source.runs
    names = dict.fromkeys(run.project.name if run.project else run.job.project_id for run in runs)
    yield f"# {inline(', '.join(names)) or 'Synthetic data'}"
    yield ""
    descriptions = dict.fromkeys(run.project.description for run in runs if run.project and run.project.description)
    for description in descriptions:
        yield from [inline(description), ""]
    rows = sum(split.rows for split in facts.splits)
    yield f"{rows:,} synthetic records, generated by language models and exported with starfish-storage."
    yield ""
    for left in (run.unfinished for run in runs):
        if left is not None:
            yield from [f"This is not all of it: {inline(str(left))}.", ""]
    if source.shape is not None:
        title = shape_named(source.shape).title
        yield from [f"Each row is a conversation in the shape `{source.shape}`: {title}.", ""]
    yield from _chosen(source.chosen)
    yield from _splits(facts)
    if facts.plan is not None:
        yield from _columns(facts.plan, facts.conflicts, runs)
    for run in runs:
        yield from _run(run)


def _chosen(chosen: Chosen) -> Iterator[str]:
    """Yield what a record had to be, so that nobody takes a part of the runs for all of them."""
    if not chosen:
        return
    yield from ["These are not all records of the runs. Of those, only these were exported:", ""]
    yield from (f"- {inline(words)}" for words in words_of(chosen))
    yield ""


def _splits(facts: DatasetFacts) -> Iterator[str]:
    rows = [(f"`{split.name}`", f"{split.rows:,}") for split in facts.splits]
    yield from ["## Splits", ""]
    for sentence in sentences_of(facts.division, facts.empty):
        yield from [inline(sentence), ""]
    yield from _table(("split", "records"), [*rows, *((f"`{name}`", "0") for name in facts.empty)])


def _columns(plan: Plan, conflicts: Sequence[Conflict], runs: Sequence[RunProvenance]) -> Iterator[str]:
    told = {name: text for run in reversed(runs) for name, text in _meanings(run.job.output_schema)}
    yield from ["## Columns", ""]
    rows = [(inline(name), _type_name(plan), inline(told.get(name, ""))) for name, plan in plan.members]
    yield from _table(("column", "type", "meaning"), rows)
    if conflicts:
        yield from ["No column holds these values as they are. JSON text holds all values of a path, strings too:", ""]
        yield from (f"- {inline(str(conflict))}" for conflict in conflicts)
        yield ""
    if any(one.has_feature for one in plan.of_kind("json")):
        yield from [
            "`datasets` reads the JSON text as objects (from version 4.7 on), and numbers in it to 15 digits.",
            "",
        ]


def _meanings(schema: dict[str, Any]) -> Iterator[tuple[str, str]]:
    properties: Any = schema.get("properties")
    for name, about in cast("dict[str, Any]", properties).items() if isinstance(properties, dict) else ():
        if isinstance(about, dict):
            text = cast("dict[str, object]", about).get("description")
            if isinstance(text, str):
                yield name, text


def _type_name(plan: Plan) -> str:
    if plan.items is not None:
        return f"{'map' if plan.kind == 'map' else 'list'} of {_type_name(plan.items)}"
    return {"object": "struct", "json": "JSON text", "null": "null"}.get(plan.kind, DTYPES.get(plan.kind, plan.kind))


def _run(run: RunProvenance) -> Iterator[str]:
    job, state = run.job, run.state
    yield from [f"## Run {inline(job.name or job.master_job_id)}", ""]
    facts: dict[str, str | None] = {
        "id": inline(job.master_job_id),
        "status": job.status,
        "models": ", ".join(map(inline, run.models)) or "unknown",
        "created": f"{job.creation_time:%Y-%m-%d %H:%M} UTC",
        "ended": f"{job.end_time:%Y-%m-%d %H:%M} UTC" if job.end_time else None,
        "records asked for": f"{job.target_record_count:,}" if job.target_record_count else None,
        "records": _counts(run.records),
        "inputs": _counts(run.inputs),
        "judged by people": inline(str(run.annotations)) or None,
    }
    if state is not None:
        facts |= {
            "attempts": f"{state.attempts:,}, of which {state.failed_attempts:,} failed",
            "tokens": f"{state.input_tokens:,} sent, {state.output_tokens:,} received",
            "cost": f"{state.cost:.4f}".rstrip("0").rstrip("."),
        }
    yield from _table(("", ""), [(name, value) for name, value in facts.items() if value])
    if run.failures:
        yield from ["### Failures", ""]
        yield from _table(("kind", "inputs"), [(inline(kind), f"{count:,}") for kind, count in run.failures])
    if run.prompts:
        yield from ["### Prompts", ""]
        for path, text in run.prompts.items():
            yield from [f"{inline(path)}:", "", *_fenced(text, "text"), ""]
    yield from _segments(run)
    yield from ["### Configuration", ""]
    if run.config is None:
        yield from ["It is lost.", ""]
    else:
        yield from [*_fenced(readable_text(run.config, 2), "json"), ""]


def _segments(run: RunProvenance) -> Iterator[str]:
    """Yield what the run was made of, segment by segment, and what changed between them."""
    shown, before = newest(run.segments, _MOST_SEGMENTS)
    if not shown:
        return
    yield from ["### Segments", ""]
    if before:
        yield from [f"{before:,} earlier ones are left out.", ""]
    rows = [
        (one.numbers, f"{one.start_time:%Y-%m-%d %H:%M} UTC", inline(made_of(one.identity)), inline(_versions(one)))
        for one in shown
    ]
    yield from _table(("segment", "started", "made of", "versions"), rows)
    for one in shown:
        for line in one.changes[:_MOST_CHANGES]:
            yield f"- {one.numbers}: {inline(line)}"
        if len(one.changes) > _MOST_CHANGES:
            yield f"- {one.numbers}: {len(one.changes) - _MOST_CHANGES} more changes"
    yield ""


def _versions(one: Stretch) -> str:
    versions = one.identity.get("versions")
    if not isinstance(versions, dict):
        return ""
    return ", ".join(f"{name} {version}" for name, version in cast("dict[str, Any]", versions).items())


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""


def _fenced(text: str, kind: str) -> list[str]:
    """Return a text as a block of code that it cannot end."""
    if len(text) > _MOST_TEXT:
        text = f"{text[:_MOST_TEXT]}\n... ({len(text):,} characters)"
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return [f"{fence}{kind}", text, fence]


def inline(text: str) -> str:
    r"""Return a text for the middle of a line of Markdown, where it can neither begin anything nor end a table's cell.

    >>> print(inline("a|b\n# <c>"))
    a\|b \# \<c\>
    """
    # Tokens first: escaped, they would not be found any more.
    return re.sub(r"([\\`*_\[\]<>|#~])", r"\\\1", " ".join(without_tokens(text).split()))
