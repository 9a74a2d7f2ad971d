"""Says how the frozen stores under `assets/` were made; no test runs this.

Usage: ``python tests/migrations/make_assets.py v1`` with the release whose format is to be frozen (an asset of a
released format is never made anew), or ``... starfish PYTHON`` with an interpreter that has `starfish-core==0.1.3`.

- ``v1.zip``, ``v1.json``, and likewise for each later format: a store that was closed, and what was in it.
- ``v1-not-closed.zip``: the same content, of a writer that was killed at once; its log is beside the database, its
  journal is not empty, and a file that was put in place is missing again, as after a power cut.
- ``starfish-0.1.3.zip``, ``starfish-0.1.3.json``: a store that Starfish wrote at ``/tmp/starfish-run``, which no
  longer exists, and what Starfish answered before rows were added by hand (see `starfish_writer.py`).
- ``starfish-0.1.3-damaged.zip`` (``... starfish-damaged PYTHON``): one that Starfish has left damaged, see
  `starfish_damage.py`.
- ``postgres-v1.zip``, ``postgres-v1.json`` (``... postgres-v1``): a store in PostgreSQL with its data in a directory;
  its rows are the statements of ``rows.sql``, in a schema called ``frozen``.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ASSETS = HERE / "assets"
STARFISH_ROOT = Path("/tmp/starfish-run")


def make_own(version: str) -> None:
    """Freeze stores of the release at hand."""
    root = STARFISH_ROOT.with_name("starfish-storage-run")
    environment = dict(os.environ, PYTHONPATH=str(HERE.parent))
    command = [sys.executable, "-m", "migrations.own_writer", str(root)]
    subprocess.run([*command, str(ASSETS / f"{version}.json")], env=environment, check=True)
    pack(root, version)
    killed = subprocess.run([*command, "kill"], env=environment, check=False)
    if killed.returncode != -signal.SIGKILL:
        raise SystemExit(f"the writer was to be killed, and ended with {killed.returncode}")
    next(root.glob("data/*/Rec-3-completed.json")).unlink()
    pack(root, f"{version}-not-closed")


def make_postgres(version: str) -> None:
    """Freeze a store in PostgreSQL of the release at hand."""
    sys.path.insert(0, str(HERE.parent))
    from migrations.own_writer import write
    from servers.postgres import PostgresServer
    from starfish_storage import open_storage

    root = STARFISH_ROOT.with_name("starfish-storage-run")
    with PostgresServer() as server:
        storage = open_storage(server.uri(schema="frozen"), root.as_uri())
        asyncio.run(write(storage, str(ASSETS / f"{version}.json")))
        (root / "rows.sql").write_text(server.dump("frozen"), encoding="utf-8")
    pack(root, version)


def make_starfish(python: str) -> None:
    """Freeze a store of Starfish."""
    answers = str(ASSETS / "starfish-0.1.3.json")
    subprocess.run([python, str(HERE / "starfish_writer.py"), str(STARFISH_ROOT), answers], check=True)
    pack(STARFISH_ROOT, "starfish-0.1.3")


def make_damaged(python: str) -> None:
    """Freeze a store that Starfish has left damaged."""
    place = STARFISH_ROOT.with_name("starfish-damaged")
    subprocess.run([python, str(HERE / "starfish_damage.py"), str(place)], check=True)
    pack(place / "db", "starfish-0.1.3-damaged")
    shutil.rmtree(place)  # its settings


def pack(root: Path, name: str) -> None:
    """Move a store into an asset."""
    shutil.make_archive(str(ASSETS / name), "zip", root)
    shutil.rmtree(root)


if __name__ == "__main__":
    if sys.argv[1] == "starfish":
        make_starfish(sys.argv[2])
    elif sys.argv[1] == "starfish-damaged":
        make_damaged(sys.argv[2])
    elif sys.argv[1].startswith("postgres-"):
        make_postgres(sys.argv[1])
    else:
        make_own(sys.argv[1])
