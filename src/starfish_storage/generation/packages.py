"""Versions of the packages that a program's modules import, by what is installed."""

from __future__ import annotations

import importlib.metadata
import re
import sys
import types
from collections.abc import Iterable, Iterator
from functools import lru_cache

_OURS = __name__.partition(".")[0]
_INSTALLED = re.compile(r"[\\/](site|dist)-packages[\\/]")
_MOST_VERSIONS = 200


def versions_of(modules: Iterable[str], imported: Iterable[str]) -> dict[str, str]:
    """Return the versions of the packages that modules have imported, by the names they are installed under.

    Args:
        modules: the modules, by their names in ``sys.modules``.
        imported: names of other modules, which may not be imported yet.
    """
    names = dict.fromkeys(imported)
    for module in modules:
        names.update(dict.fromkeys(_imported_by(sys.modules.get(module))))
    found: dict[str, str] = {}
    for name in names:
        version = None if name.partition(".")[0] in sys.stdlib_module_names else _version(name)
        if version is not None:
            found[version[0]] = version[1]
    found.pop(_OURS.replace("_", "-"), None)
    return dict(sorted(found.items())[:_MOST_VERSIONS])


def _imported_by(module: types.ModuleType | None) -> Iterator[str]:
    """Yield the names of the modules that the values in a module come from."""
    for value in list(vars(module).values()) if module is not None else ():
        if isinstance(value, types.ModuleType):
            yield value.__name__
        else:
            named = value if isinstance(value, type) else type(value)
            own = value if isinstance(value, types.FunctionType) else named
            yield str(own.__module__)


@lru_cache(maxsize=4096)
def _version(module: str) -> tuple[str, str] | None:
    """Return the name and the version of the package of a module.

    `importlib.metadata.packages_distributions` knows all of them, and reads every file list there is: 0.1 s and more.
    Nearly all packages are named as their module is, with hyphens; the others say their version themselves.
    """
    parts = module.split(".")
    for length in range(1, len(parts) + 1):
        name = ".".join(parts[:length])
        if not name.isascii() or name.startswith("_"):
            return None
        try:
            found = importlib.metadata.distribution(name)
            return found.metadata["Name"], found.version
        except Exception:  # noqa: BLE001, S110 (whatever a broken installation raises; the next may do)
            pass
    for length in range(1, len(parts) + 1):
        known = sys.modules.get(".".join(parts[:length]))
        version = getattr(known, "__version__", None)
        if isinstance(version, str) and _INSTALLED.search(getattr(known, "__file__", None) or ""):
            return ".".join(parts[:length]), version
    return None
