"""Keep the house's sizes: files, classes and functions that grow past them want another room."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

MOST_LINES = {"file": 400, "class": 350, "function": 50}
MOST_BYTES = 3 << 20


def main() -> int:
    """Print every breach and return 1 if there is one."""
    breaches = [*too_large(), *too_long()]
    for breach in breaches:
        print(breach)
    return 1 if breaches else 0


def tracked(pattern: str) -> list[Path]:
    """Return the project's own files."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", pattern],
        capture_output=True,
        text=True,
        check=True,
    )
    return [path for path in map(Path, listed.stdout.splitlines()) if path.is_file()]


def too_large() -> Iterator[str]:
    """Yield files over the byte limit."""
    for path in tracked("*"):
        if path.stat().st_size > MOST_BYTES:
            yield f"{path}: {path.stat().st_size} bytes, the limit is {MOST_BYTES}"


def too_long() -> Iterator[str]:
    """Yield Python files, classes and functions over their limits."""
    for path in tracked("*.py"):
        source = path.read_text("utf-8")
        is_made = source.startswith("# Made by scripts/")
        lines = source.count("\n")
        if lines > MOST_LINES["file"]:
            yield f"{path}: {lines} lines, the limit is {MOST_LINES['file']}"
        for node in ast.walk(ast.parse(source)):
            kind = "class" if isinstance(node, ast.ClassDef) else "function"
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if is_made and kind == "function":
                    continue  # as long as what it is made from, and a little more
                if length > MOST_LINES[kind]:
                    yield f"{path}:{node.lineno}: {kind} {node.name} has {length} lines, limit {MOST_LINES[kind]}"


if __name__ == "__main__":
    sys.exit(main())
