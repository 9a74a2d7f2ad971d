"""The decorator that records the calls of functions in scripts that exist."""

from __future__ import annotations

from starfish_storage.decorating.decorator import AsyncRecorded, Recorded, Recorder, recorded
from starfish_storage.decorating.reading import RecordedRow

__all__ = ["AsyncRecorded", "Recorded", "RecordedRow", "Recorder", "recorded"]
