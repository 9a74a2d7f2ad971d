"""Secrets in configurations: decides which keys name one, and copies a JSON object without their values."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, cast

from starfish_storage.json_limits import MAX_DEPTH

MARKER = "[redacted]"
"""The text that replaces a secret."""

_DEEPEST = MAX_DEPTH + 10  # encoding refuses an object that is nested deeper
_LONGEST_KEY = 128  # of a longer key, the end decides
_LONGEST_KEY_SHOWN = 40

# "OPENAI_API_KEY", "x-api-key", "apiKey" and "APIKey" are the same words.
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def _words(words: str) -> frozenset[str]:
    return frozenset(words.split())


_SECRET_WORDS = _words(
    "auth authorization bearer cookie cookies credential credentials creds jwt passcode passwd secrets"
)
_SECRET_ENDINGS = (  # of words that are written as one, such as "dbpassword"
    *("accesskey", "accesstoken", "apikey", "apitoken", "authtoken", "bearertoken", "passphrase", "passwd", "password"),
    *("privatekey", "refreshtoken", "secret", "secretkey", "sessiontoken"),
)
# A key is for a door, or for a table; a token for a door, or a piece of text.
_KINDS_OF_SECRET_KEY = _words(
    "access account anthropic api auth aws azure cohere deepseek encryption functions gemini google groq hf "
    "huggingface license master mistral openai openrouter private secret service shared signing ssh subscription"
)
_KINDS_OF_SECRET_TOKENS = _words("access api auth bearer csrf refresh secret security session")
_KINDS_OF_TEXT_TOKEN = _words(
    "additional audio begin beginning bos class cls completion continuation decoder end eos extra fill fim first "
    "generated image input is last mask max middle min new next num output pad page per prefix previous prompt sep "
    "special start stop suffix text think total unk unknown video word"
)
_SAY_NOTHING = _words("base b header plaintext raw string value")  # "password_b64": digits are not words

_HEADER_NAMES = ("name", "key", "header", "Name", "Key")
_HEADER_VALUES = ("value", "Value")

_SCHEMA_TYPES = _words("string number integer boolean array object null")
_SCHEMA_KEYWORDS = _words(
    "$defs $id $ref $schema additionalProperties allOf anyOf const contentEncoding contentMediaType default "
    "definitions deprecated description enum example examples exclusiveMaximum exclusiveMinimum format items "
    "maxItems maxLength maximum minItems minLength minimum multipleOf not nullable oneOf pattern prefixItems "
    "properties readOnly required title type uniqueItems writeOnly"
)
_SCHEMA_MARKS = frozenset({"$ref", "anyOf", "oneOf", "allOf"})
# Of the schema of a secret, these may hold it; the others describe it.
_SCHEMA_VALUES = _words("allOf anyOf const default enum example examples items oneOf prefixItems")

_Place = tuple["_Place | None", object]
"""The place of a value: the place of its container (None at the top), and its key or index there."""


class SecretRedactedWarning(UserWarning):
    """A configuration contained a secret, and the storage replaced it before saving; says where, never what it was."""


def redact_secrets(value: Any) -> tuple[Any, list[str]]:
    """Return a JSON object without its secrets, and the places where they stood.

    A value is a secret if its key names one (``api_key``, ``Authorization``, ``dbPassword``, ``HF_TOKEN``); a pair of a
    name and a value, as in headers, counts as a key and its value. Below such a key every text and number is a secret,
    except in a JSON Schema of the field. None, booleans and empty text stay.

    Args:
        value: the object. It is not changed; without secrets it is returned itself.

    Returns:
        The object, or a copy with `MARKER` in place of each secret; and the paths of the secrets, such as
        ``"$.headers.Authorization"``, each key cut to 40 characters.

    >>> redact_secrets({"model": "m", "max_tokens": 9, "api_key": "sk-1"})
    ({'model': 'm', 'max_tokens': 9, 'api_key': '[redacted]'}, ['$.api_key'])
    """
    return _redacted(value, _secrets(value, _is_worth_hiding))


def redact_keys(value: Any) -> tuple[Any, list[str]]:
    """Return a JSON object without those secrets that look like a key, and their places; else as `redact_secrets`.

    >>> redact_keys({"token": "tokenise", "api_key": "sk-1"})
    ({'token': 'tokenise', 'api_key': '[redacted]'}, ['$.api_key'])
    """
    return _redacted(value, _secrets(value, looks_like_key))


def _redacted(value: Any, found: list[_Place]) -> tuple[Any, list[str]]:
    return (_replaced(value, found), sorted(map(_path, found))) if found else (value, [])


def paths_of_keys(value: Any) -> list[str]:
    """Return the paths of those secrets of a JSON object, as `redact_secrets` finds them, that look like a key.

    A text looks like one if it begins as keys of known providers do, or is long and random.

    >>> paths_of_keys({"token": "tokenise", "password": "hunter2", "api_key": "sk-1"})
    ['$.api_key']
    """
    return sorted(map(_path, _secrets(value, looks_like_key)))


def _secrets(value: Any, is_one: Callable[[object], bool]) -> list[_Place]:
    """Return the places of the texts and numbers that a key names as secrets, and that are one."""
    found: list[_Place] = []
    # Without recursion: the depth that it can handle must not depend on the caller's own.
    pending: list[tuple[Any, _Place | None, bool, int]] = [(value, None, False, 1)]
    while pending:
        item, place, secret, depth = pending.pop()
        if depth > _DEEPEST:
            return []
        for step, child, is_secret in _members(item, place, secret):
            if isinstance(child, dict | list | tuple):
                pending.append((cast("object", child), (place, step), is_secret, depth + 1))
            elif is_secret and is_one(child):
                found.append((place, step))
    return found


def names_secret(key: str) -> bool:
    """Return whether the value of a key counts as a secret.

    >>> [key for key in ("apiKey", "eos_token", "hf_token", "password_policy") if names_secret(key)]
    ['apiKey', 'hf_token']
    """
    return _names_secret(key if len(key) <= _LONGEST_KEY else key[-_LONGEST_KEY:])


# Keys as providers make them, and the value of whatever a name or a header says is one. A repeated class is bounded, or
# begins where no other can. A web token's first part is taken alone too, or each "eyJ" in it would go over the rest.
KEY_BEGINNING = r"(?:sk|pk|rk|hf|gsk|xai|gh[opsur]|github_pat|glpat|xox[abprs]|nvapi|pplx|r8|tgp|npm|pypi)[-_]"
_KEYS = re.compile(
    rf"(?<![A-Za-z0-9]){KEY_BEGINNING}[A-Za-z0-9_-]{{8,}}"
    r"|(?<![A-Za-z0-9])(?:AKIA|ASIA|AIza)[A-Za-z0-9_-]{12,}"
    r"|(?<=[Bb]earer )[A-Za-z0-9_.~+/=-]{4,}"
    r"|(?<=[Bb]asic )[A-Za-z0-9+/=]{8,}"
)
_WEB_TOKEN = re.compile(r"(?<![A-Za-z0-9])eyJ[A-Za-z0-9_-]{8,}+(?P<rest>\.[A-Za-z0-9_.-]+)?")
_NAMED_VALUES = re.compile(r"""(?<![\w-])([\w-]{1,128})(['"]?\s{0,9}[=:,]\s{0,9}b?)(?:'([^'\n]+)'|"([^"\n]+)")""")
# A key of its own, and not a word in a text: it may be short then, and what is long and random is one too.
_BEGINS_AS_KEY = re.compile(
    rf"{KEY_BEGINNING}|AKIA|ASIA|AIza|ya29\.|SG\.|-----BEGIN |[a-z+]{{1,20}}://[^/@\s]{{0,200}}:[^/@\s]{{1,200}}@"
)
_IS_ONE_WORD = re.compile(r"[\w.~+/=:-]{20,}", re.ASCII)
_LEAST_DIFFERENT = 10  # characters of a random text


def looks_like_key(value: object) -> bool:
    """Return whether a value is a text that begins as keys of known providers do, or is long and random."""
    if not isinstance(value, str) or value == MARKER:
        return False
    if _BEGINS_AS_KEY.match(value) or without_keys(value) != value:
        return True
    is_mixed = any(map(str.isdigit, value)) and any(map(str.isalpha, value))
    return is_mixed and _IS_ONE_WORD.fullmatch(value) is not None and len(set(value)) >= _LEAST_DIFFERENT


def without_keys(text: str) -> str:
    """Return a text with `MARKER` in place of each key as known providers make them, and nothing else."""
    return _KEYS.sub(MARKER, without_web_tokens(text))


def without_web_tokens(text: str) -> str:
    """Return a text with `MARKER` in place of each JSON Web Token.

    >>> without_web_tokens("token=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln; eyJhbGciOiJIUzI1NiJ9")
    'token=[redacted]; eyJhbGciOiJIUzI1NiJ9'
    """
    return _WEB_TOKEN.sub(lambda found: MARKER if found["rest"] else found[0], text)


def redact_text(text: str) -> str:
    """Return a text, such as the ``repr`` of an object, with `MARKER` in place of what looks like a key.

    >>> redact_text("Client(url='http://x', api_key='abc', headers={'Authorization': 'Bearer x.y.z'}) sk-0123456789")
    "Client(url='http://x', api_key='[redacted]', headers={'Authorization': '[redacted]'}) [redacted]"
    """
    return without_keys(_NAMED_VALUES.sub(_without_value, text))


def _without_value(found: re.Match[str]) -> str:
    name, between, single, double = found.groups()
    quote = "'" if double is None else '"'
    value = single if double is None else double
    if not names_secret(name):  # a quotation may hold others, in the other quotes
        return f"{name}{between}{quote}{_NAMED_VALUES.sub(_without_value, value)}{quote}"
    return f"{name}{between}{quote}{MARKER if _is_worth_hiding(value) else value}{quote}"


@lru_cache(maxsize=4096)
def _names_secret(key: str) -> bool:  # noqa: PLR0911 (a table)
    words = [word.lower() for word in _WORDS.findall(key)]
    if words[-2:] == ["connection", "string"] or words[-3:] == ["access", "key", "id"]:
        return True
    while len(words) > 1 and words[-1] in _SAY_NOTHING:
        words.pop()
    if not words:
        return False
    kind, last = ["", *words][-2:]
    if last == "token":
        return kind not in _KINDS_OF_TEXT_TOKEN
    if last == "tokens":
        return kind in _KINDS_OF_SECRET_TOKENS
    if last in ("key", "keys"):
        return kind in _KINDS_OF_SECRET_KEY
    if last == "pwd":
        return bool(kind)  # alone, it is the working directory
    return last in _SECRET_WORDS or last.removesuffix("s").endswith(_SECRET_ENDINGS)


def _members(item: Any, place: _Place | None, secret: bool) -> Iterator[tuple[object, Any, bool]]:
    """Yield the members of an object or list: key or index, value, and whether the value is a secret."""
    if not isinstance(item, dict):
        named = 1 if _is_header(item, place) else None
        for index, child in enumerate(cast("list[Any]", item)):
            yield index, child, secret or index == named
        return
    members = cast("dict[object, Any]", item)
    if secret and _is_schema(members):
        for key, child in members.items():
            yield key, child, key in _SCHEMA_VALUES
        return
    named = _named_value(members)
    for key, child in members.items():
        yield key, child, secret or (isinstance(key, str) and (key == named or names_secret(key)))


def _is_header(item: list[Any] | tuple[Any, ...], place: _Place | None) -> bool:
    """Return whether a list is a header's name and value: it stands in a list, or under a key for headers."""
    if len(item) != 2 or place is None or not isinstance(item[0], str) or not names_secret(item[0]):  # noqa: PLR2004
        return False
    step = place[1]
    return not isinstance(step, str) or "header" in step.lower()


def _named_value(members: dict[object, Any]) -> str | None:
    """Return the key of the value in ``{"name": "Authorization", "value": ...}``, if the name names a secret."""
    if members.keys().isdisjoint(_HEADER_VALUES):  # as in nearly all objects
        return None
    value = next((key for key in _HEADER_VALUES if key in members), None)
    names = (members.get(key) for key in _HEADER_NAMES)
    return value if any(isinstance(name, str) and names_secret(name) for name in names) else None


def _is_schema(members: dict[object, Any]) -> bool:
    """Return whether this describes a field instead of being its value."""
    if not members or not members.keys() <= _SCHEMA_KEYWORDS:
        return False
    kind = members.get("type")
    kinds = cast("list[object]", kind) if isinstance(kind, list) else [kind]
    is_typed = all(isinstance(each, str) and each in _SCHEMA_TYPES for each in kinds) and kinds != []
    return is_typed or not _SCHEMA_MARKS.isdisjoint(cast("dict[str, Any]", members))


def _is_worth_hiding(value: object) -> bool:
    if isinstance(value, str):
        return value not in ("", MARKER)
    return isinstance(value, int | float) and not isinstance(value, bool)


def _replaced(value: Any, found: list[_Place]) -> Any:
    """Return a copy with the marker at these places; it shares every part without one with the original."""
    top = _copied(value)
    copies: dict[int, Any] = {}
    for place, step in found:
        above, uncopied = place, list[_Place]()
        while above is not None and id(above) not in copies:
            uncopied.append(above)
            above = above[0]
        copy = top if above is None else copies[id(above)]
        for inner in reversed(uncopied):
            copy[inner[1]] = copies[id(inner)] = copy = _copied(copy[inner[1]])
        copy[step] = MARKER
    return top


def _copied(value: Any) -> Any:
    return dict(cast("dict[Any, Any]", value)) if isinstance(value, dict) else list(value)


def _path(place: _Place | None) -> str:
    steps: list[str] = []
    while place is not None:
        place, step = place
        is_index = isinstance(step, int) and step.bit_length() < 64  # noqa: PLR2004 (or a key that may not be printable)
        steps.append(f"[{step}]" if is_index else f".{_key_text(step)}")
    return "$" + "".join(reversed(steps))


def _key_text(key: object) -> str:
    """Return a key for a message; a long one may be content and is cut."""
    text = ascii(key)[1:-1] if isinstance(key, str) else f"<{type(key).__name__}>"
    return text if len(text) <= _LONGEST_KEY_SHOWN else f"{text[:_LONGEST_KEY_SHOWN]}..."


# Of an option, and not of a field of data: there a key is a column, or a pass a number.
_SECRET_OPTIONS = _words("key pass passwd pw pwd token auth")
_SHORTENED = ("api-key", "apikey", "credentials", "passphrase", "password", "secret", "token")  # "--passw" will do
_LEAST_SHORTENED = 4
_USER_OF_URI = re.compile(r"(?<=://)[^\s/?#\"'@]{1,1000}(?=@)")
_NAME_BEFORE_VALUE = re.compile(r"(?P<name>[\w-]{1,128}+)\s{0,9}+[=:](?!//)\s{0,9}(?=[^&\s;])")
_VALUE = re.compile(r"[^&;]*")
_IS_RANDOM = re.compile(r"[A-Za-z0-9+_][A-Za-z0-9+_-]{19,}={0,2}", re.ASCII)
# What a short option means, its program knows. These often take a password, which may be any word; a key or a token,
# which is hardly ever a plain word; or a user with a password. A short number is a port or a count, whatever is before.
_TAKE_PASSWORD, _TAKE_KEY, _TAKE_USER = frozenset("apPw"), frozenset("kst"), frozenset("uU")
_SHORT_OPTION = re.compile(r"-(?P<letter>[apPwkstuU])(?P<equals>=?)(?P<value>.*)", re.DOTALL)
_IS_SHORT_NUMBER = re.compile(r"[+-]?\d{0,5}(?:\.\d{0,5})?")
_IS_NAME = re.compile(r"[A-Za-z]+(?:[._/-][A-Za-z]+)*")
_IS_LONG_OPTION = re.compile(r"-[a-z]+(?:[_-][a-z]+)*(?:=.*)?", re.DOTALL)  # of one dash, or many flags in one
_TAKE_ATTACHED = _words(
    "7z 7za 7zr mariadb mariadb-dump mysql mysqladmin mysqldump mysqlimport mysqlsh sshpass zip unzip"
)


def redact_words(words: list[str]) -> list[str]:
    """Return the words of a command line without what looks like a secret, or what an option says is or may be one.

    >>> redact_words(["ask.py", "--api-key=abc", "--token", "xyz", "-H", "Authorization: Basic abc", "--model", "m"])
    ['ask.py', '--api-key=[redacted]', '--token', '[redacted]', '-H', 'Authorization: [redacted]', '--model', 'm']
    >>> redact_words(["postgresql://me:pw@host/db", "https://x/?api_key=1&n=2", "OPENAI_API_KEY=sk-1"])
    ['postgresql://[redacted]@host/db', 'https://x/?api_key=[redacted]&n=2', 'OPENAI_API_KEY=[redacted]']
    >>> redact_words(["-p", "hunter", "-p8000", "-u", "me:hunter"])
    ['-p', '[redacted]', '-p8000', '-u', 'me:[redacted]']
    """
    clean, before, is_attached = list[str](), "", False
    for word in words:
        is_value = _is_secret_option(before) and "=" not in before and not word.startswith("--")
        clean.append(
            MARKER if is_value else _redacted_word(_without_short_value(word, before, is_attached=is_attached))
        )
        is_attached |= word.rpartition("/")[2] in _TAKE_ATTACHED
        before = word
    return clean


def _is_secret_option(word: str) -> bool:
    name = word.lstrip("-")
    if not word.startswith("-") or not name:
        return False
    whole = name.lower().replace("_", "-")
    is_shortened = len(whole) >= _LEAST_SHORTENED and any(one.startswith(whole) for one in _SHORTENED)
    return is_shortened or names_secret(name) or _ending(name) in _SECRET_OPTIONS


def _without_short_value(word: str, before: str, *, is_attached: bool) -> str:
    """Return a word without what may be a secret because of a short option: one before it, or its own."""
    option = _SHORT_OPTION.fullmatch(before)
    if option is not None and not option["equals"] and not option["value"] and not word.startswith("-"):
        return _short_value(option["letter"], word)
    own = _SHORT_OPTION.fullmatch(word)
    if own is None or (_IS_LONG_OPTION.fullmatch(word) and not own["equals"] and not is_attached):
        return word
    return f"-{own['letter']}{own['equals']}{_short_value(own['letter'], own['value'])}"


def _short_value(letter: str, value: str) -> str:
    if value in ("", MARKER) or _IS_SHORT_NUMBER.fullmatch(value):
        return value
    if letter in _TAKE_USER:
        user, colon, password = value.partition(":")
        is_address = password.startswith("//") or _IS_SHORT_NUMBER.fullmatch(password)
        return f"{user}:{MARKER}" if colon and not is_address else value
    return MARKER if letter in _TAKE_PASSWORD or not _IS_NAME.fullmatch(value) else value


def _ending(name: str) -> str:
    return re.split(r"[-_]", name.lower())[-1]


def _redacted_word(word: str) -> str:
    if _IS_RANDOM.fullmatch(word) and looks_like_key(word):
        return MARKER
    clean = redact_text(_without_named_values(_USER_OF_URI.sub(MARKER, word), is_option=word.startswith("-")))
    return clean if " " not in clean else " ".join(redact_words(clean.split(" ")))  # it may be a command line itself


def _without_named_values(word: str, *, is_option: bool) -> str:
    """Return a word without the values of secrets. Another value may hold one in turn: a port, the query behind it."""
    kept: list[str] = []
    end = 0
    for found in _NAME_BEFORE_VALUE.finditer(word):
        name = found["name"].lstrip("-")
        is_secret = names_secret(name) or (is_option and _ending(name) in _SECRET_OPTIONS)
        value = _VALUE.match(word, found.end()) if is_secret and found.start() >= end else None
        if value is not None:
            kept += [word[end : found.end()], MARKER]
            end = value.end()
    return "".join([*kept, word[end:]])
