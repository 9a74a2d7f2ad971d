"""Network file systems, and those in memory: found by the type of what is mounted, where the system tells it."""

from __future__ import annotations

import os
import re
import warnings

from starfish_storage.telemetry.logs import get_logger

logger = get_logger(__name__)

MOUNTS_FILE = "/proc/self/mountinfo"
"""Where Linux lists what this process sees mounted. Other systems have no such file: nothing is known, or said."""

_NETWORK_TYPES = frozenset(
    {
        *("9p", "acfs", "afs", "afp", "beegfs", "ceph", "cephfs", "cifs", "coda", "davfs", "davfs2", "glusterfs"),
        *("gpfs", "lustre", "mmfs", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "panfs", "pvfs2", "quobyte"),
        *("smb2", "smb3", "smbfs", "virtiofs", "wekafs"),
    }
)
# Behind "fuse." stands the program. Those not listed (ntfs-3g, mergerfs, encfs, ...) keep files on a local disk.
_NETWORK_PROGRAMS = frozenset(
    {
        *("alluxio", "blobfuse", "blobfuse2", "ceph", "ceph-fuse", "curlftpfs", "davfs", "davfs2", "gcsfuse"),
        *("glusterfs", "goofys", "google-drive-ocamlfuse", "juicefs", "moosefs", "mfs", "mount-s3", "mountpoint-s3"),
        *("onedriver", "quobyte", "rclone", "rclonefs", "s3backer", "s3fs", "s3ql", "seaweedfs", "smbnetfs", "sshfs"),
    }
)
_VOLATILE_TYPES = frozenset({"tmpfs", "ramfs"})
_MOUNT_POINT = 4  # the field of a line
_ESCAPE = re.compile(rb"\\([0-7]{3})")


class NetworkFileSystemWarning(UserWarning):
    """The store lies on a network file system, where not everything is promised."""


class VolatileFileSystemWarning(UserWarning):
    """The store lies in memory, where ``durability="power"`` cannot be kept."""


def warn_of_network_file_systems(*paths: str) -> None:
    """Warn of each of these directories that lies on a network file system."""
    for path in dict.fromkeys(paths):
        kind = file_system_type(os.path.realpath(path))
        if kind is None or not is_network_file_system(kind):
            continue
        message = (
            f"the store at {path!r} lies on a network file system ({kind}): locks between machines, the shared memory "
            "of SQLite's log, and fsync are not promised to work there, so writes may be lost or the database damaged. "
            "Use a local file system."
        )
        logger.warning("%s", message, extra={"is_warned": True})
        warnings.warn(message, NetworkFileSystemWarning, stacklevel=4)


def warn_of_volatile_file_systems(*paths: str) -> None:
    """Warn of each of these directories that lies in memory: nothing there outlives a power cut."""
    for path in dict.fromkeys(paths):
        kind = file_system_type(os.path.realpath(path))
        if kind is None or not is_volatile_file_system(kind):
            continue
        message = (
            f"durability='power' cannot be kept for the store at {path!r}: it lies in memory ({kind}), and is gone "
            "after a power cut or a reboot. Use a directory on a disk, or durability='process'."
        )
        logger.warning("%s", message, extra={"is_warned": True})
        warnings.warn(message, VolatileFileSystemWarning, stacklevel=4)


def is_volatile_file_system(kind: str) -> bool:
    """Return whether a type of file system, as Linux names it, keeps its files in memory alone.

    >>> is_volatile_file_system("tmpfs"), is_volatile_file_system("ext4")
    (True, False)
    """
    return kind in _VOLATILE_TYPES


def is_network_file_system(kind: str) -> bool:
    """Return whether a type of file system, as Linux names it, keeps its files on another machine.

    >>> is_network_file_system("nfs4"), is_network_file_system("fuse.sshfs"), is_network_file_system("ext4")
    (True, True, False)
    """
    kind = kind.lower()
    return kind in _NETWORK_TYPES or kind.removeprefix("fuse.") in _NETWORK_PROGRAMS


def file_system_type(real_path: str) -> str | None:
    """Return the type of the file system that holds a path, or None if the system does not tell.

    Args:
        real_path: absolute, without links; it is not touched, so that a server that does not answer holds up nobody.
    """
    try:
        with open(MOUNTS_FILE, "rb") as file:
            lines = file.read().splitlines()
    except OSError:
        return None
    path = os.fsencode(real_path)
    longest, kind = b"", None
    for line in lines:
        # "36 35 98:0 /root /mount/point options optional ... - type source options"
        fields, found, described = line.partition(b" - ")
        split = fields.split(b" ")
        if not found or len(split) <= _MOUNT_POINT:
            continue
        point = _ESCAPE.sub(lambda match: bytes([int(match[1], 8) & 0xFF]), split[_MOUNT_POINT])
        # Of two mounts at one point, the later hides the earlier.
        if len(point) >= len(longest) and (path == point or path.startswith(point.rstrip(b"/") + b"/")):
            longest, kind = point, os.fsdecode(described.split(b" ")[0])
    return kind
