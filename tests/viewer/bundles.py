"""Reading what is in the folder of a bundle, as its script does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from .markup import Page


class Shown(NamedTuple):
    """A record as a bundle has it."""

    line: list[Any]
    data: Any
    page: str

    @property
    def uid(self) -> str:
        return self.line[0]


def contents(folder: Path) -> dict[str, Any]:
    script = (folder / "data" / "contents.js").read_text("utf-8")
    return json.loads(script.removeprefix("bundle.open(").removesuffix(");\n"))


def shards(folder: Path, kind: str) -> list[list[Any]]:
    """Return the items of every shard of a kind."""
    found: list[list[Any]] = []
    for number, path in enumerate(sorted((folder / "data").glob(f"{kind}-*.js"))):
        script = path.read_text("utf-8")
        begin = f'bundle.add("{kind}",{number},'
        assert script.startswith(begin)
        found.append(json.loads(script.removeprefix(begin).removesuffix(");\n")))
    return found


def records(folder: Path) -> list[Shown]:
    """Return the records; each page must be one that can do nothing."""
    known = contents(folder)
    columns: list[list[Any]] = []
    for kind in ("lines", "data", "pages"):
        held = shards(folder, kind)
        begins = [sum(map(len, held[:place])) for place in range(len(held))]
        assert known["begins"][kind] == begins
        columns.append([item for items in held for item in items])
    assert sum(map(len, shards(folder, "signatures"))) == len(known["begins"]["data"])
    found = [Shown(*one) for one in zip(*columns, strict=True)]
    assert len(found) == known["records"]
    for one in found:
        Page(one.page)
    return found


def whole(folder: Path) -> str:
    """Return all that is in it, as text, with what the shards hold in place of its escapes."""
    files = [path.read_text("utf-8") for path in sorted(folder.rglob("*")) if path.is_file()]
    return "\n".join([*files, *(f"{one.page}\n{one.line}\n{one.data}" for one in records(folder))])
