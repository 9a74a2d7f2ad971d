"""The database in which `llm` logs what it asked: turns of conversations, with what each used."""

from __future__ import annotations

import base64
import hashlib
from array import array
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, cast

from starfish_storage.codec import decode, encode, json_text
from starfish_storage.errors import InvalidDataError, InvalidInputError
from starfish_storage.imports.answers import AnswerSource, ModelAnswer
from starfish_storage.imports.fields import moment_in, object_in, text_in
from starfish_storage.imports.prices import pricing
from starfish_storage.metadata.queries import llm_queries
from starfish_storage.metadata.sqlite.foreign import ForeignDatabase
from starfish_storage.row_files.rows import BadRow
from starfish_storage.runs import Output, Usage
from starfish_storage.usage.reading import read_usage

_JSON = ("options_json", "prompt_json", "response_json", "token_details", "schema_content")
"""Columns that hold JSON text: what stands in it is kept as JSON."""

_LONGEST_MS = 1000 * 3600 * 24 * 365


class LLMLogs(AnswerSource):
    """The turns in a database, of the releases from 0.32 on, or of those before.

    Args:
        database: it; stays open.
        name: what people call it.

    Raises:
        InvalidInputError: it is none of `llm`.
    """

    form = "llm"

    def __init__(self, database: ForeignDatabase, name: str) -> None:
        self.name = name
        self._database = database
        self._pricing = pricing()
        tables = {row["name"] for row in database.rows(llm_queries()["llm_tables"])}
        if "_llm_migrations" not in tables or not tables & {"turns", "responses"}:
            raise InvalidInputError(f"{database.shown} is no database of llm: give what 'llm logs path' prints.")
        self._has_schemas = "schemas" in tables
        # A database that was migrated has both: the responses from before, and turns.
        older = "llm_response_numbers" if "turns" not in tables else "llm_response_numbers_beside_turns"
        self._turns = array("Q", self._numbers("llm_turn_numbers") if "turns" in tables else ())
        self._responses = array("Q", self._numbers(older) if "responses" in tables else ())
        self._bad = set[int]()

    def _numbers(self, query: str) -> Iterator[int]:
        return (row["rowid"] for row in self._database.rows(llm_queries()[query]))

    @property
    def identity(self) -> str:
        """SHA-256, in hex, of all turns: not of the file, which changes without them."""
        digest = hashlib.sha256()
        for position in range(self._count):
            request, row = self._asked(position)
            digest.update(json_text([request, row]).encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    @property
    def _count(self) -> int:
        return len(self._responses) + len(self._turns)

    def describe(self) -> dict[str, Any]:
        """See `AnswerSource.describe`."""
        return {"name": self.name, "turns": self._count}

    def has_changed(self) -> bool:
        """Return False: what is read is a copy of one moment."""
        return False

    def index(self) -> Iterator[ModelAnswer | BadRow]:
        """See `AnswerSource.index`."""
        self._bad = set[int]()
        for position in range(self._count):
            found = self._read(position)
            if isinstance(found, BadRow):
                self._bad.add(position)
            yield found

    def positions(self) -> Iterator[int]:
        """See `AnswerSource.positions`."""
        return (position for position in range(self._count) if position not in self._bad)

    def answer(self, position: int) -> ModelAnswer:
        """See `AnswerSource.answer`."""
        found = self._read(position)
        if isinstance(found, BadRow):
            raise self.changed()
        return found

    def _read(self, position: int) -> ModelAnswer | BadRow:
        request, row = self._asked(position)
        place = f"turn {row.get('id')} of {self._database.shown}"
        try:
            encode(request, place)
            encode(row, place)
        except InvalidDataError as error:
            return BadRow(str(error).rstrip("."))
        start = moment_in(row, "datetime_utc")
        duration = row.get("duration_ms")
        end = start
        if start and isinstance(duration, int | float) and 0 <= duration < _LONGEST_MS:
            end = start + timedelta(milliseconds=duration)
        return ModelAnswer(position, request, (Output("completed", row),), (self._usage(row),), start, end)

    def _usage(self, row: dict[str, Any]) -> Usage:
        answered = object_in(row.get("response_json"))
        model = text_in(row, "resolved_model") or text_in(answered, "model") or text_in(row, "model")
        named = {"model": model, "input_tokens": row.get("input_tokens"), "output_tokens": row.get("output_tokens")}
        used = read_usage(object_in(row.get("token_details")), named).usage()
        return self._pricing.tokens(used, model, None)

    # --- what was asked, and what came of it ----------------------------------------------------------------------

    def _asked(self, position: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the input of a turn, and its row with the texts and messages that belong to it."""
        is_response = position < len(self._responses)
        if is_response:
            query = "llm_response" if self._has_schemas else "llm_old_response"
            row = self._row(query, self._responses[position])
            before, said = self._messages_of_response(row)
        else:
            row = self._row("llm_turn", self._turns[position - len(self._responses)])
            row["conversation_id"] = row.pop("thread_id", None)
            tips = row.pop("parent_message_hash", None), row.pop("tip_message_hash", None)
            before, said = (self._messages(tip) for tip in tips)
            said = said[len(before) :]
        texts = [text for one in said if one["role"] == "assistant" and isinstance(text := one.get("content"), str)]
        row.setdefault("response", "\n".join(texts))
        row["messages"] = [*before, *said]
        request: dict[str, Any] = {
            "model": row.get("model"),
            "messages": before,
            "options": row.get("options_json") or {},
        }
        if schema := row.get("schema_content"):
            request["schema"] = schema
        return request, row

    def _row(self, query: str, number: int) -> dict[str, Any]:
        (row,) = self._database.rows(llm_queries()[query], number)
        for name in _JSON:
            row[name] = _json(row.get(name))
        return {name: _as_json(value) for name, value in row.items() if value is not None}

    def _messages_of_response(self, row: dict[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Return the conversation up to a response of the older releases, which keep the texts of each."""
        earlier = self._database.rows(llm_queries()["llm_responses_before"], row.get("conversation_id"), row.get("id"))
        before = list[dict[str, Any]]()
        for one in [*earlier, row]:
            if (system := text_in(one, "system")) and not before:
                before.append({"role": "system", "content": system})
            before.append({"role": "user", "content": one.get("prompt") or ""})
            said = {"role": "assistant", "content": one.get("response") or ""}
            if thought := text_in(one, "reasoning"):
                said["thinking"] = thought
            before.append(said)
        return before[:-1], before[-1:]

    def _messages(self, tip: str | None) -> list[dict[str, Any]]:
        """Return the conversation that ends with a message, as chat messages."""
        messages = list[dict[str, Any]]()
        last = None
        for part in self._database.rows(llm_queries()["llm_parts"], tip):
            if part["hash"] != last:
                last = part["hash"]
                messages.append({"role": part["role"], "content": None})
            self._add(messages, part)
        return [one for one in messages if one != {"role": "tool", "content": None}]

    def _add(self, messages: list[dict[str, Any]], part: dict[str, Any]) -> None:
        kind, payload, message = part.get("type"), object_in(_json(part.get("payload"))), messages[-1]
        text = part.get("text") if isinstance(part.get("text"), str) else self._text_of(payload)
        if kind == "text":
            content = message["content"]
            new = [{"type": "text", "text": text}]
            message["content"] = text if content is None else [*_parts(content), *new]
        elif kind == "reasoning":
            message["thinking"] = message.get("thinking", "") + text
        elif kind == "tool_call":
            function = {"name": payload.get("name"), "arguments": json_text(payload.get("arguments") or {})}
            call = {"id": payload.get("tool_call_id"), "type": "function", "function": function}
            message.setdefault("tool_calls", []).append(call)
        elif kind == "tool_result":
            said = {"role": "tool", "content": payload.get("output") or "", "name": payload.get("name")}
            messages.append(said | {"tool_call_id": payload.get("tool_call_id")})
        elif kind == "attachment":
            message["content"] = [*_parts(message["content"]), self._attachment(object_in(payload.get("attachment")))]

    def _text_of(self, payload: dict[str, Any]) -> str:
        """Return the text of a part, with the fragments that it refers to."""
        pieces = payload.get("text_ref")
        if not isinstance(pieces, list):
            return text_in(payload, "text") or ""
        found = ""
        for piece in map(object_in, cast("list[object]", pieces)):
            fragment = self._database.rows(llm_queries()["llm_fragment"], piece.get("fragment"))
            found += piece["literal"] if "literal" in piece else "".join(row["content"] for row in fragment)
        return found

    def _attachment(self, reference: dict[str, Any]) -> dict[str, Any]:
        """Return an attachment as a part of a message: an image as one, by its address or with its bytes."""
        found = [*self._database.rows(llm_queries()["llm_attachment"], reference.get("id"))]
        row = found[0] if found else dict[str, Any]()
        kind, content = text_in(row, "type") or "", row.get("content")
        url = text_in(row, "url")
        if url is None and isinstance(content, bytes):
            url = f"data:{kind};base64,{base64.b64encode(content).decode()}"
        if kind.startswith("image/") and url:
            return {"type": "image_url", "image_url": {"url": url}}
        return {"type": "file", "file": {"name": text_in(row, "path"), "media_type": kind, "url": url}}


def _parts(content: Any) -> list[Any]:
    if isinstance(content, list):
        return cast("list[Any]", content)
    return [] if content is None else [{"type": "text", "text": content}]


def _json(value: object) -> Any:
    """Return what a column of JSON text holds; the text if it is none."""
    if not isinstance(value, str):
        return value
    try:
        return decode(value.encode() + b"\n")
    except (ValueError, RecursionError):
        return value


def _as_json(value: Any) -> Any:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value
