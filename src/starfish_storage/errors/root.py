"""The root of the family, and how its errors cross process borders."""

from __future__ import annotations

from typing import Any, ClassVar


class StorageError(Exception):
    """The root of the family: catch it to catch every error that the library raises on purpose.

    Attributes:
        code: a stable, machine-readable name of the kind of error; it never changes between releases.
    """

    code: ClassVar[str] = "storage_error"

    def __reduce__(self) -> tuple[Any, ...]:
        """Let errors cross process borders whole, though their constructors take more than the message."""
        attributes = dict(vars(self))
        if isinstance(self, OSError):
            attributes["errno"] = self.errno  # lives in OSError itself, not among the instance's attributes
        return _restore_error, (type(self), str(self), attributes)


def _restore_error(kind: type[StorageError], message: str, attributes: dict[str, Any]) -> StorageError:
    # Named outright: of a class with two built-in bases, `kind.__new__` is that of the first, which refuses it.
    error = (OSError if issubclass(kind, OSError) else Exception).__new__(kind, message)
    error.args = (message,)
    for name, value in attributes.items():
        setattr(error, name, value)
    return error
