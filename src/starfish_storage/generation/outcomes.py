"""Turns what a function returned into outputs, and checks them."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from pydantic import BaseModel

from starfish_storage.codec import canonical_hash, decode
from starfish_storage.errors import InvalidDataError, InvalidInputError, shorten
from starfish_storage.generation.answered import UNCHECKED
from starfish_storage.generation.conversion import Notes, convert, text_of_error
from starfish_storage.generation.returned import PLAIN, items_of, object_of, storable
from starfish_storage.generation.schemas import NoSchema, Schema, schema_of
from starfish_storage.generation.tracebacks import traceback_text
from starfish_storage.redaction import redact_error
from starfish_storage.runs import ClaimedInput, Output
from starfish_storage.telemetry.logs import get_logger

logger = get_logger(__name__)

OnEmpty = Literal["fail", "skip"]

SCHEMA, ACCEPT, UNIQUE, CHECK, RETURN = "output_schema: ", "accept: ", "unique_by: ", "check: ", "return: "
"""How the message of an output begins that a check refused, that broke a check, or that nothing can convert."""

ENDING = (asyncio.CancelledError, KeyboardInterrupt, SystemExit, GeneratorExit)
"""A function or a check that raises one of these ends the run; any other error is the outcome of its attempt."""


@dataclass(frozen=True, slots=True)
class Filtered:
    """A function returns this for an output that is not good enough: it is stored as ``filtered``.

    Attributes:
        data: the output, in any form that a function may return one in.
        reason: why.
    """

    data: Any
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A function returns this for an output that exists already: it is stored as ``duplicate``.

    Attributes:
        data: the output, in any form that a function may return one in.
        reason: which output it repeats, or how that was found.
    """

    data: Any
    reason: str | None = None


@dataclass(slots=True)
class Checked:
    """The outputs of an attempt, checked.

    Attributes:
        outputs: in the order in which the function returned them.
        notes: what was converted; None if nothing was looked at, because nothing needed to be.
        misfit: what is wrong with the first that does not fit the schema.
    """

    outputs: list[Output]
    notes: Notes | None = None
    misfit: str | None = None


class OutputChecks:
    """The checks of each output of a run, in this order; the first that refuses an output decides its status.

    Each check gets the data as it is stored, already converted. The data of a refused output is stored too. A check
    that raises, or returns what makes no sense, makes the output ``failed`` with the message ``check: ...``. What a
    check changes in the data changes nothing that is stored.
    `Filtered` and `Duplicate` skip these checks.

    ``output_schema``: an output that does not fit is ``failed``. A dict is checked as the JSON that is stored, and
    strictly: the text ``"5"`` is not an integer. To have values converted, return an instance of the pydantic model
    itself, which is not checked again. Formats such as ``"date"`` in a JSON Schema are not checked.

    ``accept``: called with the data, which it must not change. What Python calls true keeps the output; a text (the
    reason), or what Python calls false, makes it ``filtered``. None makes no sense: the function returned nothing. It
    may be a coroutine function; a plain one must be quick, as it does not run in a thread.

    ``unique_by``: the name of a field, several names, or a function of the data that returns a value with a JSON form.
    Of outputs with equal values, all but the first become ``duplicate`` when they are stored. An output that lacks the
    field is ``failed``.
    """

    def __init__(
        self,
        output_schema: type[BaseModel] | dict[str, Any] | None = None,
        accept: Callable[[dict[str, Any]], Any] | None = None,
        unique_by: str | Sequence[str] | Callable[[dict[str, Any]], Any] | None = None,
        on_empty: OnEmpty = "fail",
    ) -> None:
        """Prepare the checks.

        Raises:
            InvalidInputError: the schema is not valid, or another check has an unknown type.
        """
        self._schema: Schema = schema_of(output_schema)
        self._has_schema = not isinstance(self._schema, NoSchema)
        if accept is not None and not callable(accept):
            raise InvalidInputError(f"accept must be a function of an output's data, not {shorten(accept)}.")
        self._accept = accept
        self._unique_by = _checked_unique_by(unique_by)
        self._warned: set[str] = set()
        self._skips_empty = on_empty == "skip"
        self._is_plain = not self._has_schema and accept is None and self._unique_by is None

    @property
    def json_schema(self) -> dict[str, Any]:
        """The JSON Schema of an output's data; empty if the run has none."""
        return self._schema.json_schema

    @property
    def may_wait(self) -> bool:
        """Whether a check may wait for something: then the run may be stopped meanwhile."""
        return self._accept is not None or callable(self._unique_by)

    async def check(self, returned: object) -> Checked:
        """Return the outputs of an attempt, checked.

        Without a check that reads the data, storing a dict finds out whether it is JSON; `stored_as_json` is for one
        that is not.

        Raises:
            InvalidDataError: the function returned nothing, and that is not to be skipped.
        """
        if self._is_plain and type(returned) is dict:
            return Checked([Output("completed", cast("dict[str, Any]", returned))])
        items = [] if returned is None else items_of(returned)
        if self._skips_empty:
            items = [one for one in items if one[0] is not None]
        elif all(item is None for item, _ in items):
            what = "None" if returned is None else "an empty list" if not items else "a list of nothing but None"
            raise InvalidDataError(
                "what the function returned", "$", f"{what} is no output; return data, or pass on_empty='skip'"
            )
        checked, notes = Checked([]), Notes()
        for item, path in items:
            try:
                output = await self._output(item, path, notes, checked)
            except BaseException as error:  # a mistake in here must not cost an answer either
                if isinstance(error, ENDING):
                    raise
                # Not with `exc_info`: the error may quote a key.
                logger.error("an output at %s could not be checked\n%s", path, redact_error(traceback_text(error)))  # noqa: TRY400
                kept, _ = storable({"value": item}, notes, path)
                output = Output("failed", kept, f"{CHECK}{text_of_error(error)}")
            checked.outputs.append(output)
        checked.notes = notes
        return checked

    def unchecked(self, items: Sequence[object], *, is_whole: bool) -> Checked:
        """Return what a stopped attempt had yielded, as failed outputs that can be stored.

        Args:
            items: what it had yielded.
            is_whole: that is all that it returns. Such outputs need not be paid for again: see `UNCHECKED`.
        """
        notes = Notes()
        shaped = [_shaped(item, notes, path) for item, path in items_of(items) if item is not None]
        checked = self.stored_as_json([Output("completed", data) for data in shaped])
        is_whole = is_whole and all(isinstance(item, PLAIN) for item in items)
        is_whole = is_whole and all(one.status == "completed" for one in checked.outputs)
        why = UNCHECKED if is_whole else "the attempt was stopped before it ended"
        return Checked([Output("failed", one.data, why) for one in checked.outputs], checked.notes)

    def stored_as_json(self, outputs: Sequence[Output]) -> Checked:
        """Return outputs that the store refused, with the data of each converted into JSON."""
        notes, converted = Notes(), list[Output]()
        for number, output in enumerate(outputs):
            found = output
            if output.data is not None:
                notes.problem = None
                data, _ = storable(output.data, notes, "$" if len(outputs) == 1 else f"$[{number}]")
                if notes.problem is not None:
                    found = Output("failed", data, f"{RETURN}{notes.problem}")
                elif data is not output.data:
                    found = Output(output.status, data, output.error_message, output.unique_key)
            converted.append(found)
        return Checked(converted, notes)

    def warn_of(self, notes: Notes, claimed: ClaimedInput) -> None:
        """Log what was converted: each kind once, with the first place."""
        for kind in notes.counts:
            if kind not in self._warned:
                self._warned.add(kind)
                logger.warning(
                    "run %s: a value of kind %s is stored in a JSON form, first at %s of what the function or a step "
                    "returned for input %d; attempts note where they stood, and the run's summary counts them",
                    claimed.master_job_id,
                    kind,
                    notes.paths[kind][0],
                    claimed.position,
                )

    async def check_again(self, data: dict[str, Any], *, fits_schema: bool = False) -> Output:
        """Return an output that is stored already as the checks see it now.

        Args:
            data: the output, as it was stored.
            fits_schema: it is known to.
        """
        data, encoded = storable(data, Notes(), "$")
        return await self._with_checks(data, data, None if fits_schema else encoded, Checked([]))

    async def unique_key(self, data: dict[str, Any]) -> str | None:
        """Return what no other completed record may have; None if there is no such key, or it cannot be found."""
        if self._unique_by is None:
            return None
        data, encoded = storable(data, Notes(), "$")
        try:
            return (await _with_key(data, encoded, self._unique_by)).unique_key
        except _BrokenCheckError:
            return None

    async def _output(self, item: object, path: str, notes: Notes, checked: Checked) -> Output:
        notes.problem = None
        said = item if isinstance(item, Filtered | Duplicate) else None
        if said is not None:
            item = said.data
        elif item is None:
            return Output("failed", None, f"{RETURN}at {path}: None is no output")
        data = object_of(item, notes, path)
        if notes.problem is None and self._is_plain and said is None:
            return Output("completed", data)
        data, encoded = storable(data, notes, path)
        if notes.problem is not None:
            return Output("failed", data, f"{RETURN}{notes.problem}")
        if said is not None:
            status = "filtered" if isinstance(said, Filtered) else "duplicate"
            return Output(status, data, _reason_text(said.reason))
        return await self._with_checks(item, data, encoded, checked)

    async def _with_checks(self, item: object, data: dict[str, Any], encoded: bytes | None, checked: Checked) -> Output:
        if self._has_schema and encoded is not None:
            try:
                misfit = self._schema.misfit(item if isinstance(item, BaseModel) else data, encoded)
            except BaseException as error:  # a model's validators are any code
                if isinstance(error, ENDING):
                    raise
                return Output("failed", data, f"{CHECK}output_schema raised {text_of_error(error)}")
            if misfit is not None:
                why = f"{SCHEMA}{misfit}"
                checked.misfit = checked.misfit or why
                return Output("failed", data, why)
        try:
            if self._accept is not None:
                refused = _refused(await _answer("accept", self._accept, _copy(data, encoded)))
                if refused is not None:
                    return Output("filtered", data, refused)
            if self._unique_by is not None:
                return await _with_key(data, encoded, self._unique_by)
        except _BrokenCheckError as error:
            return Output("failed", data, f"{CHECK}{error}")
        return Output("completed", data)


def complained(outputs: Sequence[Output], complaint: str) -> list[Output]:
    """Return outputs as failed, but for those that did not pass anyway: the bookkeeping of their attempt is wrong."""
    why = f"{CHECK}{complaint}"
    return [Output("failed", one.data, why) if one.status == "completed" else one for one in outputs]


_UniqueBy = str | tuple[str, ...] | Callable[[dict[str, Any]], Any]


class _BrokenCheckError(Exception):
    """A check raised, or returned what makes no sense."""


async def _answer(name: str, check: Callable[[dict[str, Any]], Any], data: dict[str, Any]) -> Any:
    """Return what a check says of an output.

    Raises:
        _BrokenCheckError: it raised.
    """
    try:
        answer = check(data)
        return await answer if inspect.isawaitable(answer) else answer
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise _BrokenCheckError(f"{name} awaited something that was cancelled") from error
    except BaseException as error:
        if isinstance(error, ENDING):
            raise
        raise _BrokenCheckError(f"{name} raised {text_of_error(error)}") from error


def _copy(data: dict[str, Any], encoded: bytes | None) -> dict[str, Any]:
    """Return data that a check may spoil; None in place of what it is stored as: nothing is stored of it."""
    return data if encoded is None else decode(encoded)


def _shaped(item: object, notes: Notes, path: str) -> dict[str, Any]:
    """Return the JSON object of an output that is not checked."""
    try:
        return object_of(item.data if isinstance(item, Filtered | Duplicate) else item, notes, path)
    except BaseException as error:
        if isinstance(error, ENDING):
            raise
        return {"value": item}


def _refused(answer: object) -> str | None:
    """Return why ``accept`` refused an output; None if it did not.

    Raises:
        _BrokenCheckError: what it returned says neither.
    """
    if answer is True:
        return None
    if isinstance(answer, str) and answer:
        return f"{ACCEPT}{answer}"
    if answer is None:
        raise _BrokenCheckError("accept returned nothing; return True, or False, or a reason (text)")
    try:
        return None if answer else f"{ACCEPT}refused"
    except BaseException as error:
        if isinstance(error, ENDING):
            raise
        raise _BrokenCheckError(
            f"accept returned an object of type {type(answer).__name__}, which is neither true nor false"
        ) from error


async def _with_key(data: dict[str, Any], encoded: bytes | None, unique_by: _UniqueBy) -> Output:
    if callable(unique_by):
        value: object = await _answer("unique_by", unique_by, _copy(data, encoded))
    else:
        names = (unique_by,) if isinstance(unique_by, str) else unique_by
        missing = [name for name in names if name not in data]
        if missing:
            return Output("failed", data, f"{UNIQUE}the output has no field {shorten(missing[0])}")
        value = data[unique_by] if isinstance(unique_by, str) else [data[name] for name in unique_by]
    try:
        key = canonical_hash({"key": value})
    except InvalidDataError:
        notes = Notes()
        key = canonical_hash({"key": convert(value, notes, depth=2)})
        if notes.problem is not None:
            raise _BrokenCheckError(f"unique_by returned a value that has no JSON form, {notes.problem}") from None
    return Output("completed", data, unique_key=key)


def _reason_text(reason: object) -> str | None:
    """Return the reason of a `Filtered` or `Duplicate` as text, whatever was given as one."""
    if reason is None or isinstance(reason, str):
        return reason
    return str(convert(reason, Notes()))


def _checked_unique_by(given: object) -> _UniqueBy | None:
    if given is None or isinstance(given, str) or callable(given):
        return given
    names = list(cast("Iterable[object]", given)) if isinstance(given, list | tuple) else []
    texts = tuple(name for name in names if isinstance(name, str))
    if not texts or len(texts) != len(names):
        raise InvalidInputError(
            f"unique_by must be the name of a field, a list of names, or a function of the data, "
            f"not {shorten(cast('object', given))}."
        )
    return texts
