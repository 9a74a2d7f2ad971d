"""The functions that `docs/how-to/clients.md` shows."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType

from docs.pages import PROJECT, blocks, file_of

PAGE = PROJECT / "docs" / "how-to" / "clients.md"


def environment(url: str) -> dict[str, str]:
    """Return where the clients are told to find the model, and with what key."""
    keys = {"OPENAI_API_KEY": "sk-test", "ANTHROPIC_API_KEY": "sk-test"}
    urls = {"OPENAI_BASE_URL": f"{url}/v1", "ANTHROPIC_BASE_URL": url}
    return {**keys, **urls, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}


def write(directory: Path) -> list[str]:
    """Write the files of the page, and return their names."""
    names: list[str] = []
    for block in blocks(PAGE):
        name = file_of(block)
        if name is not None:
            (directory / name).write_text(block.text, "utf-8")
            names.append(name)
    return names


def load(path: str | os.PathLike[str]) -> ModuleType:
    """Import a file of the page."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
