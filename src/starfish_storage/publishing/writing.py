"""Writing the files of a bundle: the page, the shards, and what every bundle has."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from starfish_storage import __version__
from starfish_storage.codec import encode, json_text
from starfish_storage.errors import StorageError
from starfish_storage.models import GenerationMasterJob
from starfish_storage.publishing.cleaning import Cleaner
from starfish_storage.publishing.record_sheet import RecordSheet, Told, columns_of
from starfish_storage.publishing.report import BundleReport
from starfish_storage.publishing.shards import Shards
from starfish_storage.publishing.signature import Signature
from starfish_storage.runs import RunState
from starfish_storage.times import utc_now
from starfish_storage.viewer.json_tree import Room, tree_of
from starfish_storage.viewer.pages.sheet import environment
from starfish_storage.viewer.words import plain

MARK = "bundle.json"
"""The file that says that a folder is a bundle, and of what."""

_HERE = Path(__file__).parent
_VIEWER = Path(_HERE.parent, "viewer", "static")
_FILES = (_VIEWER / "viewer.css", _VIEWER / "viewer.js", _VIEWER / "theme.js", _VIEWER / "viewer.svg")
_OWN_FILES = tuple(_HERE / "static" / name for name in ("bundle.css", "bundle.js"))
_MOST_COLUMNS = 6
_KINDS = ("lines", "data", "pages")
_SIGNATURES = "signatures"


def is_bundle(path: str) -> bool:
    """Return whether a directory holds a bundle and nothing else."""
    own = {one.name for one in (*_FILES, *_OWN_FILES)} | {"index.html", "data", MARK}
    names = set(os.listdir(path))
    if MARK not in names or not names <= own or not os.path.isdir(f"{path}/data"):
        return False
    return all(name.endswith(".js") for name in os.listdir(f"{path}/data"))


class BundleWriter:
    """Writes the files of a bundle.

    Args:
        job: the run.
        chosen: in words, which of its records are shown.
        counts: how many records it has in each status.
        cleaner: leaves out what others are not to see.

    Attributes:
        records: how many were written.
    """

    def __init__(self, job: GenerationMasterJob, chosen: str, counts: Mapping[str, int], cleaner: Cleaner) -> None:
        self._job = job
        self._chosen = chosen
        self._counts = counts
        self._cleaner = cleaner
        self._templates = environment(_HERE / "templates", has_sources=False)
        self._shards: dict[str, Shards] = {}
        self._by_shard: list[Counter[str]] = [Counter()]
        self._signature, self._signed = Signature(), 0
        self._columns: list[str] | None = None
        self._sheet: RecordSheet | None = None
        self._files = self._bytes = self._damaged = self.records = 0

    def begin(self, directory: Path) -> None:
        """Make the directories and copy the files that every bundle has."""
        self._directory = directory
        data = directory / "data"
        data.mkdir()
        self._shards = {kind: Shards(data, kind) for kind in (*_KINDS, _SIGNATURES)}
        for file in (*_FILES, *_OWN_FILES):
            shutil.copyfile(file, directory / file.name)

    def add(self, batch: Sequence[Told]) -> None:
        """Write some records."""
        if self._sheet is None:
            self._columns = columns_of(self._job.output_schema, [one.chosen for one in batch], _MOST_COLUMNS)
            page = self._templates.get_template("bundle_record.html")
            self._sheet = RecordSheet(page, self._cleaner, self._columns)
        lines = self._shards["lines"]
        for told in batch:
            made = dict(zip(_KINDS, self._sheet.of(told), strict=True))
            for kind, item in made.items():
                self._shards[kind].add(item)
            if len(lines.begins) == len(self._by_shard):  # the line was the first of another shard
                self._by_shard.append(Counter())
            self._by_shard[-1][told.chosen.record.status] += 1
            self._sign(made["lines"], made["data"])
            self._damaged += told.chosen.problem is not None
            self.records += 1

    def _sign(self, line: Sequence[Any], data: Any) -> None:
        """Note what the shard of data holds, and what the table says of its records."""
        signed = self._shards[_SIGNATURES]
        if len(self._shards["data"].begins) > self._signed:  # the data was the first of another shard
            signed.add(self._signature.packed())
            self._signature, self._signed = Signature(), self._signed + 1
        for text in (line[0], line[2]):
            self._signature.add(json_text(text)[1:-1])
        held = cast("dict[str, str]", data)["beginning"] if isinstance(data, dict) else cast("str | None", data)
        self._signature.add(held or "")

    def finish(self, state: RunState | None, config: dict[str, Any] | None, problem: StorageError | None) -> None:
        """Write what is known at the end: which record is in which shard, and the page."""
        if self.records:
            self._shards[_SIGNATURES].add(self._signature.packed())
        for shards in self._shards.values():
            shards.flush()
        title = self._cleaner.text(self._job.name) or self._job.master_job_id
        contents = {
            "title": plain(title),
            "records": self.records,
            "begins": {kind: shards.begins for kind, shards in self._shards.items()},
            "counts": self._by_shard,
        }
        data = self._directory / "data"
        (data / "contents.js").write_bytes(f"bundle.open({json_text(contents)});\n".encode())
        size, told, room = sum(map(_size_of, self._directory.rglob("*"))), self._cleaner.told, Room()
        html = self._templates.get_template("bundle.html").render(
            title=title,
            job=self._job,
            shown=self.records,
            of=sum(self._counts.values()),
            counts=self._counts,
            shown_counts=sum(self._by_shard, Counter[str]()),
            columns=self._columns or (),
            state=state,
            bytes=size,
            chosen=self._chosen,
            config=None if config is None else tree_of(told(config), room),
            config_problem=None if problem is None else self._cleaner.text(str(problem)),
            schema=tree_of(told(self._job.output_schema), room),
            summary=None if self._job.summary is None else tree_of(told(self._job.summary), room),
            version=__version__,
        )
        (self._directory / "index.html").write_bytes(html.encode("utf-8", "backslashreplace"))
        mark = {
            "starfish_storage_bundle": 1,
            "version": __version__,
            "written": utc_now().isoformat(timespec="seconds"),
            "master_job_id": self._job.master_job_id,
            "records": self.records,
            "chosen": self._chosen,
        }
        (self._directory / MARK).write_bytes(encode(mark, MARK))
        files = [one for one in self._directory.rglob("*") if one.is_file()]
        self._files, self._bytes = len(files), sum(map(_size_of, files))

    @property
    def bytes(self) -> int:
        """How many bytes the records take that were written."""
        return sum(shards.bytes for shards in self._shards.values())

    def report(self, place: str) -> BundleReport:
        """Return what was written."""
        return BundleReport(
            place,
            self._job.master_job_id,
            self.records,
            sum(self._counts.values()),
            self._files,
            self._bytes,
            self._cleaner.replaced,
            self._damaged,
        )


def _size_of(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
