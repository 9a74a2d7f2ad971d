"""Taking files, and the stores of other tools, into a store."""

from starfish_storage.imports.files import import_file
from starfish_storage.imports.recognising import import_path
from starfish_storage.imports.report import ImportProgress, ImportReport

__all__ = ["ImportProgress", "ImportReport", "import_file", "import_path"]
