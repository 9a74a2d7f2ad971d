"""Taking files, and the stores of other tools, into a store."""

from starfish_storage.imports.batches import import_batch
from starfish_storage.imports.checking import CheckReport, PlacedFault, check_file
from starfish_storage.imports.curator_runs import import_curator
from starfish_storage.imports.datasets import import_dataset
from starfish_storage.imports.distilabel import import_distilabel
from starfish_storage.imports.files import import_file
from starfish_storage.imports.recognising import import_path
from starfish_storage.imports.report import ImportProgress, ImportReport
from starfish_storage.imports.starfish import import_starfish

__all__ = [
    "CheckReport",
    "ImportProgress",
    "ImportReport",
    "PlacedFault",
    "check_file",
    "import_batch",
    "import_curator",
    "import_dataset",
    "import_distilabel",
    "import_file",
    "import_path",
    "import_starfish",
]
