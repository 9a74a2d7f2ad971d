"""What the workloads save."""

from __future__ import annotations

from typing import Any


def payload(uid: str, version: int) -> dict[str, Any]:
    return {"uid": uid, "version": version, "text": f"{uid}/{version} " * (20 + 37 * (version % 5))}
