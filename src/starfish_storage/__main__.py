"""The command line as a module: ``python -m starfish_storage``."""

from starfish_storage.cli import main

if __name__ == "__main__":
    main(prog_name="starfish-storage")
