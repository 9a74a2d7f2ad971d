"""The file operations that durability rests on: nothing else in the library renames or syncs.

Every operation names files relative to an open directory, so that no path is walked twice and no link planted
on the way is followed. Tests replace `FileOperations` to count these calls, and to make them fail.
"""

from __future__ import annotations

import errno
import fcntl
import os
import platform
import shutil
import stat
import sys
from collections.abc import Callable, Iterable

from starfish_storage.files.permissions import create_private_file, make_private_directory, tighten_empty_directory
from starfish_storage.files.spare_descriptors import SPARES

_CREATE = os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW
_SYNC = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # not waiting for a planted FIFO's other end
_APPEND = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_CHANGE = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # Linux's own numbers


class FileOperations:
    """Writes, renames, removes and syncs. Raises plain `OSError`; callers add the path and the meaning."""

    def open_directory(self, name: str, parent: int | None = None) -> int:
        """Open a directory, relative to an open one where given, refusing a link as its last part."""
        return opened(name, _DIRECTORY, parent)

    def make_directory(self, name: str, parent: int | None = None) -> bool:
        """Make a directory that only its owner can enter; return False if it was there."""
        try:
            make_private_directory(name, parent)
        except FileExistsError:
            return False
        return True

    def make_root(self, path: str) -> None:
        """Make a directory and those above it that are not there, each safely entered in the one above.

        An empty one that is there already becomes its owner's only, as one that is made.
        """
        if os.path.isdir(path):
            tighten_empty_directory(path)
            return
        above = os.path.dirname(path)
        if not os.path.isdir(above):
            self.make_root(above)
        try:
            make_private_directory(path)
        except FileExistsError:
            if not os.path.isdir(path):
                raise
            return
        descriptor = os.open(above, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self.sync(descriptor)
        finally:
            os.close(descriptor)

    def write_new(self, directory: int, name: str, payload: bytes) -> None:
        """Write a new file whole, readable by its owner only; on failure nothing of it stays."""
        try:
            descriptor = create_private_file(name, _CREATE, directory)
        except OSError as error:
            descriptor = SPARES.instead(error, lambda: create_private_file(name, _CREATE, directory))
        try:
            written = os.write(descriptor, payload)
            while written < len(payload):
                written += os.write(descriptor, payload[written:])
        except OSError:
            os.unlink(name, dir_fd=directory)
            raise
        finally:
            close(descriptor)

    def open_for_appending(self, directory: int, name: str) -> int:
        """Open a regular file for reading and appending, refusing a link."""
        # Not blocking: opening a planted FIFO would wait for a reader that never comes.
        descriptor = os.open(name, _APPEND, dir_fd=directory)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(errno.EINVAL, "what is there is not a regular file")
        return descriptor

    def create_for_appending(self, directory: int, name: str) -> int:
        """Make a new file, readable by its owner only, and open it for reading and appending."""
        return create_private_file(name, _APPEND, directory)

    def open_for_changes(self, directory: int, name: str) -> int:
        """Open a regular file for reading and for writing anywhere in it, refusing a link."""
        descriptor = opened(name, _CHANGE, directory)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            close(descriptor)
            raise OSError(errno.EINVAL, "what is there is not a regular file")
        return descriptor

    def create_for_changes(self, directory: int, name: str) -> int:
        """Make a new file, readable by its owner only, and open it for reading and for writing anywhere in it."""
        try:
            return create_private_file(name, _CHANGE, directory)
        except OSError as error:
            return SPARES.instead(error, lambda: create_private_file(name, _CHANGE, directory))

    def write_at(self, descriptor: int, content: bytes, start: int) -> None:
        """Write into an open file from that byte on, in one call where the system takes it whole."""
        written = os.pwrite(descriptor, content, start)
        while written < len(content):
            more = os.pwrite(descriptor, memoryview(content)[written:], start + written)
            if not more:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            written += more

    def truncate(self, descriptor: int, size: int) -> None:
        """Cut an open file."""
        os.ftruncate(descriptor, size)

    def link(self, source: int, name: str, target: int, target_name: str) -> None:
        """Give a file a second name."""
        os.link(name, target_name, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)

    def rename(self, source: int, name: str, target: int, target_name: str) -> None:
        """Give a file its final name, replacing what had that name, in one step."""
        os.rename(name, target_name, src_dir_fd=source, dst_dir_fd=target)

    def replace_file(self, source: str, target: str) -> None:
        """Move a file to another path of the same file system, replacing what is there, and make that safe."""
        descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            self.sync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(source, target)
        for directory in {os.path.dirname(source), os.path.dirname(target)}:
            self.sync_directory(directory)

    def replace_directory(self, source: str, target: str) -> None:
        """Move a directory to another path of the same file system, replacing one that is there, and make that safe.

        On Linux what is there is replaced in one step; elsewhere there is a moment in which it has another name.
        """
        for directory, _, names in os.walk(source, onerror=_raise):
            for name in names:
                descriptor = os.open(os.path.join(directory, name), _SYNC)
                try:
                    self.sync(descriptor)
                finally:
                    os.close(descriptor)
            self.sync_directory(directory)
        if not os.path.isdir(target):
            os.rename(source, target)
            self.sync_directory(os.path.dirname(target))
            return
        replaced = source
        if not _exchange(source, target):
            replaced = f"{source}-replaced"
            os.rename(target, replaced)
            try:
                os.rename(source, target)
            except OSError:
                os.rename(replaced, target)
                raise
        self.sync_directory(os.path.dirname(target))
        shutil.rmtree(replaced, ignore_errors=True)

    def sync_directory(self, path: str) -> None:
        """Make the entries of a directory survive a power cut."""
        descriptor = self.open_directory(path)
        try:
            self.sync(descriptor)
        finally:
            os.close(descriptor)

    def set_modified(self, directory: int, name: str, modified: int) -> None:
        """Set when a file's content was last changed, in nanoseconds since 1970."""
        os.utime(name, ns=(modified, modified), dir_fd=directory, follow_symlinks=False)

    def remove(self, directory: int, name: str) -> None:
        """Remove a file; one that is not there is fine."""
        try:
            os.unlink(name, dir_fd=directory)
        except FileNotFoundError:
            pass

    def remove_path(self, path: str) -> None:
        """Remove a file by its path; one that is not there is fine."""
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass

    def is_file(self, directory: int, name: str) -> bool:
        """Return whether there is a regular file of that name; a link to one does not count."""
        try:
            return stat.S_ISREG(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode)
        except FileNotFoundError:
            return False

    def sync(self, descriptor: int) -> None:
        """Make an open file's content, or an open directory's entries, survive a power cut."""
        if sys.platform == "darwin":
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)  # fsync alone leaves the data in the drive's cache
        else:
            os.fsync(descriptor)

    def sync_all(self, root: int, files: Iterable[tuple[int, str]], directories: Iterable[int]) -> None:
        """Make many files and their directories survive a power cut.

        One ``syncfs`` of the file system that holds them costs a tenth of an fsync each. It reports failed writes
        since Linux 5.8 only; elsewhere every file and directory is synced by itself.

        Args:
            root: an open directory of that file system, open since before the files were written.
            files: the directory and name of each file; one that is gone is passed over.
            directories: the directories whose entries have changed.
        """
        syncfs = _find_syncfs()
        if syncfs is not None:
            syncfs(root)
            return
        for directory, name in files:
            try:
                descriptor = opened(name, _SYNC, directory)
            except FileNotFoundError:
                continue
            try:
                self.sync(descriptor)
            finally:
                close(descriptor)
        for directory in directories:
            self.sync(directory)


def opened(name: str, flags: int, parent: int | None = None) -> int:
    """Open a file, also where the process has no other descriptor left."""
    try:
        return os.open(name, flags, dir_fd=parent)
    except OSError as error:
        return SPARES.instead(error, lambda: os.open(name, flags, dir_fd=parent))
    except ValueError:  # with a NUL or half a character, as rows may say that were tampered with, no file is called
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name) from None


def close(descriptor: int) -> None:
    """Close what `opened` has opened."""
    os.close(descriptor)
    if SPARES.are_short:
        SPARES.refill()


def _raise(error: OSError) -> None:
    raise error


def _exchange(one: str, other: str) -> bool:
    """Exchange two paths in one step; return False where the system or the file system cannot."""
    if platform.system() != "Linux":
        return False
    import ctypes

    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    if renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS):
        return False
    raise OSError(number, os.strerror(number))


def _find_syncfs() -> Callable[[int], None] | None:
    """Return ``syncfs`` where it exists and reports write errors, else None."""
    if platform.system() != "Linux":
        return None
    release = platform.release().split(".")
    if [int(part) for part in release[:2] if part.isdigit()] < [5, 8]:
        return None
    import ctypes  # not at the top: it is slow to load, and needed long after the start

    try:
        function = ctypes.CDLL(None, use_errno=True).syncfs
    except (OSError, AttributeError):
        return None

    def syncfs(descriptor: int) -> None:
        if function(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    return syncfs
