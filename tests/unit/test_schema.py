"""The schema file, the migrations, and that SQL stands in ``.sql`` files only."""

import ast
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import apsw
import pytest

import starfish_storage
from starfish_storage.metadata.migrations import latest_version, migrations
from starfish_storage.metadata.queries import sqlite_queries
from starfish_storage.metadata.sqlite.migrate import APPLICATION_ID, migrate

SQL = files(starfish_storage).joinpath("metadata", "sql", "sqlite")
SOURCE = Path(starfish_storage.__file__).parent
STATEMENT = re.compile(
    r"^\s*(?:(?:SELECT|INSERT|UPDATE|DELETE|REPLACE|CREATE|DROP|ALTER|PRAGMA|SHOW|SET|SAVEPOINT|RELEASE|WITH|EXPLAIN)\s+\S"
    r"|(?:BEGIN|COMMIT|ROLLBACK)\b)"
)


def objects_of(connection: apsw.Connection) -> list[tuple[object, ...]]:
    """Return what a database consists of, without the blanks and comments of its text."""
    rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name").fetchall()
    return [(*row[:3], None if row[3] is None else _without_blanks(str(row[3]))) for row in rows]


def _without_blanks(text: str) -> str:
    """Return a statement without comments, and with blanks between words alone: SQLite adds columns with others."""
    return re.sub(r"\s*([(),])\s*", r"\1", " ".join(re.sub(r"--.*", "", text).split()))


@pytest.fixture
def connection() -> Iterator[apsw.Connection]:
    connection = apsw.Connection(":memory:")
    yield connection
    connection.close()


@pytest.fixture
def by_schema() -> Iterator[apsw.Connection]:
    connection = apsw.Connection(":memory:")
    connection.execute(SQL.joinpath("schema.sql").read_text("utf-8"))
    yield connection
    connection.close()


def test_the_migrations_together_give_the_schema(connection: apsw.Connection, by_schema: apsw.Connection) -> None:
    migrate(connection, ":memory:", alone=True)
    assert objects_of(connection) == objects_of(by_schema)
    assert len(objects_of(connection)) > 15
    for table in [row[1] for row in objects_of(connection) if row[0] == "table"]:
        columns = [tuple(row) for row in connection.execute(f"PRAGMA table_xinfo({table})")]
        assert columns == [tuple(row) for row in by_schema.execute(f"PRAGMA table_xinfo({table})")]


def test_migrating_marks_the_database_as_ours(connection: apsw.Connection) -> None:
    migrate(connection, ":memory:", alone=True)
    assert connection.pragma("application_id") == APPLICATION_ID
    assert connection.pragma("user_version") == latest_version() == len(migrations("sqlite"))
    assert APPLICATION_ID.to_bytes(4, "big") == b"SFST"


def test_migrating_again_changes_nothing(connection: apsw.Connection) -> None:
    migrate(connection, ":memory:", alone=True)
    before = connection.total_changes()
    objects = objects_of(connection)
    migrate(connection, ":memory:", alone=True)
    assert objects_of(connection) == objects
    assert connection.total_changes() == before


def test_a_migration_that_fails_leaves_nothing(connection: apsw.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = migrations("sqlite")[0] + "; CREATE TABLE projects (x)"
    monkeypatch.setattr("starfish_storage.metadata.sqlite.migrate.migrations", lambda _: (broken,))
    with pytest.raises(apsw.SQLError, match="projects"):
        migrate(connection, ":memory:", alone=True)
    assert objects_of(connection) == []
    assert connection.pragma("user_version") == 0


def test_migrations_are_numbered_without_gaps() -> None:
    names = sorted(entry.name for entry in SQL.joinpath("migrations").iterdir() if entry.name.endswith(".sql"))
    assert [int(name[:4]) for name in names] == list(range(1, len(names) + 1))


def test_every_table_is_strict(by_schema: apsw.Connection) -> None:
    for row in by_schema.execute("PRAGMA table_list"):
        name, strict = row[1], row[5]
        assert strict or name.startswith("sqlite_"), name


def test_every_child_follows_its_parent(by_schema: apsw.Connection) -> None:
    # A project is deleted with cascade only when that was said, which the database is not told.
    actions = {
        (table, row[2]): row[6]
        for table in ("master_jobs", "execution_jobs", "records", "record_counts")
        for row in by_schema.execute(f"PRAGMA foreign_key_list({table})")
    }
    assert actions == {
        ("master_jobs", "projects"): "NO ACTION",
        ("execution_jobs", "master_jobs"): "CASCADE",
        ("records", "execution_jobs"): "CASCADE",
        ("record_counts", "master_jobs"): "CASCADE",
    }


def test_every_query_fits_the_schema(by_schema: apsw.Connection) -> None:
    queries = sqlite_queries()
    for name in queries.names():
        try:
            text = queries[name]
        except KeyError:
            text = queries.merged(name, 2)
        by_schema.execute(f"EXPLAIN {text}", (None,) * text.count("?")).fetchall()


def test_nothing_replaces_rows_by_deleting_them() -> None:
    # INSERT OR REPLACE on a parent deletes its children through the foreign keys.
    for path in SOURCE.rglob("*.sql"):
        assert not re.search(r"\bREPLACE\b", path.read_text("utf-8"), re.IGNORECASE), path


def literals_of(source: str) -> Iterator[tuple[int, str]]:
    """Yield every string literal with its line, except docstrings."""
    tree = ast.parse(source)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.lineno, node.value


def test_no_sql_stands_in_python() -> None:
    sources = sorted(SOURCE.rglob("*.py"))
    found = [
        f"{path.relative_to(SOURCE)}:{line}: {text[:60]!r}"
        for path in sources
        for line, text in literals_of(path.read_text("utf-8"))
        if STATEMENT.match(text)
    ]
    assert found == []
    assert len(sources) > 30
    for statement in ("\n  SELECT 1", "SHOW synchronous_commit", "SET synchronous_commit TO on"):
        assert STATEMENT.match(statement)


def test_files_are_renamed_and_synced_in_one_module() -> None:
    calls = {
        path.name
        for path in SOURCE.rglob("*.py")
        if "testing" not in path.parts
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
        and node.attr in ("rename", "replace", "fsync", "fdatasync", "link", "sync")
    }
    assert calls == {"atomic.py"}
