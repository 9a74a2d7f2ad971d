"""Logs of Inspect (`inspect_ai`): samples that were answered and scored, with what that used, and what failed."""

from __future__ import annotations

import os
import re
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, cast

from starfish_storage.codec import decode, encode
from starfish_storage.errors import InvalidDataError, InvalidInputError
from starfish_storage.extras import zstd_zipfile
from starfish_storage.imports.answers import LONGEST_ERROR, AnswerSource, ModelAnswer
from starfish_storage.imports.fields import CONSTANTS, Conversions, moment_in, object_in, text_in, without_nan
from starfish_storage.imports.prices import pricing
from starfish_storage.row_files.rows import MAX_ROW_BYTES, BadRow
from starfish_storage.row_files.source_file import SourceFile
from starfish_storage.runs import MOST_USED, Output, Usage

_INPUT = ("id", "input", "choices", "target", "metadata", "files", "setup", "sandbox")
_ABOUT = ("status", "eval", "plan", "results", "stats", "error", "tags", "metadata")
_HEADERS = ("header.json", "_journal/start.json")  # the second is all there is of an eval that was killed
_SAMPLE = re.compile(r"samples/(.+)_epoch_(\d+)\.json")
_KIND = re.compile(r"(?:\w+\.)*([A-Za-z_]\w*)\(")
_LONGEST_TRACEBACK = 20_000
_ZSTD = 93  # the method of compression, as ZIP numbers them
# By name, as some are of libraries that only some logs need. NotImplementedError: how a member is compressed, or which
# version of the format it has, which `zipfile` does not know.
_DAMAGED = frozenset({"BadZipFile", "ZstdError", "error", "NotImplementedError"})
_PROVIDERS = {"bedrock": "aws", "azureai": "azure", "grok": "x-ai"}
"""Whose models they are, where the makers of the prices call them another name than Inspect."""


class InspectLog(AnswerSource):
    """A log of one eval.

    Args:
        file: it; stays open.

    Raises:
        InvalidInputError: it is no log, or is damaged.
    """

    form = "inspect"

    def __init__(self, file: SourceFile) -> None:
        self.name = file.name
        self._file = file
        with file.content() as content:
            is_zip = content.read(4) == b"PK\x03\x04"
        self._samples: _Samples = _ZipSamples(file) if is_zip else _JsonSamples(file)
        self._pricing = pricing()
        self._found = set[int]()

    @property
    def identity(self) -> str:
        """See `AnswerSource.identity`."""
        return self._file.sha256

    def describe(self) -> dict[str, Any]:
        """See `AnswerSource.describe`."""
        return self._file.describe()

    def about(self) -> dict[str, Any]:
        """Return the eval, its plan, its results and what it used as a whole."""
        header = self._samples.header
        return {"inspect": without_nan({name: header[name] for name in _ABOUT if name in header})[0]}

    def notes(self) -> list[str]:
        """See `AnswerSource.notes`."""
        status = text_in(self._samples.header, "status") or "not finished"
        return [] if status == "success" else [f"the eval has the status {status}"]

    def has_changed(self) -> bool:
        """See `AnswerSource.has_changed`."""
        return self._file.has_changed()

    def index(self) -> Iterator[ModelAnswer | BadRow]:
        """See `AnswerSource.index`."""
        self._found = set[int]()
        for position in range(self._samples.count):
            found = self._read(position)
            if isinstance(found, ModelAnswer):
                self._found.add(position)
            yield found

    def positions(self) -> Iterator[int]:
        """See `AnswerSource.positions`."""
        return iter(sorted(self._found))

    def answer(self, position: int) -> ModelAnswer:
        """See `AnswerSource.answer`."""
        found = self._read(position)
        if isinstance(found, BadRow):
            raise self.changed()
        return found

    def _read(self, position: int) -> ModelAnswer | BadRow:
        place = f"{self._samples.place(position)} of {self._file.shown}"
        try:
            sample, conversions = self._samples.read(position)
            encode(sample, place)
        except InvalidDataError as error:
            return BadRow(str(error).rstrip("."))
        except _DamagedSampleError as error:
            return BadRow(f"{place} {error}")
        if "input" not in sample:
            return BadRow(f'{place} is no sample: it has no "input"')
        request = {name: sample[name] for name in _INPUT if sample.get(name) is not None}
        start, end = moment_in(sample, "started_at"), moment_in(sample, "completed_at")
        used = object_in(sample.get("model_usage"))
        usage = tuple(self._usage(model, object_in(one)) for model, one in used.items())
        error = object_in(sample.get("error"))
        if not error:
            outputs = (Output("completed", sample),)
            return ModelAnswer(position, request, outputs, usage, start, end, conversions=conversions)
        message = (text_in(error, "message") or "it failed")[:LONGEST_ERROR]
        kind = _KIND.match(message)
        return ModelAnswer(
            position,
            request,
            (Output("failed", None, message),),
            usage,
            start,
            end,
            message,
            kind[1] if kind else "InspectError",
            (text_in(error, "traceback") or "")[-_LONGEST_TRACEBACK:] or None,
        )

    def _usage(self, model: str, used: dict[str, Any]) -> Usage:
        """Return what a model used; Inspect counts the tokens of its cache apart from the others that were sent."""

        def count(name: str) -> int:
            found = used.get(name)
            return found if type(found) is int and 0 < found <= MOST_USED else 0

        read, written = count("input_tokens_cache_read"), count("input_tokens_cache_write")
        more = {"cached_tokens": read, "cache_write_tokens": written, "reasoning_tokens": count("reasoning_tokens")}
        cost = used.get("total_cost")
        provider, _, name = model.partition("/")
        usage = Usage(
            model,
            count("input_tokens") + read + written,
            count("output_tokens"),
            float(cost) if isinstance(cost, int | float) and 0 < cost <= MOST_USED else 0.0,
            {key: value for key, value in more.items() if value},
        )
        return self._pricing.tokens(usage, name or model, _PROVIDERS.get(provider, provider) if name else None)


def is_inspect_log(path: str) -> bool:
    """Return whether a file is a log of Inspect, by how it begins."""
    try:
        if not path.lower().endswith((".eval", ".json")) or not os.path.isfile(path):
            return False
        if path.lower().endswith(".eval"):
            with zipfile.ZipFile(path) as opened:
                return any(name in opened.namelist() for name in _HEADERS)
        with open(path, "rb") as file:
            start = file.read(2**12)
    except (OSError, zipfile.BadZipFile, ValueError):
        return False
    fields = (rb'"version"\s*:\s*\d', rb'"status"\s*:\s*"', rb'"eval"\s*:\s*\{')
    return start.lstrip()[:1] == b"{" and all(re.search(field, start) for field in fields)


class _DamagedSampleError(ValueError):
    """A sample cannot be read; says why."""


class _Samples(ABC):
    """The samples of a log.

    Attributes:
        header: what the log says beside them.
        count: how many there are.
    """

    header: dict[str, Any]
    count: int

    @abstractmethod
    def place(self, position: int) -> str:
        """Return what a sample is called in messages."""

    @abstractmethod
    def read(self, position: int) -> tuple[dict[str, Any], Conversions]:
        """Return a sample, and where null stands in it for a number that JSON does not have.

        Raises:
            _DamagedSampleError: it cannot be read.
        """


class _ZipSamples(_Samples):
    """Those of a file that ends in ``.eval``: a ZIP archive with a member for each."""

    def __init__(self, file: SourceFile) -> None:
        self._file = file
        try:
            self._archive: Any = zipfile.ZipFile(file.raw)  # (left open: so is the file)
            if any(member.compress_type == _ZSTD for member in self._archive.infolist()):
                self._archive = zstd_zipfile().ZipFile(file.raw)
            names: list[str] = self._archive.namelist()
            header = next((name for name in _HEADERS if name in names), None)
            self.header = {} if header is None else object_in(decode(self._content(header)))
        except (zipfile.BadZipFile, _DamagedSampleError, ValueError) as error:
            raise InvalidInputError(
                f"{file.shown} is damaged or not whole: recover it with Inspect, then import what that wrote."
            ) from error
        if header is None:
            raise InvalidInputError(f"{file.shown} is no log of Inspect: it has no {_HEADERS[0]}.")
        known = {str(one): place for place, one in enumerate(self._ids())}
        found = [match for match in map(_SAMPLE.fullmatch, names) if match is not None]
        found.sort(key=lambda match: (known.get(match[1], len(known)), match[1], int(match[2])))
        self._names = [match[0] for match in found]
        self.count = len(found)

    def place(self, position: int) -> str:
        """See `_Samples.place`."""
        return self._names[position]

    def read(self, position: int) -> tuple[dict[str, Any], Conversions]:
        """See `_Samples.read`."""
        content = self._content(self._names[position])
        try:
            found = decode(content)
        except (ValueError, RecursionError) as error:
            raise _DamagedSampleError("is not JSON") from error
        return without_nan(object_in(found)) if CONSTANTS.search(content) else (object_in(found), ())

    def _content(self, name: str) -> bytes:
        try:
            with self._archive.open(name) as member:
                content: bytes = member.read(MAX_ROW_BYTES + 1)
        except Exception as error:
            # Of modules that only some logs need; "error" is that of zlib.
            if not isinstance(error, OSError | EOFError) and type(error).__name__ not in _DAMAGED:
                raise
            raise _DamagedSampleError("is damaged") from error
        if len(content) > MAX_ROW_BYTES:
            raise _DamagedSampleError(f"is longer than {MAX_ROW_BYTES // 2**20} MiB")
        return content

    def _ids(self) -> list[Any]:
        found: object = object_in(object_in(self.header.get("eval")).get("dataset")).get("sample_ids")
        return cast("list[Any]", found) if isinstance(found, list) else []


class _JsonSamples(_Samples):
    """Those of a file that ends in ``.json``, which is read as a whole."""

    def __init__(self, file: SourceFile) -> None:
        if file.size > MAX_ROW_BYTES:
            raise InvalidInputError(
                f"{file.shown} is longer than {MAX_ROW_BYTES // 2**20} MiB: convert it with 'inspect log convert', and "
                "import the .eval."
            )
        with file.content() as content:
            text = content.read()
        try:
            self.header = object_in(decode(text))
        except (ValueError, RecursionError):
            self.header = {}
        self._has_constants = CONSTANTS.search(text) is not None
        samples = self.header.pop("samples", None)
        if not isinstance(samples, list) or "eval" not in self.header:
            raise InvalidInputError(f'{file.shown} is no log of Inspect: it needs "eval" and "samples".')
        self._samples: list[Any] = samples
        self.count = len(self._samples)

    def place(self, position: int) -> str:
        """See `_Samples.place`."""
        return f"sample {position + 1}"

    def read(self, position: int) -> tuple[dict[str, Any], Conversions]:
        """See `_Samples.read`."""
        sample = object_in(self._samples[position])
        return without_nan(sample) if self._has_constants else (sample, ())
