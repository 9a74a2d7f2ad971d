"""The command line as a process: ``starfish-storage``, and ``python -m starfish_storage``."""

from __future__ import annotations

import gc
import sys


def run() -> None:
    """Run the command that was called, and exit with its status.

    A third of the time of a short command is the collector's: while modules are imported it looks again and again for
    cycles in what stays, and does so a last time when the process ends. So it begins when the command has been
    imported, see `CommandGroup.get_command`, and ends before: but for a command that has called the user's functions,
    whose objects may count on it.
    """
    gc.disable()
    from starfish_storage.cli import main

    try:
        main(prog_name="starfish-storage")
    finally:
        if "starfish_storage.generation" not in sys.modules:
            gc.freeze()


if __name__ == "__main__":
    run()
