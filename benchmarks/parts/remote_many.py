"""A run of a million inputs in PostgreSQL: how large its tables and indexes are, and how long its queries take."""

from __future__ import annotations

import time
from collections import defaultdict
from pathlib import Path

from benchmarks.our_remote import RUN
from benchmarks.remote_servers import RemoteServers, remote_servers
from benchmarks.run import Run
from benchmarks.tables import Series, Table, milliseconds

_PENDING = 10_000
_REPEATS = 20
_FILL = Path(__file__).parents[1] / "fill_run.sql"
_SIZES = """
SELECT relation.relname, pg_relation_size(relation.oid), coalesce(of.relname, '')
FROM pg_class AS relation
JOIN pg_namespace AS namespace ON namespace.oid = relation.relnamespace
LEFT JOIN pg_index ON indexrelid = relation.oid LEFT JOIN pg_class AS of ON of.oid = indrelid
WHERE nspname = '{schema}' AND relation.relkind IN ('r', 'i')
ORDER BY coalesce(of.relname, relation.relname), of.relname IS NOT NULL, 2 DESC
"""
_WHAT = {
    "first page": "first page of 100 records, `get_records_for_master_job(limit=100)`",
    "page at the end": "page of 100 at the end, `iter_records(after=...)`",
    "look-up": "`get_record_metadata`",
    "count records": "`count_records_for_master_job`, by status",
    "count inputs": "`ledger.count_inputs`, which every worker asks once a second",
    "claim": "`ledger.claim_inputs` of 50, with its commit",
    "unowned": "`ledger.release_unowned_inputs`, which every worker asks once a second",
    "refresh": "`ledger.refresh_run`, likewise, with its commit",
    "hashes": "`completed_config_hashes` of all that are done",
}


def measure_remote_many(run: Run) -> list[Table]:
    """Load a run with SQL, and ask."""
    inputs, schema = run.sizes.many, "many"
    with remote_servers(run.directory) as servers, run.fresh_contestant("benchmarks.our_remote") as ours:
        where = {"uri": servers.uri(schema), "data_uri": servers.data_uri("directory", schema)}
        ours.turn("prepare_run", **where, environment=servers.environment, inputs=1)
        run.say(f"remote-many: loading {inputs:,} inputs")
        begun, log = time.monotonic(), servers.written()
        _load(servers, schema, inputs)
        run.say(f"remote-many: loaded in {time.monotonic() - begun:.0f} s")
        log = servers.written() - log
        sizes = servers.postgres.execute(_SIZES.format(schema=schema))
        queries: dict[str, list[float]] = defaultdict(list)
        for _ in run.rounds("remote-many: queries", 3):
            asked = {"records": inputs - _PENDING, "repeats": _REPEATS, "environment": servers.environment}
            for what, seconds in ours.turn("query_many", **where, **asked).items():
                queries[what] += seconds
    return [_sizes(sizes, inputs, log), _queries(queries, inputs)]


def _load(servers: RemoteServers, schema: str, inputs: int) -> None:
    sql = _FILL.read_text("utf-8").format(inputs=inputs, pending=_PENDING, run=f"'{RUN}'")
    servers.postgres.execute(
        f"SET search_path TO {schema};\nDELETE FROM execution_jobs;\n{sql}\n"
        "VACUUM (ANALYZE) execution_jobs; VACUUM (ANALYZE) records; VACUUM (ANALYZE) attempts;"
    )


def _sizes(sizes: list[list[str]], inputs: int, log: float) -> Table:
    large = [(name, int(size), table) for name, size, table in sizes if int(size) >= inputs]
    total = sum(size for _, size, _ in large)
    return Table(
        f"Sizes of a run of {inputs:,} inputs in PostgreSQL",
        f"Each with one record and one attempt, a question of 240 characters as its input, and usage reported once; "
        f"loaded in order with [SQL](fill_run.sql), so without the bloat of updates. Only what takes a byte an input "
        f"or more. Loading wrote {log / inputs / 1000:.1f} KB of log an input.",
        ("table or index", "size", "bytes an input"),
        (
            *(
                (f"`{name}`" if not table else f"— `{name}`", f"{size / 1e6:,.0f} MB", f"{size / inputs:,.0f}")
                for name, size, table in large
            ),
            ("all", f"{total / 1e6:,.0f} MB", f"{total / inputs:,.0f}"),
        ),
    )


def _queries(queries: dict[str, list[float]], inputs: int) -> Table:
    return Table(
        f"Queries over a run of {inputs:,} inputs in PostgreSQL",
        f"One caller, through the library, opened anew for each of 3 rounds; all but the last {_PENDING:,} inputs are "
        "done. Pages and counts of records have the cost of a round trip.",
        ("query", "time"),
        tuple((_WHAT[what], milliseconds(Series(tuple(seconds)))) for what, seconds in queries.items()),
    )
