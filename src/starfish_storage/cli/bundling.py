"""What ``starfish-storage view --bundle`` does: write a run as a folder of pages."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from starfish_storage.cli import exit_codes
from starfish_storage.cli.counting import counted
from starfish_storage.cli.opening import reading
from starfish_storage.cli.options import Command, RunName, one_of, with_conditions
from starfish_storage.cli.output import show_report
from starfish_storage.cli.place import Place
from starfish_storage.cli.run_lookup import find_run
from starfish_storage.filtering import Sample
from starfish_storage.statuses import RECORD_STATUSES
from starfish_storage.wording import size

if TYPE_CHECKING:
    from starfish_storage.publishing import BundleReport

_OPTIONS = (
    click.option(
        "--bundle",
        type=(RunName(), click.Path(file_okay=False)),
        metavar="RUN DIRECTORY",
        help="Write a run as a folder of pages, which opens without a server, instead of starting one.",
    ),
    click.option("--status", multiple=True, type=one_of(RECORD_STATUSES), help="In the bundle: repeatable [all]."),
    with_conditions,
    click.option("--overwrite", is_flag=True, help="Replace DIRECTORY if it is a bundle."),
    click.option("--json", "as_json", is_flag=True, help="Print JSON about the bundle, for programs."),
)
_NAMES = {
    "status": "--status",
    "where": "--where",
    "sample": "--sample",
    "sample_seed": "--sample-seed",
    "overwrite": "--overwrite",
    "as_json": "--json",
}


@dataclass(frozen=True, slots=True)
class BundleOptions:
    """What was asked for.

    Attributes:
        run: which run, as it was named.
        directory: the folder.
        status, where, sample, sample_seed, overwrite: see `bundle`.
        as_json: print the report as JSON.
    """

    run: str
    directory: str
    status: tuple[str, ...]
    where: tuple[str, ...]
    sample: int | None
    sample_seed: int | None
    overwrite: bool
    as_json: bool

    @classmethod
    def of(cls, bundle: tuple[str, str] | None, **given: Any) -> BundleOptions | None:
        """Return what was asked for; None without ``--bundle``.

        Raises:
            click.UsageError: an option says something about a bundle, and none is written.
        """
        if bundle is not None:
            return cls(*bundle, **given)
        for name, value in given.items():
            if value not in (None, False, 0, ()):
                raise click.UsageError(f"{_NAMES[name]} is for --bundle RUN DIRECTORY: add that, or leave it out.")
        return None


def with_bundle_options(command: Command) -> Command:
    """Give a command the options of bundles; its function gets them under their names."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def write_bundle(place: Place, options: BundleOptions) -> int:
    """Write a bundle, and say what was written; return how the command ends."""
    report = asyncio.run(_written(place, options))
    show_report(report, as_json=options.as_json)
    return exit_codes.FAILURES if report.damaged else exit_codes.DONE


async def _written(place: Place, options: BundleOptions) -> BundleReport:
    from starfish_storage.publishing import bundle

    async with reading(place) as storage:
        job = await find_run(storage, options.run)
        with counted("writing", quiet=options.as_json) as count:

            def show(done: int, most: int, written: int) -> None:
                about = size(written * most // done) if done else "nothing"
                count(done, most, f"writing, {about} in the end")

            return await bundle(
                storage,
                job.master_job_id,
                options.directory,
                statuses=options.status,
                where=options.where,
                sample=None if options.sample is None else Sample(options.sample, options.sample_seed or 0),
                overwrite=options.overwrite,
                progress=show,
            )
