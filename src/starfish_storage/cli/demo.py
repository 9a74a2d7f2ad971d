"""``starfish-storage demo``: a run of recorded answers that is killed and resumed, to be looked at."""

from __future__ import annotations

import os
import tempfile
from importlib.util import find_spec
from pathlib import Path

import click

from starfish_storage.cli.options import example
from starfish_storage.cli.output import is_terminal, say
from starfish_storage.cli.place import Place
from starfish_storage.demo import gsm8k_run
from starfish_storage.errors import InvalidInputError, install_command
from starfish_storage.uri import path_of_file_uri

_OF_VIEWER = ("starlette", "uvicorn", "jinja2")


@click.command("demo", epilog=example("demo --no-view"))
@click.option(
    "--store", metavar="PATH", help="The store, a directory of this machine [default: a new one in a temporary place]."
)
@click.option("--no-view", is_flag=True, help="Open no pages in a browser afterwards.")
@click.pass_context
def demo_command(context: click.Context, store: str | None, no_view: bool) -> None:
    """Kill a run half way with kill -9, resume it, and show what was not paid for twice.

    The answers of four models to grade-school problems come from a file: it needs no key and no network, and costs
    nothing. Then the store is shown in a browser, where the extra 'viewer' is installed.
    """
    root = context.find_root()
    is_option = root.get_parameter_source("store") is click.core.ParameterSource.COMMANDLINE
    named = store or (root.params["store"] if is_option else None)  # never the one of the environment: it is in use
    directory = _directory(named)
    run = gsm8k_run.show(gsm8k_run.ANSWERS, directory)
    place = Place(directory.as_uri(), words=("--store", str(directory)), read_only=True)
    click.echo(f"\nThe store is {directory}. Look around:")
    for words in (("runs",), ("show", run), ("records", run, "--limit", "5"), ("verify",), ("view",)):
        click.echo(f"  {place.command(*words)}")
    if no_view or not is_terminal():
        return
    if not all(map(find_spec, _OF_VIEWER)):
        say(f"To look at it in a browser, install the extra 'viewer': {install_command('viewer')}")
        return
    from starfish_storage.cli.view import view_command

    context.invoke(view_command, store=str(directory))


def _directory(named: str | None) -> Path:
    """Return the directory of the store: the one that was named, or a new one."""
    if named is None:
        return Path(tempfile.mkdtemp(prefix="starfish-storage-demo-")) / "store"
    if "://" in named or named.startswith("file:"):
        if not named.startswith("file:"):
            raise InvalidInputError("the demo kills a run on this machine: name a directory with --store, not a server")
        named = path_of_file_uri(named)
    return Path(os.path.abspath(named))
