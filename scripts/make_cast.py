"""Record a terminal in which the demo runs: docs/images/demo.cast (asciinema's format 2), and a picture of its end.

It is a real run, in a pseudo-terminal. Times are as they were, in tenths of a second, but for pauses, which are as long
as people need to read. The directory it ran in is shown as ``~``; nothing else in what it prints is of this machine.
"""

from __future__ import annotations

import argparse
import codecs
import fcntl
import io
import json
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parents[1]
CAST = ROOT / "docs" / "images" / "demo.cast"
COLUMNS, ROWS = 100, 30
COMMANDS = [
    "starfish-storage demo --store store --no-view",
    "starfish-storage runs",
    "starfish-storage records last --limit 5",
    "starfish-storage verify",
]
SHOWN_ENDS = 44  # lines of the picture
LONGEST_PAUSE, READING = 1.0, 2.0  # seconds within a command, and after it
LARGEST = 200_000  # bytes
_CONTROL = re.compile(r"\x1b\[(\??[\d;]*)([A-Za-z])|(\r\n|\r|\n|\x08)|([^\x1b\r\n\x08])")

Event = tuple[float, str]


def main(words: list[str]) -> int:
    """Record, and write both files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cast", nargs="?", type=Path, default=CAST, help="default: docs/images/demo.cast")
    target: Path = parser.parse_args(words).cast
    events = list(paced(recorded()))
    header = {"version": 2, "width": COLUMNS, "height": ROWS, "title": "starfish-storage demo"}
    lines = [json.dumps(header), *(json.dumps([at, "o", text], ensure_ascii=False) for at, text in events)]
    cast = "\n".join(lines) + "\n"
    if len(cast.encode()) > LARGEST:
        raise SystemExit(f"the recording has {len(cast.encode()):,} bytes; {LARGEST:,} are the limit")
    target.write_text(cast, "utf-8")
    target.with_suffix(".svg").write_text(picture("".join(text for _, text in events)), "utf-8")
    print(f"{target}: {len(cast.encode()):,} bytes, {events[-1][0]:.0f} s")
    return 0


def recorded() -> Iterator[Event]:
    """Yield what the terminal shows and when, with the prompts that a shell would show."""
    with tempfile.TemporaryDirectory() as directory:
        for command in COMMANDS:
            yield time.monotonic(), f"\x1b[32m$\x1b[0m {command}\r\n"
            text = ""
            for at, piece in of_command(command, directory):
                text += piece
                whole, text = cut(text, directory)
                yield at, whole.replace(f"file://{directory}", "~").replace(directory, "~")
            yield time.monotonic(), text


def cut(text: str, directory: str) -> tuple[str, str]:
    """Divide what came before what may be the beginning of the directory's name, which one read may have cut."""
    name = f"file://{directory}"
    for length in range(min(len(name), len(text)), 0, -1):
        if text[-length:] in (name[:length], directory[:length]):
            return text[:-length], text[-length:]
    return text, ""


def of_command(command: str, directory: str) -> Iterator[Event]:
    """Yield what a command writes to its terminal."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    scripts = os.path.dirname(sys.executable)
    environment = {"PATH": f"{scripts}:/usr/bin:/bin", "TERM": "xterm-256color", "LANG": "C.UTF-8", "HOME": directory}
    environment["PYTHONWARNINGS"] = "ignore:durability='power' cannot be kept"  # where /tmp is memory
    with subprocess.Popen(command.split(), cwd=directory, env=environment, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        decoder = codecs.getincrementaldecoder("utf-8")()
        while piece := read(ours):
            yield time.monotonic(), decoder.decode(piece)
        if process.wait():
            raise SystemExit(f"{command!r} ended with {process.returncode}")
    os.close(ours)


def read(terminal: int) -> bytes:
    """Return what was written next; nothing at the end."""
    try:
        return os.read(terminal, 65536)
    except OSError:  # what Linux says at the end
        return b""


def paced(events: Iterator[Event]) -> Iterator[Event]:
    """Yield the events from the time 0 on, those of one tenth of a second as one."""
    clock, before, pending = 0.0, None, ""
    for at, text in events:
        gap = 0.0 if before is None else min(at - before, LONGEST_PAUSE)
        before = at
        if text.startswith("\x1b[32m$") and clock:
            gap = READING
        if pending and round(clock + gap, 1) != round(clock, 1):
            yield round(clock, 1), pending
            pending = ""
        clock, pending = clock + gap, pending + text
    yield round(clock, 1), pending


def picture(text: str) -> str:
    """Return the last lines of the recording as an SVG picture, with no font that would be loaded from elsewhere."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    for line in screen(text)[-SHOWN_ENDS:]:
        console.print(Text.from_ansi(line), no_wrap=True, overflow="crop")
    drawn = console.export_svg(title="starfish-storage demo", unique_id="demo")
    return re.sub(r"\s*@font-face \{.*?\}", "", drawn, flags=re.DOTALL).replace("Fira Code, monospace", "monospace")


def screen(text: str) -> list[str]:
    """Return the lines that are left when a terminal has drawn the text, with their colours."""
    lines: list[list[str]] = [[]]
    row, column, colour = 0, 0, ""
    for found in _CONTROL.finditer(text):
        arguments, control, move, shown = found.groups()
        if shown is not None:
            line = lines[row]
            line += [" "] * (column + 1 - len(line))
            line[column] = f"{colour}{shown}\x1b[0m" if colour else shown
            column += 1
        elif move == "\x08":
            column -= 1
        elif move is not None:
            column = 0
            if "\n" in move:
                row += 1
                lines += [[] for _ in range(row + 1 - len(lines))]
        elif control == "m":
            colour = "" if arguments in ("", "0") else colour + found[0]
        elif control == "A":
            row = max(0, row - int(arguments or 1))
        elif control == "K" and arguments == "2":
            lines[row] = []
        elif control == "K":
            del lines[row][column:]
    return ["".join(line).rstrip() for line in lines]


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
