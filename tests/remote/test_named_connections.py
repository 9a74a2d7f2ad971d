"""What PostgreSQL shows of its sessions says which worker is whose."""

from __future__ import annotations

from pathlib import Path

from remote.stores import sessions
from servers.postgres import PostgresServer
from starfish_storage import open_storage
from starfish_storage.runs import Worker
from starfish_storage.testing.samples import MASTER_JOB
from starfish_storage.testing.suites.run_samples import start
from starfish_storage.times import utc_now

NAMES = "SELECT application_name FROM pg_stat_activity WHERE application_name LIKE 'starfish %'"


async def test_a_connection_has_the_name_of_its_worker(
    postgres_server: PostgresServer, postgres_uri: str, memory_path: Path
) -> None:
    """Also when it was lost and made again: the session that was lost is known by the end of its name."""
    worker_id = "0123456789abcdef" * 2
    async with open_storage(postgres_uri, memory_path.as_uri(), layout="files") as storage:
        ledger, now = await start(storage, 1), utc_now()
        worker = Worker(worker_id, MASTER_JOB, "a process", now, now)
        await ledger.save_worker(worker, 60)
        [[name]] = postgres_server.execute(NAMES)
        assert name.startswith(f"starfish {worker_id} ")
        await ledger.save_worker(Worker("ä" * 32, MASTER_JOB, "a process", now, now), 60)
        await ledger.save_worker(worker, 60)
        assert postgres_server.execute(NAMES) == [[name]]
        postgres_server.execute(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '{name}'"
        )
        await ledger.request_stop(MASTER_JOB, None)  # through it, unlike a lease that is renewed
        assert postgres_server.execute(NAMES) == [[name]]
    assert sessions(postgres_server) == 0
