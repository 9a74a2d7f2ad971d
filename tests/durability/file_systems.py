"""File systems of the tests' own, made on an image file or in memory, mounted, cut, and always unmounted again."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

IMAGE_BYTES = 512 << 20  # sparse; XFS wants 300 MB
_SHUTDOWN = 0x8004587D  # FS_IOC_SHUTDOWN, _IOR('X', 125, __u32)

FLUSH_ALL, FLUSH_LOG, FLUSH_NOTHING = 0, 1, 2
"""How a file system is cut: after syncing it whole, after writing its log, or on the spot, as the power goes."""


def cannot_mount(*programs: str) -> str | None:
    """Return why file systems cannot be mounted here, or None."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "mounting a file system needs Linux and root"
    missing = [name for name in ("mount", "umount", *programs) if shutil.which(name) is None]
    return f"mounting a file system needs {', '.join(missing)}" if missing else None


class Mounted:
    """A mounted file system.

    Args:
        source: the image, or ``tmpfs``.
        target: where it is mounted.
        kind: its type.
        options: mount options.
    """

    def __init__(self, source: Path | str, target: Path, kind: str, options: str) -> None:
        self.path, self.kind = target, kind
        self._command = ["mount", "-t", kind, "-o", options, str(source), str(target)]
        self._mounted = False
        target.mkdir(exist_ok=True)
        self.mount()

    def mount(self) -> None:
        subprocess.run(self._command, check=True, capture_output=True)
        self._mounted = True

    def remount(self, options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", str(self.path)], check=True, capture_output=True)

    def unmount(self) -> None:
        """Unmount it; a loop device that the mounting made goes with it."""
        subprocess.run(["umount", str(self.path)], check=True, capture_output=True)
        self._mounted = False

    def give_up(self) -> None:
        """Unmount it whatever state it is in and whoever uses it. Idempotent."""
        if self._mounted:
            subprocess.run(["umount", "--lazy", str(self.path)], check=True, capture_output=True)
            self._mounted = False

    def cut(self, how: int) -> None:
        """Shut the file system down under whoever uses it; what is not on the disk stays lost."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(descriptor, _SHUTDOWN, how.to_bytes(4, sys.byteorder))
        finally:
            os.close(descriptor)

    def fail_ext4(self) -> None:
        """Make ext4 believe that it has found itself damaged: mounted so, it becomes read-only under its users."""
        device = os.stat(self.path).st_dev
        name = os.path.basename(os.readlink(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}"))
        Path(f"/sys/fs/ext4/{name}/trigger_fs_error").write_text("1")


def make_image(image: Path, kind: str) -> None:
    """Make a file with an empty file system in it."""
    with image.open("wb") as file:
        file.truncate(IMAGE_BYTES)
    subprocess.run([f"mkfs.{kind}", "-q", str(image)], check=True, capture_output=True)


def mount_image(image: Path, target: Path, kind: str, options: str = "loop") -> Mounted:
    """Mount an image over a loop device, which is let go when it is unmounted.

    Raises:
        subprocess.CalledProcessError: there are no loop devices here, or the system does not know the type.
    """
    return Mounted(image, target, kind, options)
