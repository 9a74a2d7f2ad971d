"""``starfish-storage metrics``: the metrics of a store, as Prometheus reads them."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import click

from starfish_storage.cli.exposition import CONTENT_TYPE, Metric, exposition
from starfish_storage.cli.opening import impatient, reading
from starfish_storage.cli.options import NUMBER_OF_ROWS, example, with_json, with_store
from starfish_storage.cli.output import say, show_json
from starfish_storage.cli.place import Place
from starfish_storage.errors import InvalidInputError, StorageError
from starfish_storage.telemetry.logs import get_logger

logger = get_logger(__name__)

_DEFAULT_ADDRESS = "127.0.0.1:9464"
_ENDED_RUNS = 20
_CLIENT_SECONDS = 10.0
_LAST_PORT = 65535


@click.command("metrics", epilog=example("metrics --serve 127.0.0.1:9464"))
@click.option(
    "--serve",
    metavar="HOST:PORT",
    is_flag=False,
    flag_value=_DEFAULT_ADDRESS,
    help=f"Serve them at /metrics until Ctrl-C; --serve alone: at {_DEFAULT_ADDRESS}.",
)
@click.option(
    "--runs",
    type=NUMBER_OF_ROWS,
    metavar="N",
    default=_ENDED_RUNS,
    show_default=True,
    help="How many runs that have ended have series of their own.",
)
@with_json
@with_store
def metrics_command(place: Place, serve: str | None, runs: int, as_json: bool) -> None:
    """Print the metrics of the store in Prometheus' text format, or serve them.

    To read the store is enough. Runs that have not ended, the newest 100, always have series of their own. With
    --serve, the first line of output is the address, and each request reads the store anew. There is no password, so
    only this machine reaches it unless HOST says otherwise.
    """
    if as_json and serve is not None:
        raise click.UsageError("--json prints the metrics once: leave it out, or --serve.")
    scraper = _Scraper(replace(place, read_only=True), runs)  # an older store is not migrated for this
    if serve is None:
        metrics = scraper.scrape()
        if as_json:
            show_json([metric for metric in metrics if metric.samples])
        else:
            click.echo(exposition(metrics), nl=False)
        return
    host, port = _address(serve)
    with _Server(host, port, scraper) as server:
        server.run_until_signalled()


def _address(given: str) -> tuple[str, int]:
    host, colon, port = given.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > _LAST_PORT:
        raise click.UsageError(f"--serve {given!r} is no address: give HOST:PORT, such as {_DEFAULT_ADDRESS}.")
    return host.removeprefix("[").removesuffix("]") or "127.0.0.1", int(port)


class _Scraper:
    """Reads the metrics of a store, for one who asks at a time."""

    def __init__(self, place: Place, ended_runs: int) -> None:
        from starfish_storage.cli.store_metrics import StoreMetrics

        self._place = place
        self._metrics = StoreMetrics(ended_runs)
        self._lock = threading.Lock()

    def scrape(self) -> list[Metric]:
        """Return the metrics. Opens the store each time, so it outlives migrations and servers that go away.

        Raises:
            StorageError: the store cannot be read.
        """
        with self._lock:
            return asyncio.run(self._collected())

    async def _collected(self) -> list[Metric]:
        with impatient():
            async with reading(self._place) as storage:
                return await self._metrics.collect(storage, self._place.shown)


class _Server(ThreadingHTTPServer):
    """Serves ``/metrics``, and ``/healthz``, which does not look at the store."""

    daemon_threads = True

    def __init__(self, host: str, port: int, scraper: _Scraper) -> None:
        super().__init__((host, port), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = _bound(host, port)  # of either family of addresses, and without asking for names
        self.scraper = scraper

    def run_until_signalled(self) -> None:
        """Answer requests until SIGINT or SIGTERM."""
        host, port = self.socket.getsockname()[:2]

        def end(*_: object) -> None:
            # Another thread: `shutdown` waits for the loop that this signal interrupts.
            threading.Thread(target=self.shutdown, daemon=True).start()

        before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            click.echo(f"http://{f'[{host}]' if ':' in host else host}:{port}/metrics")
            say("Stop with Ctrl-C.")
            self.serve_forever()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server((str(address[0]), port), family=family)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InvalidInputError(
            f"metrics cannot be served at {host!r}, port {port}: {reason}. Give another HOST:PORT to --serve."
        ) from error


class _Handler(BaseHTTPRequestHandler):
    server_version = "starfish-storage"
    sys_version = ""
    timeout = _CLIENT_SECONDS

    def do_GET(self) -> None:
        """Answer a GET."""
        path = self.path.partition("?")[0]
        if path == "/healthz":
            self._answer(200, "ok\n")
        elif path == "/metrics":
            self._scrape()
        else:
            self._answer(404, "The metrics are at /metrics.\n")

    do_HEAD = do_GET  # noqa: N815 (as above)

    def log_message(self, format: str, *args: object) -> None:
        """Log a request, where somebody wants to see it."""
        logger.debug(format, *args)

    def _scrape(self) -> None:
        from starfish_storage.redaction import redact_error

        assert isinstance(self.server, _Server)
        try:
            text = exposition(self.server.scraper.scrape())
        except StorageError as error:
            said = redact_error(str(error))
            logger.warning("the metrics could not be read: %s", said)
            self._answer(503, f"{said}\n")
            return
        self._answer(200, text, CONTENT_TYPE)

    def _answer(self, status: int, text: str, kind: str = "text/plain; charset=utf-8") -> None:
        body = text.encode("utf-8", "replace")
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
