"""The arguments and options that commands share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click
from click.shell_completion import CompletionItem

from starfish_storage.cli.log_lines import log_format_option
from starfish_storage.cli.place import (
    DATA_VARIABLE,
    DEFAULT_STORE,
    STORE_VARIABLE,
    Place,
    place_of,
)
from starfish_storage.form_option import FormOption

DEFAULT_LIMIT = 50
NUMBER_OF_ROWS = click.IntRange(0, 2**63 - 2)  # one more is asked for, to know whether there are more
STORE_HELP = f"The store [default: ${STORE_VARIABLE}, or ./{DEFAULT_STORE}]."
DATA_HELP = f"Where its data lies, if elsewhere [default: ${DATA_VARIABLE}]."
READ_ONLY_HELP = "Write nothing to the store."

Command = TypeVar("Command", bound=Callable[..., Any])

if TYPE_CHECKING:
    from starfish_storage.interface import Layout

    _TextType = click.ParamType[str]
else:
    _TextType = click.ParamType  # in click 8.1 it takes no parameter


def example(words: str) -> str:
    """Return the epilog of a command's help: an example on one line."""
    return f"\b\nExample:\n  starfish-storage {words}"


def with_store(command: Command) -> Command:
    """Give a command the options that name the store, and pass its function the `Place`."""
    return _with_place(command, writes=False)


def with_store_to_write(command: Command) -> Command:
    """Do as `with_store` for a command that always writes: its help does not offer what makes it fail."""
    return _with_place(command, writes=True)


with_layout = click.option(
    "--layout",
    type=click.Choice(["packed", "files"]),
    help="How a store that is made holds data: many records to a file, or a file each [default: packed].",
)


def with_store_to_make(command: Command) -> Command:
    """Do as `with_store_to_write` for a command that makes a store if there is none, and let it choose the layout."""

    @with_store_to_write
    @with_layout
    @wraps(command)
    def run(place: Place, *given: Any, layout: Layout | None, **others: Any) -> Any:
        return command(replace(place, layout=layout), *given, **others)

    return cast("Command", run)


def _with_place(command: Command, *, writes: bool) -> Command:
    @click.option("--store", metavar="URI|PATH", help=STORE_HELP)
    @click.option("--data-uri", metavar="URI|PATH", help=DATA_HELP)
    @click.option("--read-only", is_flag=True, hidden=writes, help=READ_ONLY_HELP)
    @log_format_option(hidden=True)
    @click.pass_context
    @wraps(command)
    def run(
        context: click.Context, /, store: str | None, data_uri: str | None, *, read_only: bool, **others: Any
    ) -> Any:
        return context.invoke(command, place=place_of(context, store, data_uri, read_only=read_only), **others)

    return cast("Command", run)


with_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


with_full = click.option("--full", is_flag=True, help="Show values over 2 KB in full.")


def with_limit(what: str) -> Callable[[Command], Command]:
    """Give a command the option that limits how much it lists."""
    return click.option(
        "--limit",
        type=NUMBER_OF_ROWS,
        metavar="N",
        default=DEFAULT_LIMIT,
        show_default=True,
        help=f"Show at most N {what}; 0 shows all.",
    )


def with_conditions(command: Command) -> Command:
    """Give a command the options that say which records are meant: ``where``, ``sample`` and ``sample_seed``."""
    command = click.option("--sample-seed", type=int, metavar="N", help="Draw the sample otherwise [default: 0].")(
        command
    )
    command = click.option("--sample", type=NUMBER_OF_ROWS, metavar="N", help="Only so many, drawn at random.")(command)
    return click.option(
        "--where",
        multiple=True,
        metavar="CONDITION",
        help="Only records that fit, such as 'score>=0.5', 'topic~tea', '!answer', '@cost>0.1'; repeatable.",
    )(command)


def with_form_options(options: Iterable[FormOption]) -> Callable[[Command], Command]:
    """Give a command the options of forms; its function gets each under the name on the command line, with ``_``."""

    def decorated(command: Command) -> Command:
        for option in reversed({option.on_command_line: option for option in options}.values()):
            is_flag = option.kind is bool
            command = click.option(
                option.on_command_line,
                type=None if is_flag else option.kind,
                is_flag=is_flag,
                metavar=option.metavar,
                help=option.help,
            )(command)
        return command

    return decorated


class RunName(_TextType):
    """A run as it is named on the command line; completes to the ids of the newest."""

    name = "run"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG002 (click's)
        """Return the ids of runs that begin so, newest first, and ``last``."""
        from starfish_storage.cli.run_lookup import runs_that_begin

        place = place_of(ctx, ctx.params.get("store"), ctx.params.get("data_uri"))
        found = [CompletionItem(job.master_job_id, help=job.status) for job in runs_that_begin(place, incomplete)]
        return found + [CompletionItem("last", help="the newest") for _ in "1" if "last".startswith(incomplete)]


with_run = click.argument("run", type=RunName(), metavar="RUN")


def one_of(statuses: Sequence[str]) -> click.Choice[str]:
    """Return the type of an option that takes one of these."""
    return click.Choice(list(statuses))
