"""What a run is made of at the start of a segment: code, configuration, options, commit, versions, and the place."""

from __future__ import annotations

import functools
import getpass
import hashlib
import inspect
import os
import platform
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from starfish_storage.codec import canonical_hash
from starfish_storage.generation.code_identity import CodeParts, code_parts
from starfish_storage.generation.loading import file_of
from starfish_storage.generation.packages import versions_of
from starfish_storage.generation.work_tree import commit_of, root_of
from starfish_storage.redaction import redact_secrets, redact_words
from starfish_storage.runs.segment_changes import describe_changes, is_code_changed

__all__ = ["describe_changes", "is_code_changed", "segment_identity"]

_MOST_PARTS = 200  # of each kind; a digest stands for the rest
_MOST_WORDS = 100  # of a command line
_LONGEST_WORD = 500
_OURS = __name__.partition(".")[0]


def segment_identity(
    function: Callable[..., Any], config: Mapping[str, Any] | None, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what a run is made of from now on, as JSON without secrets. Never fails for what it cannot find out.

    It reads the files of the program and asks git, so call it in a thread: that takes some 10 ms.

    Args:
        function: called for each input.
        config: the configuration that the user gave for the run.
        options: the options of the run, as JSON.

    Returns:
        ``function`` (``name``, ``file``, ``code`` as `code_identity`, ``source``, and the SHA-256 of each function,
        class, constant and file of the program that it is made of), ``config``, ``options``, ``git`` (``commit``,
        ``clean``; None outside of a work tree), ``versions``, ``host``, ``user`` and ``command``.
    """
    parts = code_parts(function)
    file = file_of(function)
    near = os.path.dirname(file) if file else _current_directory()
    root = root_of(near) if near else None
    return {
        "function": _fingerprint(function, parts, file, root),
        "config": redact_secrets(dict(config or {}))[0],
        "options": redact_secrets(dict(options))[0],
        "git": None if root is None else commit_of(root),
        "versions": {
            "python": platform.python_version(),
            _OURS.replace("_", "-"): str(getattr(sys.modules[_OURS], "__version__", "")),
            **versions_of(parts.modules, parts.imported),
        },
        "host": platform.node() or None,
        "user": _user(),
        "command": [
            _shortened(word) for word in redact_words([word[: 4 * _LONGEST_WORD] for word in sys.argv[:_MOST_WORDS]])
        ],
    }


def _fingerprint(
    function: Callable[..., Any], parts: CodeParts, file: str | None, root: str | None
) -> dict[str, object]:
    names = [*parts.functions, *parts.classes]
    return {
        "name": names[0] if names else getattr(function, "__qualname__", type(function).__qualname__),
        "file": None if file is None else _relative(file, root),
        "code": parts.identity,
        "source": _source(function),
        "functions": _limited(parts.functions),
        "classes": _limited(parts.classes),
        "constants": _limited(parts.constants),
        "files": _limited(_files(parts.modules, file, root)),
    }


def _files(modules: Iterable[str], file: str | None, root: str | None) -> dict[str, str]:
    """Return the SHA-256 of the files of the program, by their paths."""
    paths = dict.fromkeys([file] if file else ())
    for module in modules:
        there = getattr(sys.modules.get(module), "__file__", None)
        if there:
            paths[os.path.realpath(there)] = None
    found: dict[str, str] = {}
    for path in paths:
        try:
            with open(path, "rb") as content:
                found[_relative(path, root)] = hashlib.file_digest(content, "sha256").hexdigest()
        except OSError:
            pass  # it has gone since it was imported
    return found


def _source(function: Callable[..., Any]) -> str | None:
    """Return the SHA-256 of the text of a function, comments included."""
    while isinstance(function, functools.partial):
        function = cast("functools.partial[Any]", function).func
    try:
        text = inspect.getsource(function if hasattr(function, "__code__") else getattr(function, "__func__", function))
    except (OSError, TypeError, SyntaxError, IndexError, ValueError):
        return None  # typed into an interpreter, or its file has changed or gone
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _relative(path: str, root: str | None) -> str:
    for above in (root, _current_directory()):
        if above is not None and path.startswith(os.path.join(above, "")):
            return os.path.relpath(path, above)
    return path


def _current_directory() -> str | None:
    try:
        return os.path.realpath(os.getcwd())
    except OSError:
        return None  # it was deleted


def _limited(digests: dict[str, str]) -> dict[str, str]:
    if len(digests) <= _MOST_PARTS:
        return digests
    named = list(digests.items())
    rest = named[_MOST_PARTS:]
    return dict(named[:_MOST_PARTS]) | {f"{len(rest)} more": canonical_hash(dict(rest))}


def _user() -> str | None:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return None  # a container whose user has no name


def _shortened(word: str) -> str:
    return word if len(word) <= _LONGEST_WORD else f"{word[:_LONGEST_WORD]}..."
