"""Processes and their users, as POSIX has them; some of it Linux alone."""

from __future__ import annotations

import os
import pwd
import signal
from collections.abc import Callable

user_id = os.geteuid


def user_name() -> str:
    """Return the name of the user of this process: not what the environment says, which anybody may set."""
    try:
        return pwd.getpwuid(user_id()).pw_name
    except KeyError:
        return f"uid {user_id()}"  # in a container, say


def host_name() -> str:
    """Return what this machine calls itself."""
    return os.uname().nodename


def in_forked_children(call: Callable[[], None]) -> None:
    """Have a function called first thing in each child that is forked from now on."""
    os.register_at_fork(after_in_child=call)


def boot_and_namespace(pid: int) -> str | None:
    """Return the identity of this boot, and of the namespace of this process's ids; None where it is not certain."""
    try:
        if os.readlink("/proc/self") == str(pid):  # else /proc shows another namespace, whose ids are not ours
            with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
                return f"{file.read().strip()}/{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        pass
    return None


def start_of(pid: int) -> str | None:
    """Return when a process began, in ticks since the boot (process ids are reused); None if unknown."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return "" if fields[0] in ("Z", "X") else fields[19]  # a zombie does nothing any more


def exists(pid: int) -> bool:
    """Return whether there is a process of this id, whosever it is."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # it is another user's
    return True


def terminate_this() -> None:
    """Ask this process to end, from any thread of it."""
    os.kill(os.getpid(), signal.SIGTERM)
