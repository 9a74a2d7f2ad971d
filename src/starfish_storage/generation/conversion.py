"""Turns whatever a function returned into JSON, and notes what was changed on the way, and what nothing can convert."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from starfish_storage.codec import encode
from starfish_storage.errors import InvalidDataError
from starfish_storage.json_limits import MAX_DEPTH
from starfish_storage.redaction import redact_error, redact_text
from starfish_storage.runs import Conversion
from starfish_storage.surrogates import has_pair, joined
from starfish_storage.value_forms import FOR_THE_PROGRAM, Items, Unreadable, form_of

_MOST_PATHS = 20  # of each kind; the count goes on
_LONGEST_PATH = 120
_LONGEST_REASON = 200
_MOST_DESCRIBED = 1_000_000  # characters, of all that nothing can convert in one value
_MOST_BITS = 14_284  # 4,300 digits, Python's own limit
_MOST_STEPS = 16  # from one form of a value to the next: an object may say that it is its own form

_Place = tuple["_Place | None", str]
"""The place of a value: that of its container (None at the top), and the step from there, such as ``".a"``."""


@dataclass(slots=True)
class Notes:
    """What was converted, by kind, and what could not be.

    Attributes:
        counts: how many values of each kind were converted.
        paths: where the first of each kind stood.
        problem: the place and the reason of the first part that nothing can convert; None if all could be.
        key: the first key that is a number, a boolean or None, and its place: JSON has its text; None: all are texts.
    """

    counts: dict[str, int] = field(default_factory=dict[str, int])
    paths: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    problem: str | None = None
    key: str | None = None

    def add(self, kind: str, place: _Place) -> None:
        """Note a conversion. A kind may be the name of a foreign class, which can be any text."""
        if not (kind.isascii() and kind.isprintable()):
            kind = ascii(kind)[1:-1]
        self.counts[kind] = self.counts.get(kind, 0) + 1
        paths = self.paths.setdefault(kind, [])
        if len(paths) < _MOST_PATHS:
            paths.append(_path(place))

    def take_over(self, others: Notes) -> None:
        """Add what other notes say was converted."""
        for kind, count in others.counts.items():
            self.counts[kind] = self.counts.get(kind, 0) + count
            self.paths[kind] = [*self.paths.get(kind, ()), *others.paths[kind]][:_MOST_PATHS]

    def conversions(self) -> tuple[Conversion, ...]:
        """Return what was converted as an attempt keeps it."""
        return tuple(Conversion(kind, count, tuple(self.paths[kind])) for kind, count in self.counts.items())


def convert(value: object, notes: Notes, root: str = "$", *, depth: int = 1) -> Any:
    """Return a value as JSON that `starfish_storage.codec` takes. Raises nothing, whatever the object's own code does.

    A part that nothing can convert becomes ``{"__repr__": text, "__type__": name}``, and a problem in the notes. Its
    text is without what looks like a key; all of these texts together are at most a million characters long.

    Args:
        value: any object.
        notes: gets what was converted.
        root: the path of the value.
        depth: in how many levels of lists and objects it will stand, its own included.

    >>> notes = Notes()
    >>> convert({"a": (1, float("nan")), 2: {3}, "b": object}, notes)
    {'a': [1, None], '2': [3], 'b': {'__repr__': "<class 'object'>", '__type__': 'builtins.type'}}
    >>> notes.paths, notes.problem
    ({'nan': ['$.a[1]'], 'set': ['$.2']}, 'at $.b: a class has no JSON form')
    """
    walk, place = _Walk(notes), (None, root)
    try:
        found = walk.converted(value, place, depth)
        encode({"": found}, "it")
    except BaseException as error:  # a mistake in here must not cost an answer either
        if isinstance(error, FOR_THE_PROGRAM):
            raise
        reason = str(error) if isinstance(error, InvalidDataError) else text_of_error(error)
        return walk.described(value, place, f"it was not converted: {reason}", depth)
    return found


@dataclass(slots=True)
class _Open:
    """A list or object that is being filled.

    Attributes:
        place: where it stands.
        members: its members that are still to come; in a list without keys.
        made: the list or object.
        sources: the objects that it is the form of; held here, so that nothing else gets their ids meanwhile.
        repeated: how often a key has come that came more than once: a mapping of a foreign class may say anything.
    """

    place: _Place
    members: Iterator[tuple[object, object]]
    made: list[Any] | dict[str, Any]
    sources: list[object]
    repeated: dict[str, int] = field(default_factory=dict[str, int])


class _Walk:
    """Goes through a value without recursion: the depth that it can handle must not depend on the caller's own."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._open: list[_Open] = []
        self._above: dict[int, _Place] = {}
        self._left = _MOST_DESCRIBED

    def converted(self, value: object, place: _Place, depth: int) -> Any:
        """Return the form of a value."""
        found = self._form(value, place, depth)
        while self._open:
            top = self._open[-1]
            try:
                key, child = next(top.members)
            except StopIteration:
                self._close()
            except BaseException as error:
                if isinstance(error, FOR_THE_PROGRAM):
                    raise
                self._note_problem(top.place, f"reading its items to the end raised {text_of_error(error)}")
                self._close()
            else:
                self._add(top, key, child, depth + len(self._open))
        return found

    def _close(self) -> None:
        for source in self._open.pop().sources:
            self._above.pop(id(source), None)

    def _add(self, top: _Open, key: object, child: object, depth: int) -> None:
        made = top.made
        if isinstance(made, list):
            made.append(self._form(child, (top.place, f"[{len(made)}]"), depth))
            return
        try:
            name, is_changed = self._name(key, top.place)
        except BaseException as error:
            if isinstance(error, FOR_THE_PROGRAM):
                raise
            self._note_problem(top.place, f"making text of a key raised {text_of_error(error)}")
            name, is_changed = _repr(key, _LONGEST_REASON), True
        place = (top.place, f".{name}")
        if self._notes.key is None and not issubclass(type(key), str):
            self._notes.key = f"{_repr(key, _LONGEST_REASON)} at {_path(top.place)}"
        if name in made:
            again, is_changed, first = top.repeated.get(name, 1) + 1, True, name
            while (name := f"{first} ({again})") in made:
                again += 1
            top.repeated[first] = again
        if is_changed:
            self._notes.add("key", place)
        made[name] = self._form(child, place, depth)

    def _form(self, value: Any, place: _Place, depth: int) -> Any:  # noqa: PLR0911 (a table)
        """Return the form of a value; of a list or object an empty one, which is filled afterwards."""
        sources: list[object] = [value]
        try:
            for _ in range(_MOST_STEPS):
                if value is None or isinstance(value, bool):
                    return value
                kind = cast("type[Any]", type(value))  # what a mock says of its class is not true
                if issubclass(kind, str | int | float):
                    return self._scalar(value, place)
                if kind is Unreadable:
                    return self.described(value, place, f"reading it raised {text_of_error(value.error)}", depth)
                if id(value) in self._above:
                    return self.described(value, place, f"it contains itself: {_path(self._above[id(value)])}", depth)
                found = sources[-1]
                if issubclass(kind, Mapping | list | tuple | Items):
                    return self._begin(found, sources, place, depth)
                form = form_of(value)
                if form is None:
                    return self.described(found, place, _reason(found), depth)
                self._notes.add(form.kind, place)
                value = form.value
                sources.append(value)
        except BaseException as error:
            if isinstance(error, FOR_THE_PROGRAM):
                raise
            return self.described(sources[0], place, f"it raised {text_of_error(error)}", depth)
        return self.described(sources[0], place, "its form is not simpler than itself", depth)

    def _begin(self, value: Any, sources: list[object], place: _Place, depth: int) -> Any:
        if depth > MAX_DEPTH:
            return self.described(value, place, f"it is nested more than {MAX_DEPTH} levels deep", depth)
        made: Any
        members: Iterator[Any]
        if isinstance(value, Mapping):
            pairs = cast("Mapping[object, object]", value).items()
            made, members = {}, iter(pairs if type(cast("object", value)) is dict else Items(pairs))
        else:
            # A subclass may have an `__iter__` that never ends; JSON's encoders do not call it either.
            base: Any = next(one for one in (list, tuple, Items) if isinstance(value, one))
            made, members = [], ((None, one) for one in base.__iter__(value))
        self._open.append(_Open(place, members, made, sources))
        self._above.update((id(source), place) for source in sources)
        return made

    def _scalar(self, value: str | float, place: _Place) -> Any:
        if isinstance(value, str):
            text = str.__str__(value)
            if not has_pair(text):
                return text
            self._notes.add("surrogates", place)
            return joined(text)
        if isinstance(value, int):
            number = int.__index__(value)
            if number.bit_length() <= _MOST_BITS:
                return number
            self._notes.add("integer", place)
            return hex(number)  # Python makes no decimals of so many digits, and reads none
        found = float.__float__(value)
        if math.isfinite(found):
            return found
        self._notes.add("nan", place)
        return None

    def _name(self, key: object, place: _Place) -> tuple[str, bool]:
        """Return the text of a key, and whether JSON's own rules do not give it."""
        if key is None or isinstance(key, bool):
            return {None: "null", True: "true", False: "false"}[key], False
        aside = Notes()  # the kinds of keys are not told apart
        walk = _Walk(aside)
        form: object = walk.converted(key, (place, ".<key>"), 1)
        if isinstance(form, list) and aside.problem is None:
            return ",".join(str(part) for part in cast("list[object]", form)), True
        if isinstance(form, dict) or aside.problem is not None:
            self._note_problem(place, f"a key of type {_type_name(key)} has no text")
            return str(walk.described(key, place, "", MAX_DEPTH + 1)), True
        if isinstance(form, str):
            return form, bool(aside.counts)
        return str(key) if form is None else str(cast("float", form)), bool(aside.counts)

    def described(self, value: object, place: _Place, reason: str, depth: int) -> Any:
        """Return what is kept of a part that nothing can convert, and note the problem."""
        self._note_problem(place, reason)
        text, kind = _repr(value, self._left), _type_name(value)
        self._left -= len(text)
        if depth > MAX_DEPTH:
            return text  # an object would be one level too many
        return {"__repr__": text, "__type__": kind}

    def _note_problem(self, place: _Place, reason: str) -> None:
        if self._notes.problem is None:
            self._notes.problem = f"at {_path(place)}: {reason}"


def _repr(value: object, most: int) -> str:
    """Return the text of an object, without what looks like a key."""
    try:
        text = str.__str__(repr(_own(value)))
    except BaseException as error:
        if isinstance(error, FOR_THE_PROGRAM):
            raise
        text = f"<an object of type {_type_name(value)}; its repr raised {type(error).__name__}>"
    if len(text) > most:
        text = f"{text[: most - 3]}..." if most > 3 else ""  # noqa: PLR2004 (dots)
    return joined(redact_text(text))


def _own(value: object) -> object:
    # By its type: asking an object for its class may run its own code, and raise.
    return value.error if type(value) is Unreadable else value


def _type_name(value: object) -> str:
    kind = type(_own(value))
    return f"{kind.__module__}.{kind.__qualname__}"


def text_of_error(error: BaseException) -> str:
    """Return the class and the message of an error that foreign code raised, on one line and not long.

    >>> text_of_error(KeyError("answer"))
    "KeyError: 'answer'"
    """
    try:
        text = redact_error(" ".join(str(error).split()))
    except BaseException as another:
        if isinstance(another, FOR_THE_PROGRAM):
            raise
        text = ""
    kind = type(error).__name__
    if len(text) > _LONGEST_REASON:
        text = f"{text[:_LONGEST_REASON]}..."
    return f"{kind}: {text}" if text else kind


def _reason(value: object) -> str:
    """Return why a value has no form, and what to do where that is plain."""
    if inspect.iscoroutine(value):
        value.close()  # or Python warns that nobody has awaited it
        return "it is a coroutine, which the function has not awaited"
    if inspect.isroutine(value):
        return "a function has no JSON form"
    if isinstance(value, type):
        return "a class has no JSON form"
    return f"an object of type {_type_name(value)} has no JSON form"


def _path(place: _Place | None) -> str:
    steps: list[str] = []
    while place is not None:
        place, step = place
        steps.append(step)
    path = ascii("".join(reversed(steps)))[1:-1]
    return path if len(path) <= _LONGEST_PATH else f"{path[:_LONGEST_PATH]}..."
