"""What the tests of stores on servers share."""

from durability.conftest import memory_path

__all__ = ["memory_path"]
