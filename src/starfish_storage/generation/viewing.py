"""Shows a run from a program or a notebook: its viewer is a process of its own, which ends with the program.

Not a thread: what a page takes would be taken from the calls of a run, and the storage is often closed by then. Most
programs never view a run, so what only that needs is imported when they do.
"""

from __future__ import annotations

import atexit
import html
import subprocess
import sys
from contextlib import suppress
from typing import Self
from urllib.parse import urlencode

from starfish_storage.errors import StoreOpenError
from starfish_storage.extras import need

_ENDS_WITHIN = 5  # seconds
_ANSWERS_WITHIN = 30  # seconds


class RunViewer:
    """A viewer that shows a run. In a notebook it is shown as the first page of the run's records.

    It ends with the program; `close` ends it before. Use `wait` at the end of a script.

    Attributes:
        address: of the run's page.
    """

    def __init__(self, store: tuple[str, ...], run: str) -> None:
        self._run = run
        self._viewer = _Viewer.of(store)
        self.address = self._of("run", id=run)

    def close(self) -> None:
        """End the viewer, and that of all views of the same store."""
        self._viewer.close()

    def wait(self) -> None:
        """Return when the viewer has ended; Ctrl-C ends it."""
        with suppress(KeyboardInterrupt):
            self._viewer.process.wait()
        self.close()

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the viewer."""
        self.close()

    def __repr__(self) -> str:
        """Return what and where it is."""
        return f"RunViewer({self._run!r}, {self.address})"

    def _repr_html_(self) -> str:
        """Return the first page of the run's records, as notebooks show it."""
        import urllib.request

        new_tab = 'target="_blank" rel="noopener noreferrer"'
        link = f'<a {new_tab} href="{html.escape(self.address)}">Open run {html.escape(self._run)}</a>'
        try:
            with urllib.request.urlopen(self._of("records", run=self._run), timeout=_ANSWERS_WITHIN) as answer:  # noqa: S310 (our own)
                page: str = answer.read().decode()
        except OSError:
            return f"<p>{link}: the viewer does not answer. It ends with the program; view() starts another one.</p>"
        # Whatever was written is escaped in it, so the first table that begins or ends is the page's own.
        begin, end = page.find("<table"), page.find("</table>")
        table = "" if begin < 0 else page[begin:end] + "</table>"
        return f"<p>{link}</p>" + table.replace('href="/', f'{new_tab} href="{self._viewer.address}')

    def _of(self, page: str, **parameters: str) -> str:
        return f"{self._viewer.address}{page}?{urlencode(parameters)}"


class _Viewer:
    """The process that shows a store."""

    running: dict[tuple[str, ...], _Viewer] = {}  # noqa: RUF012 (one for each store of this process)

    def __init__(self, store: tuple[str, ...]) -> None:
        import tempfile

        self._store = store
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the process)
        command = [sys.executable, "-m", "starfish_storage", "view", "--no-open", "--ends-with-stdin", *store]
        self.process = subprocess.Popen(  # noqa: S603 (our own)
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said, start_new_session=True
        )
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().decode().strip()
        if not self.address:
            self._said.seek(0)
            said = self._said.read().decode(errors="replace").strip()
            self.close()
            raise StoreOpenError(store[1], f"its viewer did not start: {said or 'it said nothing'}")

    @classmethod
    def of(cls, store: tuple[str, ...]) -> _Viewer:
        """Return the one that shows a store; start it if there is none."""
        found = cls.running.get(store)
        if found is None or found.process.poll() is not None:
            found = cls.running[store] = cls(store)
        return found

    def close(self) -> None:
        """End it: it ends when nobody holds its standard input any more, so also when this program is killed."""
        self.running.pop(self._store, None)
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()
        try:
            self.process.wait(_ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._said.close()


@atexit.register
def _close_all() -> None:
    for viewer in list(_Viewer.running.values()):
        viewer.close()


def view_run(store: tuple[str, ...], run: str, *, opens: bool) -> RunViewer:
    """Start a viewer and return what shows the run.

    Args:
        store: the options that name the store on a command line.
        run: the run.
        opens: whether to open a browser.

    Raises:
        MissingExtraError: the extra ``viewer`` is not installed.
        StoreOpenError: the viewer could not open the store.
    """
    for module in ("starlette", "uvicorn", "jinja2", "markdown_it"):
        need(module, "viewer", "The pages of a viewer")
    view = RunViewer(store, run)
    if opens:
        import webbrowser

        webbrowser.open(view.address)
    return view
