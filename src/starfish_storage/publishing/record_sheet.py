"""A record as a bundle has it: a line of the table, its data, and its page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Any, cast

from jinja2 import Template

from starfish_storage.codec import json_text
from starfish_storage.filtering import Fitting
from starfish_storage.publishing.choosing import Told
from starfish_storage.publishing.cleaning import Cleaner
from starfish_storage.publishing.shards import MOST_BYTES
from starfish_storage.runs import Attempt
from starfish_storage.viewer.blocks import blocks_of
from starfish_storage.viewer.json_tree import Room
from starfish_storage.viewer.words import cell, moment, plain
from starfish_storage.wording import money

LONGEST_DATA = 256 << 10
"""Characters of the JSON of a record that can be searched and taken along as a whole."""

# Nodes, characters and bytes of images of a page; fewer, of one that has become too large.
_ROOMS = ((2000, 100_000, 300 << 10), (300, 10_000, 100 << 10))


class RecordSheet:
    """Makes what a bundle has of each record.

    Args:
        page: the template of a page.
        cleaner: leaves out what others are not to see.
        columns: fields of the data that the table shows.
    """

    def __init__(self, page: Template, cleaner: Cleaner, columns: Sequence[str]) -> None:
        self._page = page
        self._cleaner = cleaner
        self._columns = columns

    def of(self, told: Told) -> tuple[list[Any], Any, str]:
        """Return the line, the data and the page of a record; ``bundle.js`` knows what is where."""
        record = told.chosen.record
        data: dict[str, Any] | None = None if told.chosen.data is None else self._cleaner.data(told.chosen.data)
        fields = {} if data is None else data
        error = self._cleaner.text(record.error_message)
        attempts = [self._attempt(one) for one in told.attempts]
        line = [
            plain(record.record_uid),
            record.status,
            plain(cell(error, 300)),
            moment(datetime.fromisoformat(record.end_time)),
            len(attempts) or "",
            money(sum(one.cost for one in attempts)) if attempts else "",
            [plain(cell(fields.get(name))) for name in self._columns],
        ]
        return line, _data_item(data), self._rendered(told, data, error, attempts)

    def _rendered(
        self, told: Told, data: Mapping[str, Any] | None, error: str | None, attempts: Sequence[Attempt]
    ) -> str:
        record, problem = told.chosen.record, told.chosen.problem
        given = None if told.job is None else self._cleaner.data(told.job.run_config)
        said = [replace(one, value=self._cleaner.told(one.value)) for one in told.said]
        html = ""
        for size in _ROOMS:
            room = Room(*size)
            html = self._page.render(
                record=record,
                error=error,
                started=datetime.fromisoformat(record.start_time),
                ended=datetime.fromisoformat(record.end_time),
                blocks=() if data is None else blocks_of(data, room),
                problem=None if problem is None else self._cleaner.text(str(problem)),
                input=() if given is None else blocks_of(given, room),
                attempts=attempts,
                said=said,
            )
            if len(html) < MOST_BYTES // 2:
                break
        return html

    def _attempt(self, attempt: Attempt) -> Attempt:
        clean = self._cleaner.text
        return replace(
            attempt,
            error_message=clean(attempt.error_message),
            error_traceback=clean(attempt.error_traceback),
        )


def columns_of(schema: Mapping[str, Any], records: Sequence[Fitting], most: int) -> list[str]:
    """Return the fields that a table shows: those of the schema, then those of the first records."""
    properties = schema.get("properties")
    found = dict.fromkeys(cast("dict[str, object]", properties) if isinstance(properties, dict) else ())
    for one in records:
        found |= dict.fromkeys(one.data or {})
    return list(islice(found, most))


def _data_item(data: Mapping[str, Any] | None) -> Any:
    """Return data as JSON; of what is too large, the beginning."""
    if data is None:
        return None
    text = json_text(data)
    return text if len(text) <= LONGEST_DATA else {"beginning": text[:LONGEST_DATA]}
