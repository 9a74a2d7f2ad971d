"""A bucket that takes its time: as much of S3 as a store asks for, in memory, where a put takes a given time.

An S3 server on the same disk answers in less than a millisecond, and takes the processor from those that it is measured
with. One in a network takes some 30 ms for a put, however small, and takes as many at once as one likes.
"""

from __future__ import annotations

import asyncio
import email.utils
import hashlib
import re
import threading
from collections.abc import Mapping
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from benchmarks.turns import serve

_RANGE = re.compile(r"bytes=(\d+)-(\d+)?")
_XML = {"content-type": "application/xml"}
_DELETED_KEY = re.compile(r"<Key>(.*?)</Key>")


class _Bucket:
    """Objects by their paths, which begin with the name of the bucket."""

    def __init__(self, seconds: float) -> None:
        self.puts = 0
        self._seconds = seconds
        self._objects: dict[str, tuple[bytes, str]] = {}

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of a connection."""
        try:
            while True:
                line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").splitlines()
                method, target, _ = line.split(" ")
                headers = {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in lines)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                status, extra, content = await self._answer(method, target, headers, body)
                told = {"content-length": str(len(content)), **extra}
                lines = [f"{name}: {value}\r\n" for name, value in told.items()]
                writer.write(f"HTTP/1.1 {status} -\r\n{''.join(lines)}\r\n".encode() + content)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def _answer(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        parts = urlsplit(target)
        path, query = unquote(parts.path), parse_qs(parts.query, keep_blank_values=True)
        if "list-type" in query:
            return 200, _XML, self._listed(path, query.get("prefix", [""])[0])
        if "delete" in query:
            return 200, _XML, self._deleted(path, body)
        if method != "PUT":
            return self._read(method, path, headers.get("range", ""))
        self.puts += 1
        await asyncio.sleep(self._seconds)
        tag = hashlib.md5(body, usedforsecurity=False).hexdigest()
        self._objects[path] = (body, tag)
        return 200, {"etag": f'"{tag}"'}, b""

    def _read(self, method: str, path: str, wanted: str) -> tuple[int, dict[str, str], bytes]:
        found = self._objects.get(path)
        if found is None:
            return 404, _XML, b"<Error><Code>NoSuchKey</Code></Error>"
        content, tag = found
        told = {"etag": f'"{tag}"', "last-modified": email.utils.formatdate(usegmt=True)}
        if method == "HEAD":
            return 200, {**told, "content-length": str(len(content))}, b""
        asked = _RANGE.match(wanted)
        if asked is None:
            return 200, told, content
        start, end = int(asked[1]), min(int(asked[2] or len(content)), len(content) - 1)
        return 206, {**told, "content-range": f"bytes {start}-{end}/{len(content)}"}, content[start : end + 1]

    def _deleted(self, path: str, body: bytes) -> bytes:
        keys = _DELETED_KEY.findall(body.decode())
        for key in keys:
            self._objects.pop(f"{path.rstrip('/')}/{key}", None)
        done = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in keys)
        return f"<DeleteResult>{done}</DeleteResult>".encode()

    def _listed(self, path: str, prefix: str) -> bytes:
        begin = f"{path.rstrip('/')}/"
        entries = "".join(
            f"<Contents><Key>{escape(name[len(begin) :])}</Key><LastModified>2026-01-31T12:00:00.000Z</LastModified>"
            f"<ETag>&quot;{tag}&quot;</ETag><Size>{len(content)}</Size></Contents>"
            for name, (content, tag) in sorted(self._objects.items())
            if name.startswith(begin + prefix)
        )
        return f"<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>".encode()


_open: dict[str, _Bucket] = {}


def start(seconds: float) -> dict[str, str]:
    """Begin to serve, each put taking so long; return the environment of a client."""
    bucket = _open["bucket"] = _Bucket(seconds)
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    serving = asyncio.run_coroutine_threadsafe(asyncio.start_server(bucket.handle, "127.0.0.1", 0), loop)
    port = serving.result(10).sockets[0].getsockname()[1]
    return {
        "AWS_ENDPOINT": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "benchmark",
        "AWS_SECRET_ACCESS_KEY": "benchmark",
        "AWS_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
    }


def puts() -> int:
    """Return how many puts there were."""
    return _open["bucket"].puts


if __name__ == "__main__":
    serve({"start": start, "puts": puts})
