"""Files: written whole or not at all, and read with care, for they may come from anywhere."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import secrets
import stat
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from common.endings import MistakeError, unfinished

JSON_BYTES = 2**26  # of a JSON file at most
ARRAY_BYTES = 2**32  # of all arrays of a file together, unpacked, at most


class FileError(MistakeError):
    """A file that cannot be written or read; the message is a sentence for the user."""


class DamagedError(Exception):
    """What is wrong with a file's content, in words that follow "is damaged:"."""


# Writing


@contextlib.contextmanager
def _temporary(path: Path) -> Iterator[tuple[IO[bytes], Path, Path]]:
    """An empty file beside the one that `path` leads to, which is regular or not there.

    Yields:
        The file, open; its path; and where it is to go.
    """
    # A link stays: its file is written.
    target = Path(os.path.realpath(path))
    mode = None
    with contextlib.suppress(FileNotFoundError):
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):
            what = "a folder" if stat.S_ISDIR(mode) else "no regular file"
            raise FileError(f"cannot write {path}: it is {what}; choose another file.")
        if not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    temporary = target.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        # Made by the mode "x", it is nobody else's, and as readable as any new file.
        with open(temporary, "xb") as file:
            unfinished.add(temporary)
            if mode is not None:
                temporary.chmod(stat.S_IMODE(mode))
            yield file, temporary, target
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
        unfinished.discard(temporary)


def _cannot_write(path: Path, error: OSError) -> FileError:
    reason = error.strerror or error
    return FileError(f"cannot write {path}: {reason}; make room, or choose another place.")


def check_writable(path: Path) -> None:
    """Find out now whether a file can be written, not after minutes of work; make its folder.

    Raises:
        FileError: it cannot be written.
    """
    try:
        os.makedirs(path.parent, exist_ok=True)
        with _temporary(path):
            pass
    except OSError as error:
        raise _cannot_write(path, error) from error


def write_whole(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file whole or not at all: to a temporary file beside it that is then renamed.

    Args:
        path: of the file, or of a link to it; its folder must be there.
        write: writes the content to an open binary file.

    Raises:
        FileError: it cannot be written, or is there and no regular file.
    """
    try:
        with _temporary(path) as (file, temporary, target):
            write(file)
            file.close()
            os.replace(temporary, target)
    except OSError as error:
        raise _cannot_write(path, error) from error


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a dictionary as JSON, whole or not at all.

    Raises:
        FileError: it cannot be written.
    """
    text = json.dumps(value, indent=2, default=str, allow_nan=False)
    write_whole(path, lambda file: file.write(text.encode() + b"\n"))


# Reading


def open_regular(path: Path, most: int) -> IO[bytes]:
    """Open a file for reading, if it is a regular one of at most so many bytes.

    Raises:
        FileError: it is not there, cannot be read, is no regular file (which may never end), or
            is larger.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise FileError(f"cannot read {path}: it is no regular file.")
        if status.st_size > most:
            raise FileError(f"{path} is damaged: it has {status.st_size} bytes, more than {most}.")
        return open(path, "rb")
    except OSError as error:
        raise FileError(f"cannot read {path}: {error.strerror}.") from error
    except ValueError as error:  # a zero byte in a name
        raise FileError(f"cannot read {path}: {error}.") from error


def read_json(path: Path) -> dict[str, Any]:
    """Read a dictionary from JSON.

    Raises:
        FileError: it is missing or damaged.
    """
    try:
        with open_regular(path, JSON_BYTES) as file:
            value = json.loads(file.read().decode("utf-8"))
    except OSError as error:
        raise FileError(f"cannot read {path}: {error.strerror}.") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise FileError(f"{path} is damaged.") from error
    if not isinstance(value, dict):
        raise FileError(f"{path} is damaged: it holds no dictionary.")
    return value


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read the arrays of an npz file: numbers and truth values, nothing that would be executed.

    What the file says of itself is checked before anything is unpacked: a few kilobytes may claim
    to hold more than there is memory.

    Raises:
        FileError: it is missing or damaged; the sentence says in what.
    """
    with open_regular(path, ARRAY_BYTES) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                members = archive.infolist()
                size = sum(member.file_size for member in members)
                if size > ARRAY_BYTES:
                    raise FileError(
                        f"{path} is damaged: it claims {size} bytes of arrays, more than"
                        f" {ARRAY_BYTES}."
                    )
                arrays = {
                    member.filename.removesuffix(".npy"): _read_array(archive, member)
                    for member in members
                }
        except DamagedError as error:
            raise FileError(f"{path} is damaged: {error}.") from error
        except FileError:
            raise
        except Exception as error:  # zipfile, zlib and NumPy raise some twenty kinds
            raise FileError(f"{path} is damaged.") from error
    if len(arrays) < len(members):
        raise FileError(f"{path} is damaged: it holds an array twice.")
    return arrays


def _read_array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    """One array of an npz file, whose header says as much as there is.

    Raises:
        DamagedError: it does not, or the array is of another kind.
    """
    name = member.filename
    if member.flag_bits & 1:
        raise DamagedError(f"{name} is encrypted")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DamagedError(f"{name} is packed by method {member.compress_type}, not deflate")
    with archive.open(member) as file:
        if np.lib.format.read_magic(file) != (1, 0):  # others have headers of any length
            raise DamagedError(f"{name} is of a version that holds no plain numbers")
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        if dtype.kind not in "biuf":
            raise DamagedError(f"{name} holds {dtype}, no numbers")
        rest = member.file_size - file.tell()
        if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != rest:
            raise DamagedError(f"{name} claims the shape {shape}, and has {rest} bytes")
    with archive.open(member) as file:
        return np.lib.format.read_array(file, allow_pickle=False)
