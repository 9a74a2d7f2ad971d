"""What commands say beside what was asked of them: lines on the standard error stream, for people or for programs."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

import click

FORMAT_VARIABLE = "STARFISH_STORAGE_LOG_FORMAT"
FORMATS = ("text", "json")

_logger = logging.getLogger("starfish_storage")
_python_shows = warnings.showwarning
_is_json = False


def is_json() -> bool:
    """Return whether programs read the lines."""
    return _is_json


def use_format(name: str) -> None:
    """Write lines for programs (``"json"``) or for people (``"text"``) from now on, until the command ends."""
    global _is_json  # noqa: PLW0603 (there is one standard error stream)
    _is_json = name == "json"
    # What is shown to people is written by itself; programs read all that is worth a line.
    _logger.setLevel(logging.INFO if _is_json else logging.NOTSET)
    _shown.setLevel(logging.INFO if _is_json else logging.WARNING)


def tell(level: str, event: str, text: str, **more: object) -> None:
    """Write a line.

    Args:
        level: ``"info"``, ``"warning"`` or ``"error"``.
        event: what it is, a word.
        text: what to say, for people; it may have several lines.
        more: fields that only programs get.
    """
    if not _is_json:
        click.echo(text, err=True)
        return
    from starfish_storage.cli.json_form import as_json
    from starfish_storage.codec import readable_text
    from starfish_storage.telemetry.logs import what_about
    from starfish_storage.times import utc_now

    run, worker = what_about()
    time = utc_now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
    line = {"time": time, "level": level, "event": event, "run": run, "worker": worker, "text": text, **more}
    # In ASCII: whatever reads this knows it, and no character of it steers a terminal.
    click.echo(readable_text(as_json(line), None, in_ascii=True), err=True)


@contextmanager
def shown_lines() -> Generator[None]:
    """Show what the library logs and warns of, as long as a command runs."""
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        _logger.addHandler(_shown)
        try:
            yield
        finally:
            _logger.removeHandler(_shown)
            use_format("text")


class _LogLines(logging.Handler):
    """Shows what the library logs as lines, but for what is shown as a Python warning already."""

    def emit(self, record: logging.LogRecord) -> None:
        given, level, text = vars(record), record.levelname.lower(), record.getMessage()
        if given.get("is_warned", False):
            return
        if not _is_json:
            click.echo(f"{level}: {text}", err=True)
            return
        about = {name: given[name] for name in ("run", "worker") if given.get(name) is not None}
        tell(level, given.get("event", "log"), text, **about, **_more(given), logger=record.name)


_shown = _LogLines(logging.WARNING)


def _more(given: Mapping[str, Any]) -> dict[str, Any]:
    return {"progress": given["progress"]} if "progress" in given else {}


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Show a warning of ours as a line; of the user's code, where it comes from matters to people."""
    if _is_json:
        tell("warning", "warning", str(message), category=category.__name__)
    elif category.__module__.partition(".")[0] == "starfish_storage":
        click.echo(f"warning: {message}", err=True)
    else:
        _python_shows(message, category, filename, lineno, file, line)


def _chosen(_context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        use_format(value)


def log_format_option(*, hidden: bool) -> Any:
    """Return the option that chooses the format; commands have it too, hidden, so that it may stand behind them."""
    return click.option(
        "--log-format",
        type=click.Choice(FORMATS),
        envvar=None if hidden else FORMAT_VARIABLE,
        hidden=hidden,
        is_eager=True,
        expose_value=False,
        callback=_chosen,
        help="What goes to stderr: lines for people, or a JSON object a line [default: text].",
    )


def say_error(text: str, **more: object) -> None:
    """Say why a command could not be carried out."""
    tell("error", "error", text if _is_json else f"error: {text}", **more)


def has_stderr_for_people() -> bool:
    """Return whether people look at the standard error stream."""
    return not _is_json and sys.stderr.isatty()
