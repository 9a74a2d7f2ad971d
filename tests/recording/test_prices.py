"""Published prices: what is worked out here is what the library that knows them says."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from itertools import islice
from typing import Any

import pytest
from genai_prices import Usage
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ExtractedUsage, ModelInfo, ModelPrice, Provider

from starfish_storage.usage.pricing import Pricing

_USAGES: tuple[dict[str, int], ...] = (
    {"input_tokens": 250, "output_tokens": 300},
    {"input_tokens": 300_001, "output_tokens": 7},  # beyond what tiers begin with
    {"input_tokens": 12},
    {"input_tokens": 250, "output_tokens": 300, "cache_read_tokens": 100},
    {"input_tokens": 25, "output_tokens": 3, "cache_read_tokens": 0},
)


def _models() -> Iterator[tuple[Provider, ModelInfo]]:
    for provider in get_snapshot().providers:
        yield from ((provider, model) for model in provider.models)


def _price(work: Any) -> object:
    try:
        return work()
    except (ValueError, LookupError) as error:
        return type(error)


def test_worked_out_prices_are_those_of_the_library() -> None:
    pricing = Pricing(None)
    for provider, model in islice(_models(), 0, None, 20):
        for counts in _USAGES:
            found = ExtractedUsage(Usage(**counts), model, provider, None)
            said = _price(lambda found=found: found.calc_price().total_price)
            assert _price(lambda found=found: pricing._price(found)) == said, (model.id, counts)


def test_the_library_is_asked_again_only_where_its_price_is_more_than_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[ModelPrice] = []
    calculate = ModelPrice.calc_price

    def noting(self: ModelPrice, usage: object) -> Any:
        asked.append(self)
        return calculate(self, usage)

    monkeypatch.setattr(ModelPrice, "calc_price", noting)
    provider, model = next(iter(_models()))
    flat = ModelPrice(input_mtok=Decimal(1), output_mtok=Decimal(2))
    with_fee = ModelPrice(input_mtok=Decimal(1), output_mtok=Decimal(2), requests_kcount=Decimal(5))
    pricing = Pricing(None)
    for prices in (flat, with_fee):
        priced = ModelInfo(id=model.id, match=model.match, prices=prices)
        for sent in (10, 20, 30):
            pricing._price(ExtractedUsage(Usage(input_tokens=sent, output_tokens=1), priced, provider, None))

    assert [asked.count(one) for one in (flat, with_fee)] == [1, 3]
