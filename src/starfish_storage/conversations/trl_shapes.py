"""What TRL trains on: conversations, prompts with their completions, and preferences.

https://huggingface.co/docs/trl/dataset_formats.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from starfish_storage.codec import decode
from starfish_storage.conversations.chat_rules import ChatRules, check_messages, declared_tools, json_object, located_in
from starfish_storage.conversations.faults import Fault, Faults
from starfish_storage.conversations.messages import Conversation, Message
from starfish_storage.conversations.openai_shapes import has_roles
from starfish_storage.conversations.pairs import PreferencePair
from starfish_storage.conversations.shape import ConversationShape, PairShape
from starfish_storage.errors import ConversationError

_SAID = frozenset({"content", "name"})
_RULES = ChatRules(
    keys={
        "system": _SAID,
        "developer": _SAID,
        "user": _SAID,
        # What models think: the first as TRL's own guide has it, the other as Qwen's and DeepSeek's templates read it.
        "assistant": _SAID | {"tool_calls", "thinking", "reasoning_content"},
        "tool": _SAID | {"tool_call_id"},
    },
    arguments="object",
    has_ids=False,
    alternates=True,
    images="image",
    strict_names=False,
)
_COLUMNS = ("messages", "prompt", "completion", "chosen", "rejected", "label", "text")
"""By which TRL tells what a dataset is for; others, such as an id, it leaves alone."""


class TRLConversation(ConversationShape):
    """``{"messages": [...]}``, with the arguments of calls as objects, and ``tools`` where these are known."""

    name = "trl"
    title = "TRL conversational language modeling"
    has_thinking = True

    def written(self, conversation: Conversation) -> dict[str, Any]:
        """See `ConversationShape.written`."""
        (messages,), images = _written([conversation.messages])
        return {"messages": messages, **_beside(conversation.tools, images)}

    def check(self, row: Mapping[str, Any]) -> list[Fault]:
        """See `RowShape.check`."""
        found = Faults()
        _check_columns(found, row, ("messages",))
        declared = _check_beside(found, row, ("messages",))
        if row.get("messages") is not None:
            messages = found.list_at(row["messages"], "messages", "messages")
            check_messages(found, located_in(messages, "messages"), _RULES, declared=declared)
        return found.listed()

    def is_like(self, row: Mapping[str, Any]) -> bool:
        """See `RowShape.is_like`."""
        if not has_roles(row.get("messages")):
            return False
        has_others = not {"messages", "tools", "parallel_tool_calls"}.issuperset(row)
        return has_others or any(map(_is_of_trl, row["messages"]))


class TRLPromptCompletion(ConversationShape):
    """``{"prompt": [...], "completion": [...]}``: what follows the last message of a user or a tool is trained on."""

    name = "trl-prompt-completion"
    title = "TRL prompt-completion"
    has_thinking = True

    def written(self, conversation: Conversation) -> dict[str, Any]:
        """See `ConversationShape.written`."""
        messages = conversation.messages
        split = len(messages)
        while split and messages[split - 1]["role"] == "assistant":
            split -= 1
        if split == len(messages):
            raise ConversationError(f"messages[{split - 1}]", "is no answer: the last message must be the assistant's")
        (prompt, completion), images = _written([messages[:split], messages[split:]])
        return {"prompt": prompt, "completion": completion, **_beside(conversation.tools, images)}

    def check(self, row: Mapping[str, Any]) -> list[Fault]:
        """See `RowShape.check`."""
        found = Faults()
        keys = ("prompt", "completion")
        _check_columns(found, row, keys)
        declared = _check_beside(found, row, keys)
        if any(row.get(key) is None for key in keys):
            return found.listed()
        if all(isinstance(row[key], str) for key in keys):
            for key in keys:
                found.text_at(row[key], key)
            return found.listed()
        prompt = _check_prompt(found, row["prompt"], declared)
        completion = found.list_at(row["completion"], "completion", "messages, as the prompt is")
        if not found:
            check_messages(found, [*prompt, *located_in(completion, "completion")], _RULES, declared=declared)
        return found.listed()

    def is_like(self, row: Mapping[str, Any]) -> bool:
        """See `RowShape.is_like`."""
        given = row.get("prompt"), row.get("completion")
        return all(isinstance(one, str) for one in given) or all(map(has_roles, given))


class Preferences(PairShape):
    """``{"prompt": ..., "chosen": ..., "rejected": ...}``, each a list of messages, or each a text.

    Rows without ``prompt``, in which what is chosen and rejected begins with it, pass the check too.
    """

    name = "preferences"
    title = "preference pairs, as TRL and others have them"
    has_thinking = True

    def written(self, pair: PreferencePair) -> dict[str, Any]:
        """See `PairShape.written`."""
        (prompt, chosen, rejected), images = _written([pair.prompt, pair.chosen, pair.rejected])
        return {"prompt": prompt, "chosen": chosen, "rejected": rejected, **_beside(pair.tools, images)}

    def check(self, row: Mapping[str, Any]) -> list[Fault]:
        """See `RowShape.check`."""
        found = Faults()
        is_explicit = "prompt" in row
        keys = ("prompt", "chosen", "rejected") if is_explicit else ("chosen", "rejected")
        _check_columns(found, row, keys)
        declared = _check_beside(found, row, keys)
        if any(row.get(key) is None for key in keys):
            return found.listed()
        if all(isinstance(row[key], str) for key in keys):
            for key in keys:
                found.text_at(row[key], key)
        else:
            _check_answers(found, row, declared, is_explicit=is_explicit)
        if not found and row["chosen"] == row["rejected"]:
            found.add("rejected", "is the same as chosen")
        return found.listed()

    def is_like(self, row: Mapping[str, Any]) -> bool:
        """See `RowShape.is_like`."""
        given = row.get("chosen"), row.get("rejected")
        return all(isinstance(one, str) for one in given) or all(map(has_roles, given))


def _check_columns(found: Faults, row: Mapping[str, Any], needed: Sequence[str]) -> None:
    for key in needed:
        if row.get(key) is None:
            found.add(key, "is null" if key in row else "is missing")
    if not row.keys() >= set(needed):  # a row of another form, which needs no more to be said of it
        return
    for key in _COLUMNS:
        if key in row and key not in needed:
            found.add(key, f"cannot stand beside {' and '.join(needed)}: TRL tells by them what a dataset is for")


def _check_beside(found: Faults, row: Mapping[str, Any], keys: Sequence[str]) -> set[str] | None:
    """Check what stands beside the messages: images and tools; return the names of these."""
    if isinstance(row.get("images"), list):
        shown = sum(_images_in(row.get(key)) for key in keys)
        given = len(cast("list[object]", row["images"]))
        if shown != given:
            found.add("images", f"holds {given}, but the messages show {shown}")
    tools = row.get("tools")
    if tools is None:
        return None
    if isinstance(tools, str):  # as datasets before 4.7 need them
        try:
            tools = decode(tools.encode("utf-8", "surrogatepass"))
        except (ValueError, RecursionError):
            found.add("tools", "is text, but not the JSON text of a list of tools")
            return None
    return declared_tools(found, tools, "tools", strict_names=False)


def _images_in(messages: object) -> int:
    """Return how many images messages only point to; those with a path of their own need no column."""
    shown = 0
    for one in cast("list[object]", messages) if isinstance(messages, list) else []:
        content = cast("dict[str, object]", one).get("content") if isinstance(one, dict) else None
        if isinstance(content, list):
            shown += cast("list[object]", content).count({"type": "image"})
    return shown


def _check_prompt(found: Faults, prompt: object, declared: set[str] | None) -> list[tuple[str, object]]:
    messages = found.list_at(prompt, "prompt", "messages, as what follows it is")
    located = located_in(messages, "prompt")
    check_messages(found, located, _RULES, declared=declared, last=("user", "tool"))
    return located


def _check_answers(found: Faults, row: Mapping[str, Any], declared: set[str] | None, *, is_explicit: bool) -> None:
    prompt = _check_prompt(found, row["prompt"], declared) if is_explicit else []
    answers = [found.list_at(row[key], key, "messages, as the others are") for key in ("chosen", "rejected")]
    if found:
        return
    for key, messages in zip(("chosen", "rejected"), answers, strict=True):
        check_messages(found, [*prompt, *located_in(messages, key)], _RULES, declared=declared)
    if not found and not is_explicit and answers[0][0] != answers[1][0]:
        found.add("rejected[0]", "is another message than chosen[0]: without a prompt, both begin with it")


def _is_of_trl(message: Mapping[str, Any]) -> bool:
    """Return whether a message is as TRL has it, and not as OpenAI has it."""
    if message.get("thinking") is not None or message.get("reasoning_content") is not None:
        return True
    content, calls = message.get("content"), message.get("tool_calls")
    if isinstance(content, list) and {"type": "image"} in content:
        return True
    return isinstance(calls, list) and any(map(_has_object, cast("list[object]", calls)))


def _has_object(call: object) -> bool:
    """Return whether the arguments of a call are an object, and not JSON text."""
    function = cast("dict[str, object]", call).get("function") if isinstance(call, dict) else None
    return isinstance(function, dict) and isinstance(cast("dict[str, object]", function).get("arguments"), dict)


def _beside(tools: list[dict[str, Any]] | None, images: list[str]) -> dict[str, Any]:
    return ({"tools": tools} if tools else {}) | ({"images": images} if images else {})


def _written(lists: Iterable[Sequence[Message]]) -> tuple[list[list[Message]], list[str]]:
    """Return messages as TRL has them, and the images that they show.

    Where one is shown, the content of all messages is a list of parts, as TRL makes it: a column has one type.
    """
    given = [list(messages) for messages in lists]
    images: list[str] = []
    for messages in given:
        for message in messages:
            content = message.get("content")
            if isinstance(content, list):
                parts = cast("list[dict[str, Any]]", content)
                images += [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    return [[_message(one, bool(images)) for one in messages] for messages in given], images


def _message(message: Message, in_parts: bool) -> Message:
    written: Message = {}
    for key, value in message.items():
        if value is None or key == "weight":  # nothing of TRL reads a weight
            continue
        if key == "content":
            written[key] = _content(value, in_parts)
        elif key == "tool_calls":
            written[key] = [_call(one) for one in value]
        else:
            written[key] = value
    return written


def _content(content: str | list[dict[str, Any]], in_parts: bool) -> str | list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if in_parts else content
    if in_parts:
        return [part if part["type"] == "text" else {"type": "image"} for part in content]
    return "\n".join(part["text"] for part in content)


def _call(call: dict[str, Any]) -> dict[str, Any]:
    function = call["function"]
    arguments = json_object(function["arguments"])
    # What is no object stays as it is, and the check names it.
    given = function["arguments"] if arguments is None else arguments
    return call | {"function": function | {"arguments": given}}
