"""What the parameters of a PostgreSQL URI mean: libpq's, of which the driver knows a part."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

_DRIVERS = frozenset(
    {
        *("host", "port", "user", "database", "dbname", "passfile", "service", "servicefile"),
        *("sslmode", "sslcert", "sslkey", "sslrootcert", "sslcrl", "sslnegotiation"),
        *("ssl_min_protocol_version", "ssl_max_protocol_version"),
        *("target_session_attrs", "krbsrvname", "gsslib"),
    }
)
"""What the driver reads itself."""

_IGNORED = {
    "application_name": "",
    "fallback_application_name": "",
    "client_encoding": "utf8 utf-8 unicode auto",
    "channel_binding": "prefer disable",
    "gssencmode": "prefer disable",
    "load_balance_hosts": "disable",
    "sslcompression": "0",
    "sslsni": "1",
}
"""What may stand there and changes nothing, with the values that it may have; "" are all. (Connections have names of
their own, by which workers know theirs.)"""

_REMEDIES = {
    "channel_binding": "the driver cannot bind channels; write sslmode=verify-full and channel_binding=prefer",
    "gssencmode": "the driver does not encrypt by GSSAPI; use TLS, by sslmode",
    "client_encoding": "text is UTF-8 here; leave it out",
    "load_balance_hosts": "hosts are tried in their order; leave it out",
}
_NOT_TAKEN = frozenset(
    {
        *("hostaddr", "require_auth", "requirepeer", "requiressl", "replication", "sslcrldir", "sslkeylogfile"),
        *("sslcertmode", "gssdelegation", "scram_client_key", "scram_server_key"),
        *("min_protocol_version", "max_protocol_version", "oauth_issuer", "oauth_client_id", "oauth_scope"),
    }
)
"""What libpq knows, and we cannot do."""

_NUMBERS = (
    "connect_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
)
_SOCKET_OPTIONS = {
    "keepalives_idle": "TCP_KEEPIDLE",
    "keepalives_interval": "TCP_KEEPINTVL",
    "keepalives_count": "TCP_KEEPCNT",
    "tcp_user_timeout": "TCP_USER_TIMEOUT",
}
_OF_SYSTEM = "system"


class ConnectionParameters(NamedTuple):
    """What the parameters of a URI ask for.

    Attributes:
        query: what the driver reads, as it stands in a URI.
        settings: of the session, which the server knows; by name.
        numbers: `connect_timeout`, `keepalives` and their like; 0 and what is missing leave the usual.
        trusts_system: the server's certificate must be one that the system's authorities vouch for, and of its name.
    """

    query: str = ""
    settings: Mapping[str, str] = {}
    numbers: Mapping[str, int] = {}
    trusts_system: bool = False

    def seconds_to_connect(self, usual: float) -> float:
        """Return the longest that one try to connect takes, in seconds."""
        given = self.numbers.get("connect_timeout") or _number_of(os.environ.get("PGCONNECT_TIMEOUT", ""))
        return float(given) if given else usual

    def driver_arguments(self) -> dict[str, Any]:
        """Return what the driver is given beside the URI."""
        return {"ssl": ssl.create_default_context()} if self.trusts_system else {}

    def set_up(self, transport: Any) -> None:
        """Set how soon this end notices that the other one is gone."""
        connected: socket.socket | None = transport.get_extra_info("socket")
        if connected is None or connected.family not in (socket.AF_INET, socket.AF_INET6):
            return
        if "keepalives" in self.numbers:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, int(bool(self.numbers["keepalives"])))
        elif not self.numbers.keys().isdisjoint(_SOCKET_OPTIONS):
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, option in _SOCKET_OPTIONS.items():
            if self.numbers.get(name) and hasattr(socket, option):
                connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), self.numbers[name])


def parameters_of(given: Sequence[tuple[str, str]], refuse: Callable[[str], Exception]) -> ConnectionParameters:
    """Read the parameters of a URI, but for the schema.

    Args:
        given: names and values, in their order.
        refuse: returns the error for a reason.

    Raises:
        InvalidUriError: one of them is not taken, or has a value that is not; it is named.
    """
    values = dict(given)
    numbers: dict[str, int] = {}
    for name, value in values.items():
        if name in _NOT_TAKEN:
            raise refuse(f"it has the parameter {name!r}, which is not supported here; leave it out")
        if name in _NUMBERS:
            number = _number_of(value)
            if number is None:
                raise refuse(f"its parameter {name!r} must be a whole number")
            numbers[name] = number
        allowed = _IGNORED.get(name)
        if allowed and value.lower() not in allowed.split():
            remedy = _REMEDIES.get(name, f"write {' or '.join(allowed.split())}, or leave it out")
            raise refuse(f"its parameter {name!r} cannot be {value!a}: {remedy}")
    trusts_system = (values.get("sslrootcert") or os.environ.get("PGSSLROOTCERT")) == _OF_SYSTEM
    mode = values.get("sslmode") or os.environ.get("PGSSLMODE") or "verify-full"
    if trusts_system and mode != "verify-full":
        raise refuse(f"sslrootcert=system needs sslmode=verify-full, not {mode!a}")
    left_out = {"sslmode", "sslrootcert"} if trusts_system else set[str]()
    query = [(name, value) for name, value in values.items() if name in _DRIVERS and name not in left_out]
    known = _DRIVERS.union(_IGNORED, _NUMBERS)
    settings = {name: value for name, value in values.items() if name not in known}
    return ConnectionParameters(urlencode(query, quote_via=quote), settings, numbers, trusts_system)


def _number_of(text: str) -> int | None:
    try:
        return max(0, int(text))
    except ValueError:
        return None
