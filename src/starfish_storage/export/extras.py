"""The libraries that only some exports need, and what of theirs is spoken of."""

from __future__ import annotations

import importlib
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, ClassVar

from starfish_storage.errors import InvalidInputError, StorageError

# pyarrow and pandas bring no types of their own; these say what is meant.
DataType = Any
Schema = Any
RecordBatch = Any
Table = Any


class MissingExtraError(StorageError):
    """A library is not installed that only this needs.

    Attributes:
        module: the library.
        extra: the extra of this package that installs it.
    """

    code: ClassVar[str] = "missing_extra"

    def __init__(self, what: str, module: str, extra: str) -> None:
        super().__init__(f"{what} need {module}, which is not installed: pip install 'starfish-storage[{extra}]'.")
        self.module = module
        self.extra = extra


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
