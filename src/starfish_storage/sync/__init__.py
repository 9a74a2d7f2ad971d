# Made by scripts/make_sync.py from all that has a synchronous face: change that, and run the script.
"""The synchronous face: the same storage, for code without an event loop.

::

    from starfish_storage import sync

    run = sync.generate(function, inputs, store="store", project="facts")
    with sync.open_storage("store") as store:
        for record in store.iter_records(run.master_job_id):
            print(store.get_record_data(record.output_ref))

It has every method of `Storage`, of its ledger and its annotations, and every asynchronous function of this package, by
the same name, with the same arguments, errors and promises. What is different:

- A function that takes a storage takes it here as the keyword ``store``, and a path or URI will do: then the store is
  opened for this call. `copy` and `unarchive` name theirs as before.
- What is iterated with ``async for`` is a generator here, and what is entered with ``async with`` is entered with
  ``with``.

It works in scripts and threads, in a notebook (whose event loop waits meanwhile), and in what other programs call. The
calls run in one thread with an event loop, the portal, which all threads share: functions that are async run there, and
plain ones in threads, as always. Such an async function, and a callback like ``progress``, must not call the
synchronous face: it would wait for itself, and is told so by a `StorageStateError`.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starfish_storage.sync.annotations import AnnotationStore
    from starfish_storage.sync.copying import archive, copy, extract, open_archive, unarchive
    from starfish_storage.sync.exporting import export, to_arrow, to_pandas, to_polars
    from starfish_storage.sync.filtering import filter_records, fitting, reviews_of
    from starfish_storage.sync.generating import (
        cancel,
        drain,
        end_drain,
        explain_calls,
        generate,
        resume,
        retry,
        set_priority,
        stop_worker,
    )
    from starfish_storage.sync.importing import import_batch, import_dataset, import_file, import_path
    from starfish_storage.sync.importing_tools import (
        import_curator,
        import_data_designer,
        import_distilabel,
        import_inspect,
        import_llm,
        import_lm_eval,
        import_sdg_hub,
        import_starfish,
    )
    from starfish_storage.sync.ledger import RunLedger
    from starfish_storage.sync.opening import open_storage
    from starfish_storage.sync.publishing import bundle
    from starfish_storage.sync.storage import Storage
    from starfish_storage.sync.stores import Store
    from starfish_storage.sync.transfer import RowTransfer, StoreTransfer

__all__ = [
    "AnnotationStore",
    "RowTransfer",
    "RunLedger",
    "Storage",
    "Store",
    "StoreTransfer",
    "archive",
    "bundle",
    "cancel",
    "copy",
    "drain",
    "end_drain",
    "explain_calls",
    "export",
    "extract",
    "filter_records",
    "fitting",
    "generate",
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
    "open_archive",
    "open_storage",
    "resume",
    "retry",
    "reviews_of",
    "set_priority",
    "stop_worker",
    "to_arrow",
    "to_pandas",
    "to_polars",
    "unarchive",
]
_HOMES = {
    "annotations": ["AnnotationStore"],
    "copying": ["archive", "copy", "extract", "open_archive", "unarchive"],
    "exporting": ["export", "to_arrow", "to_pandas", "to_polars"],
    "filtering": ["filter_records", "fitting", "reviews_of"],
    "generating": [
        "cancel",
        "drain",
        "end_drain",
        "explain_calls",
        "generate",
        "resume",
        "retry",
        "set_priority",
        "stop_worker",
    ],
    "importing": ["import_batch", "import_dataset", "import_file", "import_path"],
    "importing_tools": [
        "import_curator",
        "import_data_designer",
        "import_distilabel",
        "import_inspect",
        "import_llm",
        "import_lm_eval",
        "import_sdg_hub",
        "import_starfish",
    ],
    "ledger": ["RunLedger"],
    "opening": ["open_storage"],
    "publishing": ["bundle"],
    "storage": ["Storage"],
    "stores": ["Store"],
    "transfer": ["RowTransfer", "StoreTransfer"],
}

_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def _found(name: str) -> Any:
    """Import what is asked for from its home."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = found  # the next time nobody asks
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if not TYPE_CHECKING:  # to a type checker, every name would be there
    __getattr__ = _found
