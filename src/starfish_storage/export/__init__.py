"""Writing what a store holds into the forms that people train on."""

from starfish_storage.export.extras import MissingExtraError
from starfish_storage.export.frames import to_arrow, to_pandas, to_polars

__all__ = ["MissingExtraError", "to_arrow", "to_pandas", "to_polars"]
