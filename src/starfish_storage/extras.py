"""The libraries that only some exports and imports need, and what of theirs is spoken of."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from starfish_storage.errors import InvalidInputError, MissingExtraError

# pyarrow and pandas bring no types of their own; these say what is meant.
DataType = Any
ArrowSchema = Any
RecordBatch = Any
ArrowTable = Any


def need(module: str, extra: str, what: str) -> Any:
    """Import a library that an extra installs.

    Args:
        module: its name.
        extra: the extra.
        what: what needs it, for the message; in the plural.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(what, module, extra) from error


def arrow() -> Any:
    """Import pyarrow.

    Raises:
        MissingExtraError: it is not installed.
    """
    return need("pyarrow", "parquet", "Arrow tables and Parquet files")


@contextmanager
def arrow_errors() -> Generator[None]:
    """Turn pyarrow's own errors, whose texts quote what is stored, into ours; those of the system pass.

    Raises:
        InvalidInputError: Arrow cannot hold or write the records.
    """
    try:
        yield
    except (OSError, MemoryError):
        raise
    except arrow().ArrowException as error:
        reason = type(error).__name__
        raise InvalidInputError(
            f"the records cannot be written as a table ({reason}): export them as JSON Lines."
        ) from None


def zstd(what: str = "Files that are compressed with zstd") -> Any:
    """Import what compresses with zstd: Python's own module from 3.14 on, and before it one that is the same.

    Args:
        what: what needs it, for the message; in the plural.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return importlib.import_module("compression.zstd")
    except ImportError:
        return need("backports.zstd", "zstd", what)


def zstd_zipfile() -> Any:
    """Import what reads ZIP archives whose members are compressed with zstd, as `zipfile` does from Python 3.14 on.

    Raises:
        MissingExtraError: it is not installed.
    """
    if sys.version_info >= (3, 14):
        return importlib.import_module("zipfile")
    return need("backports.zstd.zipfile", "zstd", "ZIP archives that are compressed with zstd")
