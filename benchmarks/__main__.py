"""The command line: ``python -m benchmarks``."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
import traceback
from dataclasses import replace
from pathlib import Path

from benchmarks.machine import file_system, machine_facts
from benchmarks.parts import PARTS
from benchmarks.peer_environment import WORK, PeerUnavailableError, peer_python
from benchmarks.results import NoPlaceError, check_place, put_into, results_markdown
from benchmarks.run import FULL, QUICK, Run, Sizes
from benchmarks.tables import Table

_MILLION = 1_000_000


def main() -> int:
    """Measure, print the tables, and write them where that was asked for."""
    options = _parse()
    try:
        if options.output is not None:
            check_place(options.output)
        python = None if options.no_peer else peer_python()
    except (NoPlaceError, PeerUnavailableError) as error:
        print(error, file=sys.stderr)
        return 1
    directory = options.workdir / f"run-{os.getpid()}"
    directory.mkdir(parents=True)
    try:
        failed = _measure(options, directory, python)
    finally:
        print("removing what was written", file=sys.stderr)
        shutil.rmtree(directory, ignore_errors=True)
    return 1 if failed else 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure starfish-storage against Starfish's own storage and a raw loop; print Markdown tables.",
    )
    parser.add_argument("--quick", action="store_true", help="small sizes: a minute or two, figures only indicative")
    parser.add_argument("--records", type=int, metavar="N", help="records of each timed write with many callers")
    parser.add_argument(
        "--million",
        action=argparse.BooleanOptionalAction,
        help="whether the large store has a million records (the default of a full run) or 20,000 (of a quick one)",
    )
    parser.add_argument("--inputs", type=int, metavar="N", help="records, or inputs, of the large store, in its place")
    parser.add_argument("--only", nargs="+", choices=PARTS, metavar="NAME", help=f"parts to run: {', '.join(PARTS)}")
    parser.add_argument("--no-peer", action="store_true", help="leave Starfish out; needs no network")
    parser.add_argument("--output", type=Path, metavar="FILE", help="also put the tables between this file's markers")
    parser.add_argument(
        "--workdir", type=Path, default=WORK, metavar="DIR", help="where stores are written (benchmarks/.work)"
    )
    options = parser.parse_args()
    if options.records is not None and options.records < 1:
        parser.error("--records must be 1 or more")
    return options


def _measure(options: argparse.Namespace, directory: Path, python: str | None) -> list[str]:
    """Print each table as soon as it is measured, write all of them at the end, and return the parts that failed."""
    begun = time.monotonic()
    if file_system(directory) in ("tmpfs", "ramfs"):
        print("the working directory is in memory: syncing costs nothing there; give --workdir", file=sys.stderr)
    run = Run(_sizes(options), directory.resolve(), sys.executable, python)
    try:
        facts = machine_facts(directory)
        facts |= run.ours.turn("versions")
        if run.peer is not None:
            peer_facts = run.peer.turn("versions")
            facts["Starfish's environment"] = ", ".join(f"{name} {value}" for name, value in peer_facts.items())
        tables: list[Table] = []
        failed: list[str] = []
        for name, measure in PARTS.items():
            if options.only is None or name in options.only:
                try:
                    found = measure(run)
                except Exception:  # an hour's other tables are worth having; the exit code tells of it
                    traceback.print_exc()
                    failed.append(name)
                    continue
                tables += found
                print(*(table.markdown() for table in found), sep="\n", flush=True)
    finally:
        run.close()
    heading, everything = (
        results_markdown(_command(options), facts, those, (time.monotonic() - begun) / 60) for those in ([], tables)
    )
    print(heading)
    if options.output is not None:
        put_into(options.output, everything)
    if failed:
        print(f"these parts failed, and their tables are missing: {', '.join(failed)}", file=sys.stderr)
    return failed


def _sizes(options: argparse.Namespace) -> Sizes:
    sizes = QUICK if options.quick else FULL
    if options.records is not None:
        sizes = replace(sizes, records=options.records)
    if options.million is not None:
        sizes = replace(sizes, many=_MILLION if options.million else QUICK.many)
    if options.inputs is not None:
        sizes = replace(sizes, many=options.inputs)
    return sizes


def _command(options: argparse.Namespace) -> str:
    """Return the command that was given, without what names places on this machine."""
    words = ["python -m benchmarks"]
    if options.quick:
        words.append("--quick")
    if options.records is not None:
        words.append(f"--records {options.records}")
    if options.million is not None:
        words.append("--million" if options.million else "--no-million")
    if options.inputs is not None:
        words.append(f"--inputs {options.inputs}")
    if options.only:
        words.append(f"--only {' '.join(options.only)}")
    if options.no_peer:
        words.append("--no-peer")
    return " ".join(words)


if __name__ == "__main__":
    sys.exit(main())
