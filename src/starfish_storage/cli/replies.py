"""How the stored replies to paid steps are shown."""

from __future__ import annotations

from collections.abc import Sequence

from starfish_storage.cli.cells import Cell, Money
from starfish_storage.cli.output import show_data, show_list, show_title
from starfish_storage.cli.shortening import shortened
from starfish_storage.cli.tables import Column
from starfish_storage.runs import RecordedCall, Step

_COLUMNS = (
    Column("step", whole=False),
    Column("call"),
    Column("reply"),
    Column("status"),
    Column("attempt"),
    Column("saved", optional=True),
    Column("cost"),
    Column("reason", whole=False),
)


def show_steps(steps: Sequence[Step], *, full: bool) -> None:
    """Print replies and their results, values over 2 KB in full or cut."""
    show_title("Paid steps")
    show_list(_COLUMNS, steps, _cells)
    for step in steps:
        show_title(_title(step, steps))
        result = RecordedCall.of(step).response
        show_data(result if full else shortened(result))


def _title(step: Step, steps: Sequence[Step]) -> str:
    """Return what a reply is called: its call and its number where there is more than one."""
    alike = [one for one in steps if (one.name, one.request_key) == (step.name, step.request_key)]
    call = f", call {step.call}" if any(one.call != 1 for one in alike) else ""
    reply = f", reply {step.reply}" if any(one.reply != 1 for one in alike) else ""
    return f"Result of {step.name}{call}{reply}{'' if step.status == 'kept' else f' ({step.status})'}"


def _cells(step: Step) -> Sequence[Cell]:
    return (
        step.name,
        step.call,
        step.reply,
        step.status,
        step.attempt,
        step.saved_when,
        Money(sum(one.cost for one in step.usage)),
        step.reason,
    )
