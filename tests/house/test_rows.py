"""Rows are named: their fields are the columns of the schema, and nothing in ``metadata`` reads one by position."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import starfish_storage
from starfish_storage import models
from starfish_storage.interface import action_rows, annotation_rows, limit_rows, rows, version_rows
from starfish_storage.metadata import queries

METADATA = Path(starfish_storage.__file__).parent / "metadata"

TABLES: dict[str, Any] = {
    "projects": rows.ProjectRow,
    "master_jobs": rows.MasterJobRow,
    "execution_jobs": rows.ExecutionJobRow,
    "records": rows.RecordRow,
    "runs": rows.RunRow,
    "attempts": rows.AttemptRow,
    "steps": rows.StepRow,
    "workers": rows.WorkerRow,
    "standing_outcomes": version_rows.StandingOutcomeRow,
    "record_versions": version_rows.RecordVersionRow,
    "annotations": annotation_rows.AnnotationRow,
    "verifications": annotation_rows.VerificationRow,
    "call_limits": limit_rows.CallLimitRow,
    "actions": action_rows.ActionRow,
}

BESIDE: dict[tuple[str, str], set[str]] = {
    ("postgres", "master_jobs"): {"ordinal"},
    ("sqlite", "execution_jobs"): {"counts", "position"},
    ("postgres", "execution_jobs"): {"counts", "position"},
    ("sqlite", "records"): {"unique_key", "attempt", "version_number"},
    ("postgres", "records"): {"unique_key", "attempt", "version_number", "data_version"},
    ("postgres", "record_versions"): {"data_version"},
    ("postgres", "runs"): {"paused_until", "pause_reason", "priority"},
    ("sqlite", "runs"): {
        "attempts",
        "failed_attempts",
        "input_tokens",
        "output_tokens",
        "cost",
        "paused_until",
        "pause_reason",
        "priority",
    },
}
"""Columns that statements of their own write, or triggers."""

ROW_LIKE = re.compile(
    r"(^|_)(row|record|job|attempt|step|worker|input|claim|held|end|there|before|owner|stored|noted)$"
)


def columns_of(engine: str) -> dict[str, list[str]]:
    """Return the columns of each table of a schema file, in order."""
    schema = (METADATA / "sql" / engine / "schema.sql").read_text("utf-8")
    tables = re.findall(r"^CREATE TABLE (\w+) \(\n(.*?)^\)", schema, re.MULTILINE | re.DOTALL)
    return {name: re.findall(r"^    ([a-z]\w*) ", body, re.MULTILINE) for name, body in tables}


def is_number(node: ast.expr | None) -> bool:
    """Return whether an expression is a number as it stands."""
    if isinstance(node, ast.UnaryOp):
        return is_number(node.operand)
    return isinstance(node, ast.Constant) and isinstance(node.value, int)


def positional_reads(source: str) -> Iterator[str]:
    """Yield the expressions that read a row by position: of something named as rows are, of a row just fetched."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Subscript):
            continue
        place, read = node.slice, node.value
        if isinstance(place, ast.Slice):
            by_position = is_number(place.lower) or is_number(place.upper)
        else:
            by_position = is_number(place)
        fetched = (isinstance(read, ast.Subscript) and is_number(read.slice)) or (
            isinstance(read, ast.Call) and getattr(read.func, "attr", "") in ("fetchone", "first")
        )
        named = getattr(read, "id", getattr(read, "attr", ""))
        if by_position and (fetched or ROW_LIKE.search(named)):
            yield f"{node.lineno}: {ast.unparse(node)}"


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
@pytest.mark.parametrize("table", TABLES)
def test_fields_are_the_columns(engine: str, table: str) -> None:
    """In any order, for a migration can only add columns behind the others, and every statement names its columns."""
    columns, fields = columns_of(engine)[table], set(TABLES[table]._fields)
    assert len(set(columns)) == len(columns)
    assert set(columns) == fields | BESIDE.get((engine, table), set())
    assert not fields & BESIDE.get((engine, table), set())


@pytest.mark.parametrize(
    ("model", "row"),
    [
        (models.Project, rows.ProjectRow),
        (models.GenerationMasterJob, rows.MasterJobRow),
        (models.GenerationJob, rows.ExecutionJobRow),
        (models.Record, rows.RecordRow),
    ],
)
def test_rows_begin_with_the_fields_of_their_models(model: Any, row: Any) -> None:
    """In their order: so `metadata/fields.py` reads them, with or without the columns behind."""
    assert list(row._fields)[: len(model.model_fields)] == list(model.model_fields)


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ("end_master_job", rows.MasterJobEndRow),
        ("end_execution_job", rows.ExecutionJobEndRow),
        ("finish_input", rows.FinishedInputRow),
    ],
)
@pytest.mark.parametrize("engine", [queries.sqlite_queries, queries.postgres_queries])
def test_fields_are_the_parameters(engine: Any, query: str, kind: Any) -> None:
    """Of statements that write a part of a row."""
    assert engine().parameters(query) == kind._fields


@pytest.mark.parametrize("path", sorted(METADATA.rglob("*.py")), ids=lambda path: path.relative_to(METADATA).as_posix())
def test_no_row_is_read_by_position(path: Path) -> None:
    """Rows are unpacked or named."""
    assert list(positional_reads(path.read_text("utf-8"))) == []


@pytest.mark.parametrize(
    "source",
    ["row[0]", "self.row[-1]", "saved_row[2:]", "(*row[:3], 1)", "found[0][1]", "cursor.fetchone()[0]", "there[3]"],
)
def test_reading_by_position_is_found(source: str) -> None:
    """However it is written."""
    assert len(list(positional_reads(source))) == 1
