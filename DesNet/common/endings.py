"""How a command ends: well, with a sentence about a mistake, or because it was told to stop.

Ctrl-C, SIGTERM (of schedulers) and SIGHUP (of a closed terminal) tell it to stop.  Where nothing is
to be finished the process ends in the handler itself: an exception that is raised wherever the
interpreter happens to be can get lost in a callback or show a trace, and what lies on disk is whole
at any moment.  A signal that the process was started to ignore (nohup, jobs in the background) is
ignored.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import IO, Any, ClassVar, NoReturn, TextIO

STOP_SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]
MISTAKE = 2  # exit codes; that of a process that a signal ends is 128 and the signal's number
BROKEN_PIPE = 128 + 13

unfinished: set[Path] = set()  # temporary files, which a process that ends at once takes along

# What a terminal takes for a command, or shows in another order or on another line.
UNSHOWN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)

Handler = Callable[[int, FrameType | None], Any]


class MistakeError(Exception):
    """What a user can mend; the message is a sentence: what is wrong, where, and what to do.

    Attributes:
        exit_code: of the command that it ends.
    """

    exit_code: ClassVar[int] = MISTAKE


def exit_code(number: int) -> int:
    """The exit code of a command that the signal `number` has ended."""
    return 128 + number


def shown(text: object) -> str:
    r"""A text from outside as a terminal may show it: what is not to be printed is escaped.

    Control characters become such as \x1b, bytes that are no Unicode such as \xff, and so does
    what the encoding of the console lacks.
    """

    def escaped(match: re.Match[str]) -> str:
        code = ord(match[0])
        code -= 0xDC00 if 0xDC80 <= code <= 0xDCFF else 0  # a byte of a file name, see PEP 383
        return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"

    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return UNSHOWN.sub(escaped, str(text)).encode(encoding, "backslashreplace").decode(encoding)


def whole_words(text: str, stream: TextIO | None) -> str:
    """The text with lines that break between words, if the stream is a terminal.

    A file or a pipe gets every line as it is, for whoever searches in it.
    """
    if stream is None or not stream.isatty():
        return text
    width = shutil.get_terminal_size().columns
    return "\n".join(_folded(line, width) for line in text.split("\n"))


def _folded(line: str, width: int) -> str:
    indent = line[: len(line) - len(line.lstrip())]
    # A path or a flag is one word.
    return "\n".join(
        textwrap.wrap(
            line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        )
    )


def orderly_exit_code(number: int | None) -> int:
    """That of a command which a signal, or none, told to stop, and which did so with all written.

    0 after Ctrl-C, whose sender wanted to see that much; schedulers are told that they were obeyed.
    """
    return 0 if number in (None, signal.SIGINT) else exit_code(number)


# The standard error

_silent = threading.Lock()
_terminal = 2  # the descriptor that sentences go to


@contextlib.contextmanager
def silent_stderr() -> Iterator[IO[str]]:
    """What anybody prints on stderr goes nowhere meanwhile, what libraries in C print as well.

    Yields:
        Where it went before, for a progress bar.
    """
    global _terminal
    if sys.stderr:
        sys.stderr.flush()
    with _silent, open(os.devnull, "wb") as null, os.fdopen(os.dup(2), "w") as terminal:
        os.dup2(null.fileno(), 2)
        _terminal = terminal.fileno()
        try:
            yield terminal
        finally:
            os.dup2(terminal.fileno(), 2)
            _terminal = 2


# Signals


def _install(handler: Handler) -> dict[int, Any]:
    """Handle the signals to stop, but for ignored ones; the handlers before, by signal."""
    before: dict[int, Any] = {}
    if threading.current_thread() is not threading.main_thread():
        return before  # where Python allows none
    for number in STOP_SIGNALS:
        if signal.getsignal(number) not in (signal.SIG_IGN, None):
            before[number] = signal.signal(number, handler)
    return before


@contextlib.contextmanager
def handled(handler: Handler) -> Iterator[None]:
    """While entered, the signals to stop call `handler`, but for ignored ones."""
    before = _install(handler)
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def _ending_at_once(prog: str, stopped: str) -> Handler:
    """A handler that says what was stopped, and ends the process."""

    def end(number: int, frame: FrameType | None) -> NoReturn:
        for path in list(unfinished):
            with contextlib.suppress(OSError):
                path.unlink()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):  # it may be closed, or be writing this moment
                stream.flush()
        with contextlib.suppress(OSError):
            new_line = "\n" if os.isatty(_terminal) else ""  # a bar may be on the line, and ^C
            os.write(_terminal, f"{new_line}{prog}: {stopped}\n".encode(errors="backslashreplace"))
        os._exit(exit_code(number))

    return end


def while_loading(prog: str) -> None:
    """End the process quietly when it is told to stop while its libraries load.

    To be called by a script before it imports them.
    """
    _install(_ending_at_once(prog, "stopped; nothing was written"))


class Stop:
    """While entered, the first signal to stop is only noted; a second one has its usual effect.

    Attributes:
        signal: the one that was noted, or None.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        """Make it.

        Args:
            say: prints a sentence.
        """
        self.signal: int | None = None
        self._say = say
        self._handlers = contextlib.ExitStack()

    def __enter__(self) -> Stop:
        self._handlers.enter_context(handled(self._note))
        return self

    def __exit__(self, *_: object) -> None:
        self._handlers.close()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        self._handlers.close()  # which brings the handlers back that were there before
        again = "Ctrl-C again" if number == signal.SIGINT else "another signal"
        self._say(f"Stopping after this iteration ({again} stops at once)")


# Commands


def end_in_a_sentence(prog: str, run: Callable[[], object], stopped: str) -> None:
    """Run a command; a mistake of the user's ends it with a sentence and its exit code.

    Args:
        prog: the command.
        run: runs it.
        stopped: what is said when it is told to stop, which ends it with `exit_code`.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # it is closed: what is printed goes nowhere
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115  (for the whole process)
    with handled(_ending_at_once(prog, stopped)):
        try:
            run()
            sys.stdout.flush()
        except MistakeError as mistake:
            _fail(prog, str(mistake), mistake.exit_code)
        except KeyboardInterrupt:  # in another thread than the main one
            print(f"{prog}: {stopped}", file=sys.stderr)
            sys.exit(exit_code(signal.SIGINT))
        except BrokenPipeError:  # who read the output has gone, as `| head` does
            _mute()
            sys.exit(BROKEN_PIPE)
        except OSError as error:  # a full disk below the standard output, or what nobody foresaw
            _mute()
            _fail(prog, f"cannot go on with {error.filename or 'the output'}: {error.strerror}")


def _fail(prog: str, sentence: str, code: int = MISTAKE) -> NoReturn:
    sentence = shown(sentence)
    end = "" if sentence.endswith(".") else "."
    line = whole_words(f"{prog}: {sentence}{end}\n", sys.stderr)
    if _terminal == 2:
        sys.stderr.write(line)
    else:  # another thread has silenced it, and goes on
        os.write(_terminal, line.encode(errors="backslashreplace"))
    sys.exit(code)


def _mute() -> None:
    """Let what waits in the standard output go nowhere, instead of failing once more."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
