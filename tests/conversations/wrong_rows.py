"""Rows with one fault each, of every rule that the checks of the shapes have."""

from __future__ import annotations

from conversations.rows import (
    ANSWER,
    ASK,
    CALLED,
    FUNCTION,
    PICTURE,
    RESULT,
    SYSTEM,
    TOOLS,
    WORSE,
    Row,
    call,
    calling,
    trl_call,
    turn,
)

_TEXT_TOOLS = '[{"name": "weather"}]'
_PAIR = {"input": {"messages": [ASK]}, "preferred_output": [ANSWER], "non_preferred_output": [WORSE]}


def _chat(*messages: object, **others: object) -> Row:
    return {"messages": list(messages), **others}


def _told(*turns: Row, **others: object) -> Row:
    return {"conversations": list(turns), **others}


_HUMAN, _GPT = turn("human", "How warm?"), turn("gpt", "21 degrees.")

WRONG: list[tuple[str, Row, str, str]] = [
    # OpenAI: the row
    ("openai", {}, "messages", "is missing"),
    ("openai", {"messages": None}, "messages", "is null"),
    ("openai", {"messages": "hi"}, "messages", "must be a list of messages, not text"),
    ("openai", {"messages": []}, "messages", "is empty"),
    ("openai", _chat(ASK, ANSWER, id=7), "id", "is not a key"),
    ("openai", _chat(ASK, ANSWER, parallel_tool_calls="yes"), "parallel_tool_calls", "must be true or false"),
    ("openai", _chat(ASK, ANSWER, tools={}), "tools", "must be a list of tools, not an object"),
    ("openai", _chat(ASK, ANSWER, tools=["f"]), "tools[0]", "must be an object"),
    ("openai", _chat(ASK, ANSWER, tools=[{"function": FUNCTION}]), "tools[0].type", "is missing"),
    ("openai", _chat(ASK, ANSWER, tools=[TOOLS[0] | {"type": "code"}]), "tools[0].type", "must be 'function'"),
    (
        "openai",
        _chat(ASK, ANSWER, tools=[{"type": "function", "function": {"name": "two words"}}]),
        "tools[0].function.name",
        "must be up to 64 letters",
    ),
    (
        "openai",
        _chat(ASK, ANSWER, tools=[{"type": "function", "function": {"name": "f", "parameters": "none"}}]),
        "tools[0].function.parameters",
        "must be an object, not text",
    ),
    # Messages
    ("openai", _chat("hi", ANSWER), "messages[0]", "must be an object, not text"),
    ("openai", _chat({"content": "hi"}, ANSWER), "messages[0].role", "is missing"),
    ("openai", _chat(ASK | {"role": "human"}, ANSWER), "messages[0].role", "must be one of"),
    ("openai", _chat({"role": "user"}, ANSWER), "messages[0].content", "is missing"),
    ("openai", _chat(ASK | {"content": None}, ANSWER), "messages[0].content", "is null"),
    ("openai", _chat(ASK | {"content": " \n"}, ANSWER), "messages[0].content", "is empty"),
    ("openai", _chat(ASK | {"content": 7}, ANSWER), "messages[0].content", "must be text, not a number"),
    ("openai", _chat(ASK | {"mood": "glad"}, ANSWER), "messages[0].mood", "is not a key of a user message"),
    ("openai", _chat(ASK | {"name": None}, ANSWER), "messages[0].name", "is null: leave the key out"),
    ("openai", _chat(ASK | {"name": ""}, ANSWER), "messages[0].name", "is empty"),
    ("openai", _chat(ASK | {"weight": 1}, ANSWER), "messages[0].weight", "is not a key of a user message"),
    ("openai", _chat(ASK, ANSWER | {"weight": 0.5}), "messages[1].weight", "must be 0 or 1"),
    ("openai", _chat(ASK, ANSWER | {"weight": True}), "messages[1].weight", "must be 0 or 1"),
    ("openai", _chat(ASK, ANSWER | {"refusal": None}), "messages[1].refusal", "is null"),
    ("openai", _chat(ASK, ANSWER | {"thinking": "?"}), "messages[1].thinking", "is not a key"),
    # Parts
    ("openai", _chat(ASK | {"content": []}, ANSWER), "messages[0].content", "is empty"),
    ("openai", _chat(ASK | {"content": ["hi"]}, ANSWER), "messages[0].content[0]", "must be an object"),
    ("openai", _chat(ASK | {"content": [{"type": "input_text"}]}, ANSWER), "messages[0].content[0].type", "must be"),
    (
        "openai",
        _chat(ASK | {"content": [{"type": "text", "text": ""}]}, ANSWER),
        "messages[0].content[0].text",
        "is empty",
    ),
    (
        "openai",
        _chat(ASK, {"role": "assistant", "content": [PICTURE]}),
        "messages[1].content[0]",
        "only a user can show one",
    ),
    (
        "openai",
        _chat(ASK | {"content": [{"type": "image_url", "image_url": "a.png"}]}, ANSWER),
        "messages[0].content[0].image_url",
        "must be an object",
    ),
    (
        "openai",
        _chat(ASK | {"content": [{"type": "image_url", "image_url": {"url": "a", "detail": "fine"}}]}, ANSWER),
        "messages[0].content[0].image_url.detail",
        "must be one of",
    ),
    # The order
    ("openai", _chat(ASK, SYSTEM, ANSWER), "messages[1]", "must come first"),
    ("openai", _chat(SYSTEM, ANSWER), "messages[1]", "a user must speak first"),
    ("openai", _chat(ASK), "messages[0]", "is the last message, but of the role user"),
    ("openai", _chat(ASK, calling(), RESULT), "messages[2]", "is the last message, but of the role tool"),
    ("openai", _chat(SYSTEM), "messages[0]", "is the last message, but of the role system"),
    # Calls
    ("openai", _chat(ASK, calling() | {"tool_calls": []}), "messages[1].tool_calls", "is empty"),
    ("openai", _chat(ASK, calling() | {"tool_calls": {}}), "messages[1].tool_calls", "must be a list of calls"),
    ("openai", _chat(ASK | {"tool_calls": [call()]}, ANSWER), "messages[0].tool_calls", "is not a key"),
    ("openai", _chat(ASK, calling() | {"tool_calls": ["f"]}), "messages[1].tool_calls[0]", "must be an object"),
    (
        "openai",
        _chat(ASK, calling({"type": "function", "function": call()["function"]})),
        "messages[1].tool_calls[0].id",
        "is missing",
    ),
    ("openai", _chat(ASK, calling(call(""))), "messages[1].tool_calls[0].id", "is empty"),
    ("openai", _chat(ASK, calling(call() | {"index": 0})), "messages[1].tool_calls[0].index", "is not a key of a call"),
    ("openai", _chat(ASK, calling(call() | {"type": "x"})), "messages[1].tool_calls[0].type", "must be 'function'"),
    (
        "openai",
        _chat(ASK, calling(call(arguments={"city": "Rome"}))),
        "messages[1].tool_calls[0].function.arguments",
        "must be text, not an object",
    ),
    (
        "openai",
        _chat(ASK, calling(call(arguments='["Rome"]'))),
        "messages[1].tool_calls[0].function.arguments",
        "must be the JSON text of an object",
    ),
    (
        "openai",
        _chat(ASK, calling(call(arguments='{"city": '))),
        "messages[1].tool_calls[0].function.arguments",
        "must be the JSON text of an object",
    ),
    *(
        (
            "openai",
            _chat(ASK, calling(call(arguments=f'{{"degrees": {number}}}'))),
            "messages[1].tool_calls[0].function.arguments",
            "must be the JSON text of an object",
        )
        for number in ("NaN", "-Infinity", "1e999")  # which Python reads, and JSON does not have
    ),
    (
        "openai",
        _chat(ASK, calling(call(name="news")), tools=TOOLS),
        "messages[1].tool_calls[0].function.name",
        "is not among the tools",
    ),
    ("openai", _chat(ASK, calling(), ASK, ANSWER), "messages[1].tool_calls[0]", "is not answered"),
    ("openai", _chat(ASK, calling(), ANSWER), "messages[1].tool_calls[0]", "is not answered"),
    (
        "openai",
        _chat(ASK, calling(call("call_1"), call("b")), RESULT, ANSWER),
        "messages[1].tool_calls[1]",
        "is not answered",
    ),
    ("openai", _chat(ASK, calling(call("a"), call("a"))), "messages[1].tool_calls[1].id", "is the id of an earlier"),
    ("openai", _chat(ASK, RESULT, ANSWER), "messages[1]", "no call stands before it"),
    ("openai", _chat(ASK, ANSWER, RESULT, ANSWER), "messages[2]", "no call stands before it"),
    ("openai", _chat(ASK, calling(), RESULT, RESULT, ANSWER), "messages[3]", "is answered already"),
    (
        "openai",
        _chat(ASK, calling(), RESULT | {"tool_call_id": "other"}, ANSWER),
        "messages[2].tool_call_id",
        "names no call",
    ),
    (
        "openai",
        _chat(ASK, calling(), {"role": "tool", "content": "21"}, ANSWER),
        "messages[2].tool_call_id",
        "is missing",
    ),
    # OpenAI: DPO
    ("openai-dpo", {"input": {"messages": [ASK]}, "preferred_output": [ANSWER]}, "non_preferred_output", "is missing"),
    ("openai-dpo", _PAIR | {"input": [ASK]}, "input", "must be an object, not a list"),
    ("openai-dpo", _PAIR | {"input": {"messages": [ASK, ANSWER]}}, "input.messages[1]", "is the last message"),
    ("openai-dpo", _PAIR | {"input": {"messages": []}}, "input.messages", "is empty"),
    ("openai-dpo", _PAIR | {"input": {"messages": [ASK], "tools": "f"}}, "input.tools", "must be a list"),
    ("openai-dpo", _PAIR | {"score": 1}, "score", "is not a key"),
    ("openai-dpo", _PAIR | {"preferred_output": ANSWER}, "preferred_output", "must be a list of messages"),
    ("openai-dpo", _PAIR | {"preferred_output": [ASK]}, "preferred_output[0]", "is the last message"),
    (
        "openai-dpo",
        _PAIR | {"non_preferred_output": [calling(), RESULT, ANSWER]},
        "non_preferred_output",
        "more than one message",
    ),
    ("openai-dpo", _PAIR | {"non_preferred_output": [ANSWER]}, "non_preferred_output", "is the same as"),
    # TRL
    ("trl", _chat(ASK, ANSWER, prompt="?"), "prompt", "cannot stand beside messages"),
    ("trl", {"prompt": "?", "chosen": "a", "rejected": "b"}, "messages", "is missing"),
    ("trl", _chat(ASK, ASK, ANSWER), "messages[1]", "in a row"),
    ("trl", _chat(ASK, ANSWER, ANSWER), "messages[2]", "in a row"),
    ("trl", _chat(SYSTEM, SYSTEM, ASK, ANSWER), "messages[1]", "is a second system message"),
    (
        "trl",
        _chat(ASK, calling(trl_call()), RESULT | {"tool_call_id": "x"}, ASK, ANSWER),
        "messages[3]",
        "the assistant must speak",
    ),
    ("trl", _chat(ASK, calling()), "messages[1].tool_calls[0].function.arguments", "must be an object, not text"),
    (
        "trl",
        _chat(ASK, calling(trl_call(), trl_call("Oslo")), {"role": "tool", "content": "21"}, ANSWER),
        "messages[1].tool_calls[1]",
        "is not answered",
    ),
    ("trl", _chat(ASK, ANSWER | {"weight": 1}), "messages[1].weight", "is not a key"),
    ("trl", _chat(ASK | {"content": [PICTURE]}, ANSWER), "messages[0].content[0].type", "must be 'text' or 'image'"),
    ("trl", _chat(ASK, ANSWER, tools="none"), "tools", "is text, but not the JSON text"),
    ("trl", _chat(ASK, calling(trl_call()), tools="[]"), "messages[1].tool_calls[0].function.name", "is not among"),
    ("trl", _chat(ASK, ANSWER, images=["a.png"]), "images", "holds 1, but the messages show 0"),
    ("trl-prompt-completion", {"prompt": [ASK]}, "completion", "is missing"),
    ("trl-prompt-completion", {"prompt": "a", "completion": " "}, "completion", "is empty"),
    ("trl-prompt-completion", {"prompt": [ASK], "completion": "b"}, "completion", "must be a list of messages, as"),
    ("trl-prompt-completion", {"prompt": [ASK, ANSWER], "completion": [ANSWER]}, "prompt[1]", "is the last message"),
    ("trl-prompt-completion", {"prompt": [ASK], "completion": [ASK, ANSWER]}, "completion[0]", "in a row"),
    ("trl-prompt-completion", {"prompt": [ASK], "completion": [ANSWER, ASK]}, "completion[1]", "is the last message"),
    # Preferences
    ("preferences", {"prompt": [ASK], "chosen": [ANSWER]}, "rejected", "is missing"),
    ("preferences", {"prompt": None, "chosen": "a", "rejected": "b"}, "prompt", "is null"),
    ("preferences", {"prompt": "?", "chosen": "a", "rejected": "a"}, "rejected", "is the same as chosen"),
    ("preferences", {"prompt": "?", "chosen": "a", "rejected": ""}, "rejected", "is empty"),
    ("preferences", {"prompt": "?", "chosen": [ANSWER], "rejected": [WORSE]}, "prompt", "must be a list of messages"),
    ("preferences", {"prompt": [ASK], "chosen": [ASK, ANSWER], "rejected": [WORSE]}, "chosen[0]", "in a row"),
    ("preferences", {"chosen": [ASK, ANSWER], "rejected": [SYSTEM, ASK, WORSE]}, "rejected[0]", "is another message"),
    ("preferences", {"prompt": [ASK], "chosen": [ANSWER], "rejected": [ANSWER]}, "rejected", "is the same as chosen"),
    ("preferences", {"prompt": "?", "chosen": "a", "rejected": "b", "label": 1}, "label", "cannot stand beside"),
    # ShareGPT
    ("sharegpt", {"messages": [ASK]}, "conversations", "is missing"),
    ("sharegpt", _told(), "conversations", "is empty"),
    ("sharegpt", _told(turn("user", "hi"), _GPT), "conversations[0].from", "must be one of"),
    ("sharegpt", _told(_HUMAN | {"id": 1}, _GPT), "conversations[0].id", "is not a key of a turn"),
    ("sharegpt", _told({"from": "human"}, _GPT), "conversations[0].value", "is missing"),
    ("sharegpt", _told({"value": "hi"}, _GPT), "conversations[0].from", "is missing"),
    ("sharegpt", _told(turn("human", ""), _GPT), "conversations[0].value", "is empty"),
    ("sharegpt", _told(_GPT, _HUMAN), "conversations[0].from", "must be human or observation here"),
    ("sharegpt", _told(_HUMAN, _HUMAN), "conversations[1].from", "must be gpt or function_call here"),
    ("sharegpt", _told(_HUMAN, _GPT, turn("system", "x")), "conversations[2].from", "must be human or observation"),
    ("sharegpt", _told(_HUMAN), "conversations[0]", "since it is the last turn"),
    ("sharegpt", _told(turn("system", "x")), "conversations", "nothing but the system's turn"),
    ("sharegpt", _told(_HUMAN, turn("function_call", "weather()")), "conversations[1].value", "must be the JSON text"),
    (
        "sharegpt",
        _told(_HUMAN, turn("function_call", '{"name": "weather", "arguments": {"degrees": NaN}}')),
        "conversations[1].value",
        "must be the JSON text",
    ),
    (
        "sharegpt",
        _told(_HUMAN, turn("function_call", '{"name": "weather", "arguments": "{}"}')),
        "conversations[1].value.arguments",
        "must be an object, not text",
    ),
    (
        "sharegpt",
        _told(_HUMAN, turn("function_call", CALLED), _HUMAN, _GPT),
        "conversations[2]",
        "needs its observation",
    ),
    ("sharegpt", _told(turn("observation", "21"), _GPT), "conversations[0]", "no function_call stands before it"),
    (
        "sharegpt",
        _told(_HUMAN, turn("function_call", CALLED.replace("weather", "news")), tools=_TEXT_TOOLS),
        "conversations[1].value.name",
        "is not among the tools",
    ),
    ("sharegpt", _told(_HUMAN, _GPT, tools=[FUNCTION]), "tools", "must be the JSON text of a list"),
    ("sharegpt", _told(_HUMAN, _GPT, tools="none"), "tools", "must be the JSON text of a list"),
    ("sharegpt", _told(_HUMAN, _GPT, tools='["weather"]'), "tools[0]", "must be an object"),
    ("sharegpt", _told(_HUMAN, _GPT, images=["a.png"]), "images", "holds 1, but the turns show 0"),
    ("sharegpt", _told(_HUMAN, _GPT, kto_tag="yes"), "kto_tag", "must be true or false"),
    ("sharegpt", _told(_HUMAN, chosen=_GPT), "rejected", "is missing"),
    ("sharegpt", _told(_HUMAN, chosen=_GPT, rejected=_GPT), "rejected", "is the same as chosen"),
    ("sharegpt", _told(_HUMAN, chosen=_GPT, rejected=_HUMAN), "rejected.from", "must be gpt or function_call"),
    ("sharegpt", _told(_HUMAN, _GPT, chosen=_GPT, rejected=turn("gpt", "?")), "conversations[1]", "must be from human"),
    # Alpaca
    ("alpaca", {"instruction": "Name a city."}, "output", "is missing"),
    ("alpaca", {"instruction": " ", "output": "Rome."}, "instruction", "is empty"),
    ("alpaca", {"instruction": "Name a city.", "output": ["Rome."]}, "output", "must be text, not a list"),
    ("alpaca", {"instruction": "Name a city.", "input": None, "output": "Rome."}, "input", "must be text, not null"),
    ("alpaca", {"instruction": "Name a city.", "output": "Rome.", "history": "?"}, "history", "must be a list"),
    ("alpaca", {"instruction": "Name a city.", "output": "Rome.", "history": [["?"]]}, "history[0]", "must be a list"),
    ("alpaca", {"instruction": "a", "output": "b", "history": [["?", ""]]}, "history[0][1]", "is empty"),
    ("alpaca", {"instruction": "Name a city.", "chosen": "Rome.", "rejected": "Rome."}, "rejected", "is the same"),
    ("alpaca", {"instruction": "Name a city.", "chosen": "Rome."}, "rejected", "is missing"),
    ("alpaca", {"instruction": "Name a city.", "output": "Rome.", "kto_tag": 1}, "kto_tag", "must be true or false"),
]
"""The name of a shape, a row with one fault, and the path and the beginning of the reason that the check must name."""
