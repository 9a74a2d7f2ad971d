"""The page of keys: what the dialog shows, at an address of its own."""

from __future__ import annotations

from starlette.datastructures import QueryParams
from starlette.responses import Response

from starfish_storage.viewer.pages.sheet import Sheet


async def keys_page(sheet: Sheet, parameters: QueryParams) -> Response:
    """Return the page."""
    del parameters
    return await sheet.page("keys.html")
