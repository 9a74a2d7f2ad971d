"""Tracebacks that begin at the user's code: our frames above it tell the reader nothing."""

from __future__ import annotations

import functools
import os
import traceback
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, ParamSpec, TypeVar, cast

from starfish_storage.errors import InvalidInputError, StorageError
from starfish_storage.redaction import redacted_end
from starfish_storage.surrogates import escaped

_LONGEST_MESSAGE = 10_000
_LONGEST_TRACEBACK = 20_000

P = ParamSpec("P")
Result = TypeVar("Result")

_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_CALLS = os.path.join(_OURS, "generation", "calling.py")
_LIBRARY = os.path.dirname(os.__file__)
_BETWEEN = (_OURS, *(os.path.join(_LIBRARY, name) for name in ("asyncio", "concurrent", "dataclasses.py")), "<string>")
"""Files that our calls pass through on their way to the user's function or to a refusal, constructors included."""


def traceback_text(error: BaseException) -> str:
    """Return an error as Python shows it, from the first frame outside this library on; its causes likewise.

    An error without such a frame is shown without frames if that says enough: a refusal of ours, or a call that failed
    at once, as for a missing argument.
    """
    shown = traceback.TracebackException.from_exception(error)
    pending, seen = [shown], set[int]()
    while pending:
        one = pending.pop()
        if id(one) not in seen:
            seen.add(id(one))
            _shorten(one, is_refusal=one is shown and isinstance(error, StorageError))
            pending += [other for other in (one.__cause__, one.__context__, *(one.exceptions or ())) if other]
    return "".join(shown.format())


def frames_text(error: BaseException) -> str:
    """Return the frames of an error that Python cannot show whole, from the first one outside this library on."""
    stack = traceback.extract_tb(error.__traceback__)
    return "".join(traceback.format_list(stack[_head(stack) :]))


def error_texts(error: BaseException) -> tuple[str, str, str]:
    """Return the class of an error, its text and its traceback, as an attempt keeps them."""
    kind = storable_text(type(error).__name__)
    return kind, storable_text(_text_of(error)), storable_text(_traceback_of(error), _LONGEST_TRACEBACK)


def storable_text(text: str, most: int = _LONGEST_MESSAGE) -> str:
    """Return a text that a database can hold, without secrets; of a long one only the end, where the reason stands."""
    return escaped(redacted_end(text, most))


def raised_at_the_call(
    function: Callable[P, Coroutine[Any, Any, Result]],
) -> Callable[P, Coroutine[Any, Any, Result]]:
    """Let a coroutine function raise refusals of its arguments at its caller's line, not at ours."""

    @functools.wraps(function)
    async def called(*arguments: P.args, **keywords: P.kwargs) -> Result:
        try:
            return await function(*arguments, **keywords)
        except InvalidInputError as error:
            if not _is_ours_alone(error.__traceback__):
                raise  # the user's own code raised it: an iterable of inputs, a function
            refusal = error.with_traceback(None)
        raise refusal

    return called


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 (any code)
        return f"a {type(error).__name__} that cannot be shown"


def _traceback_of(error: BaseException) -> str:
    try:
        return traceback_text(error)
    except Exception:  # noqa: BLE001 (any code: also that of its causes and notes)
        return frames_text(error)


def _shorten(shown: traceback.TracebackException, *, is_refusal: bool) -> None:
    head = _head(shown.stack)
    if head < len(shown.stack):
        del shown.stack[:head]
    elif any(frame.filename == _CALLS for frame in shown.stack) or is_refusal:
        shown.stack = cast("traceback.StackSummary", None)  # then `format` writes no header either


def _head(stack: traceback.StackSummary) -> int:
    """Return how many frames at the beginning are ours or lie between."""
    foreign = (place for place, frame in enumerate(stack) if not _is_between(frame.filename))
    return next(foreign, len(stack))


def _is_between(file: str) -> bool:
    return file.startswith(_BETWEEN) or f"{os.sep}tenacity{os.sep}" in file


def _is_ours_alone(trace: TracebackType | None) -> bool:
    stack = traceback.extract_tb(trace)
    return _head(stack) == len(stack)
