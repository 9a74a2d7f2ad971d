"""What is read from the usage objects of SDKs, shaped as they are published, and from numbers of any kind."""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from fractions import Fraction
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel

from starfish_storage import InvalidInputError
from starfish_storage.metadata import ledger_rows
from starfish_storage.runs import Usage
from starfish_storage.usage.reading import read_usage


class Details(BaseModel):
    cached_tokens: int | None = None
    audio_tokens: int | None = None
    reasoning_tokens: int | None = None


class CompletionUsage(BaseModel):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: Details | None = None
    completion_tokens_details: Details | None = None


class Response(BaseModel):
    id: str = "r1"
    created: int = 1_769_860_800
    model: str = "small-1"
    choices: list[dict[str, Any]] = [{"message": {"content": "s3cret"}}]
    usage: CompletionUsage | None = None


OPENAI = CompletionUsage(
    prompt_tokens=100,
    completion_tokens=50,
    total_tokens=150,
    prompt_tokens_details=Details(cached_tokens=60, audio_tokens=3),
    completion_tokens_details=Details(reasoning_tokens=20, audio_tokens=0),
)
OF_OPENAI = {"cached_tokens": 60, "input_audio_tokens": 3, "reasoning_tokens": 20}


@dataclasses.dataclass
class Anthropic:
    input_tokens: int = 10
    output_tokens: int = 5
    cache_creation_input_tokens: int | None = 7
    cache_read_input_tokens: int | None = 3
    cache_creation: dict[str, int] = dataclasses.field(default_factory=lambda: {"ephemeral_5m_input_tokens": 7})
    service_tier: str = "standard"
    server_tool_use: Any = None


REPORTED: list[tuple[Any, Usage]] = [
    (None, Usage()),
    ({}, Usage()),
    (OPENAI, Usage(None, 100, 50, 0.0, OF_OPENAI)),
    (OPENAI.model_dump(), Usage(None, 100, 50, 0.0, OF_OPENAI)),
    (Response(usage=OPENAI), Usage("small-1", 100, 50, 0.0, OF_OPENAI)),
    (Response(), Usage("small-1")),
    (
        {"input_tokens": 5, "output_tokens": 2, "input_tokens_details": {"cached_tokens": 4, "audio_tokens": 1}},
        Usage(None, 5, 2, 0.0, {"cached_tokens": 4, "input_audio_tokens": 1}),
    ),
    (
        Anthropic(),
        Usage(None, 10, 5, 0.0, {"cache_write_tokens": 7, "cached_tokens": 3, "ephemeral_5m_input_tokens": 7}),
    ),
    (
        SimpleNamespace(
            model_version="gemini",
            usage_metadata=SimpleNamespace(
                prompt_token_count=8,
                candidates_token_count=4,
                thoughts_token_count=2,
                cached_content_token_count=None,
                total_token_count=14,
            ),
        ),
        Usage("gemini", 8, 4, 0.0, {"reasoning_tokens": 2}),
    ),
    (
        {"output": {}, "usage": {"inputTokens": 1, "outputTokens": 2, "cacheReadInputTokens": 3, "totalTokens": 3}},
        Usage(None, 1, 2, 0.0, {"cached_tokens": 3}),
    ),
    ({"prompt_tokens": 1, "cost": 0.25, "model": "m"}, Usage("m", 1, 0, 0.25)),
]


@pytest.mark.parametrize("number", range(len(REPORTED)))
def test_what_sdks_report(number: int) -> None:
    reported, usage = REPORTED[number]
    found = read_usage(reported, {"model": None, "input_tokens": None})
    assert (found.usage(), found.complaint) == (usage, None)
    assert ledger_rows.read_usage(ledger_rows.usage_text([usage])) == (usage,)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (5, 5),
        (np.int64(5), 5),
        (np.float32(5), 5),
        (Decimal("5.00"), 5),
        (Fraction(10, 2), 5),
        (5.0, 5),
        (pd.Series([5]).sum(), 5),
    ],
)
def test_numbers_of_any_kind(given: Any, kept: int) -> None:
    found = read_usage(None, {"input_tokens": given, "output_tokens": 0, "cost": given, "seconds": given})
    assert found.complaint is None
    assert found.usage() == Usage(None, kept, 0, float(kept), {"seconds": kept})
    assert [type(one) for one in (found.usage().input_tokens, found.usage().cost)] == [int, float]


@pytest.mark.parametrize(
    ("named", "complaint"),
    [
        ({"input_tokens": -1}, "input_tokens must be an integer of 0 or more, not -1"),
        ({"output_tokens": 1.5}, "output_tokens must be an integer of 0 or more, not 1.5"),
        ({"cost": float("nan")}, "cost must be a number of 0 or more, not nan"),
        ({"cost": Decimal("Infinity")}, "cost must be a number of 0 or more, not of type Decimal"),
        ({"cost": 1e300}, "cost must be a number of 0 or more, not 1e+300"),
        ({"cost": "0.5"}, "cost must be a number of 0 or more, not '0.5'"),
        ({"cost": True}, "cost must be a number of 0 or more, not of type bool"),
        ({"cost": pd.NA}, "cost must be a number of 0 or more, not of type NAType"),
        ({"cost": MagicMock()}, "cost must be a number of 0 or more, not of type MagicMock"),
        ({"cached_tokens": "many"}, "cached_tokens must be a number, not 'many'"),
        ({"model": 3}, "model must be text, not of type int"),
    ],
)
def test_what_makes_no_sense_is_left_out_and_said(named: dict[str, Any], complaint: str) -> None:
    found = read_usage(None, {"model": "m", "input_tokens": 1} | named)
    assert found.complaint == complaint
    usage = found.usage().checked()
    assert (usage.cost, usage.output_tokens, usage.counts) == (0, 0, {})


def test_objects_that_report_nothing() -> None:
    for reported in (object(), 5, [1], MagicMock()):
        found = read_usage(reported, {"cost": 1})
        assert found.usage() == Usage(cost=1.0) or isinstance(reported, MagicMock)
    assert read_usage(object(), {}).complaint == "an object of type object reports no usage"


def test_names_and_their_number_are_limited_and_models_can_be_stored() -> None:
    found = read_usage({f"n{number}": 1 for number in range(1000)} | {"x" * 200: 1}, {"model": "a\0b\ud800", "cost": 1})
    assert len(found.usage().counts) == 50
    assert found.usage().model == "a\\x00b\\ud800"
    assert found.usage().cost == 1
    ledger_rows.usage_text([found.usage()])
    with pytest.raises(InvalidInputError, match="counts must be numbers"):
        Usage(counts={"x": float("nan")}).checked()
