"""Files of every form are read in flat memory, however they are laid out: 1,000,000 rows within 400 MB."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from durability.processes import WARNINGS

READ = """
import sys
from starfish_storage.generation import read_inputs

for name in sys.argv[1:]:
    rows = sum(1 for row in read_inputs(name, "skip"))
    # Not ru_maxrss: a process that was started by a larger one begins with the peak of that.
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    print(rows, status["VmHWM"].split()[0])
"""
BATCH = 10_000  # rows of Arrow, which are in memory as a whole


def written(directory: Path, rows: int) -> list[str]:
    """Write files of 1 KB a row as they are hardest to read: on one line, or in one piece."""
    texts = [base64.b64encode(os.urandom(750)).decode() for _ in range(BATCH)]
    batch = pa.record_batch({"id": pa.array(range(BATCH)), "text": pa.array(texts)})
    table = pa.Table.from_batches([batch] * (rows // BATCH))
    pq.write_table(table, directory / "a.parquet", row_group_size=rows, use_dictionary=False)
    with pa.OSFile(str(directory / "a.arrow"), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    with open(directory / "columns.json", "w") as file:
        file.write(f'{{"id": {json.dumps(list(range(rows)))}, "text": [')
        file.writelines(f'{"," if n else ""}"{texts[n % BATCH]}"' for n in range(rows))
        file.write("]}")
    with open(directory / "array.json", "w") as file:
        file.writelines(f'{"," if n else "["}{{"id":{n},"text":"{texts[n % BATCH]}"}}' for n in range(rows))
        file.write("]")
    with open(directory / "a.csv", "w", encoding="utf-16") as file:
        file.writelines(["id;text\n", *(f"{n};{texts[n % BATCH]}\n" for n in range(rows))])
    with zipfile.ZipFile(directory / "a.zip", "w") as archive:
        archive.write(directory / "a.arrow", "a.arrow")
    return [str(path) for path in sorted(directory.iterdir())]


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="where there is no /proc, the peak is not known")
@pytest.mark.parametrize(("rows", "limit"), [(100_000, 250), pytest.param(1_000_000, 400, marks=pytest.mark.slow)])
def test_every_form_is_read_in_flat_memory(tmp_path: Path, rows: int, limit: int) -> None:
    files = written(tmp_path, rows)
    environment = {**os.environ, "PYTHONWARNINGS": WARNINGS}
    done = subprocess.run(
        [sys.executable, "-c", READ, *files], check=True, capture_output=True, text=True, env=environment
    )
    found = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
    peaks = {os.path.basename(name): peak // 1000 for name, (_, peak) in zip(files, found, strict=True)}
    assert [count for count, _ in found] == [rows] * len(files)
    assert max(peaks.values()) < limit, peaks
