"""The state of the table of records, as a URL has it. Pages of records keep it, and lead on as the table does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast, get_args

from starlette.datastructures import QueryParams

from starfish_storage.errors import InvalidInputError
from starfish_storage.filtering import COMPARISONS, Condition, conditions_of
from starfish_storage.viewer.record_pages import PAGE, Order, RecordQuery

MOST_COLUMNS = 40
_MOST_DIGITS = 18


@dataclass(frozen=True, slots=True)
class TableState:
    """What the table shows.

    Attributes:
        query: which records.
        columns: the fields that were chosen; none: the usual ones.
    """

    query: RecordQuery
    columns: Sequence[str] = ()

    def of_run(self, master_job_id: str) -> TableState:
        """Return the state in the table of a run, whatever the URL says; without a place in it."""
        return replace(self, query=replace(self.query, master_job_id=master_job_id, after=None, before=None))

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of a URL, without the place in the table."""
        query = self.query
        return {
            "run": query.master_job_id,
            "status": list(query.statuses),
            "error": query.error,
            "field": [one.field for one in query.conditions],
            "compare": [one.comparison for one in query.conditions],
            "value": [one.value for one in query.conditions],
            "order": None if query.order == "oldest" else query.order,
            "seed": query.seed if query.order == "random" else None,
            "column": list(self.columns),
        }

    @property
    def words(self) -> list[str]:
        """The options of ``export`` and ``records`` that mean the same records; of a shuffle, its first page."""
        words = [word for status in self.query.statuses for word in ("--status", status)]
        words += [word for one in self.query.every_condition for word in ("--where", str(one))]
        if self.query.order == "random":
            words += ["--sample", str(PAGE), "--sample-seed", str(self.query.seed)]
        return words


def state_of(parameters: QueryParams) -> TableState:
    """Return the state of a URL. Conditions stand in ``where`` as they are written, or apart, as a form sends them.

    Raises:
        InvalidInputError: a parameter makes no sense.
    """
    order = parameters.get("order", "oldest")
    if order not in get_args(Order):
        raise InvalidInputError(f"order must be one of {', '.join(get_args(Order))}.")
    query = RecordQuery(
        parameters.get("run", ""),
        [one for one in parameters.getlist("status") if one],
        parameters.get("error", ""),
        [*conditions_of([one for one in parameters.getlist("where") if one]), *_typed_conditions(parameters)],
        cast("Order", order),
        number_of(parameters, "seed"),
        after=parameters.get("after") or None,
        before=parameters.get("before") or None,
    )
    columns = [name.strip() for one in parameters.getlist("columns") for name in one.split(",")]
    chosen = dict.fromkeys(one for one in [*parameters.getlist("column"), *columns] if one)
    return TableState(query, list(chosen)[:MOST_COLUMNS])


def _typed_conditions(parameters: QueryParams) -> list[Condition]:
    fields, comparisons, values = (parameters.getlist(name) for name in ("field", "compare", "value"))
    if not len(fields) == len(comparisons) == len(values):
        raise InvalidInputError("a filter needs a field, a comparison and a value: take it from the form of the page.")
    found = [Condition(*one) for one in zip(fields, comparisons, values, strict=True)]
    for one in found:
        if one.comparison not in COMPARISONS:
            one.checked()
    return [one.checked() for one in found if one.field]


def number_of(parameters: QueryParams, name: str) -> int:
    """Return an integer of a URL; 0 where it has none.

    Raises:
        InvalidInputError: it is none.
    """
    given = parameters.get(name, "")
    digits = given.removeprefix("-")
    if not given:
        return 0
    if not digits.isascii() or not digits.isdecimal() or len(digits) > _MOST_DIGITS:
        raise InvalidInputError(f"{name} must be an integer.")
    return int(given)
