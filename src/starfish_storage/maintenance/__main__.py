"""The commands: ``starfish-storage verify STORE`` and its siblings.

Exit status: 0 nothing is damaged; 1 damage was found, and is not mended; 2 the command could not be carried out.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import timedelta
from functools import wraps
from typing import Any, NoReturn, Protocol, TypeVar, cast

import click
from click.core import ParameterSource

from starfish_storage.codec import readable_text
from starfish_storage.errors import StorageError
from starfish_storage.maintenance.backup import backup
from starfish_storage.maintenance.collect import collect
from starfish_storage.maintenance.repair import plan_repair, repair
from starfish_storage.maintenance.restore import restore
from starfish_storage.maintenance.verify import Progress, verify
from starfish_storage.uri import file_uri_of_path

DAMAGED, NOT_DONE = 1, 2

_STORE_VARIABLE = "STARFISH_STORAGE_URI"
_DATA_VARIABLE = "STARFISH_STORAGE_DATA_URI"  # of the store that the environment names, and of no other


class _Report(Protocol):
    def to_json(self) -> dict[str, Any]: ...


def _uri_of(given: str) -> str:
    """Return the URI of what was given: one already, or a path."""
    return given if "://" in given else file_uri_of_path(os.path.abspath(given))


def _as_uri(_context: click.Context, _parameter: click.Parameter, given: str | None) -> str | None:
    return None if given is None else _uri_of(given)


Command = TypeVar("Command", bound=Callable[..., None])


def _places(*names: str) -> Callable[[Command], Command]:
    """Let a command take these places in order, where ``store`` may come from ``--store`` or the environment instead.

    All of them are one click argument: click gives the first of two what is left for the second, and an argument that
    the environment sets is still expected on the command line.
    """
    metavar = " ".join("[STORE]" if name == "store" else name.upper() for name in names)

    def decorated(command: Command) -> Command:
        @click.argument("places", nargs=-1, metavar=metavar)
        @click.option("--store", "store_option", envvar=_STORE_VARIABLE, show_envvar=True, help="In place of STORE.")
        @click.pass_context
        @wraps(command)
        def run(context: click.Context, /, places: tuple[str, ...], store_option: str | None, **others: Any) -> None:
            given = _given(context, names, places, store_option)
            is_of_environment = context.get_parameter_source("store_option") is ParameterSource.ENVIRONMENT
            if is_of_environment and len(places) < len(names) and others.get("data_uri") is None:
                said = os.environ.get(_DATA_VARIABLE)
                others["data_uri"] = _uri_of(said) if said else None
            command(**given | {"store": _uri_of(given["store"])}, **others)

        return cast("Command", run)

    return decorated


def _given(
    context: click.Context, names: tuple[str, ...], places: tuple[str, ...], store_option: str | None
) -> dict[str, str]:
    others = [name for name in names if name != "store"]
    if len(places) == len(names):
        if context.get_parameter_source("store_option") is ParameterSource.COMMANDLINE:
            raise click.UsageError("STORE is given twice; say it with --store or without.")
        return dict(zip(names, places, strict=True))
    if len(places) == len(others) and store_option is not None:
        return dict(zip(others, places, strict=True)) | {"store": store_option}
    told = f", or without STORE, with --store or ${_STORE_VARIABLE}" if len(places) <= len(names) else ""
    raise click.UsageError(f"Give {' '.join(names).upper()}{told}.")


_data = click.option("--data-uri", callback=_as_uri, help=f"Where its data lies, if elsewhere [${_DATA_VARIABLE}].")
_json = click.option("--json", "as_json", is_flag=True, help="Print a JSON object for programs.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Check and mend a store: a directory, or its URI (if none is given: $STARFISH_STORAGE_URI)."""


@main.command("verify")
@_places("store")
@_data
@_json
@click.option(
    "--days",
    type=click.FloatRange(min=0),
    default=7,
    show_default=True,
    help="Of PostgreSQL and object stores: name what nothing refers to only if it is older.",
)
def verify_command(store: str, data_uri: str | None, as_json: bool, days: float) -> None:
    """Read everything in STORE and compare it with what was saved; change nothing.

    Example: starfish-storage verify /data/store
    """
    with _refusals(), _progress_bar("verifying") as progress:
        report = verify(store, data_uri, progress=progress, grace=timedelta(days=days))
    _show(report, as_json)
    sys.exit(0 if report.is_sound else DAMAGED)


@main.command("repair")
@_places("store")
@_data
@_json
@click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")
@click.option("--yes", is_flag=True, help="Do it without asking.")
def repair_command(store: str, data_uri: str | None, as_json: bool, dry_run: bool, yes: bool) -> None:
    """Mend STORE: shows what it would do, asks, copies what it changes to STORE/repairs, and does it.

    Example: starfish-storage repair /data/store --dry-run
    """
    with _refusals():
        if dry_run or not yes:
            with _progress_bar("verifying") as progress:
                plan = plan_repair(store, data_uri, progress=progress)
            if dry_run or not plan.steps:
                _show(plan, as_json)
                sys.exit(DAMAGED if plan.steps or plan.left else 0)
            if not sys.stdin.isatty():
                _refuse(f"{len(plan.steps)} steps to do; say --yes to do them, or --dry-run to see them")
            click.echo(str(plan))
            click.confirm("Do this?", abort=True)
        with _progress_bar("verifying") as progress:
            done = repair(store, data_uri, progress=progress)
    _show(done, as_json)
    sys.exit(DAMAGED if done.left else 0)


@main.command("collect")
@_places("store")
@_data
@_json
@click.option("--dry-run", is_flag=True, help="Show what would be removed, and remove nothing.")
@click.option("--days", type=click.FloatRange(min=0), default=7, show_default=True, help="Only what is older.")
def collect_command(store: str, data_uri: str | None, as_json: bool, dry_run: bool, days: float) -> None:
    """Remove from STORE what nothing refers to, what dead writers left, and superseded lines of the row log.

    Example: starfish-storage collect /data/store --dry-run
    """
    with _refusals():
        report = collect(store, data_uri, grace=timedelta(days=days), dry_run=dry_run)
    _show(report, as_json)


@main.command("backup")
@_places("store", "destination")
@_data
@_json
def backup_command(store: str, destination: str, data_uri: str | None, as_json: bool) -> None:
    """Copy STORE, which may be in use, to DESTINATION; repeated, only what has changed.

    Example: starfish-storage backup /data/store /mnt/backup
    """
    with _refusals(), _progress_bar("copying") as progress:
        report = backup(store, destination, data_uri=data_uri, progress=progress)
    _show(report, as_json)


@main.command("restore")
@_places("source", "store")
@_data
@_json
def restore_command(source: str, store: str, data_uri: str | None, as_json: bool) -> None:
    """Check the backup SOURCE, and make of it STORE, which must not be there yet.

    Example: starfish-storage restore /mnt/backup /data/store
    """
    with _refusals():
        report = restore(source, store, data_uri=data_uri)
    _show(report, as_json)


def _show(report: _Report, as_json: bool) -> None:
    click.echo(readable_text(report.to_json(), 2, in_ascii=True) if as_json else str(report))


@contextmanager
def _refusals() -> Generator[None]:
    """Print an error of the library as one line, without a traceback."""
    try:
        yield
    except StorageError as error:
        _refuse(str(error))


def _refuse(text: str) -> NoReturn:
    click.echo(f"error: {text}", err=True)
    sys.exit(NOT_DONE)


@contextmanager
def _progress_bar(title: str) -> Generator[Progress | None]:
    """Draw a bar on a terminal, and nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)

        def progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield progress


if __name__ == "__main__":
    main(prog_name="python -m starfish_storage.maintenance")
