"""Rows of annotations: what may be said, to columns and back."""

from __future__ import annotations

import json
import math
import unicodedata
from datetime import datetime
from typing import Any, get_args

from starfish_storage.codec import ascii_text, decode
from starfish_storage.errors import InvalidInputError
from starfish_storage.interface.annotation_rows import AnnotationRow, VerificationRow
from starfish_storage.metadata import values
from starfish_storage.metadata.row import Row
from starfish_storage.runs.annotations import (
    MOST_IN_AUTHOR,
    MOST_IN_COMMENT,
    MOST_IN_LABEL,
    VERDICTS,
    Annotation,
    AnnotationKind,
)
from starfish_storage.runs.verifications import Verification

_GIVEN_KINDS = tuple(kind for kind in get_args(AnnotationKind) if kind != "edit")


def value_text(kind: object, value: object) -> str:
    """Return what is said, as JSON text.

    Raises:
        InvalidStatusError: the kind or the verdict is unknown; an edit is made with its data.
        InvalidInputError: the value is not one of this kind.
    """
    known = values.status("kind of annotation", kind, _GIVEN_KINDS)
    if known == "verdict":
        return ascii_text(values.status("verdict", value, VERDICTS))
    if known == "label":
        return ascii_text(_name("label", value, MOST_IN_LABEL))
    if known == "comment":
        return ascii_text(_said("comment", value, MOST_IN_COMMENT))
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise InvalidInputError(f"a rating must be a number, not {type(value).__name__}.")
    if not (math.isfinite(value) and abs(value) <= values.MOST_USED):
        raise InvalidInputError(f"this rating is not finite, or beyond {values.MOST_USED:,}: give another number.")
    return ascii_text(value)


def author_name(author: object) -> str:
    """Return the name of an author.

    Raises:
        InvalidInputError: it is empty, too long, or holds what is no character of a line.
    """
    return _name("author", author, MOST_IN_AUTHOR)


def annotation(row: Row) -> Annotation:
    """Return the annotation of a row."""
    own_id, record_uid, master_job_id, kind, value, author, time, withdrawn = row
    return Annotation(
        own_id,
        record_uid,
        master_job_id,
        kind,
        said(value),
        author,
        datetime.fromisoformat(time),
        None if withdrawn is None else datetime.fromisoformat(withdrawn),
    )


def row_of(given: Annotation) -> AnnotationRow:
    """Return the row of an annotation that was read."""
    return AnnotationRow(
        given.annotation_id,
        given.record_uid,
        given.master_job_id,
        given.kind,
        ascii_text(given.value),
        given.author,
        values.timestamp("time", given.time),
        values.optional_timestamp("withdrawn", given.withdrawn),
    )


def verification_row(given: Verification) -> VerificationRow:
    """Return the row of what a check found."""
    return VerificationRow(
        values.timestamp("start_time", given.start_time),
        values.timestamp("end_time", given.end_time),
        values.whole("findings", given.findings, 0, 2**62),
        values.json_text("report of a verification", given.report),
    )


def verification(row: Row) -> Verification:
    """Return what a check found."""
    start, end, findings, report = VerificationRow._make(row)
    return Verification(datetime.fromisoformat(start), datetime.fromisoformat(end), findings, decode(report.encode()))


def _said(name: str, value: object, most: int) -> str:
    text = values.text(name, value)
    if not text.strip():
        raise InvalidInputError(f"the {name} is empty: give a text.")
    if len(text) > most:
        raise InvalidInputError(f"the {name} has {len(text):,} characters: give at most {most:,}.")
    return text


def _name(name: str, value: object, most: int) -> str:
    text = _said(name, value, most)
    if any(unicodedata.category(character) in ("Cc", "Zl", "Zp") for character in text):
        raise InvalidInputError(f"the {name} holds a control character or a line break: leave it out.")
    return text


def said(text: str) -> Any:
    """Return a value from its JSON text."""
    return json.loads(text)


def edit_text(version: int) -> str:
    """Return what an edit says: which version it has replaced."""
    return ascii_text({"version": version})
