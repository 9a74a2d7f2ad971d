"""Get the tests of Starfish 0.1.3 for its storage and its factory, which the integration has to pass.

They are in no package that an index has, and none of Starfish's code is in this tree. They come from its repository at
GitHub, or, where that cannot be reached, from the checkout that the variable STARFISH_TESTS names.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import sys
import tarfile
import tempfile
import urllib.request
from pathlib import Path

COMMIT = "aeed17cf906e29ddc923ef369922a1e50ed890c2"
"""What the tag v0.1.3 names."""
DIGEST = "a1ed8352391b515ac7e623557a5eca842c1519f1893b79cd00ef2bb27630402f"
"""SHA-256 of the wanted files: of the name and the SHA-256 of each."""
_URL = f"https://codeload.github.com/starfishdata/starfish/tar.gz/{COMMIT}"


def main(target: str) -> int:
    """Write ``tests/data_factory`` of the repository, and what it needs, below ``target``."""
    with tempfile.TemporaryDirectory() as directory:
        checkout = os.environ.get("STARFISH_TESTS")
        try:
            source = Path(checkout) if checkout else _download(Path(directory))
        except (OSError, tarfile.TarError) as error:
            print(f"{_URL} cannot be read ({error}): name a checkout in STARFISH_TESTS.", file=sys.stderr)
            return 1
        wanted = sorted(_wanted(source))
        digest = hashlib.sha256()
        for path in wanted:
            digest.update(f"{path} {hashlib.sha256((source / path).read_bytes()).hexdigest()}\n".encode())
        if digest.hexdigest() != DIGEST:
            print(f"the tests in {checkout or _URL} are not those that this project knows.", file=sys.stderr)
            return 1
        shutil.rmtree(target, ignore_errors=True)
        for path in wanted:
            (Path(target) / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / path, Path(target) / path)
    return 0


def _download(directory: Path) -> Path:
    with urllib.request.urlopen(_URL, timeout=20) as answer, tarfile.open(fileobj=io.BytesIO(answer.read())) as archive:
        archive.extractall(directory, filter="data")
    return next(directory.iterdir())


def _wanted(source: Path) -> list[str]:
    packages = [source / "tests" / "__init__.py", source / "tests" / "conftest.py"]
    files = [*packages, *(source / "tests" / "data_factory").rglob("*.py")]
    return [path.relative_to(source).as_posix() for path in files]


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
