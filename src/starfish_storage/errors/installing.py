"""The command that installs an extra, in the words of what this copy of the library was installed with."""

from __future__ import annotations

import re
import sys
from pathlib import Path

_UVX = re.compile(r"(archive|environments|builds)-v\d+")
"""Directories of uv's cache in which `uvx` makes its environments. Nothing can be added to those."""


def install_command(extra: str, prefix: Path | None = None) -> str:
    """Return the command that adds an extra to the environment of this process.

    An environment of uv has no pip of its own, so the ``pip`` that a shell finds would install into another one; and
    what ``uv tool`` and ``pipx`` have made are to be changed by them alone.

    Args:
        extra: the extra's name.
        prefix: the environment; that of this process unless told otherwise.
    """
    wanted = f"'starfish-storage[{extra}]'"
    home = Path(sys.prefix) if prefix is None else prefix
    if (home / "uv-receipt.toml").is_file():
        return f"uv tool install {wanted}"
    if (home / "pipx_metadata.json").is_file():
        return f"pipx install --force {wanted}"
    if any(map(_UVX.fullmatch, home.parts)):
        return f"uvx --from {wanted} starfish-storage"
    return f"uv pip install {wanted}" if _is_of_uv(home) else f"pip install {wanted}"


def _is_of_uv(home: Path) -> bool:
    try:
        return re.search(r"^uv\s*=", (home / "pyvenv.cfg").read_text("utf-8"), re.MULTILINE) is not None
    except (OSError, ValueError):
        return False
