"""What only POSIX has is used in few files, and on another system importing the package says what to do."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import starfish_storage

SOURCE = Path(starfish_storage.__file__).parent
PAGE = (SOURCE.parents[1] / "docs" / "explanation" / "other-systems.md").read_text("utf-8")
ROOMS = {"files", "metadata/sqlite/locks.py"}
MODULES = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "termios", "tty"}
OF_OS = re.compile(
    r"O_(CLOEXEC|DIRECTORY|NOFOLLOW|NONBLOCK|PATH|DSYNC|SYNC)|ST_RDONLY|(f|l)?chown|fchmod|fork(pty)?|(f|fda|s)?sync(fs)?"
    r"|gete?[ug]id|getpgid|getppid|kill(pg)?|link|mkfifo|mknod|posix_\w+|pread|preadv|pwrite|pwritev|register_at_fork"
    r"|sched_\w+|set(sid|pgid|uid|gid)|f?statvfs|symlink|uname|wait(pid|3|4)?"
)
OF_SIGNAL = re.compile(r"SIG(ALRM|CHLD|CONT|HUP|KILL|PIPE|QUIT|STOP|TSTP|USR1|USR2|WINCH)|setitimer|pthread_\w+")
ALLOWED = {"data/mounts.py: /proc"}  # Linux's list of mounts: elsewhere it is not there, and nothing is said of them
ALLOWED_ROOM = "testing/"  # breaks stores on purpose


def uses(source: str) -> Iterator[str]:
    """Yield what a module uses that only POSIX has."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            named = [node.module or ""] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names]
            yield from MODULES.intersection(named)
            if named == ["os"] and isinstance(node, ast.ImportFrom):
                yield from (one.name for one in node.names if OF_OS.fullmatch(one.name))
        elif isinstance(node, ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else ""
            if (owner == "os" and OF_OS.fullmatch(node.attr)) or (owner == "signal" and OF_SIGNAL.fullmatch(node.attr)):
                yield f"{owner}.{node.attr}"
            elif node.attr in ("add_signal_handler", "remove_signal_handler"):
                yield node.attr
        elif isinstance(node, ast.keyword) and node.arg in ("dir_fd", "src_dir_fd", "dst_dir_fd", "preexec_fn"):
            yield node.arg
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and re.match(r"/(proc|sys)/", node.value):
            yield "/proc"


def test_what_only_posix_has_stands_in_few_files():
    found = {
        f"{name}: {use}"
        for path in SOURCE.rglob("*.py")
        if not (name := path.relative_to(SOURCE).as_posix()).startswith(ALLOWED_ROOM)
        for use in uses(path.read_text("utf-8"))
    }
    outside = {one for one in found if not any(one.startswith((f"{room}:", f"{room}/")) for room in ROOMS)}
    assert outside == ALLOWED
    inside = {one.partition(":")[0] for one in found - outside}
    assert inside == set(re.findall(r"^\| `([\w/]+\.py)` \|", PAGE, re.MULTILINE)), "the page says what a port needs"


@pytest.mark.parametrize(
    "source",
    [
        "import fcntl",
        "from resource import getrlimit",
        "from os import pread",
        "import os\nos.open('a', os.O_RDONLY | os.O_DIRECTORY)",
        "import os\nos.link('a', 'b')",
        "import os\nos.fsync(3)",
        "import signal\nsignal.SIGKILL",
        "import os\nos.stat('a', dir_fd=3)",
        "loop.add_signal_handler(15, print)",
        "open('/proc/self/stat')",
        "open(f'/proc/{1}/stat')",
    ],
)
def test_every_way_to_use_it_is_found(source: str):
    assert list(uses(source))


@pytest.mark.parametrize("system", ["os.name = 'nt'; sys.platform = 'win32'", "sys.platform = 'emscripten'"])
def test_importing_it_on_another_system_says_what_to_do(system: str):
    code = (
        "import importlib.util, os, sys\n"
        f"{system}\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name in ('fcntl', 'resource', 'pwd'):\n"
        "            raise ModuleNotFoundError(name)\n"
        "for name in ('fcntl', 'resource', 'pwd'):\n"
        "    sys.modules.pop(name, None)\n"
        "found = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'fcntl' else found(name, *rest)\n"
        "sys.meta_path.insert(0, Missing())\n"
        "try:\n    import starfish_storage\n"
        "except Exception as error:\n    print(type(error).__name__, isinstance(error, sys.modules["
        "'starfish_storage.errors'].StorageError), error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("UnsupportedSystemError True starfish-storage does not run on ")
    assert "WSL" in done.stdout
