"""A small store of every kind of row, and ways to damage it."""

from __future__ import annotations

from pathlib import Path

import apsw

from starfish_storage import GenerationJob, GenerationMasterJob, LocalStorage, Project, Record, Storage
from starfish_storage.interface import Layout
from starfish_storage.times import utc_now

RECORDS = 40


def data_of(number: int) -> dict[str, object]:
    return {"number": number, "text": f"record {number} " * 20}


async def make(root: Path, records: int = RECORDS, layout: Layout | None = None) -> None:
    """Fill a store in a directory; see `fill`."""
    await fill(LocalStorage(f"file://{root}", layout=layout), records)


async def fill(opened: Storage, records: int = RECORDS) -> None:
    """Fill a store: two master jobs, four execution jobs, and records of several statuses."""
    async with opened as storage:
        await storage.save_project(Project(project_id="p", name="P"))
        for master in ("m1", "M2"):
            reference = storage.generate_request_config_path(master)
            await storage.save_request_config(reference, {"model": master})
            await storage.log_master_job_start(
                GenerationMasterJob(
                    master_job_id=master,
                    project_id="p",
                    request_config_ref=reference,
                    output_schema={"type": "object"},
                    storage_uri=storage.storage_uri,
                    target_record_count=records,
                )
            )
            for job in ("a", "b"):
                await storage.log_execution_job_start(
                    GenerationJob(job_id=f"{master}-{job}", master_job_id=master, run_config={"job": job})
                )
        for number in range(records):
            master, job = ("m1", "M2")[number % 2], "ab"[number // 2 % 2]
            status = ("completed", "completed", "filtered", "duplicate")[number // 4 % 4]
            record = Record(record_uid=f"r{number:04}", job_id=f"{master}-{job}", master_job_id=master, status=status)
            await storage.save_record(record, data_of(number))
        for master in ("m1", "M2"):
            for job in ("a", "b"):
                found = await storage.list_record_metadata(master, f"{master}-{job}")
                counts = {
                    kind: sum(one.status == kind for one in found) for kind in ("completed", "filtered", "duplicate")
                }
                await storage.log_execution_job_end(f"{master}-{job}", "completed", counts, utc_now(), utc_now())
        await storage.log_master_job_end("m1", "completed", {"completed": 1, "note": "kept"}, utc_now(), utc_now())


def file_of(root: Path, number: int) -> Path:
    (path,) = root.glob(f"data/*/r{number:04}.json")
    return path


def flip_bit(path: Path, position: int = 20) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def move_data(root: Path, elsewhere: Path) -> None:
    """Move everything but the database to another directory."""
    elsewhere.mkdir()
    for name in ("data", "configs", "staging", "rows.jsonl"):
        (root / name).rename(elsewhere / name)


def journal(root: Path, key: str, payload: bytes | None) -> None:
    """Leave an entry in the journal, as a writer that was killed after its commit."""
    connection = apsw.Connection(str(root / "metadata.db"))
    connection.execute("INSERT INTO data_journal (key, payload) VALUES (?, ?)", (key, payload))
    connection.close()


def page_of(root: Path, name: str) -> int:
    """Return the number, from 0, of the first page of a table or index."""
    connection = apsw.Connection(str(root / "metadata.db"))
    (page,) = next(connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (name,)))
    connection.close()
    return page - 1


def second_leaf(root: Path, table: str) -> tuple[int, int, int]:
    """Return the number, from 0, of the second page with rows of a table, and the first and last row on it."""
    content = (root / "metadata.db").read_bytes()
    start = page_of(root, table) * 4096
    cells = [int.from_bytes(content[start + 12 + 2 * cell : start + 14 + 2 * cell]) for cell in range(2)]
    pages = [int.from_bytes(content[start + cell : start + cell + 4]) for cell in cells]
    numbers = [content[start + cell + 4 : start + cell + 6] for cell in cells]
    before, last = ((n[0] & 127) << 7 | n[1] if n[0] > 127 else n[0] for n in numbers)  # up to two bytes of 7 bits
    return pages[1] - 1, before + 1, last


def empty_index(root: Path, name: str) -> None:
    """Damage an index so that SQLite finds no row through it, and raises nothing."""
    content = bytearray((root / "metadata.db").read_bytes())
    start = page_of(root, name) * 4096
    content[start + 3 : start + 5] = b"\0\0"  # how many entries the page has
    (root / "metadata.db").write_bytes(content)


async def everything(root: Path) -> dict[str, object]:
    """Return all that can be read of a store."""
    async with LocalStorage(f"file://{root}") as storage:
        found: dict[str, object] = {"projects": await storage.list_projects()}
        for job in await storage.list_master_jobs():
            found[job.master_job_id] = job
            found[f"config of {job.master_job_id}"] = await storage.get_request_config(job.request_config_ref)
            found[f"counts of {job.master_job_id}"] = await storage.count_records_for_master_job(job.master_job_id)
            found[f"jobs of {job.master_job_id}"] = await storage.list_execution_jobs(job.master_job_id)
            async for record in storage.iter_records(job.master_job_id):
                assert record.output_ref is not None
                found[record.record_uid] = (record, await storage.get_record_data(record.output_ref))
        return found
