"""``starfish-storage repair``: mend a store."""

from __future__ import annotations

import sys

import click

from starfish_storage.cli import exit_codes
from starfish_storage.cli.counting import counted
from starfish_storage.cli.options import example, with_json, with_store
from starfish_storage.cli.output import show_report, show_text
from starfish_storage.cli.place import Place
from starfish_storage.maintenance import RepairPlan, plan_repair, repair


@click.command("repair", epilog=example("repair --store /data/store --dry-run"))
@click.option("--dry-run", is_flag=True, help="Show what would be done, and change nothing.")
@click.option("--yes", is_flag=True, help="Repair without asking.")
@with_json
@with_store
def repair_command(place: Place, dry_run: bool, yes: bool, as_json: bool) -> int:
    """Mend the store: show the plan, ask, save what will change, then repair.

    The previous state of everything that changes is saved below `repairs` in the store. The exit status is 1 if damage
    is left, or if --dry-run finds something to do.
    """
    place.refuse_archive()
    if not dry_run:
        place.refuse_writing()
    if dry_run or not yes:
        plan = _planned(place)
        if dry_run or not plan.steps:
            show_report(plan, as_json=as_json)
            return exit_codes.FAILURES if plan.steps or plan.left else exit_codes.DONE
        _ask(plan)
    with counted("verifying") as progress:
        done = repair(place.uri, place.data_uri, progress=progress)
    show_report(done, as_json=as_json)
    return exit_codes.FAILURES if done.left else exit_codes.DONE


def _planned(place: Place) -> RepairPlan:
    with counted("verifying") as progress:
        return plan_repair(place.uri, place.data_uri, progress=progress, read_only=place.read_only)


def _ask(plan: RepairPlan) -> None:
    if not sys.stdin.isatty():
        raise click.UsageError(f"{len(plan.steps)} steps to do; run again with --yes, or with --dry-run to see them.")
    show_text(str(plan))
    click.confirm("Repair the store?", abort=True)
