"""Writing a file so that at every moment either the old one or the new one is there, whole."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def atomic_write(path: Any) -> Iterator[str]:
    """Gives the path of a temporary file, which takes the place of `path` when the block ends well.

    The temporary file lies in the same folder, so that the rename stays within one file system, and its bytes
    reach the disk before the rename does. If the block or anything after it fails, the temporary file is
    removed and the old file is untouched. A process killed in between leaves the old file and perhaps a
    `.cnnfast-*.tmp`.

    A file that is replaced hands its permissions on; a new one gets those that the umask grants. A symbolic
    link stays, what it points to is replaced.

    Args:
        path: the file to write; its folder must exist.

    Raises:
        OSError: the folder is missing or not writable, the disk is full, or `path` is a folder or
            write-protected.

    Example:
        >>> with atomic_write("notes.txt") as temporary, open(temporary, "w") as f:
        ...     _ = f.write("whole")
    """
    target = os.path.realpath(path)
    mode = _mode_of(target)
    folder = os.path.dirname(target)
    temporary = os.path.join(folder, f".cnnfast-{secrets.token_hex(8)}.tmp")
    # Made here, so that an existing file is never opened for writing by accident and the umask applies.
    try:
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except OSError as error:
        raise type(error)(error.errno, f"cannot write into the folder {folder!r}: {error.strerror}", target) from None
    try:
        yield temporary
        _flush(temporary, os.O_RDWR)
        if mode is not None:
            os.chmod(temporary, mode)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.remove(temporary)
        raise
    if hasattr(os, "O_DIRECTORY"):  # elsewhere a folder cannot be opened
        _flush(folder, os.O_RDONLY | os.O_DIRECTORY)


def _mode_of(target: str) -> int | None:
    """Permissions of the file about to be replaced, None if there is none."""
    try:
        mode = os.stat(target).st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(f"cannot write {target!r}: it is a folder")
    if not os.access(target, os.W_OK):
        raise PermissionError(f"cannot write {target!r}: it is write-protected")
    return stat.S_IMODE(mode)


def _flush(path: str, flags: int) -> None:
    """Waits until the file or folder is on the disk."""
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
