"""What a recorded answer used and cost: its own numbers, and the prices that are published."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, cast

from starfish_storage.errors import InvalidInputError, shorten
from starfish_storage.redaction import redact_error
from starfish_storage.runs import MOST_USED, Usage
from starfish_storage.runs.calls import UNPRICED
from starfish_storage.telemetry.logs import get_logger
from starfish_storage.times import utc_now
from starfish_storage.usage.reading import read_usage

logger = get_logger(__name__)

Price = Mapping[str, float] | tuple[float, float]
Prices = Mapping[str, Price] | Callable[[Usage], float | None]
"""Prices of one's own: per million tokens of input and of output, by model; or a function of the usage of a call that
returns its price, or None if it does not know it."""

_PER = 1_000_000
_RATES = {"input_tokens": "input_mtok", "output_tokens": "output_mtok"}  # as the makers of the prices call them
_CACHED = {"cached_tokens": "cache_read_tokens", "cache_write_tokens": "cache_write_tokens"}
_FLAVOURS = (  # how paths end, what the makers of the prices call the answers there, and whose answers they are
    ("/chat/completions", "chat", "openai"),
    ("/responses", "responses", "openai"),
    ("/embeddings", "embeddings", "openai"),
    ("/messages", "default", "anthropic"),
    (":generateContent", "default", "google"),
    (":streamGenerateContent", "default", "google"),
)


class Pricing:
    """Reads what answers used, and finds what that costs.

    Args:
        own: prices that are asked for first.
        in_batches: the answers come from batches, which cost less: where prices of batches are published, those.

    Raises:
        InvalidInputError: the prices cannot be used.
    """

    def __init__(self, own: Prices | None, *, in_batches: bool = False) -> None:
        self._own = _checked(own)
        self._context = {"processing": "batch"} if in_batches else None
        # Now: nothing is imported for the first time in the middle of a run.
        self._published: Any = importlib.import_module("genai_prices")
        self._published.data_snapshot.get_snapshot()
        self._flat: dict[int, tuple[Any, bool]] = {}

    def usage(self, address: str, content: object, model: str | None) -> Usage | None:
        """Return what an answer used, with its price; None if it is not one of a model.

        Without a known price, the cost is 0 and ``counts`` has the call as one that is not priced.

        Args:
            address: where the answer came from.
            content: its JSON value.
            model: the model that the request named.
        """
        fields = cast("dict[str, Any]", content) if isinstance(content, dict) else {}
        said = fields.get("model") or fields.get("modelVersion") or model
        named = said if isinstance(said, str) else model
        if named is None and not any(isinstance(fields.get(name), dict) for name in ("usage", "usageMetadata")):
            return None
        holder = {name: fields[name] for name in ("usage", "usageMetadata") if isinstance(fields.get(name), dict)}
        used = read_usage({"object": "", **holder}, {"model": named}).usage()
        if used.cost:
            return used  # the provider itself says so
        return _with_cost(used, self._cost(used, address, {**fields, "model": named}))

    def tokens(self, used: Usage, model: str | None, provider: str | None) -> Usage:
        """Return usage with its published price, of tokens of input and output; see `usage`.

        Args:
            used: the usage; a cost that it has stays.
            model: what the provider calls the model.
            provider: whose it is, as the makers of the prices call them; None if that is not known.
        """
        return used if used.cost else _with_cost(used, self._cost_of_tokens(used, model, provider))

    def _cost(self, used: Usage, address: str, fields: dict[str, Any]) -> float | None:
        if not (used.input_tokens or used.output_tokens):
            return None
        if callable(self._own):
            try:
                cost = self._own(used)
            except Exception as error:  # noqa: BLE001 (any code; the answer is paid for)
                logger.warning("the function of prices raised %s; the call has no price", redact_error(repr(error)))
                return None
            return None if cost is None else _number(cost)
        if self._own is not None and used.model in self._own:
            given, received = self._own[used.model]
            return (used.input_tokens * given + used.output_tokens * received) / _PER
        return self._published_cost(used, address, fields)

    def _published_cost(self, used: Usage, address: str, fields: dict[str, Any]) -> float | None:
        """Return the published price: of the provider at that address; elsewhere, of the model's maker."""
        path = address.partition("?")[0]
        flavour, maker = next(((one, whose) for end, one, whose in _FLAVOURS if path.endswith(end)), ("default", None))
        for where in ({"provider_api_url": address}, {"provider_id": maker} if maker else {}):
            if not where:
                continue
            try:
                found = self._published.extract_usage(fields, **where, api_flavor=flavour)
                if found.model is not None:
                    return float(self._price(found))
            except (LookupError, ValueError, TypeError, ArithmeticError, AttributeError):
                continue  # it does not know the provider, the model, or the form of the answer
        return self._cost_of_tokens(used, used.model, None)

    def _cost_of_tokens(self, used: Usage, model: str | None, provider: str | None) -> float | None:
        counts = {ours: used.counts.get(theirs) for theirs, ours in _CACHED.items()}
        try:
            tokens = self._published.Usage(
                input_tokens=used.input_tokens, output_tokens=used.output_tokens, **counts if provider else {}
            )
            price = self._published.calc_price(tokens, model, provider_id=provider, price_context=self._context)
            return float(price.total_price)
        except (LookupError, ValueError, TypeError, ArithmeticError, AttributeError):
            return None

    def _price(self, found: Any) -> Decimal:
        """Return the published price of what was extracted from an answer.

        The library takes a while to work it out, as it allows for tiers, fees and dozens of kinds of tokens. Most
        answers have tokens of input and of output alone, at a rate each. Where the library was once seen to say no more
        than these rates do, it is not asked again as long as it has the same prices.
        """
        if self._context:
            return found.calc_price(price_context=self._context).total_price
        prices = found.model.get_prices(utc_now())
        held, priced = (cast("dict[str, Any]", vars(one)) for one in (found.usage, prices))
        counts = {name: count for name, count in held.items() if count}
        rates = {name: priced.get(_RATES[name]) for name in counts if name in _RATES}
        is_plain = all(type(count) is int and type(rates.get(name)) is Decimal for name, count in counts.items())
        flat = sum((rates[name] * count for name, count in counts.items()), Decimal()) / _PER if is_plain else None
        _, is_flat = self._flat.get(id(prices), (None, None))
        if flat is not None and is_flat:
            return flat
        price: Decimal = found.calc_price().total_price
        if flat is not None and is_flat is None:
            self._flat[id(prices)] = prices, price == flat  # as long as they are held, no others have their id
        return price


def _with_cost(used: Usage, cost: float | None) -> Usage:
    if cost is None or not 0 <= cost <= MOST_USED:
        return replace(used, counts={**used.counts, UNPRICED: 1})
    return replace(used, cost=float(cost))


def _checked(own: Prices | None) -> Mapping[str | None, tuple[float, float]] | Callable[[Usage], float | None] | None:
    if own is None or callable(own):
        return own
    if not isinstance(own, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] (whatever is given)
        raise InvalidInputError(f"prices must be a mapping by model, or a function, not {type(own).__name__}.")
    return {model: _price(model, price) for model, price in own.items()}


def _price(model: str, price: Price) -> tuple[float, float]:
    pair = (price.get("input"), price.get("output", 0)) if isinstance(price, Mapping) else tuple(price)
    numbers = [_number(one) for one in pair]
    if len(numbers) != 2 or any(one is None or one < 0 for one in numbers):  # noqa: PLR2004 (input and output)
        raise InvalidInputError(
            f"the price of model {shorten(model)} must be two numbers, such as "
            '{"input": 0.15, "output": 0.6}: per million tokens of input, and of output.'
        )
    return cast("tuple[float, float]", tuple(numbers))


def _number(value: object) -> float | None:
    try:
        number = float(cast("Any", value))
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
