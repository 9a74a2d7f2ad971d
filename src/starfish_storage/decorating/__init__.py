"""The decorator that records the calls of functions in scripts that exist."""

from __future__ import annotations

from starfish_storage.decorating.decorator import AsyncRecorded, Recorded, RecordsCalls, recorded
from starfish_storage.decorating.reading import RecordedRow

__all__ = ["AsyncRecorded", "Recorded", "RecordedRow", "RecordsCalls", "recorded"]
