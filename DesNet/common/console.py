"""What a command says while it works: sentences in whole words, and what it is doing just now."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from tqdm import tqdm

from common.endings import whole_words


def say(text: str) -> None:
    """Print a text in whole words, above a progress bar if there is one."""
    tqdm.write(whole_words(text, sys.stdout))


@contextlib.contextmanager
def doing(what: str) -> Iterator[None]:
    """While entered, a line says what is being done; then it is gone."""
    with tqdm(total=0, desc=what, bar_format="{desc} ...", leave=False, dynamic_ncols=True):
        yield


def timed(function: Callable[[], Any]) -> tuple[Any, float]:
    """What a function returns, and how many seconds it took."""
    started = time.monotonic()
    value = function()
    return value, time.monotonic() - started
