"""Says what continues a run that did not come to its end: a command line, if one can find the function."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

from starfish_storage.generation.calling import BoundFunction
from starfish_storage.generation.notebooks import is_notebook
from starfish_storage.interface import Storage
from starfish_storage.keys import request_config_key
from starfish_storage.portal import is_in_portal
from starfish_storage.uri import FILE_SCHEME, path_of_file_uri, without_password

_is_said_elsewhere: ContextVar[bool] = ContextVar("starfish_storage_continuation", default=False)


@contextmanager
def command_said_elsewhere() -> Generator[None]:
    """Let no run tell a command line: its caller, a command itself, knows the shorter one."""
    token = _is_said_elsewhere.set(True)
    try:
        yield
    finally:
        _is_said_elsewhere.reset(token)


def how_to_continue(storage: Storage, run_id: str, function: BoundFunction, *, by_program: bool) -> str:
    """Return what continues a run, for people.

    Args:
        storage: holds the run.
        run_id: the run.
        function: called for each input.
        by_program: whether the program continues the run if it is started again, because it names the run.
    """
    if _is_said_elsewhere.get():
        return "resume continues it"
    is_typed_in = not hasattr(sys.modules.get("__main__"), "__file__")
    again = "start the program again to continue" if by_program and not is_typed_in else ""
    if by_program and is_notebook():
        again = "run the cell again to continue"
    if not function.is_found_by_name:
        return again or f"{_call('resume', run_id, ', function')} continues it"
    command = _command("resume", storage, run_id)
    return f"{again}, or: {command}" if again else f"continue with: {command}"


def how_to_retry(storage: Storage, run_id: str, function: BoundFunction, failed: int) -> str | None:
    """Return how to run again what failed in a run that has ended, for people; None if the caller says it.

    A program that is mended and started again does nothing with a run that has ended, and would not say why.

    Args:
        storage: holds the run.
        run_id: the run.
        function: called for each input.
        failed: how many of its inputs failed.
    """
    if _is_said_elsewhere.get():
        return None
    call = _call("retry", run_id, "" if function.is_found_by_name else ", function")
    how = f"{call}, or: {_command('retry', storage, run_id)}" if function.is_found_by_name else call
    what = "1 of its inputs" if failed == 1 else f"{failed:,} of its inputs"
    return f"run {run_id!r} has ended; {what} failed, and this call ran none of them again; to do so: {how}"


def _call(name: str, run_id: str, function: str) -> str:
    """Return a call as the program makes its calls: a synchronous one has no storage to await."""
    if is_in_portal():
        return f"sync.{name}({run_id!r}{function}, store=...)"
    return f"{name}(storage, {run_id!r}{function})"


def _command(name: str, storage: Storage, run_id: str) -> str:
    return shlex.join(("starfish-storage", name, run_id, *store_words(storage, run_id)))


def store_words(storage: Storage, run_id: str) -> list[str]:
    """Return the options that name a store on a command line, without a password."""
    uri = storage.storage_uri
    place = path_of_file_uri(uri) if uri.startswith(FILE_SCHEME) else without_password(uri)
    data = storage.generate_request_config_path(run_id).removesuffix(f"/{request_config_key(run_id)}")
    return ["--store", place, *([] if data == place else ["--data-uri", without_password(data)])]
