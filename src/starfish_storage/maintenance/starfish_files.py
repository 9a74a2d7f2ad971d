"""What lies in the files of a Starfish store: data that is whole, data that is lost, and files of no record.

Starfish writes a file in place, under another uid than the record's, and before the row: a process that is killed, or
a value that is no JSON, leaves half a file, an empty one, or one that no row names.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from typing import Any, cast

from starfish_storage.codec import content_digest, decode, json_line
from starfish_storage.data.inventory import Inventory
from starfish_storage.errors import DataNotFoundError, InvalidIdError, StorageError, StoreOpenError
from starfish_storage.files.atomic import FileOperations
from starfish_storage.files.errors import translated
from starfish_storage.identifiers import fold
from starfish_storage.interface import DataHandler
from starfish_storage.interface.inspection import FoundFile
from starfish_storage.keys import CONFIG_DIRECTORY, DATA_DIRECTORY, owner_uid, record_key
from starfish_storage.maintenance.checking import OnProgress
from starfish_storage.maintenance.upgrade_report import Repaired, UpgradeKind
from starfish_storage.metadata.row_writer import portions
from starfish_storage.metadata.sqlite.starfish_upgrade import DataState

ASIDE_DIRECTORY = "starfish-0.1"
"""Where files lie that no row names after an upgrade: below the keys that they had."""

_TOGETHER = 500
_SLASHES = 2  # in a directory of Starfish's data, data/ab/cd; ours have one


class StarfishFiles:
    """The files of a Starfish store, and what an upgrade does about them.

    Args:
        data: reads them, and writes those that are to lie elsewhere.
        root: absolute path of the data root.

    Attributes:
        states: what was found of the data of each record.
        repairs: what of it is repaired.
        written: the keys under which data was put, which no row names before the upgrade's commit.
    """

    def __init__(self, data: DataHandler, root: str) -> None:
        self._data = data
        self._root = root
        self._folded: set[str] = set()
        self.states: list[DataState] = []
        self.repairs: list[Repaired] = []
        self.written: list[str] = []

    def check(self, records: Sequence[tuple[str, str]], progress: OnProgress | None, *, writes: bool) -> None:
        """Read the data of all records, by uid and key, and put under its own key what does not lie there.

        Raises:
            StorageError: a file cannot be read, there is no room, or none of the data lies here.
        """
        missing = 0
        for portion in portions(records, _TOGETHER):
            new: list[tuple[str, bytes]] = []
            for (uid, key), payload in zip(portion, self._data.read_each([key for _, key in portion]), strict=True):
                missing += payload is None
                state, content = self._judged(uid, key, payload)
                self.states.append(state)
                if content is not None:
                    new.append((state.key, content))
            if writes and new:
                self.written += (key for key, _ in new)
                self._data.put_new(new)
            if progress is not None:
                progress(len(self.states), len(records))
        if records and missing == len(records):
            reason = f"none of the {missing} data files lies in it; if they lie elsewhere, name that place (--data-uri)"
            raise StoreOpenError(self._root, reason)

    def forget_written(self) -> None:
        """Remove what was put under new keys, because the upgrade failed. Never raises."""
        try:
            self._data.remove_all(self.written)
        except StorageError:
            pass  # the next upgrade puts it there again

    def without_row(self, records: Sequence[tuple[str, str]]) -> Iterator[Repaired]:
        """Yield the data files in Starfish's layout that none of the records names."""
        named = {key for _, key in records}
        with closing(Inventory(self._root)) as inventory:
            for directory in filter(_is_starfish, inventory.directories()):
                for file in inventory.files(directory):
                    if file.is_data and file.key not in named:
                        told = f"no record names it ({file.size} bytes); it is kept in {ASIDE_DIRECTORY}"
                        yield Repaired("data_without_row", file.key, told)

    def configs(self, runs: Sequence[tuple[str, str]]) -> Iterator[Repaired]:
        """Yield what is wrong with the request configurations of runs, by id and key."""
        for run, key in runs:
            if not self._data.exists(key):
                yield Repaired("request_config_missing", run, "Starfish saves it when a run ends, and this did not")
            elif is_damaged(self._data, key):
                told = f"{key} was no JSON object; it is kept in {ASIDE_DIRECTORY}"
                yield Repaired("request_config_damaged", run, told)

    def _judged(self, uid: str, key: str, payload: bytes | None) -> tuple[DataState, bytes | None]:
        """Return what is found of a record's data, and what is to lie under its own key, if it does not yet."""
        if payload is None:
            return self._lost("data_missing", uid, key, "there is no file")
        if not payload.strip(b"\0 \t\r\n"):
            return self._lost("data_empty", uid, key, "the file is empty")
        try:
            value: Any = decode(payload)
        except (ValueError, RecursionError):
            return self._lost("data_incomplete", uid, key, f"the {len(payload)} bytes of the file are no JSON")
        is_right = isinstance(value, dict)
        if not is_right:
            self._note("data_not_object", uid, "its data was no JSON object; it is the 'value' of one")
            value = {"value": value}
        if _holds_no_number(payload):
            value, count = _without_no_numbers(value)
            if count:
                is_right = False
                self._note("not_a_number", uid, f"{count} of its numbers were NaN or infinite, and are null")
        own = self._own_key(uid)
        if own is not None and owner_uid(key) != uid:
            self._note("uid_differs", uid, f"its data lay at {key}")
        elif is_right:
            return DataState(uid, key, content_digest(payload)), None
        content = json_line(value)
        return DataState(uid, own or _spare_key(uid), content_digest(content)), content

    def _own_key(self, uid: str) -> str | None:
        """Return the key of a record's data; None if that would be no name here, or nearly that of another's."""
        folded = fold(uid)
        if folded in self._folded:
            return None
        self._folded.add(folded)
        try:
            return record_key(uid)
        except InvalidIdError:
            return None

    def _lost(self, kind: UpgradeKind, uid: str, key: str, fault: str) -> tuple[DataState, None]:
        self._note(kind, uid, f"{fault}, {key}; its status is 'failed'")
        return DataState(uid, key, None, f"its data is lost: {fault}, {key}"), None

    def _note(self, kind: UpgradeKind, subject: str, detail: str) -> None:
        self.repairs.append(Repaired(kind, subject, detail))


def set_aside(data: DataHandler, root: str, unnamed: Iterator[Sequence[FoundFile]]) -> list[str]:
    """Move to `ASIDE_DIRECTORY` what no row names and what is no request configuration; return the keys. Idempotent.

    What is moved by one rename is never lost, and a repetition moves the rest.

    Args:
        data: reads request configurations.
        root: absolute path of the data root.
        unnamed: files of a data root that no row names, in pages.
    """
    moved = [file.key for page in unnamed for file in page if file.is_data and _is_starfish(os.path.dirname(file.key))]
    with closing(Inventory(root)) as inventory:
        configs = [file.key for file in inventory.files(CONFIG_DIRECTORY) if file.is_data]
    moved += (key for key in configs if is_damaged(data, key))
    names: dict[str, list[str]] = {}
    for key in moved:
        directory, _, name = key.rpartition("/")
        names.setdefault(directory, []).append(name)
    files = FileOperations()
    for directory, of_it in names.items():
        with translated(f"{root}/{directory}"):
            _move(files, root, directory, of_it)
    return moved


def is_damaged(data: DataHandler, key: str) -> bool:
    """Return whether a request configuration that is there is no JSON object.

    Raises:
        StorageError: it cannot be read.
    """
    try:
        return not isinstance(decode(data.read(key)), dict)
    except DataNotFoundError:
        return False
    except (ValueError, RecursionError):
        return True


def _is_starfish(directory: str) -> bool:
    return directory.startswith(f"{DATA_DIRECTORY}/") and directory.count("/") == _SLASHES


def _move(files: FileOperations, root: str, directory: str, names: Sequence[str]) -> None:
    """Move files of a directory, or a directory of data itself if it has no others: there may be one for each file."""
    source, target = f"{root}/{directory}", f"{root}/{ASIDE_DIRECTORY}/{directory}"
    if directory == CONFIG_DIRECTORY:
        _rename(files, source, target, names)
        return
    if len(os.listdir(source)) == len(names) and not os.path.lexists(target):
        _rename(files, os.path.dirname(source), os.path.dirname(target), [os.path.basename(source)])
    else:
        _rename(files, source, target, names)
    for emptied in (source, os.path.dirname(source)):
        with suppress(OSError):  # it is gone, or not empty
            os.rmdir(emptied)


def _rename(files: FileOperations, source: str, target: str, names: Sequence[str]) -> None:
    files.make_root(target)
    with ExitStack() as stack:
        there = files.open_directory(source)
        stack.callback(os.close, there)
        aside = files.open_directory(target)
        stack.callback(os.close, aside)
        for name in names:
            files.rename(there, name, aside, name)


def _spare_key(uid: str) -> str:
    return record_key(hashlib.sha256(uid.encode("utf-8", "surrogatepass")).hexdigest())


def _holds_no_number(payload: bytes) -> bool:
    return b"NaN" in payload or b"Infinity" in payload


def _without_no_numbers(value: Any) -> tuple[Any, int]:
    """Return a JSON value with null in place of what JSON has no number for, and how many there were."""
    if isinstance(value, float):
        return (value, 0) if math.isfinite(value) else (None, 1)
    if isinstance(value, list):
        items = [_without_no_numbers(item) for item in cast("list[Any]", value)]
        return [item for item, _ in items], sum(count for _, count in items)
    if isinstance(value, dict):
        members = {name: _without_no_numbers(item) for name, item in cast("dict[str, Any]", value).items()}
        return {name: item for name, (item, _) in members.items()}, sum(count for _, count in members.values())
    return value, 0
