"""Commands of the project in processes of their own, which may be stopped.

A fresh process takes three seconds to import TensorFlow.  A forked one has it already: this process
imports it, but never opens a session, whose threads a fork would lose.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import tqdm

from attacks.harness import BrokenRuleError

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 120.0  # seconds after which a command hangs
PROGRESS = re.compile(r"\d%\||\bit/s|/s\]|\?it|^Images: ")  # lines of tqdm
USAGE = re.compile(r"^(GenNet|DesNet)/\w+\.py: |^report\.py: ")


class Command(NamedTuple):
    """A command line of the project."""

    script: str  # below the root, such as GenNet/main.py
    arguments: list[str]


class Ended(NamedTuple):
    """How a process has ended."""

    code: int | None  # as a shell says it: 128 + N after signal N; None if it had to be killed
    output: str
    errors: str
    start: float  # time.monotonic()
    end: float

    @property
    def said(self) -> list[str]:
        """The lines on stderr that are no progress bar."""
        return said(self.errors)


def said(errors: str) -> list[str]:
    """The lines of a text on stderr that are no progress bar."""
    text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", errors)  # tqdm moves the cursor
    lines = [line.strip() for line in re.split(r"[\r\n]", text)]
    return [line for line in lines if line and not PROGRESS.search(line)]


@cache
def module(script: str) -> ModuleType:
    """The module of a command, and all that it takes seconds to import."""
    for folder in (ROOT, ROOT / "DesNet", ROOT / "GenNet"):
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
    name = "attacked_" + script.removesuffix(".py").replace("/", "_")
    spec = importlib.util.spec_from_file_location(name, ROOT / script)
    assert spec is not None and spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[name] = loaded
    spec.loader.exec_module(loaded)
    from common.session import tf

    assert tf.Graph and importlib.import_module("matplotlib.backends.backend_agg")
    return loaded


class Child:
    """A process that runs a command, its output kept in files."""

    def __init__(
        self,
        command: Command,
        *,
        fresh: bool = False,
        prepare: Callable[[], object] = lambda: None,
        output: str = "",
    ) -> None:
        """Start it.

        Args:
            command: that it runs.
            fresh: whether its Python starts anew, as a user's.
            prepare: called in the process before the command.
            output: a file that its stdout goes to instead.
        """
        self._files = [tempfile.TemporaryFile() for _ in range(2)]  # noqa: SIM115
        out = os.open(output, os.O_WRONLY) if output else self._files[0].fileno()
        self.start = time.monotonic()
        self._ended: Ended | None = None
        if fresh:

            def prepared() -> None:
                _heed_signals()
                prepare()

            line = [sys.executable, str(ROOT / command.script), *command.arguments]
            self.process = subprocess.Popen(
                line,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=self._files[1],
                preexec_fn=prepared,
            )
            self.pid = self.process.pid
        else:
            loaded = module(command.script)
            sys.stdout.flush()
            sys.stderr.flush()
            self.pid = os.fork()
            if not self.pid:

                def ready() -> None:
                    # As the script does before its libraries load.
                    importlib.import_module("common.endings").while_loading(command.script)
                    prepare()

                _be(lambda: loaded.main(command.arguments), out, self._files[1].fileno(), ready)
        if output:
            os.close(out)

    def wait(self, limit: float = LIMIT) -> Ended:
        """Wait until it ends; after `limit` seconds it is killed."""
        return self._until(time.monotonic() + limit) or self._killed()

    def runs_until(self, moment: float) -> bool:
        """Wait until a time of time.monotonic(); whether it still runs then."""
        return self._until(moment) is None

    def signal(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def _until(self, moment: float) -> Ended | None:
        while self._ended is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._note(os.waitstatus_to_exitcode(status))
            elif time.monotonic() >= moment:
                return None
            else:
                time.sleep(min(0.002, max(0.0, moment - time.monotonic())))
        return self._ended

    def _killed(self) -> Ended:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self._note(None)
        assert self._ended is not None
        return self._ended

    def _note(self, code: int | None) -> None:
        texts = []
        for file in self._files:
            file.seek(0)
            texts.append(file.read().decode("utf-8", "replace"))
            file.close()
        if code is not None and code < 0:
            code = 128 - code
        output, errors = texts
        self._ended = Ended(code, output, errors, self.start, time.monotonic())
        if hasattr(self, "process"):
            self.process.returncode = code  # it was waited for here


def _heed_signals() -> None:
    """Heed what this process may have been told to ignore, as jobs in the background are."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def _be(run: Callable[[], object], out: int, errors: int, prepare: Callable[[], object]) -> None:
    """Be the process of a command, and end."""
    code = 1
    try:
        _heed_signals()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(errors, 2)
        sys.stdout = io.TextIOWrapper(os.fdopen(1, "wb", closefd=False), "utf-8")
        sys.stderr = io.TextIOWrapper(
            os.fdopen(2, "wb", closefd=False), "utf-8", "backslashreplace", line_buffering=True
        )
        tqdm.tqdm.monitor_interval = 10
        prepare()
        try:
            run()
            sys.stdout.flush()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
            sys.stdout.flush()
        except BaseException as error:
            traceback.print_exc()
            code = 130 if isinstance(error, KeyboardInterrupt) else 1
    finally:
        with contextlib.suppress(Exception):
            sys.stderr.flush()
        os._exit(code)


def run(command: Command, limit: float = LIMIT, **options: Any) -> Ended:
    """Run a command to its end; options as for `Child`."""
    return Child(command, **options).wait(limit)


def check(ended: Ended, allowed: tuple[int, ...] = (0, 2)) -> None:
    """What holds of every command: it ends, without a trace; a mistake is one sentence.

    Raises:
        BrokenRuleError: it does not hold.
    """
    tail = "\n".join([*ended.output.splitlines()[-2:], *ended.said[-12:]])
    if ended.code is None:
        raise BrokenRuleError(f"does not end within {ended.end - ended.start:.0f} s", tail)
    if "Traceback" in ended.errors + ended.output:
        raise BrokenRuleError(f"trace: {_last_frame(ended.said)}", tail)
    if ended.code not in allowed:
        raise BrokenRuleError(f"exit code {_name(ended.code)}", tail)
    if ended.code == 2 and not (len(ended.said) == 1 and USAGE.search(ended.said[0])):
        raise BrokenRuleError("exit code 2 without exactly one sentence", tail)
    if any("Warning" in line for line in ended.said):
        raise BrokenRuleError("a warning is printed", tail)


def _name(code: int) -> str:
    """An exit code in words, for a cause leaves out numbers."""
    try:
        return signal.Signals(code - 128).name
    except ValueError:
        return {0: "none", 1: "one", 2: "two"}.get(code, "other")


def _last_frame(lines: list[str]) -> str:
    """The kind of the last error of a trace, and the last line of the project on its way."""
    frames = [
        f"{Path(match[1]).name} {match[2]}"
        for line in lines
        if (match := re.match(r'File "([^"]+)", line \d+, in (\S+)', line))
        and match[1].startswith(str(ROOT))
        and "/.venv/" not in match[1]
    ]
    error = lines[-1].partition(":")[0] if lines else ""
    return f"{error} in {frames[-1] if frames else 'no line of the project'}"


class Worker:
    """A forked process that carries out quick attempts, so that a crash or a hang is seen."""

    def __init__(self, work: Callable[[Any], Any]) -> None:
        """Prepare it; `work` gets a value and returns one, or raises BrokenRuleError."""
        self._work = work
        self._pid = 0

    def ask(self, value: Any, limit: float = 30.0) -> Any:
        """What `work` returns.

        Raises:
            BrokenRuleError: `work` raised it, the process died, or took longer than `limit`.
        """
        if not self._pid:
            self._start()
        try:
            self._pipe.send(value)
            if not self._pipe.poll(limit):
                raise BrokenRuleError(f"does not end within {limit:.0f} s")
            answer = self._pipe.recv()
        except (EOFError, OSError) as error:
            self.close()
            raise BrokenRuleError("the process crashed", repr(error)) from error
        except BrokenRuleError:
            self.close()
            raise
        if isinstance(answer, BrokenRuleError):
            raise answer
        return answer

    def close(self) -> None:
        """End the process."""
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self._pipe.close()
            self._pid = 0

    def _start(self) -> None:
        self._pipe, end = multiprocessing.Pipe()
        self._pid = os.fork()
        if not self._pid:
            self._pipe.close()
            with contextlib.suppress(EOFError, KeyboardInterrupt):
                while True:
                    value = end.recv()
                    try:
                        answer = self._work(value)
                    except BrokenRuleError as error:
                        answer = error
                    end.send(answer)
            os._exit(0)
        end.close()
