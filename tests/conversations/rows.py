"""Rows as the pages of those who train on them describe them, told anew: what passes the check of each shape.

- OpenAI: https://developers.openai.com/api/docs/guides/supervised-fine-tuning, .../vision-fine-tuning and
  .../direct-preference-optimization.
- TRL: https://huggingface.co/docs/trl/dataset_formats.
- ShareGPT and Alpaca: https://github.com/hiyouga/LLaMA-Factory/blob/main/data/README.md.
"""

from __future__ import annotations

from typing import Any

Row = dict[str, Any]

ASK = {"role": "user", "content": "How warm is it in Rome?"}
ANSWER = {"role": "assistant", "content": "It is 21 degrees."}
WORSE = {"role": "assistant", "content": "Rather warm."}
SYSTEM = {"role": "system", "content": "You know the weather."}
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": '{"degrees": 21}'}
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTION = {"name": "weather", "description": "Tells the weather.", "parameters": PARAMETERS}
TOOLS = [{"type": "function", "function": FUNCTION}]
PICTURE = {"type": "image_url", "image_url": {"url": "https://example.org/rome.png", "detail": "low"}}


def call(id_: str = "call_1", name: str = "weather", arguments: object = '{"city": "Rome"}') -> Row:
    """Return a call as OpenAI has it."""
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}


def calling(*calls: Row) -> Row:
    """Return a message of an assistant that calls."""
    return {"role": "assistant", "tool_calls": list(calls or [call()])}


def trl_call(city: str = "Rome") -> Row:
    """Return a call as TRL has it: without an id, and the arguments as an object."""
    return {"type": "function", "function": {"name": "weather", "arguments": {"city": city}}}


def turn(speaker: str, value: object) -> Row:
    """Return a turn of ShareGPT."""
    return {"from": speaker, "value": value}


CALLED = '{"name": "weather", "arguments": {"city": "Rome"}}'

RIGHT: dict[str, list[Row]] = {
    "openai": [
        {"messages": [SYSTEM, ASK, ANSWER]},
        {"messages": [ASK, ANSWER | {"weight": 0}, ASK, ANSWER | {"weight": 1}]},
        {"messages": [ASK, calling()], "tools": TOOLS, "parallel_tool_calls": False},
        {"messages": [ASK, calling(), RESULT, ANSWER], "tools": TOOLS},
        {
            "messages": [
                {"role": "developer", "content": "Be brief."},
                ASK,
                calling(call("a"), call("b")) | {"content": ""},
                RESULT | {"tool_call_id": "b", "content": ""},  # in any order, and a tool may return nothing
                RESULT | {"tool_call_id": "a", "name": "weather"},
                {"role": "assistant", "content": [{"type": "text", "text": "It is 21 degrees."}]},
            ]
        },
        {"messages": [SYSTEM, ASK, {"role": "user", "content": [{"type": "text", "text": "This:"}, PICTURE]}, ANSWER]},
        {"messages": [ASK, {"role": "assistant", "refusal": "I do not tell."}]},
    ],
    "openai-dpo": [
        {
            "input": {"messages": [ASK], "tools": [], "parallel_tool_calls": True},
            "preferred_output": [ANSWER],
            "non_preferred_output": [WORSE],
        },
        {
            "input": {"messages": [SYSTEM, ASK, calling(), RESULT], "tools": TOOLS},
            "preferred_output": [ANSWER],
            "non_preferred_output": [calling(call("call_2"))],
        },
    ],
    "trl": [
        {"messages": [ASK, ANSWER], "id": 7},
        {
            "messages": [
                SYSTEM,
                ASK,
                {"role": "assistant", "tool_calls": [trl_call()]},
                {"role": "tool", "name": "weather", "content": "21"},
                ANSWER | {"thinking": "Warm."},
            ],
            "tools": [{"type": "function", "function": FUNCTION | {"return": {"type": "string"}}}],
        },
        {
            "messages": [ASK, {"role": "assistant", "tool_calls": [trl_call()]}],
            "tools": '[{"type": "function", "function": {"name": "weather"}}]',
        },
        {
            "messages": [
                {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Where is this?"}]},
                {"role": "assistant", "content": [{"type": "text", "text": "In Rome."}]},
            ],
            "images": ["rome.png"],
        },
    ],
    "trl-prompt-completion": [
        {"prompt": "How warm is it", "completion": " in Rome?"},
        {"prompt": [ASK], "completion": [ANSWER]},
        {"prompt": [SYSTEM, ASK], "completion": [calling(trl_call()), RESULT | {"tool_call_id": "x"}, ANSWER]},
    ],
    "preferences": [
        {"prompt": "It is", "chosen": " warm.", "rejected": " hot."},
        {"chosen": "It is warm.", "rejected": "It is hot."},
        {"prompt": [ASK], "chosen": [ANSWER], "rejected": [WORSE], "score_chosen": 0.9},
        {"chosen": [ASK, ANSWER], "rejected": [ASK, WORSE]},
    ],
    "sharegpt": [
        {"conversations": [turn("human", "How warm?"), turn("gpt", "21 degrees.")]},
        {
            "conversations": [
                turn("human", "How warm?"),
                turn("function_call", CALLED),
                turn("observation", ""),
                turn("gpt", "21 degrees."),
            ],
            "system": "",
            "tools": '[{"name": "weather", "parameters": {"type": "object", "properties": {}}}]',
        },
        {"conversations": [turn("system", "Be brief."), turn("human", "How?"), turn("function_call", f"[{CALLED}]")]},
        {
            "conversations": [turn("human", "How warm?")],
            "chosen": turn("gpt", "21 degrees."),
            "rejected": turn("gpt", "Rather."),
        },
        {"conversations": [turn("human", "<image>Where?"), turn("gpt", "Rome.")], "images": ["a.png"], "kto_tag": True},
    ],
    "alpaca": [
        {"instruction": "Name a city.", "input": "", "output": "Rome."},
        {
            "instruction": "And another?",
            "input": "Not Rome.",
            "output": "Oslo.",
            "system": "Be brief.",
            "history": [["Name a city.", "Rome."]],
        },
        {"instruction": "Name a city.", "input": "", "chosen": "Rome.", "rejected": "Italy."},
    ],
}
"""By the name of a shape, rows that pass its check."""
