"""Actions to rows and back."""

from __future__ import annotations

import uuid
from datetime import datetime

from starfish_storage.interface.action_rows import ActionRow
from starfish_storage.metadata import values
from starfish_storage.metadata.row import Row
from starfish_storage.metadata.row_writer import RowWriter
from starfish_storage.runs.actions import Action, Actor, this_actor

LONGEST_DETAIL = 1000


def note_action(writer: RowWriter, action: str, kind: str, target: str | None = None, detail: str | None = None) -> str:
    """Note that this process does something, in the transaction that does it; return the id."""
    row = action_row(values.timestamp("now", writer.now()), action, kind, target, detail)
    writer.change("save_action", row)
    return row.action_id


def action_row(moment: str, action: str, kind: str, target: str | None, detail: str | None) -> ActionRow:
    """Return the row of what this process does."""
    more = None if detail is None else values.text("detail", detail[:LONGEST_DETAIL])
    return ActionRow(
        uuid.uuid4().hex,
        moment,
        values.text("action", action),
        values.text("kind", kind),
        values.optional_text("target", target),
        more,
        *actor_values(this_actor()),
    )


def actor_values(who: Actor) -> tuple[str | None, str | None, str | None, str | None]:
    """Return the columns of who somebody is."""
    return (
        values.optional_text("host", who.host),
        values.optional_text("user", who.user),
        values.optional_text("pod", who.pod),
        values.optional_text("release", who.release),
    )


def action(row: Row) -> Action:
    """Return the action of a row."""
    action_id, time, done, kind, target, detail, *who = row
    return Action(action_id, datetime.fromisoformat(time), done, kind, target, detail, Actor(*who))
