"""Moving projects and master jobs whole: from one store into another of any kind, or into one file and out of it."""

from starfish_storage.copying.archive import ArchiveReport, archive
from starfish_storage.copying.archive_file import Manifest
from starfish_storage.copying.engine import Progress, copy
from starfish_storage.copying.report import CopyReport, Lost
from starfish_storage.copying.unarchive import extract, open_archive, unarchive

__all__ = [
    "ArchiveReport",
    "CopyReport",
    "Lost",
    "Manifest",
    "Progress",
    "archive",
    "copy",
    "extract",
    "open_archive",
    "unarchive",
]
