"""The framework: its modules, of a version that is known."""

from __future__ import annotations

import importlib
import importlib.metadata
from dataclasses import dataclass
from typing import Any

from starfish_storage.errors import MissingExtraError, UnsupportedVersionError

DISTRIBUTION = "starfish-core"
VERSIONS = ("0.1.3",)
"""Those whose calls and attributes are known: another one may have moved any of them."""


@dataclass(frozen=True, slots=True)
class Framework:
    """What of the framework is called and replaced; each is a module, as the framework has no types.

    Attributes:
        constants: names of fields and modes, and where its storage lies.
        contract: the contract of its storages, and their registry.
        factory: the factory, which opens a storage.
        local: the package of its local storage.
        local_storage: the module of that storage.
        managing: carries out the inputs of a factory.
        resuming: reads what is done.
        running: calls the user's function.
        executing: carries out what the decorated function is asked for.
    """

    constants: Any
    contract: Any
    factory: Any
    local: Any
    local_storage: Any
    managing: Any
    resuming: Any
    running: Any
    executing: Any


def load_framework() -> Framework:
    """Import the framework.

    Raises:
        MissingExtraError: it is not installed.
        UnsupportedVersionError: it is of a version that is not known.
    """
    try:
        version = importlib.metadata.version(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError as error:
        raise MissingExtraError("Runs of Starfish", DISTRIBUTION, "starfish") from error
    if version not in VERSIONS:
        raise UnsupportedVersionError(DISTRIBUTION, version, VERSIONS)

    def module(name: str) -> Any:
        return importlib.import_module(f"starfish.data_factory.{name}")

    return Framework(
        constants=module("constants"),
        contract=module("storage.base"),
        factory=module("factory_"),
        local=module("storage.local"),
        local_storage=module("storage.local.local_storage"),
        managing=module("job_manager"),
        resuming=module("job_manager_re_run"),
        running=module("task_runner"),
        executing=module("factory_executor_manager"),
    )
