"""What is shown to others: a run as a folder of pages. Needs the extra ``viewer``."""

from starfish_storage.publishing.bundle import bundle
from starfish_storage.publishing.report import BundleReport

__all__ = ["BundleReport", "bundle"]
