"""Where a run looks for the answer to a request before it asks a model."""

from __future__ import annotations

from typing import Literal

Reuse = Literal["run", "project", "store"]
REUSES: tuple[Reuse, ...] = ("run", "project", "store")

Replay = Literal["off", "only"]
REPLAYS: tuple[Replay, ...] = ("off", "only")
