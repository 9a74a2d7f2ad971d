"""``starfish-storage annotate``: say something of records, edit one, or take something back."""

from __future__ import annotations

import asyncio
import getpass
import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TextIO, cast

import click

from starfish_storage.cli import exit_codes
from starfish_storage.cli.annotations import told
from starfish_storage.cli.opening import existing
from starfish_storage.cli.options import example, with_json, with_store_to_write
from starfish_storage.cli.output import say, show_json_line
from starfish_storage.cli.place import Place
from starfish_storage.codec import decode
from starfish_storage.errors import InvalidInputError, StorageError
from starfish_storage.interface import AnnotationStore
from starfish_storage.runs import Annotation

_AT_ONCE = 64
_WAYS = "--accept, --reject, --label, --rate, --comment or --edit"


class _Said(NamedTuple):
    """Something that is to be said of a record; of an edit, the value is its data."""

    uid: str
    kind: str
    value: Any
    author: str | None = None


@click.command("annotate", epilog=example("annotate 5f0c9d6a7b1e4c2f8a3d5e6f7a8b9c0d-0 --accept --label short"))
@click.argument("uids", nargs=-1, metavar="[UID]...")
@click.option("--accept", is_flag=True, help="Accept the records.")
@click.option("--reject", is_flag=True, help="Reject them.")
@click.option("--label", "labels", multiple=True, metavar="TEXT", help="Label them; repeatable.")
@click.option("--rate", "rating", type=float, metavar="N", help="Rate them with a number.")
@click.option("--comment", metavar="TEXT", help="Comment on them.")
@click.option("--edit", type=click.File(), metavar="FILE", help="Give a record the JSON object in FILE as its data.")
@click.option("--replaces", metavar="SHA256", help="Edit only if the record has this data, or this update time, still.")
@click.option("--undo", "withdrawn", multiple=True, metavar="ID", help="Withdraw an annotation; repeatable.")
@click.option("--author", metavar="NAME", help="Who says so [default: your user name].")
@click.option(
    "--from",
    "lines",
    type=click.File(),
    metavar="FILE",
    help="Read more uids from FILE, one a line; or what is said of each, as JSON. '-' is standard input.",
)
@with_json
@with_store_to_write
def annotate_command(place: Place, uids: tuple[str, ...], author: str | None, as_json: bool, **given: Any) -> int:
    """Say something of records, edit one, or take back what you have said.

    The records stay as they are, and so does what others say of them. An edit is a new version of a record's data;
    --undo of it brings back the one before. With --json, each annotation is printed as a line.
    """
    said = list(_everything(uids, given))
    withdrawn: tuple[str, ...] = given["withdrawn"]
    if not said and not withdrawn:
        raise InvalidInputError(
            "nothing is said: give a UID and --accept, --reject, --label, --rate, --comment or --edit."
        )
    return asyncio.run(_annotate(place, said, withdrawn, author or _user(), given["replaces"], as_json=as_json))


async def _annotate(
    place: Place, said: Sequence[_Said], withdrawn: Sequence[str], author: str, replaces: str | None, *, as_json: bool
) -> int:
    failed = 0
    async with existing(place) as storage:
        notes = storage.annotations
        calls = [notes.withdraw(own_id, author=author) for own_id in withdrawn]
        calls += [_say(notes, one, author, replaces) for one in said]
        for start in range(0, len(calls), _AT_ONCE):
            for found in await asyncio.gather(*calls[start : start + _AT_ONCE], return_exceptions=True):
                if isinstance(found, StorageError):
                    if len(calls) == 1:
                        raise found
                    failed += 1
                    say(f"error: {found}")
                elif isinstance(found, BaseException):
                    raise found
                elif as_json:
                    show_json_line(found)
                else:
                    click.echo(told(found))
    return exit_codes.FAILURES if failed else exit_codes.DONE


async def _say(notes: AnnotationStore, one: _Said, author: str, replaces: str | None) -> Annotation:
    if one.kind == "edit":
        return await notes.edit_record(one.uid, one.value, author=one.author or author, replaces=replaces)
    return await notes.add(one.uid, cast("Any", one.kind), one.value, author=one.author or author)


def _everything(uids: Sequence[str], given: dict[str, Any]) -> Iterator[_Said]:
    """Yield what is to be said, from the options and from the lines of a file.

    Raises:
        InvalidInputError: options do not fit together, or a line says nothing.
    """
    kinds = _kinds(given)
    lines: TextIO | None = given["lines"]
    named = list(uids)
    for number, line in enumerate(lines or (), start=1):
        text = line.strip()
        if text.startswith("{"):
            yield _from_json(text, number)
        elif text:
            named.append(text)
    if named and not kinds and not given["withdrawn"]:
        raise InvalidInputError(f"nothing is said of the records: give {_WAYS}.")
    if len(named) > 1 and any(kind == "edit" for kind, _ in kinds):
        raise InvalidInputError("--edit gives one record its data: name one UID.")
    yield from (_Said(uid, kind, value) for uid in named for kind, value in kinds)


def _kinds(given: dict[str, Any]) -> list[tuple[str, Any]]:
    """Return what the options say of each record."""
    if given["accept"] and given["reject"]:
        raise InvalidInputError("--accept and --reject do not fit together: leave one of them out.")
    if given["replaces"] and given["edit"] is None:
        raise InvalidInputError("--replaces is for --edit: add that, or leave this out.")
    found: list[tuple[str, Any]] = []
    if given["accept"] or given["reject"]:
        found.append(("verdict", "accepted" if given["accept"] else "rejected"))
    found += [("label", label) for label in given["labels"]]
    found += [
        (kind, given[name]) for kind, name in (("rating", "rating"), ("comment", "comment")) if given[name] is not None
    ]
    if given["edit"] is not None:
        found.append(("edit", _json(given["edit"].read(), given["edit"].name)))
    return found


def _from_json(text: str, number: int) -> _Said:
    """Return what a line says, such as ``{"record_uid": "r1", "kind": "verdict", "value": "accepted"}``."""
    found = _json(text, f"line {number}")
    try:
        uid, kind, value = found["record_uid"], found["kind"], found["value"]
    except (KeyError, TypeError):
        raise InvalidInputError(
            f"line {number} needs the members record_uid, kind and value: add what is missing."
        ) from None
    return _Said(uid, kind, value, found.get("author"))


def _json(text: str, where: str) -> Any:
    try:
        return decode(text.encode("utf-8", "surrogatepass"))
    except (json.JSONDecodeError, ValueError, RecursionError):
        raise InvalidInputError(f"{where} is not JSON: give an object.") from None


def _user() -> str:
    """Return the name of whoever calls the command."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        raise InvalidInputError("your user name is not known here: say who says so with --author.") from None
