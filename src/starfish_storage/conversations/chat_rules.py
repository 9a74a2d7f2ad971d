"""The rules of messages with roles: what each may hold, and who may speak after whom."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from starfish_storage.conversations.faults import Faults, below
from starfish_storage.conversations.json_texts import value_of_json
from starfish_storage.conversations.messages import ROLES

Located = tuple[str, object]
"""A message, with the path at which it stands."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_DETAILS = ("auto", "low", "high")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRules:
    """What messages of one shape are held to.

    Attributes:
        keys: by role, what a message may hold beside ``role``.
        arguments: of a call: JSON text, or the object itself.
        has_ids: every call has an id, which the tool's message names.
        alternates: one system message at most, and no two messages of a user or of an assistant in a row: the chat
            templates of Mistral, Gemma and others refuse them.
        images: the type of a part that is an image.
        strict_names: tools have names that OpenAI takes.
        null_content: beside calls, the content may be null, as OpenAI's API itself answers and takes it.
    """

    keys: Mapping[str, frozenset[str]]
    arguments: Literal["text", "object"]
    has_ids: bool
    alternates: bool
    images: Literal["image_url", "image"]
    strict_names: bool
    null_content: bool = False


@dataclass(slots=True)
class _Call:
    path: str
    id: object
    is_answered: bool = False


def check_messages(
    found: Faults,
    located: Iterable[Located],
    rules: ChatRules,
    *,
    declared: Collection[str] | None = None,
    last: Collection[str] = ("assistant",),
) -> None:
    """Note what is wrong with the messages of a conversation.

    Args:
        found: takes the faults.
        located: all its messages, though they may stand in several lists of the row.
        rules: those of the shape.
        declared: the names of the tools that may be called; None if that is not known.
        last: who may speak last.
    """
    turns = _Turns(found, rules)
    path, role = "", None
    for path, message in located:
        fields = found.object_at(message, path)
        role = None if fields is None else _role(found, fields, path, rules)
        if fields is None or role is None:
            return  # who speaks after whom cannot be told any more
        _check_message(found, fields, path, role, rules, declared)
        turns.add(path, role, fields)
    if role is not None and role not in last:
        found.add(path, f"is the last message, but of the role {role}: use {' or '.join(last)}")


def declared_tools(found: Faults, tools: object, path: str, *, strict_names: bool) -> set[str] | None:
    """Note what is wrong with the tools that can be called, and return their names; None if they cannot be told.

    Args:
        found: takes the faults.
        tools: ``[{"type": "function", "function": {"name": ..., "parameters": ...}}]``.
        path: where they stand.
        strict_names: their names are those that OpenAI takes.
    """
    if not isinstance(tools, list):
        found.list_at(tools, path, "tools")
        return None
    names: set[str] = set()
    for index, tool in enumerate(cast("list[object]", tools)):
        place = f"{path}[{index}]"
        fields = found.object_at(tool, place)
        if fields is None:
            return None
        found.keys_of(fields, place, ("type", "function"), ("type", "function"), "a tool")
        if fields.get("type", "function") != "function":
            found.add(f"{place}.type", "must be 'function'")
        function = found.object_at(fields.get("function"), f"{place}.function") if "function" in fields else None
        if function is None:
            return None
        names.add(check_function(found, function, f"{place}.function", strict_names=strict_names))
    return names


_FUNCTION_KEYS = ("name", "description", "parameters", "strict", "return")


def check_function(found: Faults, function: dict[str, Any], path: str, *, strict_names: bool) -> str:
    """Note what is wrong with the description of a function, and return its name."""
    known = [key for key in _FUNCTION_KEYS if not strict_names or key != "return"]  # that of `get_json_schema`
    found.keys_of(function, path, ("name",), known, "a function")
    if function.get("parameters") is not None:
        found.object_at(function["parameters"], f"{path}.parameters")
    return _check_name(found, function.get("name"), f"{path}.name", strict=strict_names)


def json_object(text: str) -> dict[str, Any] | None:
    """Return the object of a JSON text; None if it is no JSON, or another value."""
    try:
        value = value_of_json(text)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def located_in(messages: Sequence[object], path: str) -> list[Located]:
    """Return messages with their paths."""
    return [(f"{path}[{index}]", message) for index, message in enumerate(messages)]


def _role(found: Faults, fields: Mapping[str, Any], path: str, rules: ChatRules) -> str | None:
    role = fields.get("role")
    if isinstance(role, str) and role in rules.keys:
        return role
    known = [one for one in ROLES if one in rules.keys]
    found.add(f"{path}.role", "is missing" if "role" not in fields else f"must be one of {', '.join(known)}")
    return None


def _check_message(
    found: Faults,
    fields: dict[str, Any],
    path: str,
    role: str,
    rules: ChatRules,
    declared: Collection[str] | None,
) -> None:
    said = fields.get("content")
    if len(fields) == 2 and type(said) is str and role != "tool" and said and not said.isspace():  # noqa: PLR2004
        return  # most of them: a role, and text
    article = "an" if role == "assistant" else "a"
    calls = fields.get("tool_calls") if role == "assistant" else None
    must_say = calls is None and fields.get("refusal") is None
    known = rules.keys[role] | {"role"}
    if calls and said is None and rules.null_content:
        fields = {key: value for key, value in fields.items() if key != "content"}
    found.keys_of(fields, path, ("content",) if must_say else (), known, f"{article} {role} message")
    if calls is not None:
        _check_calls(found, calls, f"{path}.tool_calls", rules, declared)
    _check_content(found, fields.get("content"), f"{path}.content", role, rules, must_say=must_say)
    for key in ("name", "thinking", "reasoning_content", "refusal", "tool_call_id"):
        if fields.get(key) is not None and key in rules.keys[role]:
            found.text_at(fields[key], f"{path}.{key}")
    weight = fields.get("weight", 1)
    if "weight" in rules.keys[role] and weight is not None and (type(weight) is not int or weight not in (0, 1)):
        found.add(f"{path}.weight", "must be 0 or 1")
    if role == "tool" and rules.has_ids and "tool_call_id" not in fields:
        found.add(f"{path}.tool_call_id", "is missing: it must name the call that is answered")


def _check_content(found: Faults, content: object, path: str, role: str, rules: ChatRules, *, must_say: bool) -> None:
    if content is None:
        return
    if isinstance(content, list):
        for index, part in enumerate(found.list_at(cast("object", content), path, "parts")):
            _check_part(found, part, f"{path}[{index}]", role, rules)
    elif not isinstance(content, str) or (must_say and role != "tool"):  # a tool may return nothing
        found.text_at(content, path)


def _check_part(found: Faults, part: object, path: str, role: str, rules: ChatRules) -> None:
    fields = found.object_at(part, path)
    if fields is None:
        return
    kind = fields.get("type")
    if kind == "text":
        found.keys_of(fields, path, ("text",), ("type", "text"), "a text part")
        if fields.get("text") is not None:
            found.text_at(fields["text"], f"{path}.text")
    elif kind != rules.images:
        found.add(f"{path}.type", f"must be 'text' or {rules.images!r}")
    elif role != "user":
        found.add(path, f"is an image in a message of the role {role}: only a user can show one")
    elif kind == "image_url":
        _check_image_url(found, fields, path)


def _check_image_url(found: Faults, fields: Mapping[str, Any], path: str) -> None:
    found.keys_of(fields, path, ("image_url",), ("type", "image_url"), "an image part")
    image = found.object_at(fields["image_url"], f"{path}.image_url") if fields.get("image_url") is not None else None
    if image is None:
        return
    found.keys_of(image, f"{path}.image_url", ("url",), ("url", "detail"), "an image")
    if image.get("url") is not None:
        found.text_at(image["url"], f"{path}.image_url.url")
    if image.get("detail", "auto") not in (*_DETAILS, None):
        found.add(f"{path}.image_url.detail", f"must be one of {', '.join(_DETAILS)}")


def _check_calls(found: Faults, calls: object, path: str, rules: ChatRules, declared: Collection[str] | None) -> None:
    for index, call in enumerate(found.list_at(calls, path, "calls")):
        place = f"{path}[{index}]"
        fields = found.object_at(call, place)
        if fields is None:
            continue
        needed = ("id", "type", "function") if rules.has_ids else ("function",)
        found.keys_of(fields, place, needed, ("id", "type", "function"), "a call")
        if fields.get("id") is not None:
            found.text_at(fields["id"], f"{place}.id")
        if fields.get("type", "function") not in ("function", None):
            found.add(f"{place}.type", "must be 'function'")
        if fields.get("function") is None:
            continue
        function = found.object_at(fields["function"], f"{place}.function")
        if function is not None:
            check_call(found, function, f"{place}.function", rules.arguments, declared, strict=rules.strict_names)


def check_call(
    found: Faults,
    function: dict[str, Any],
    path: str,
    arguments: Literal["text", "object"],
    declared: Collection[str] | None,
    *,
    strict: bool = False,
) -> None:
    """Note what is wrong with the name and the arguments of a call."""
    found.keys_of(function, path, ("name", "arguments"), ("name", "arguments"), "a call's function")
    if function.get("name") is not None:
        name = _check_name(found, function["name"], f"{path}.name", strict=strict)
        if name and declared is not None and name not in declared:
            found.add(f"{path}.name", "is not among the tools that the row declares")
    given = function.get("arguments")
    place = below(path, "arguments")
    if given is None:
        return
    if arguments == "object":
        if isinstance(given, str):
            found.add(place, "must be an object, not text: chat templates would quote the text once more")
        else:
            found.object_at(given, place)
    elif not isinstance(given, str):
        found.text_at(given, place)
    elif json_object(given) is None:
        found.add(place, "must be the JSON text of an object")


def _check_name(found: Faults, name: object, path: str, *, strict: bool) -> str:
    text = found.text_at(name, path) if name is not None else None
    if text is not None and strict and not _NAME.fullmatch(text):
        found.add(path, "must be up to 64 letters, digits, '_' and '-'")
    return text or ""


class _Turns:
    """Who has spoken, and which calls are not answered yet."""

    def __init__(self, found: Faults, rules: ChatRules) -> None:
        self._found = found
        self._rules = rules
        self._before: str | None = None
        self._calls: list[_Call] = []

    def add(self, path: str, role: str, fields: Mapping[str, Any]) -> None:
        """Take the next message."""
        if role == "tool":
            self._answer(path, fields)
        else:
            for call in self._calls:
                if not call.is_answered:
                    self._found.add(call.path, "is not answered by a message of its tool before the next turn")
            self._calls = []
            if not self._is_in_order(path, role):
                return
        if role == "assistant":
            self._begin_calls(path, fields.get("tool_calls"))
        self._before = role

    def _is_in_order(self, path: str, role: str) -> bool:
        """Return False if the message stands where none of its role can, and note what is wrong with its place."""
        before = self._before
        if role in ("system", "developer"):
            if before not in (None, "system", "developer"):
                self._found.add(path, f"is of the role {role}, which must come first")
                return False
            if before is not None and self._rules.alternates:
                self._found.add(path, "is a second system message: join them")
        elif role == "assistant" and before in (None, "system", "developer"):
            self._found.add(path, "is of the role assistant: a user must speak first")
        elif self._rules.alternates and before == role:
            self._found.add(path, f"is the second message of the role {role} in a row: join them")
        elif self._rules.alternates and before == "tool" and role == "user":
            self._found.add(path, "is of the role user: after a tool has answered, the assistant must speak")
        return True

    def _begin_calls(self, path: str, calls: object) -> None:
        if not isinstance(calls, list):
            return
        seen: set[str] = set()
        for index, one in enumerate(cast("list[object]", calls)):
            given = cast("dict[str, object]", one).get("id") if isinstance(one, dict) else None
            place = f"{path}.tool_calls[{index}]"
            if isinstance(given, str):
                if given in seen:
                    self._found.add(f"{place}.id", "is the id of an earlier call in this message")
                seen.add(given)
            self._calls.append(_Call(place, given))

    def _answer(self, path: str, fields: Mapping[str, Any]) -> None:
        if not self._calls:
            self._found.add(path, "is of the role tool, but no call stands before it")
            return
        given = fields.get("tool_call_id")
        open_calls = [call for call in self._calls if not call.is_answered]
        # Where ids are left out, as TRL leaves them out, tools answer in the order in which they were called.
        fitting = [call for call in open_calls if given is None or call.id is None or call.id == given]
        if fitting:
            fitting[0].is_answered = True
        elif any(call.id == given for call in self._calls) or not open_calls:
            self._found.add(path, "answers a call that is answered already")
        elif given is not None:
            self._found.add(f"{path}.tool_call_id", "names no call of the message before")
            open_calls[0].is_answered = True  # or the one fault would be told twice
