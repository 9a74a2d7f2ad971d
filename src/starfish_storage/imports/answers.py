"""What a model was asked and has answered, as another tool or a provider has stored it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from starfish_storage.errors import InvalidInputError, shorten
from starfish_storage.row_files.rows import BadRow
from starfish_storage.runs import Conversion, Output, Usage

LONGEST_ERROR = 2000


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """What came of one request.

    Attributes:
        position: the place of the request among those of the run, from 0.
        request: what was asked: the input of the run.
        outputs: what was made of the answer; each becomes a record. One that is ``failed`` if it failed.
        usage: what it used, a model each; none if that was not noted.
        start: when it was asked (UTC); None if that was not noted.
        end: when it was answered (UTC); None if that was not noted.
        error: why it failed; None if it did not.
        error_type: the kind of that failure, by which failures are grouped.
        traceback: where it was raised.
        conversions: what had to be converted in the outputs.
    """

    position: int
    request: dict[str, Any]
    outputs: tuple[Output, ...]
    usage: tuple[Usage, ...] = ()
    start: datetime | None = None
    end: datetime | None = None
    error: str | None = None
    error_type: str | None = None
    traceback: str | None = None
    conversions: tuple[Conversion, ...] = ()


class AnswerSource(ABC):
    """Requests and answers that can be read more than once, each by its position.

    Attributes:
        form: the name of its form.
        name: what people call it.
    """

    form: str
    name: str

    @property
    @abstractmethod
    def identity(self) -> str:
        """SHA-256, in hex, of all that the answers follow from. May block."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return what is kept of the source with the master job, never where it lay: JSON."""

    @abstractmethod
    def index(self) -> Iterator[ModelAnswer | BadRow]:
        """Read all answers, in whatever order, and note where each is. May block.

        Raises:
            InvalidInputError: it cannot be read on.
        """

    @abstractmethod
    def positions(self) -> Iterator[int]:
        """Return the positions that have an answer, ascending; `index` comes first."""

    @abstractmethod
    def answer(self, position: int) -> ModelAnswer:
        """Return the answer of a position; `index` comes first. May block.

        Raises:
            InvalidInputError: it is another one by now.
        """

    @abstractmethod
    def has_changed(self) -> bool:
        """Return whether the source is another than when it was opened. May block."""

    def about(self) -> dict[str, Any]:
        """Return more that is kept with the master job, by name: what the tool has noted about the run."""
        return {}

    def notes(self) -> list[str]:
        """Return what is to be said of how it was read, in phrases for a report; `index` comes first."""
        return []

    def output_schema(self, first: ModelAnswer) -> dict[str, Any]:  # noqa: ARG002 (for those that find one there)
        """Return the JSON Schema of the records, as the first answer tells it; an empty one if it does not."""
        return {}

    def changed(self) -> InvalidInputError:
        """Return the error of an answer that is another by now."""
        return InvalidInputError(f"{shorten(self.name)} changed while it was imported: import it again.")
