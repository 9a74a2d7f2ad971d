"""What people and programs do to a store beyond writing to it, and who they are."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from starfish_storage.files.processes import host_name, user_name

_OURS = __name__.partition(".")[0]
_IN_KUBERNETES = "KUBERNETES_SERVICE_HOST"
_POD = "POD_NAME"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something, and where. A field is None where that is not known.

    Attributes:
        host: name of the machine.
        user: name of its user.
        pod: name of the pod, in Kubernetes.
        release: version of this library.
    """

    host: str | None = None
    user: str | None = None
    pod: str | None = None
    release: str | None = None

    def __str__(self) -> str:
        """Return it for people.

        >>> str(Actor("box", "ada")), str(Actor("gen-7f", "root", "gen-7f", "0.1.0")), str(Actor())
        ('ada@box', 'root@gen-7f', 'unknown')
        """
        where = self.pod or self.host
        if self.user is None or where is None:
            return self.user or where or "unknown"
        return f"{self.user}@{where}"


NOBODY = Actor()
"""Somebody of whom nothing is known."""


@dataclass(frozen=True, slots=True)
class Action:
    """What somebody did.

    Attributes:
        action_id: unique id.
        time: when, by the clock of the store (UTC).
        action: what was done, such as ``"cancel"``, ``"delete"`` or ``"migrate"``.
        kind: to what: ``"run"``, ``"project"``, ``"record"``, ``"worker"``, ``"limit"`` or ``"store"``.
        target: its id or name; None for the store.
        detail: more, for people; None if there is no more.
        who: who did it.
    """

    action_id: str
    time: datetime
    action: str
    kind: str
    target: str | None
    detail: str | None
    who: Actor


def this_actor() -> Actor:
    """Return who this process is. Never fails for what it cannot find out."""
    return _actor_of(os.getpid())


@cache
def _actor_of(_pid: int) -> Actor:  # a fork may run as another user
    pod = os.environ.get(_POD)
    if pod is None and _IN_KUBERNETES in os.environ:
        pod = host_name()  # so Kubernetes names the host of a pod
    release = str(getattr(sys.modules.get(_OURS), "__version__", "")) or None
    return Actor(_clean(host_name()), _clean(user_name()), _clean(pod), release)


def _clean(text: str | None) -> str | None:
    """Return a name that every store can keep; an environment may hold anything."""
    return None if not text else text.encode("utf-8", "replace").decode()[:256]
