"""What people say of records: verdicts, labels, ratings, comments and edits, and what holds of it. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args

AnnotationKind = Literal["verdict", "label", "rating", "comment", "edit"]
"""What an annotation is."""

ANNOTATION_KINDS: tuple[AnnotationKind, ...] = get_args(AnnotationKind)

Verdict = Literal["accepted", "rejected"]
"""What a verdict says."""

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)

MOST_IN_AUTHOR = MOST_IN_LABEL = 200
MOST_IN_COMMENT = 100_000
"""The most characters of an author's name, a label and a comment."""


_MOST_LABELS = 5


@dataclass(frozen=True, slots=True)
class Annotation:
    """What somebody has said of a record. Nobody's is ever changed: its author can take it back.

    Attributes:
        annotation_id: its id.
        record_uid: the record.
        master_job_id: the run of the record.
        kind: what it is.
        value: of a verdict ``"accepted"`` or ``"rejected"``; of a label and a comment the text; of a rating the number;
            of an edit ``{"version": n}``, with the number of the version that it has replaced.
        author: who said so.
        time: when (UTC).
        withdrawn: when the author took it back (UTC); None: it holds.
    """

    annotation_id: str
    record_uid: str
    master_job_id: str
    kind: AnnotationKind
    value: Any
    author: str
    time: datetime
    withdrawn: datetime | None = None


@dataclass(frozen=True, slots=True)
class AnnotationCounts:
    """How many records of a run have annotations that hold.

    Attributes:
        accepted: by at least one author, and rejected by none.
        rejected: by at least one author, and accepted by none.
        conflicting: accepted by one author and rejected by another.
        labels: by label, how many records have it.
        rated: that have a rating.
        mean_rating: of all ratings that hold; None without any.
        commented: that have a comment.
        edited: that have an edit.
    """

    accepted: int = 0
    rejected: int = 0
    conflicting: int = 0
    labels: Mapping[str, int] = field(default_factory=dict[str, int])
    rated: int = 0
    mean_rating: float | None = None
    commented: int = 0
    edited: int = 0

    def __str__(self) -> str:
        """Return it in one line; an empty one if no record was judged."""
        names = ("accepted", "rejected", "conflicting", "rated", "commented", "edited")
        counted = {name: int(getattr(self, name)) for name in names}
        parts = [f"{number:,} {name}" for name, number in counted.items() if number]
        if self.labels:
            labels = [f"{number:,} {label!r}" for label, number in self.labels.items()]
            more = [f"{len(labels) - _MOST_LABELS} other labels"] if len(labels) > _MOST_LABELS else []
            parts.append(f"labelled {', '.join(labels[:_MOST_LABELS] + more)}")
        if self.mean_rating is not None:
            parts.append(f"mean rating {self.mean_rating:.4g}")
        return "; ".join(parts)


def holding(annotations: Iterable[Annotation]) -> list[Annotation]:
    """Return those annotations that hold: of one author and record the newest verdict and rating, and all else.

    Args:
        annotations: of any records, the oldest first; what was withdrawn does not hold.
    """
    held = [one for one in annotations if one.withdrawn is None]
    newest = {
        (one.record_uid, one.author, one.kind): one.annotation_id for one in held if one.kind in ("verdict", "rating")
    }
    return [
        one
        for one in held
        if newest.get((one.record_uid, one.author, one.kind), one.annotation_id) == one.annotation_id
    ]


def verdict_of(annotations: Iterable[Annotation]) -> str | None:
    """Return what the annotations of a record come to: ``accepted``, ``rejected``, ``conflicting``, or None."""
    verdicts = {str(one.value) for one in holding(annotations) if one.kind == "verdict"}
    return "conflicting" if len(verdicts) > 1 else next(iter(verdicts), None)


def is_accepted(annotations: Iterable[Annotation]) -> bool:
    """Return whether a record is accepted by at least one author, and rejected by none."""
    return verdict_of(annotations) == "accepted"
