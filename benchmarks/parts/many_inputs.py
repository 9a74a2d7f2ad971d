"""A run of a million inputs or more, in PostgreSQL and in SQLite: how large it is, and how long its queries take."""

from __future__ import annotations

import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw

from benchmarks.contestants import ENVIRONMENT, PROJECT_ROOT
from benchmarks.our_remote import RUN
from benchmarks.remote_servers import RemoteServers, remote_servers
from benchmarks.run import Run
from benchmarks.tables import Series, Table, milliseconds

_PENDING = 10_000
_REPEATS = 20
_PART = 1_000_000
_FILL = Path(__file__).parents[1] / "fill_run.sql"
_FILL_LOCAL = Path(__file__).parents[1] / "fill_local_run.sql"
_SIZES = """
SELECT relation.relname, pg_relation_size(relation.oid), coalesce(of.relname, '')
FROM pg_class AS relation
JOIN pg_namespace AS namespace ON namespace.oid = relation.relnamespace
LEFT JOIN pg_index ON indexrelid = relation.oid LEFT JOIN pg_class AS of ON of.oid = indrelid
WHERE nspname = '{schema}' AND relation.relkind IN ('r', 'i')
ORDER BY coalesce(of.relname, relation.relname), of.relname IS NOT NULL, 2 DESC
"""
_LOCAL_SIZES = """
SELECT schema.name, sum(pgsize), iif(type = 'index', tbl_name, '')
FROM dbstat JOIN sqlite_schema AS schema ON schema.name = dbstat.name WHERE aggregate = TRUE
GROUP BY schema.name ORDER BY tbl_name, type = 'index', 2 DESC
"""
_WHAT = {
    "first page": "first page of 100 records, `get_records_for_master_job(limit=100)`",
    "page at the end": "page of 100 at the end, `iter_records(after=...)`",
    "look-up": "`get_record_metadata`",
    "count records": "`count_records_for_master_job`, by status",
    "count inputs": "`ledger.count_inputs`: a worker spends a fiftieth of its time on it",
    "claim": "`ledger.claim_inputs` of 50, with its commit",
    "unowned": "`ledger.release_unowned_inputs`, which every worker asks once a second",
    "refresh": "`ledger.refresh_run`, likewise, with its commit",
    "hashes": "`completed_config_hashes` of all that are done",
    "resume": "`resume`, until its first call",
    "runs": "`starfish-storage runs`",
    "show": "`starfish-storage show RUN`",
}


def measure_remote_many(run: Run) -> list[Table]:
    """Load a run into PostgreSQL with SQL, and ask."""
    inputs, schema = run.sizes.many, "many"
    with remote_servers(run.directory) as servers:
        where = {"uri": servers.uri(schema), "data_uri": servers.data_uri("directory", schema)}
        prepare(run, where, servers.environment)
        begun, log = time.monotonic(), servers.written()
        load(run, servers, schema, inputs, _PENDING)
        run.say(f"remote-many: loaded in {time.monotonic() - begun:.0f} s")
        log = servers.written() - log
        found = servers.postgres.execute(_SIZES.format(schema=schema))
        sizes = [(name, int(size), table) for name, size, table in found]
        queries = _ask(run, where, inputs, servers.environment)
    note = f" Loading wrote {log / inputs / 1000:.1f} KB of log an input."
    return [_sizes("PostgreSQL", sizes, inputs, note), _queries("PostgreSQL", queries, inputs)]


def measure_local_many(run: Run) -> list[Table]:
    """Load a run into SQLite with SQL, and ask."""
    inputs, root = run.sizes.many, Path(run.store())
    where: dict[str, Any] = {"uri": root.as_uri(), "data_uri": None}
    prepare(run, where, {})
    begun = time.monotonic()
    sizes = load_local(run, root, inputs, _PENDING)
    run.say(f"local-many: loaded in {time.monotonic() - begun:.0f} s")
    queries = _ask(run, where, inputs, {})
    return [_sizes("SQLite", sizes, inputs, ""), _queries("SQLite", queries, inputs)]


def prepare(run: Run, where: dict[str, Any], environment: dict[str, str]) -> None:
    """Make a store with the run, which has two inputs as yet."""
    with run.fresh_contestant("benchmarks.our_remote") as ours:
        ours.turn("prepare_run", **where, environment=environment, inputs=1)


def _parts(run: Run, inputs: int, pending: int) -> Iterator[dict[str, Any]]:
    for first in range(0, inputs, _PART):
        last = min(first + _PART, inputs) - 1
        run.say(f"loading inputs {first:,} to {last:,} of {inputs:,}")
        yield {"first": first, "last": last, "pending": inputs - pending, "run": f"'{RUN}'"}


def load(run: Run, servers: RemoteServers, schema: str, inputs: int, pending: int) -> None:
    """Replace the inputs of the run by so many, the last of them pending."""
    path, execute = f"SET search_path TO {schema};", servers.postgres.execute
    execute(f"{path} DELETE FROM execution_jobs;")
    for part in _parts(run, inputs, pending):
        execute(f"{path}\n{_FILL.read_text('utf-8').format(**part)}")
    execute(f"{path} VACUUM (ANALYZE) execution_jobs; VACUUM (ANALYZE) records; VACUUM (ANALYZE) attempts;")


def load_local(run: Run, root: Path, inputs: int, pending: int) -> list[tuple[str, int, str]]:
    """Do the same in SQLite, and give the packs their sizes; return the sizes of tables and indexes."""
    database = apsw.Connection(str(root / "metadata.db"))
    # In a transaction a part, without a log of it; the indexes ordered by hash have to fit into memory.
    for pragma, value in {"journal_mode": "OFF", "synchronous": "OFF", "cache_size": -4_000_000}.items():
        database.pragma(pragma, value)
    for table in ("attempts", "records", "execution_jobs", "packed_data", "packs"):
        database.execute(f"DELETE FROM {table}")
    for part in _parts(run, inputs, pending):
        with database:
            database.execute(_FILL_LOCAL.read_text("utf-8").format(**part))
    for pack, size in database.execute("SELECT pack, size FROM packs"):
        with (root / "data" / "packs" / f"{pack}.jsonl").open("wb") as file:
            file.truncate(size)  # a hole: nobody reads the data
    database.pragma("journal_mode", "WAL")
    sizes = [(name, size, table) for name, size, table in database.execute(_LOCAL_SIZES)]
    database.close()
    return sizes


def _ask(run: Run, where: dict[str, Any], inputs: int, environment: dict[str, str]) -> dict[str, list[float]]:
    queries: dict[str, list[float]] = defaultdict(list)
    with run.fresh_contestant("benchmarks.our_remote") as ours:
        for number in run.rounds("queries", 3):
            asked = {"records": inputs - _PENDING, "repeats": _REPEATS, "environment": environment}
            for what, seconds in ours.turn("query_many", **where, **asked).items():
                queries[what] += seconds
            queries["resume"].append(ours.turn("begin_resume", **where, environment=environment, number=number))
            for what, words in {"runs": ["runs"], "show": ["show", RUN]}.items():
                begun = time.perf_counter()
                place = [f"--store={where['uri']}", *([f"--data-uri={where['data_uri']}"] if where["data_uri"] else [])]
                subprocess.run(
                    [run.python, "-m", "starfish_storage", *words, *place],
                    check=True,
                    stdout=subprocess.DEVNULL,
                    cwd=PROJECT_ROOT,
                    env=ENVIRONMENT | environment,
                )
                queries[what].append(time.perf_counter() - begun)
    return queries


def _sizes(engine: str, sizes: list[tuple[str, int, str]], inputs: int, note: str) -> Table:
    large = [(name, size, table) for name, size, table in sizes if size >= inputs]
    total = sum(size for _, size, _ in large)
    return Table(
        f"Sizes of a run of {inputs:,} inputs in {engine}",
        "Each with one record and one attempt, a question of 240 characters as its input, and usage reported once, its "
        f"data in packs; loaded in order with SQL, so without the bloat of updates. Only what takes a byte an input or "
        f"more.{note}",
        ("table or index", "size", "bytes an input"),
        (
            *(
                (f"`{name}`" if not table else f"— `{name}`", f"{size / 1e6:,.0f} MB", f"{size / inputs:,.0f}")
                for name, size, table in large
            ),
            ("all", f"{total / 1e6:,.0f} MB", f"{total / inputs:,.0f}"),
        ),
    )


def _queries(engine: str, queries: dict[str, list[float]], inputs: int) -> Table:
    return Table(
        f"Queries over a run of {inputs:,} inputs in {engine}",
        f"One caller, through the library, opened anew for each of 3 rounds; all but the last {_PENDING:,} inputs are "
        "done. Commands are whole processes.",
        ("query", "time"),
        tuple((_WHAT[what], milliseconds(Series(tuple(seconds)))) for what, seconds in queries.items()),
    )
