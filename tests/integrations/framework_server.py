"""Imports Starfish once, which takes seconds, and calls each function in a process forked from what did nothing yet.

Usage: ``python framework_server.py SOCKET``, in the environment that has Starfish. Whatever would speak to another
machine is refused, and named in the file ``dialled.txt`` of the working directory.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import signal
import socket
import sys
import threading
import traceback
import types
from typing import Any

LOCAL = {"127.0.0.1", "::1", "localhost", "", None}


def stay_here(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse each connection to another machine: a hook of `sys.addaudithook`."""
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    if host not in LOCAL:
        with open("dialled.txt", "a", encoding="utf-8") as file:
            file.write(f"{event} {host}\n")
        raise PermissionError(f"a test speaks to {host}")


def serve(listening: socket.socket) -> None:
    """Fork for each connection."""
    gc.freeze()  # what is shared stays so
    gc.enable()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them: who asked sees the connection close
    while True:
        connection, _ = listening.accept()
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            listening.close()
            answer(connection)
            end()
        connection.close()


def end() -> None:
    """End this process as Python does: after its threads, which may be in the way of that, and what asked to be called.

    But without taking apart the thousands of modules of litellm, which takes two seconds.
    """
    threading._shutdown()  # pyright: ignore[reportAttributeAccessIssue]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(0)


def run_program(path: str, words: list[str]) -> dict[str, Any]:
    """Run a program as Python does: what is defined in it is pickled by value, and found by the name of its file."""
    module = types.ModuleType("__main__")
    module.__file__, sys.modules["__main__"] = path, module
    sys.argv, sys.path[0] = [path, *words], os.path.dirname(path)
    with open(path, encoding="utf-8") as file:
        exec(compile(file.read(), path, "exec"), vars(module))
    return vars(module)


def answer(connection: socket.socket) -> None:
    """Call a function of a program and send what it returns. The connection stays open until the process has ended."""
    request = json.loads(connection.makefile("r", encoding="utf-8").readline())
    os.chdir(request["directory"])
    with open("output.txt", "ab", buffering=0) as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    os.environ.update(request["environment"], SAY=str(connection.fileno()))
    os.write(connection.detach(), json.dumps({"pid": os.getpid()}).encode() + b"\n")
    try:
        function, arguments = request["function"], request["arguments"]
        program = run_program(request["program"], [] if function else arguments["words"])
        said = {"result": program[function](**arguments) if function else 0}
    except SystemExit as ended:
        said = {"result": ended.code}
    except BaseException as error:
        said = {"error": traceback.format_exc(), "type": type(error).__name__}
    os.write(int(os.environ["SAY"]), json.dumps(said).encode() + b"\n")


if __name__ == "__main__":
    sys.addaudithook(stay_here)
    gc.disable()  # a quarter of what follows
    importlib.import_module("starfish")
    importlib.import_module("starfish_storage.integrations.starfish")
    with socket.socket(socket.AF_UNIX) as waiting:
        waiting.bind(sys.argv[1])
        waiting.listen(64)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        serve(waiting)
