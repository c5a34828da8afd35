"""Run a command as several workers on this machine, started again together when one dies.

Example: python cluster.py --workers 2 GenNet/main.py --category cats
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from importlib import util
from pathlib import Path
from types import FrameType
from typing import IO, Any

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "GenNet"))

from common import endings  # noqa: E402

if __name__ == "__main__":
    endings.while_loading("cluster.py")

from common import cluster, command, flags  # noqa: E402
from common.endings import MISTAKE  # noqa: E402
from common.run_folder import Folder  # noqa: E402

CTRL_C = endings.exit_code(signal.SIGINT)  # of a command that is stopped at once
TRIES = 3  # starts in a row without a new checkpoint, after which it is given up
LOOK = 0.05  # seconds from one look at the workers to the next


def make_parser() -> flags.Parser:
    """The flags; what follows the script is the script's own."""
    parser = flags.Parser("cluster.py", __doc__)
    parser.add_argument("--workers", type=flags.whole(1, 1000), default=2, help="how many")
    parser.add_argument("script", type=Path, help="GenNet/main.py or DesNet/main.py")
    return parser


def run_folder(script: Path, arguments: list[str]) -> Path:
    """Where the run of a command is written; a mistake in its flags ends this one too."""
    sys.path.insert(0, str(script.resolve().parent))
    spec = util.spec_from_file_location("learning", script)
    assert spec is not None and spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    settings_class = module.Experiment.settings_class
    prog = f"{script.parent.name}/{script.name}"
    parser = command.make_parser(prog, module.__doc__ or "", settings_class)
    args = parser.parse_args(arguments)
    return flags.read_settings(args, settings_class).folder


def free_addresses(count: int) -> list[str]:
    """Addresses on this machine whose ports are free."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("localhost", 0))
        return [f"localhost:{each.getsockname()[1]}" for each in sockets]


class Workers:
    """Processes that learn together.  The first one has the console."""

    def __init__(self, words: list[str], count: int) -> None:
        addresses = free_addresses(count)
        self.processes: list[subprocess.Popen] = []
        self._errors: list[IO[str]] = []
        self._stopped = False
        for rank in range(count):
            task = {"type": "worker", "index": rank}
            told = {"cluster": {"worker": addresses}, "task": task}
            options: dict[str, Any] = {}
            if rank:
                self._errors.append(tempfile.TemporaryFile("w+"))  # noqa: SIM115  (gone with it)
                options = {"stdout": subprocess.DEVNULL, "stderr": self._errors[-1]}
            process = subprocess.Popen(
                [sys.executable, *words],
                env={**os.environ, cluster.CONFIG: json.dumps(told)},
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C reaches this process alone, which passes it on
                **options,
            )
            self.processes.append(process)

    def wait(self) -> int:
        """Wait until all have ended, or one has died; kill the others then.

        Returns:
            0, if all ended well, or else the exit code of one that did not.
        """
        while True:
            codes = [process.poll() for process in self.processes]
            failed = [code for code in codes if code]
            if failed or None not in codes:
                break
            time.sleep(LOOK)
        if not failed:
            return 0
        if MISTAKE in failed or self._stopped:  # every worker says so by itself
            self._leave(cluster.GRACE + 5)
        self.kill()
        ends = [process.wait() for process in self.processes]
        self._tell(ends)
        ended = [code for code in ends if code in (MISTAKE, CTRL_C)]
        return ended[0] if ended else failed[0]

    def _leave(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and None in [p.poll() for p in self.processes]:
            time.sleep(LOOK)

    def _tell(self, codes: list[int]) -> None:
        """Print what another worker than the first died of, where the first one does not know."""
        for rank, (code, errors) in enumerate(zip(codes[1:], self._errors, strict=True), 1):
            if code == 1 or (code == MISTAKE and codes[0] != MISTAKE):
                errors.seek(0)
                print(f"worker {rank}: {errors.read().strip()}", file=sys.stderr)

    def kill(self) -> None:
        """End those that are left."""
        for process in self.processes:
            if process.poll() is None:
                process.kill()

    def stop(self, number: int) -> None:
        """Pass on a signal to stop: the first worker stops all after the same iteration."""
        self._stopped = True
        if self.processes[0].poll() is None:
            self.processes[0].send_signal(number)


def newest(folder: Path) -> str:
    """Which the newest checkpoint of a run is, and when it was written; nothing without one."""
    run = Folder(folder)
    for number in reversed(run.checkpoints()):
        with suppress(OSError):
            return f"{number} {Path(f'{run.checkpoint}-{number}.index').stat().st_mtime_ns}"
    return ""


def learn_together(script: Path, told: list[str], count: int) -> int:
    """Run a command until all its workers end well; its exit code."""
    folder = run_folder(script, told)
    resumes = any(word.split("=")[0] == "--resume" for word in told)
    at_first = before = newest(folder)
    tries = 0
    signals: list[int] = []
    while True:
        # What an earlier run left in the folder is none of this one's.
        more = ["--resume"] if newest(folder) not in ("", at_first) and not resumes else []
        workers = Workers([str(script), *told, *more], count)

        def stop(number: int, frame: FrameType | None, workers: Workers = workers) -> None:
            signals.append(number)
            workers.stop(number)

        try:
            with endings.handled(stop):
                code = workers.wait()
        finally:
            workers.kill()
        if signals and (stopped := endings.orderly_exit_code(signals[0])):
            return stopped
        if signals or code in (0, MISTAKE):
            return code
        reached = newest(folder)
        tries = 1 if reached != before else tries + 1
        before = reached
        if tries >= TRIES:
            print(
                f"cluster.py: given up after {TRIES} starts that came no further: run the command"
                " without cluster.py to see why",
                file=sys.stderr,
            )
            return code
        print(
            "cluster.py: a worker died; all start again from the last checkpoint", file=sys.stderr
        )


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; it ends with the exit code of the command that it runs."""
    words = sys.argv[1:] if arguments is None else arguments

    def run() -> None:
        place = next((i for i, word in enumerate(words) if word.endswith(".py")), len(words))
        parser = make_parser()
        args = parser.parse_args(words[: place + 1])
        if not args.script.is_file():
            parser.error(f"no script {args.script}")
        sys.exit(learn_together(args.script, words[place + 1 :], args.workers))

    endings.end_in_a_sentence("cluster.py", run, "stopped; --resume goes on from the checkpoint")


if __name__ == "__main__":
    main()
