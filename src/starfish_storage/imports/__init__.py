"""Taking files, and the stores of other tools, into a store."""

from starfish_storage.imports.batches import import_batch
from starfish_storage.imports.checking import CheckReport, PlacedFault, check_file
from starfish_storage.imports.curator_runs import import_curator
from starfish_storage.imports.data_designer import import_data_designer
from starfish_storage.imports.datasets import import_dataset
from starfish_storage.imports.distilabel import import_distilabel
from starfish_storage.imports.files import import_file
from starfish_storage.imports.inspect_runs import import_inspect
from starfish_storage.imports.llm_runs import import_llm
from starfish_storage.imports.lm_eval import import_lm_eval
from starfish_storage.imports.recognising import import_path
from starfish_storage.imports.report import ImportProgress, ImportReport
from starfish_storage.imports.sdg_hub import import_sdg_hub
from starfish_storage.imports.starfish import import_starfish

__all__ = [
    "CheckReport",
    "ImportProgress",
    "ImportReport",
    "PlacedFault",
    "check_file",
    "import_batch",
    "import_curator",
    "import_data_designer",
    "import_dataset",
    "import_distilabel",
    "import_file",
    "import_inspect",
    "import_llm",
    "import_lm_eval",
    "import_path",
    "import_sdg_hub",
    "import_starfish",
]
