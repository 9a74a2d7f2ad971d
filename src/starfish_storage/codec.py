"""The one codec: JSON objects to bytes and back, exactly or not at all.

orjson does the work; what it would change silently (NaN to null, integers over 64 bits to floats) is caught
here, and what it refuses but JSON allows (such integers, lone surrogates, non-string keys) falls back to the
standard library. What JSON cannot hold is refused with the place where it stands.
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import datetime
from typing import Any, cast

import orjson

from starfish_storage.errors import InvalidDataError
from starfish_storage.json_limits import check_json
from starfish_storage.surrogates import has_pair, joined_value, may_have_halves, replaced_value

# With these options and no `default`, orjson refuses subclasses, dates and dataclasses, as `json` does.
_ORJSON_OPTIONS = (
    orjson.OPT_APPEND_NEWLINE
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)

# What orjson writes as it is, or refuses: there is nothing that it would change silently.
_PLAIN = frozenset({str, int, bool, type(None)})

_UTC_LENGTH = len('"2026-01-31T12:00:00.000000Z"')

_DIGITS_TO_ZERO = bytes.maketrans(b"123456789", b"0" * 9)
_LONG_NUMBER = b"0" * 19  # fewer digits are within 64 bits


# Every escape in JSON, so that an escaped backslash is not taken for the beginning of the next: a pair, (a lone half of
# one), any other; and (a half as some write it in place of UTF-8).
_ESCAPES = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)"
    rb"|(\xed[\xa0-\xbf][\x80-\xbf])"
)


def encode(value: object, what: str, *, joins: bool = True) -> bytes:
    r"""Return a JSON object as one line of UTF-8, ending in a newline.

    It accepts what `json.dumps` accepts (so tuples become lists and keys such as ``1`` become ``"1"``), except
    for NaN, infinities, keys that would become equal, and nesting beyond `MAX_DEPTH`. Two halves of a surrogate pair
    become the character that they stand for, as if that had been given.

    Args:
        value: the object; a dict.
        what: what is being saved, for the message.
        joins: join such halves; else they are refused.

    Raises:
        InvalidDataError: the value is not an object, or something in it is not JSON; names the place.

    >>> encode({"answer": 42}, "data")
    b'{"answer":42}\n'
    """
    if not isinstance(value, dict):
        raise InvalidDataError(what, "$", f"a JSON object (dict) is needed, not {type(value).__name__}")
    try:
        encoded = orjson.dumps(value, option=_ORJSON_OPTIONS)
        # Reading it back proves it: NaN has become null, a UUID a string. Twice as fast as a walk in Python; but most
        # data is texts side by side, whose types are told at a tenth of that.
        if _PLAIN.issuperset(map(type, cast("dict[str, object]", value).values())) or orjson.loads(encoded) == value:
            return encoded
    except BaseException as error:  # comparing may run any code
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise
        # orjson's limits are not JSON's: the walk below decides, and says why
    try:
        check_json(cast("dict[Any, Any]", value), what, joins=joins)
        text = json.dumps(value, allow_nan=False, separators=(",", ":"))
        if has_pair(json.dumps(value, ensure_ascii=False)):
            # Read back, two escapes are one character: the bytes, and the digest, are those of that character.
            return json_line(json.loads(text))
        return text.encode("ascii") + b"\n"
    except InvalidDataError:
        raise
    except (ValueError, RecursionError) as error:
        raise InvalidDataError(what, "$", str(error)) from error
    except BaseException as error:  # a dict of a foreign class
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise
        raise InvalidDataError(what, "$", f"reading it raised {type(error).__name__}") from error


def decode(encoded: bytes) -> Any:
    """Return the value of a JSON text, exactly as it was before `encode`.

    Raises:
        ValueError: the bytes are not JSON. It does not hold them.
    """
    return decode_known(encoded)[0]


def decode_known(encoded: bytes) -> tuple[Any, bool]:
    """Return what `decode` does, and whether `encode` is sure to take it if it is an object."""
    # orjson reads an integer beyond 64 bits as a float and would not say so. Writing the value again is the cheapest
    # way to see that there is none; what was written by something else, with blanks, is searched for long numbers.
    try:
        value = orjson.loads(encoded)
        again = orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)
        is_compact = again == encoded or again[:-1] == encoded
        if is_compact or _LONG_NUMBER not in encoded.translate(_DIGITS_TO_ZERO):  # a tenth of a regular expression
            return value, True
    except (ValueError, TypeError):
        pass  # lone surrogates: only the standard parser takes them
    try:
        text = encoded.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        start = error.start  # and nothing else of it: it holds the bytes, and its `repr` shows them
    else:
        return json.loads(text), False
    raise ValueError(f"not UTF-8 at byte {start}")


def decode_line(payload: bytes) -> tuple[dict[str, Any], bytes, bool]:
    r"""Return the object of a JSON text, the text on one line, and whether only the exact parser reads that.

    The exact but slow parser is needed for integers beyond 64 bits and for strings that UTF-8 cannot hold. NaN and
    infinities, which JSON does not have, become null.

    Raises:
        ValueError: the bytes are not a JSON object; it does not quote them.

    >>> decode_line(b'{\n  "a": 1\n}')
    ({'a': 1}, b'{"a":1}\n', False)
    >>> decode_line(b'{"a":"\\ud800"}\n')[1:]
    (b'{"a":"\\ud800"}\n', True)
    """
    try:
        value = orjson.loads(payload)
        if orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE) == payload and type(value) is dict:  # as in `decode`
            return cast("dict[str, Any]", value), payload, False
    except (ValueError, TypeError):
        pass
    found = _decoded(payload)
    if type(found) is not dict:
        raise ValueError("it is not a JSON object")
    value = cast("dict[str, Any]", found)
    return value, json_line(value), needs_exact_parser(value)


def line_without_halves(payload: bytes) -> tuple[bytes, int]:
    r"""Return the line of a JSON object as every reader takes it, and how many lone halves it had: now U+FFFD.

    Keys that become equal by that are numbered.

    >>> line_without_halves(b'{"a":"\\ud83d \\ud83d\\ude00"}\n')
    (b'{"a":"\xef\xbf\xbd \xf0\x9f\x98\x80"}\n', 1)
    """
    if not may_have_halves(payload):
        return payload, 0
    if not any(found.lastindex for found in _ESCAPES.finditer(payload)):
        return payload, 0
    try:
        value, count = without_halves(decode(payload))
    except (ValueError, RecursionError):
        return payload, 0  # whoever reads it says that it is no JSON
    return json_line(value), count


def without_halves(value: Any) -> tuple[Any, int]:
    """Return a JSON value with U+FFFD in place of each lone half of a surrogate pair, and how many there were."""
    return replaced_value(value) if needs_exact_parser(value) else (value, 0)


def needs_exact_parser(value: object) -> bool:
    """Return whether a JSON value holds what only the exact parser reads: beyond 64 bits, or beyond UTF-8."""
    try:
        orjson.dumps(value)
    except (TypeError, ValueError):
        return True
    return False


def json_line(value: object) -> bytes:
    """Return a value that was read from JSON as one line of JSON text; nothing is checked."""
    try:
        return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)
    except (TypeError, ValueError):
        return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def json_text(value: object) -> str:
    r"""Return a value that was read from JSON as JSON text, which parses to it again.

    >>> json_text({"a": ["é", "\ud800", 2**70]})
    '{"a":["\\u00e9","\\ud800",1180591620717411303424]}'
    """
    return json_line(value)[:-1].decode()


def ascii_text(value: object) -> str:
    """Return a value as JSON text in ASCII without blanks: what columns hold that are never searched."""
    return json.dumps(value, separators=(",", ":"))


def readable_text(value: object, indent: int | None = None, *, in_ascii: bool = False) -> str:
    """Return a value as JSON text for people.

    Args:
        value: the value.
        indent: blanks for each level; None for one line.
        in_ascii: escape every other character.

    >>> readable_text({"a": [1, "é"]})
    '{"a": [1, "é"]}'
    """
    return json.dumps(value, ensure_ascii=in_ascii, indent=indent)


def content_digest(payload: bytes) -> str:
    r"""Return the SHA-256 of a data file's content, in lower-case hex: what ``sha256sum`` prints.

    >>> content_digest(b"{}\n")[:16]
    'ca3d163bab055381'
    """
    return hashlib.sha256(payload).hexdigest()


def encode_row(values: tuple[object, ...]) -> bytes:
    r"""Return strings, integers and nulls as a JSON array on one line.

    >>> encode_row(("r1", 2, None))
    b'["r1",2,null]\n'
    """
    return orjson.dumps(values, option=orjson.OPT_APPEND_NEWLINE)


def utc_text(moment: datetime) -> str:
    """Return an aware time in UTC as text of fixed width, in a third of the time that `isoformat` takes.

    >>> utc_text(datetime.fromisoformat("2026-01-31T12:00Z"))
    '2026-01-31T12:00:00.000000Z'
    """
    if type(moment) is datetime:
        written = orjson.dumps(moment, option=orjson.OPT_UTC_Z)
        if len(written) == _UTC_LENGTH:  # without microseconds, it leaves them out
            return written[1:-1].decode("ascii")
    return moment.isoformat(timespec="microseconds")[:26] + "Z"


def canonical_hash(value: object, what: str = "run_config") -> str:
    """Return the SHA-256, in hex, of a value's canonical JSON: the identity of an execution job's input.

    Canonical is ``json.dumps(value, sort_keys=True)`` encoded as UTF-8, the form that Starfish itself hashes, so
    that its jobs and these find each other.

    Args:
        value: any JSON value.
        what: what it is, for the message.

    Raises:
        InvalidDataError: the value is not JSON, or an object has keys of several types, which have no order.

    >>> canonical_hash({"b": 1, "a": 2}) == canonical_hash({"a": 2, "b": 1})
    True
    """
    return hashlib.sha256(_sorted_json(value, what, _HASHED)).hexdigest()


def canonical_json(value: object, what: str) -> bytes:
    r"""Return JSON text that is the same for equal values: sorted keys, ASCII, no blanks.

    Of a JSON Schema's ``properties``, the order stays: models write their answers in it.

    The standard library makes it, which writes numbers as Python does: the text outlives any release of orjson.

    Args:
        value: any JSON value.
        what: what it is, for the message.

    Raises:
        InvalidDataError: the value is not JSON, or an object has keys of several types, which have no order.

    >>> canonical_json({"b": 1.0, "a": "\u00e9"}, "a request")
    b'{"a":"\\u00e9","b":1.0}'
    """
    text = _sorted_json(value, what, _COMPACT)
    if _ORDERED_TEXT not in text:
        return text
    try:
        return _AS_IT_STANDS.encode(_sorted_but_properties(value)).encode("ascii")
    except RecursionError as error:
        raise InvalidDataError(what, "$", "it is nested too deep") from error


def value_digest(value: object) -> bytes:
    """Return 16 bytes that are the same for equal values that were read from JSON, whatever the order of their keys.

    Twenty times as fast as `canonical_hash`, which is for what is stored.
    """
    try:
        text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except (TypeError, ValueError):
        text = _COMPACT.encode(value).encode()
    return hashlib.blake2b(text, digest_size=16).digest()


# Made once: `json.dumps` makes one for each call.
_HASHED = json.JSONEncoder(sort_keys=True, allow_nan=False)
_COMPACT = json.JSONEncoder(sort_keys=True, allow_nan=False, separators=(",", ":"))
_AS_IT_STANDS = json.JSONEncoder(allow_nan=False, separators=(",", ":"))

_ORDERED = "properties"
_ORDERED_TEXT = f'"{_ORDERED}":'.encode()


def _sorted_but_properties(value: Any, *, is_ordered: bool = False) -> Any:
    """Return a value with sorted keys, but for those of objects that are called ``properties``."""
    if isinstance(value, list):
        return [_sorted_but_properties(one) for one in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    members = cast("dict[str, Any]", value)
    names = members if is_ordered else sorted(members)
    return {
        name: _sorted_but_properties(members[name], is_ordered=name == _ORDERED and not is_ordered) for name in names
    }


def _sorted_json(value: object, what: str, encoder: json.JSONEncoder) -> bytes:
    try:
        text = encoder.encode(value)
        if "\\ud" in text and has_pair(json.dumps(value, ensure_ascii=False)):  # in a key, it would sort otherwise
            text = encoder.encode(joined_value(value))
    except (TypeError, ValueError, RecursionError) as error:
        check_json(value, what)
        raise InvalidDataError(what, "$", "its keys cannot be sorted; use strings as keys") from error
    return text.encode("ascii")


def _decoded(payload: bytes) -> object:
    try:
        return decode(payload)
    except (ValueError, RecursionError):
        pass  # its message, or its attributes, may hold the bytes
    raise ValueError("it is not JSON")
