"""Which files of a folder are the splits of a dataset: as `datasets` saves it, as the hub has it, or by their names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, cast

from starfish_storage.codec import decode
from starfish_storage.errors import InvalidInputError, shorten
from starfish_storage.extras import need
from starfish_storage.row_files.arrow_files import ARROW
from starfish_storage.row_files.file_form import FileForm
from starfish_storage.row_files.folders import Folder
from starfish_storage.row_files.forms import file_form_of
from starfish_storage.row_files.json_file import JSON
from starfish_storage.row_files.parquet import PARQUET
from starfish_storage.wording import number_of

_CARD = "README.md"
_SPLITS, _STATE, _INFO = "dataset_dict.json", "state.json", "dataset_info.json"
_ABOUT = {_SPLITS, _STATE, _INFO, "dataset_infos.json"}
_LONGEST = 64 * 2**20  # of a card, or of what `datasets` notes
_SHARD = re.compile(
    r"(?P<stem>(?:.*/)?(?P<split>\w+(?:\.\w+)*))-(?P<number>\d{5})-of-(?P<total>\d{5})(?P<ending>\.[^/]*)"
)
_WORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "dev", "val"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_BETWEEN_WORDS = re.compile(r"[-._ 0-9/]+")
_FRONT = re.compile(r"---[^\S\n]*\n(.*?)\n---\s*(?:\n|\Z)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Split:
    """A part of a dataset.

    Attributes:
        name: of the split; None if the dataset has none.
        files: the names of its files in the folder.
        form: of each of them.
        config: the configuration that it belongs to; None if there is only one.
    """

    name: str | None
    files: tuple[str, ...]
    form: FileForm
    config: str | None = None

    def about(self) -> dict[str, str]:
        """Return what is kept of it beside its files."""
        found = {"config": self.config, "split": self.name}
        return {name: value for name, value in found.items() if value is not None}


def is_of_datasets(name: str) -> bool:
    """Return whether a file of a folder is one of rows, or says something about those that are."""
    base = name.rpartition("/")[2]
    return base in _ABOUT or base == _CARD or file_form_of(name) is not None


def is_dataset(folder: Folder) -> bool:
    """Return whether a folder is a dataset, by its names: many tools keep files in JSON that are no rows."""
    names = folder.names()
    rows = _rows_among(names)
    if is_saved(folder) or (rows and _CARD in names):
        return True
    near = (name for name in rows if "/" not in name.removeprefix("data/"))
    return any(file_form_of(name) != JSON or _split_in(name) is not None for name in near)


def is_of_columns(folder: Folder) -> bool:
    """Return whether a folder is a dataset beyond doubt: one that was saved, or of files that are no text."""
    return is_saved(folder) or any(file_form_of(name) in (ARROW, PARQUET) for name in folder.names())


def is_saved(folder: Folder) -> bool:
    """Return whether `datasets.save_to_disk` has written a folder."""
    names = set(folder.names())
    return _SPLITS in names or {_STATE, _INFO} <= names


def splits_of(folder: Folder, config: str | None = None, split: str | None = None) -> list[Split]:
    """Return the splits of the dataset in a folder.

    Args:
        folder: the folder.
        config: the configuration, if there are several.
        split: only this one; None for all.

    Raises:
        InvalidInputError: there is no dataset, it is not complete, or what was chosen is not in it.
    """
    names = folder.names()
    above = _common_directory(names)
    layout = _DatasetLayout(folder, above, [name.removeprefix(above) for name in names])
    found = list(layout.splits(config))
    if not found:
        raise InvalidInputError(f"{folder.shown} has no file of rows in it: give another one.")
    if split is not None:
        chosen = [one for one in found if one.name == split]
        if not chosen:
            known = ", ".join(shorten(one.name or "") for one in found)
            raise InvalidInputError(f"{folder.shown} has no split {shorten(split)}: choose one of {known}.")
        return chosen
    return found


def _rows_among(names: Sequence[str]) -> list[str]:
    """Return the names of files of rows."""
    return [name for name in names if name.rpartition("/")[2] not in _ABOUT and file_form_of(name) is not None]


def _common_directory(names: Sequence[str]) -> str:
    """Return the directory in which all files lie, as those of a zip file often do, unless it names a split."""
    first = {name.partition("/")[0] for name in names}
    if len(first) > 1 or not all("/" in name for name in names):
        return ""
    above = "".join(first)
    return f"{above}/" if above and _split_in(above) is None else ""


class _DatasetLayout:
    """Which file of a folder is what.

    Args:
        folder: the folder.
        above: what stands before each name.
        names: the names without that.
    """

    def __init__(self, folder: Folder, above: str, names: Sequence[str]) -> None:
        self._folder = folder
        self._above = above
        self._names = names

    def splits(self, config: str | None) -> Iterator[Split]:
        is_one, are_several = {_STATE, _INFO} <= set(self._names), _SPLITS in self._names
        if not is_one and not are_several:
            yield from self._of_files(config)
            return
        if config is not None:
            raise InvalidInputError(
                f"{self._folder.shown} was saved without configurations: leave out config= (--config)."
            )
        if are_several:
            yield from (self._saved(f"{name}/", str(name)) for name in self._noted(_SPLITS, "splits"))
        else:
            yield self._saved("", None)

    def _of_files(self, config: str | None) -> Iterator[Split]:
        """Yield the splits of what `datasets` has not saved."""
        saved = [name for name in self._names if name.endswith((f"/{_STATE}", f"/{_SPLITS}"))]
        if saved:
            raise InvalidInputError(
                f"{self._folder.shown} has datasets in it that were saved one by one, such as "
                f"{shorten(saved[0].rpartition('/')[0])}: give one of them."
            )
        rows = _rows_among(self._names)
        front = self._front()
        are_shards = all(_SHARD.fullmatch(name) and re.fullmatch("data/[^/]*", name) for name in rows)
        if are_shards and config is None and front.count("config_name:") <= 1:
            # As `push_to_hub` and our own exports name them. Then the card says no more, and needs no reader of YAML.
            yield from self._by_names(rows)
            return
        configs = self._configurations(front)
        if len(configs) > 1 and config is None:
            known = ", ".join(shorten(name) for name in configs)
            raise InvalidInputError(
                f"{self._folder.shown} has {number_of(len(configs), 'configuration')}: choose one with config= "
                f"(--config), of {known}."
            )
        if config is not None and config not in configs:
            known = ", ".join(shorten(name) for name in configs)
            remedy = f"choose one of {known}" if known else "leave out config= (--config)"
            raise InvalidInputError(f"{self._folder.shown} has no configuration {shorten(config)}: {remedy}.")
        if not configs:
            yield from self._by_names(rows)
            return
        chosen = config or next(iter(configs))
        kept = chosen if len(configs) > 1 else None
        for split in self._of_configuration(configs[chosen], rows):
            yield replace(split, config=kept)

    def _saved(self, directory: str, split: str | None) -> Split:
        """Return the split that `datasets` has saved in a directory, whose state lists its files."""
        files: list[str] = []
        for entry in self._noted(f"{directory}{_STATE}", "_data_files"):
            name = f"{directory}{cast('dict[str, Any]', entry).get('filename') if isinstance(entry, dict) else entry}"
            if name not in self._names:
                raise InvalidInputError(
                    f"{self._folder.shown} is not complete, as {shorten(name)} is not there: copy it again."
                )
            files.append(f"{self._above}{name}")
        if not files:
            raise InvalidInputError(f"{self._folder.shown} has no data files in {shorten(directory or '.')}.")
        return Split(split, tuple(files), ARROW)

    def _noted(self, name: str, key: str) -> list[object]:
        """Return a list that `datasets` has noted in a file."""
        content = self._read(name)
        try:
            found: object = decode(content.strip())
            values: object = cast("dict[str, Any]", found)[key]
        except (ValueError, LookupError, TypeError, RecursionError):
            values = None
        if not isinstance(values, list):
            raise InvalidInputError(f"{shorten(name)} in {self._folder.shown} does not list {key}: save it again.")
        return cast("list[object]", values)

    def _read(self, name: str) -> bytes:
        if name not in self._names:
            raise InvalidInputError(f"{self._folder.shown} is not complete, as {shorten(name)} is not there.")
        with self._folder.open(f"{self._above}{name}") as file:
            return file.raw.read(_LONGEST)

    # --- by names -------------------------------------------------------------------------------------------------

    def _by_names(self, names: Sequence[str]) -> Iterator[Split]:
        """Yield the splits that names of files speak of; one without a name if none does."""
        named: dict[str | None, list[str]] = {}
        for name in names:
            named.setdefault(_split_in(name), []).append(name)
        if len(named) > 1 and None in named:
            raise InvalidInputError(
                f"it is not clear to which split {shorten(named[None][0])} of {self._folder.shown} belongs, as other "
                "names say it: name it so, or import the files one by one."
            )
        known = list(_WORDS)
        for split in sorted(named, key=lambda one: (known.index(one) if one in known else len(known), one or "")):
            yield self._split(split, named[split])

    def _split(self, name: str | None, files: Sequence[str]) -> Split:
        forms = {file: file_form_of(file) for file in files}
        first = forms[files[0]]
        assert first is not None
        for file, form in forms.items():
            if form != first:
                raise InvalidInputError(
                    f"{shorten(files[0])} and {shorten(file)} of {self._folder.shown} are one part of it, but files of "
                    "different forms: import them one by one."
                )
        self._refuse_missing(files)
        return Split(name, tuple(f"{self._above}{file}" for file in files), first)

    def _refuse_missing(self, files: Sequence[str]) -> None:
        """Refuse files of which others are missing, by how many their names say that there are."""
        there = set(files)
        for shard in filter(None, map(_SHARD.fullmatch, files)):
            names = (
                f"{shard['stem']}-{number:05}-of-{shard['total']}{shard['ending']}"
                for number in range(int(shard["total"]))
            )
            missing = next((name for name in names if name not in there), None)
            if missing is not None:
                raise InvalidInputError(
                    f"{self._folder.shown} is not complete, as {shorten(self._above + missing)} is not there: copy it "
                    "again, or import the files that are there one by one."
                )

    # --- by the card ----------------------------------------------------------------------------------------------

    def _front(self) -> str:
        """Return the YAML of the card; an empty text if there is none."""
        if _CARD not in self._names:
            return ""
        front = _FRONT.match(self._read(_CARD).decode("utf-8-sig", "replace"))
        return "" if front is None else front[1]

    def _configurations(self, front: str) -> dict[str, Mapping[str, Any]]:
        """Return the configurations that the card lists, by their names."""
        if "configs:" not in front:
            return {}
        yaml = need("yaml", "distilabel", "Cards of datasets with configurations")
        try:
            found: Any = yaml.safe_load(front)
            return {str(one["config_name"]): one for one in found["configs"]}
        except (yaml.YAMLError, LookupError, TypeError, ValueError, RecursionError):
            raise InvalidInputError(
                f"the card of {self._folder.shown} cannot be read: correct the YAML of its {_CARD}, or take it out."
            ) from None

    def _of_configuration(self, about: Mapping[str, Any], rows: Sequence[str]) -> Iterator[Split]:
        """Yield the splits of a configuration, which lists patterns of files, or a directory."""
        above = str(about.get("data_dir") or "").strip("/")
        inside = [name for name in rows if not above or name.startswith(f"{above}/")]
        listed: object = about.get("data_files")
        if listed is None:
            yield from self._by_names(inside)
            return
        for split, patterns in _patterns(listed):
            wanted = [f"{above}/{one}" if above else one for one in patterns]
            files = [name for name in inside if any(_fits(name, one) for one in wanted)]
            if not files:
                raise InvalidInputError(
                    f"{self._folder.shown} is not complete: no file of rows fits {shorten(', '.join(patterns))}, which "
                    "its card lists."
                )
            yield self._split(split, files)


def _patterns(listed: object) -> Iterator[tuple[str, list[str]]]:
    """Yield splits and the patterns of their files, as a card lists them."""
    if isinstance(listed, dict):
        for split, paths in cast("dict[object, object]", listed).items():
            yield str(split), _texts(paths)
        return
    entries = cast("list[object]", listed) if isinstance(listed, list) else [listed]
    plain = [entry for entry in entries if not isinstance(entry, dict)]
    if plain:
        yield "train", _texts(plain)  # which is what `datasets` makes of them
    for entry in entries:
        if isinstance(entry, dict):
            about = cast("dict[str, object]", entry)
            yield str(about.get("split") or "train"), _texts(about.get("path"))


def _texts(given: object) -> list[str]:
    return [str(one) for one in cast("list[object]", given)] if isinstance(given, list) else [str(given)]


def _fits(name: str, pattern: str) -> bool:
    """Return whether the name of a file fits a pattern, in which ``**`` stands for any number of folders.

    >>> names = ("data/train-1.jsonl", "data/a/b/train-.jsonl", "train-1.jsonl")
    >>> [_fits(name, "data/**/train-*.json?") for name in names]
    [True, True, False]
    """
    # Folder by folder, as a card is somebody else's: one expression of many "*" may take as long as it likes.
    at = {0}
    parts = pattern.split("/")
    for folder in name.split("/"):
        at = {then for one in at for then in _after(folder, parts, one)}
    return any(all(part == "**" for part in parts[one:]) for one in at)


def _after(folder: str, parts: Sequence[str], at: int) -> Iterator[int]:
    """Yield the parts of a pattern that may come behind a folder, or a file, that stands where one of them does."""
    while at < len(parts) and parts[at] == "**":
        yield at
        at += 1
    if at < len(parts) and fnmatchcase(folder, parts[at].replace("[", "[[]")):
        yield at + 1


def _split_in(name: str) -> str | None:
    """Return the split that the name of a file speaks of, as `datasets` reads it; None if it speaks of none.

    >>> names = ("data/hard-00000-of-00002.parquet", "my_data/dev.jsonl", "training data.csv", "a.csv")
    >>> [_split_in(name) for name in names]
    ['hard', 'validation', 'train', None]
    """
    shard = _SHARD.fullmatch(name)
    if shard is not None:
        return None if shard["split"] == "data" else shard["split"]  # as `save_to_disk` names files
    words = _BETWEEN_WORDS.split(name.lower())
    return next((split for word in reversed(words) for split, known in _WORDS.items() if word in known), None)
