"""Moving projects and master jobs whole: from one store into another of any kind, or into one file and out of it."""

from starfish_storage.copying.engine import Progress, copy
from starfish_storage.copying.report import CopyReport, Lost

__all__ = ["CopyReport", "Lost", "Progress", "copy"]
