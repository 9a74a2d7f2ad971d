"""What imported answers cost, at the prices that are published today."""

from __future__ import annotations

from starfish_storage.extras import need
from starfish_storage.usage.pricing import Pricing


def pricing(*, in_batches: bool = False) -> Pricing:
    """Return what knows the published prices.

    Args:
        in_batches: those of batches, where they are published.

    Raises:
        MissingExtraError: the library that knows them is not installed.
    """
    need("genai_prices", "http", "Costs of imported answers")
    return Pricing(None, in_batches=in_batches)
