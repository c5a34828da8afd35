"""Files that are written whole or not at all: to a temporary file that is then renamed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from common.endings import MistakeError


class FileError(MistakeError):
    """A file that cannot be written or read; the message is a sentence for the user."""


def write_whole(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file whole or not at all.

    Args:
        path: of the file; its folder must be there.
        write: writes the content to an open binary file.

    Raises:
        FileError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with open(temporary, "wb") as file:
            write(file)
        os.replace(temporary, path)
    except OSError as error:
        raise FileError(f"cannot write {path}: {error.strerror}.") from error
    finally:
        if temporary.parent.is_dir():
            temporary.unlink(missing_ok=True)


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a dictionary as JSON, whole or not at all.

    Raises:
        FileError: it cannot be written.
    """
    text = json.dumps(value, indent=2, default=str, allow_nan=False)
    write_whole(path, lambda file: file.write(text.encode() + b"\n"))


def read_json(path: Path) -> dict[str, Any]:
    """Read a dictionary from JSON.

    Raises:
        FileError: it is missing or damaged.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FileError(f"cannot read {path}: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise FileError(f"{path} is damaged.") from error
    if not isinstance(value, dict):
        raise FileError(f"{path} is damaged: it holds no dictionary.")
    return value
