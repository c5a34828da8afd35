"""A folder that is written belongs to one process: another one is told whose it is."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from common.endings import MistakeError


class OwnershipError(MistakeError):
    """A folder that another process writes; the message is a sentence for the user."""


@contextlib.contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Own a folder, which need not be there yet, as long as the context lasts.

    The lock is a file beside the folder, `.FOLDER.lock`, which stays; the lock itself goes with the
    process, however that ends.  `.FOLDER.owner` holds the process id of the last owner.

    Raises:
        OwnershipError: another process owns it, or its parent cannot be written.
    """
    beside = folder.parent / f".{folder.name}"
    owner = beside.with_name(f"{beside.name}.owner")
    lock = FileLock(beside.with_name(f"{beside.name}.lock"))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(blocking=False)
    except Timeout as error:
        raise OwnershipError(
            f"{_owner(owner)} is writing to {folder}: wait until it ends, stop it, or"
            " choose another folder."
        ) from error
    except OSError as error:
        raise OwnershipError(
            f"cannot write to {folder} ({error.strerror}): choose another --output_dir."
        ) from error
    try:
        with contextlib.suppress(OSError):  # a full disk: who owns it is then not told
            owner.write_text(f"{os.getpid()}\n")
        yield
    finally:
        lock.release()


def _owner(owner: Path) -> str:
    """The process whose id a file holds, for a sentence."""
    try:
        return f"process {int(owner.read_text())}"
    except (OSError, ValueError):  # its first moments, or there was no room for the file
        return "another process"
