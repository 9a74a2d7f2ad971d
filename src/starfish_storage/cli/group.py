"""The group of all commands: how a command is found, and how it ends."""

from __future__ import annotations

import errno
import gc
import importlib
import os
import sys
import textwrap
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import click

from starfish_storage import __version__
from starfish_storage.cli import exit_codes
from starfish_storage.cli.log_lines import is_json, log_format_option, say_error, shown_lines, tell
from starfish_storage.cli.options import DATA_HELP, READ_ONLY_HELP, STORE_HELP, example
from starfish_storage.cli.place import STORE_VARIABLE
from starfish_storage.errors import RunChangedError, StorageError, shorten

# Kept here, so that the list of commands is printed without importing any of them.
_SECTIONS = {
    "Try": {
        "demo": "Kill a run of recorded answers, resume it, look.",
    },
    "Generate": {
        "generate": "Call a function with each input of a file.",
        "resume": "Continue a run that was interrupted or killed.",
        "retry": "Run the failed inputs of a run again.",
        "cancel": "Stop a run from outside.",
        "watch": "Watch a run until it ends.",
        "drain": "Bring workers to rest, before an upgrade.",
        "stop": "Stop one worker of a run.",
        "priority": "Set how much of a shared limit a run gets.",
    },
    "Look": {
        "projects": "List projects.",
        "runs": "List runs.",
        "show": "Show the project, run, input or record with an id.",
        "records": "List the records of a run.",
        "record": "Show a record, its data and its history.",
        "search": "Search records for words.",
        "errors": "Count the failures of a run by kind.",
        "steps": "Count the replies to paid steps of a run.",
        "calls": "Show what was asked and answered for an input.",
        "explain": "Say why the models of a run were asked.",
        "config": "Print the request configuration of a run.",
        "limits": "Show or set limits of calls that runs share.",
        "log": "Show who did what to the store.",
        "view": "Show what is in the store in a browser.",
        "metrics": "Print or serve metrics for Prometheus.",
    },
    "Judge": {
        "annotate": "Accept, reject, label, rate, comment or edit records.",
        "annotations": "List what was said of a record, or of a run's.",
    },
    "Move": {
        "export": "Write records into a file to train on.",
        "check": "Check a file of conversations to train on.",
        "import": "Import a file, or what another tool has stored.",
        "copy": "Copy projects and runs into another store.",
        "archive": "Write a run into one file.",
        "unarchive": "Copy the run in an archive into a store.",
    },
    "Look after": {
        "upgrade": "Bring a store to the format of this release.",
        "verify": "Read a whole store, and report damage.",
        "repair": "Repair a damaged store.",
        "collect": "Remove unreferenced data and leftovers.",
        "delete": "Delete a run, or a project with its runs.",
        "migrate": "Bring a store to this release's format.",
        "pack": "Put records into packs: files of many records.",
        "unpack": "Put records into a file each.",
        "backup": "Copy a store, which may be in use.",
        "restore": "Make a store from a backup.",
        "restore-version": "Make an earlier output of a record the current one.",
    },
}
_MODULES = {name: f"starfish_storage.cli.{name}" for names in _SECTIONS.values() for name in names} | {
    "retry": "starfish_storage.cli.resume",
    "import": "starfish_storage.cli.importing",
    "restore-version": "starfish_storage.cli.restore_version",
    "unpack": "starfish_storage.cli.pack",
}
_FORMER_NAMES = {"jobs": "runs"}
"""Names that commands had before; they work until 1.0, and no list shows them."""


_OUTPUT_LOST = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF})


class CommandGroup(click.Group):
    """Imports a command when it is called, and turns its errors into a line and an exit status."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's)
        """Return the names of all commands, in the order in which they are shown."""
        return [name for names in _SECTIONS.values() for name in names]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 (click's)
        """Import a command."""
        name = _FORMER_NAMES.get(cmd_name, cmd_name)
        if name not in _MODULES:
            return None
        command: click.Command = getattr(importlib.import_module(_MODULES[name]), f"{name.replace('-', '_')}_command")
        if not gc.isenabled():  # the process began without, see `starfish_storage.__main__`
            gc.freeze()  # what is imported stays: without this, the collector begins with looking through all of it
            gc.enable()
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Call the command. If nobody reads its output any more, end it without a message."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # caught here: click would exit with 1, which means failures
            _stop_writing()
            ctx.exit(exit_codes.NOBODY_READS)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 (click's)
        """Write the commands in sections."""
        for title, commands in _SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl(list(commands.items()))

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command that was called, and exit with its status."""
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison] (so Python says that it is closed)
            # It takes the descriptor too, which else a file of the store would get.
            sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (for as long as the process lives)
        with shown_lines():
            status = self._status(args, prog_name, complete_var, **extra)
        sys.exit(status)

    def _status(self, args: Sequence[str] | None, *names: str | None, **extra: Any) -> int:
        try:
            status = super().main(args, *names, standalone_mode=False, **extra)
            sys.stdout.flush()
        except click.ClickException as error:
            return _refused(error)
        except click.Abort as error:
            if isinstance(error.__cause__, KeyboardInterrupt):
                return exit_codes.INTERRUPTED
            tell("error", "aborted", "Aborted!")  # a question was answered with no
            return exit_codes.FAILURES
        except StorageError as error:
            said = _changed(error) if isinstance(error, RunChangedError) else str(error)
            from starfish_storage.redaction import redact_error  # compiles many patterns

            say_error(redact_error(said), code=error.code)
            return exit_codes.NOT_DONE
        except OSError as error:
            # Those of stores and files have become a `StorageError`, and what opens a file names it.
            if error.errno not in _OUTPUT_LOST or error.filename is not None:
                raise
            _stop_writing()
            with suppress(OSError):  # errors may go to the same place
                say_error(f"the output cannot be written: {error.strerror}")
            return exit_codes.NOT_DONE
        return status if isinstance(status, int) else exit_codes.DONE


def _changed(error: RunChangedError) -> str:
    """Return what a run that has changed is refused with: a line for each difference, and for each way on."""
    lines = [f"run {shorten(error.id)} has changed, in its {error.changed}:"]
    lines += [f"  {one}" for one in error.differences]
    lines.append("Nothing was written. The ways on:")
    for option, what in error.ways():
        way = f"{_ON_COMMAND_LINE.get(option, option)}: {what}"
        lines.append(textwrap.fill(way, _WIDTH, initial_indent="  ", subsequent_indent="    "))
    return "\n".join(lines)


_WIDTH = 78
_ON_COMMAND_LINE = {
    'on_change="continue"': "--on-change continue",
    'on_change="fork"': "--on-change fork",
    'on_change="match"': "--on-change match",
    "strict_code=False": "without --strict-code",
    "another id": "another --id",
}


def _refused(error: click.ClickException) -> int:
    message = error.format_message()
    if "unexpected extra argument" in message:  # a store, most likely, which other tools take so
        message += "; name the store with --store."
    say_error(message)
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is not None and not is_json():
        click.echo(f"See '{context.command_path} --help'.", err=True)
    return exit_codes.NOT_DONE


def _stop_writing() -> None:
    """Let the interpreter, when it ends, flush the rest of the output to nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


@click.group(
    cls=CommandGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=example("generate answers:answer questions.jsonl && starfish-storage records last"),
)
@click.option("--store", metavar="URI|PATH", envvar=STORE_VARIABLE, help=STORE_HELP)
@click.option("--data-uri", metavar="URI|PATH", help=DATA_HELP)
@click.option("--read-only", is_flag=True, help=READ_ONLY_HELP)
@log_format_option(hidden=False)
@click.version_option(__version__, prog_name="starfish-storage", message="%(prog)s %(version)s")
@click.pass_context
def main(context: click.Context, **_place: object) -> int | None:  # commands find it in the context
    """Generate data with a function over many inputs, and look at the results.

    Every result is stored at once. A run that dies can be resumed without paying twice.
    """
    if context.invoked_subcommand is not None:
        return None
    click.echo(context.get_help(), err=True)
    return exit_codes.NOT_DONE
