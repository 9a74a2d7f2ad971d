"""``starfish-storage view``: pages that show what is in a store, in a browser."""

from __future__ import annotations

import asyncio
import sys
import threading
from dataclasses import replace
from typing import Any

import click

from starfish_storage import __version__
from starfish_storage.cli.bundling import BundleOptions, with_bundle_options, write_bundle
from starfish_storage.cli.opening import existing, impatient, reading
from starfish_storage.cli.options import example, with_store
from starfish_storage.cli.output import say
from starfish_storage.cli.place import Place, place_of
from starfish_storage.extras import need
from starfish_storage.files.processes import terminate_this
from starfish_storage.keys import DATABASE_FILE
from starfish_storage.metadata.sqlite.starfish_copy import older_format

_DEFAULT_HOST = "127.0.0.1"
_LAST_PORT = 65535


@click.command("view", epilog=example("view --store /data/store --port 8000"))
@click.argument("store_or_archive", metavar="[STORE|FILE.zip]", required=False)
@click.option(
    "--host", metavar="HOST", default=_DEFAULT_HOST, show_default=True, help="The address of this machine to listen on."
)
@click.option(
    "--port", type=click.IntRange(0, _LAST_PORT), metavar="N", default=0, help="The port [default: one that is free]."
)
@click.option("--no-open", is_flag=True, help="Do not open a browser.")
@click.option("--review", is_flag=True, help="Let people judge and edit records, and run inputs again: writes that.")
@click.option("--author", metavar="NAME", help="With --review: who judges, without being asked.")
@click.option("--ends-with-stdin", is_flag=True, hidden=True)  # for `Run.view`, whose process may be killed
@with_bundle_options
@with_store
@click.pass_context
def view_command(
    context: click.Context,
    place: Place,
    store_or_archive: str | None,
    host: str,
    port: int,
    no_open: bool,
    review: bool,
    author: str | None,
    ends_with_stdin: bool,
    **of_bundle: Any,
) -> int | None:
    """Show what is in the store, or in an archive, in a browser, also while runs write to it. Ends with Ctrl-C.

    The first line of output is the address. Only this machine reaches it, unless --host says otherwise: then the
    address has a token, and whoever has it sees everything in the store; with --review, that person also writes to it.

    With --bundle, pages of one run are written into a folder instead, without secrets and without what tells about
    this machine.
    """
    if author is not None and not review:
        raise click.UsageError("--author is the name of who reviews: it needs --review.")
    for module in ("starlette", "uvicorn", "jinja2"):  # rich brings markdown_it; the first page needs none
        need(module, "viewer", "The pages of 'view'")
    if store_or_archive is not None:
        if place.words:
            raise click.UsageError("The store is named twice: with --store or --data-uri, and without.")
        place = place_of(context, store_or_archive)
    wanted = BundleOptions.of(**of_bundle)
    if wanted is not None:
        if review:
            raise click.UsageError("--review is for pages that are served: leave it out, or --bundle.")
        return write_bundle(replace(place, read_only=True), wanted)
    if review:
        if place.is_archive:
            raise click.UsageError("An archive can only be read: copy it into a store with 'unarchive', to review it.")
        place.refuse_writing()
    else:
        place = replace(place, read_only=True)
    if ends_with_stdin:
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    asyncio.run(_view(place, host, port, opens=not no_open, author=author))
    return None


def _end_with_stdin() -> None:
    sys.stdin.buffer.read()
    terminate_this()


async def _view(place: Place, host: str, port: int, *, opens: bool, author: str | None) -> None:
    from starfish_storage.viewer.application import ReviewMode, application
    from starfish_storage.viewer.serving import ViewerServer, access_to, address_of, bound
    from starfish_storage.viewer.visitors import author_of

    review = None if place.read_only else ReviewMode(None if author is None else author_of(author))
    notice = await asyncio.to_thread(notice_of, place) if review is None else ""  # it is migrated, to write to it
    with bound(host, port) as listening:
        access = access_to(listening, host)
        address = address_of(access)

        def announce() -> None:
            click.echo(address)
            if notice:
                say(notice)
            say("Stop with Ctrl-C.")
            if opens:
                import webbrowser

                webbrowser.open(address)

        with impatient():
            async with reading(place) if review is None else existing(place) as storage:
                app = application(storage, place.shown, place.command, access, __version__, notice, review)
                await ViewerServer(app, announce).serve(sockets=[listening])


def notice_of(place: Place) -> str:
    """Return what is to be known about the store before anything in it; nothing of an ordinary one."""
    if place.is_archive:
        return "This is an archive, and can only be read. 'starfish-storage unarchive' copies it into a store."
    version = older_format(f"{place.path}/{DATABASE_FILE}") if place.is_local else None
    if version is None:
        return ""
    how = "Starfish wrote this store" if not version else f"This store is of format {version}, of an earlier release"
    return f"{how}. It is shown from a migrated copy, and stays as it is until a write, or 'starfish-storage upgrade'."
