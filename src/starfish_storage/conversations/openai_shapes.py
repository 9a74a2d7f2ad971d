"""What OpenAI fine-tunes on: conversations, and pairs of answers for DPO."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from starfish_storage.conversations.chat_rules import ChatRules, check_messages, declared_tools, located_in
from starfish_storage.conversations.faults import Fault, Faults
from starfish_storage.conversations.messages import Conversation, Message
from starfish_storage.conversations.pairs import PreferencePair
from starfish_storage.conversations.shape import ConversationShape, PairShape

_SAID = frozenset({"content", "name"})
RULES = ChatRules(
    keys={
        "system": _SAID,
        "developer": _SAID,
        "user": _SAID,
        "assistant": _SAID | {"tool_calls", "refusal", "weight"},
        "tool": _SAID | {"tool_call_id"},
    },
    arguments="text",
    has_ids=True,
    alternates=False,  # https://developers.openai.com/api/docs/guides/vision-fine-tuning has two of a user in a row
    images="image_url",
    strict_names=True,
    null_content=True,
)


class OpenAIChat(ConversationShape):
    """``{"messages": [...]}``, with ``tools`` where these are known.

    https://developers.openai.com/api/docs/guides/supervised-fine-tuning.
    """

    name = "openai"
    title = "OpenAI supervised fine-tuning, with or without tools"

    def written(self, conversation: Conversation) -> dict[str, Any]:
        """See `ConversationShape.written`."""
        return {"messages": _written(conversation.messages), **_tools(conversation.tools)}

    def check(self, row: Mapping[str, Any]) -> list[Fault]:
        """See `RowShape.check`."""
        found = Faults()
        found.keys_of(row, "", ("messages",), ("messages", "tools", "parallel_tool_calls"), "a row of OpenAI's")
        declared = _check_tools(found, row, "")
        if row.get("messages") is not None:
            messages = found.list_at(row["messages"], "messages", "messages")
            check_messages(found, located_in(messages, "messages"), RULES, declared=declared)
        return found.listed()

    def is_like(self, row: Mapping[str, Any]) -> bool:
        """See `RowShape.is_like`."""
        return has_roles(row.get("messages"))


class OpenAIPreference(PairShape):
    """``{"input": {"messages": [...]}, "preferred_output": [...], "non_preferred_output": [...]}``.

    https://developers.openai.com/api/docs/guides/direct-preference-optimization.
    """

    name = "openai-dpo"
    title = "OpenAI direct preference optimization"

    def written(self, pair: PreferencePair) -> dict[str, Any]:
        """See `PairShape.written`."""
        return {
            "input": {"messages": _written(pair.prompt), **_tools(pair.tools)},
            "preferred_output": _written(pair.chosen),
            "non_preferred_output": _written(pair.rejected),
        }

    def check(self, row: Mapping[str, Any]) -> list[Fault]:
        """See `RowShape.check`."""
        found = Faults()
        keys = ("input", "preferred_output", "non_preferred_output")
        found.keys_of(row, "", keys, keys, "a row of OpenAI's DPO")
        given = found.object_at(row["input"], "input") if row.get("input") is not None else None
        if given is None:
            return found.listed()
        found.keys_of(given, "input", ("messages",), ("messages", "tools", "parallel_tool_calls"), "the input")
        declared = _check_tools(found, given, "input")
        messages = found.list_at(given.get("messages"), "input.messages", "messages") if "messages" in given else []
        prompt = located_in(messages, "input.messages")
        check_messages(found, prompt, RULES, declared=declared, last=("user", "tool"))
        for key in keys[1:]:
            if found or row.get(key) is None:
                continue
            answers = found.list_at(row[key], key, "messages")
            if len(answers) > 1:
                found.add(key, "holds more than one message: OpenAI trains on the one that comes next")
            if answers:
                check_messages(found, [*prompt, *located_in(answers, key)], RULES, declared=declared)
        if not found and row["preferred_output"] == row["non_preferred_output"]:
            found.add("non_preferred_output", "is the same as preferred_output")
        return found.listed()

    def is_like(self, row: Mapping[str, Any]) -> bool:
        """See `RowShape.is_like`."""
        return isinstance(row.get("input"), dict) and ("preferred_output" in row or "non_preferred_output" in row)


def has_roles(value: object) -> bool:
    """Return whether a value is a list of messages that have a role each."""
    if not isinstance(value, list) or not value:
        return False
    return all(isinstance(one, dict) and "role" in one for one in cast("list[object]", value))


def _check_tools(found: Faults, row: Mapping[str, Any], path: str) -> set[str] | None:
    below = f"{path}." if path else ""
    parallel = row.get("parallel_tool_calls")
    if parallel is not None and not isinstance(parallel, bool):
        found.add(f"{below}parallel_tool_calls", "must be true or false")
    if row.get("tools") is None:
        return None
    return declared_tools(found, row["tools"], f"{below}tools", strict_names=True)


def _written(messages: Sequence[Message]) -> list[Message]:
    return [
        {key: value for key, value in message.items() if value is not None and key != "thinking"}
        for message in messages
    ]


def _tools(tools: list[dict[str, Any]] | None) -> dict[str, Any]:
    return {"tools": tools} if tools else {}
