"""Disks that are full, files that may not grow, and outputs that cannot be written to.

The rule: exit code 2 and one sentence; what was there before is there; with room again the same
command works.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import cache
from pathlib import Path

from hypothesis import strategies as st

from attacks import children, victims
from attacks.children import Child, Command
from attacks.harness import BrokenRuleError, Plan
from attacks.victims import CATEGORY, MODELS, KindOfRuns

SIZE = 16 << 20  # bytes of the small file system
COMMANDS = ("plain", "resume", "use", "report", "posterior")


class Disks(KindOfRuns):
    """Full disks."""

    name = "disks"
    count = 40

    def plans(self) -> st.SearchStrategy[Plan]:
        """What is full, when, and how much of it is left."""
        ways = ["limit", "limit", "output"] + ["full", "full", "full"] * can_mount()
        return st.fixed_dictionaries(
            {
                "model": st.sampled_from(MODELS),
                "command": st.sampled_from(COMMANDS) | st.sampled_from(COMMANDS[:2]),
                "existing": st.booleans(),
                "way": st.sampled_from(ways),
                "after": st.integers(0, 999).map(lambda n: n / 1000),
                "left": st.integers(0, 4096) | st.integers(0, 400_000),
            }
        )

    def attempt(self, plan: Plan) -> None:
        """Run the command on a full disk, make room, and run it again."""
        output = self.victims.folder()
        try:
            with small_disk(output) if plan["way"] == "full" else nullcontext():
                self._attempt(plan, output)
        finally:
            shutil.rmtree(output)

    def _attempt(self, plan: Plan, output: Path) -> None:
        model, whole = plan["model"], self.victims.run(plan["model"])
        existing = plan["existing"] or plan["command"] != "plain"
        if existing:
            shutil.copytree(whole, output / CATEGORY)
        command = self._command(plan, output)
        before = victims.fingerprint(output / CATEGORY) if existing else {}
        filler = output / "filler"
        if plan["way"] == "limit":
            size = plan["left"]
            child = Child(command, prepare=lambda: limit_size(size))
        elif plan["way"] == "output":
            child = Child(command, output="/dev/full")
        else:
            child = Child(command, prepare=lambda: use_temporary(output))
            child.runs_until(child.start + plan["after"] * self.victims.seconds(model))
            fill(filler, plan["left"])
        ended = child.wait()
        filler.unlink(missing_ok=True)
        children.check(ended)
        self.hits += ended.code == 2
        if existing:
            self._check_kept(plan, output, before)
        again = children.run(command)
        children.check(again)
        if again.code == 2 and plan["command"] == "resume":
            victims.go_on(self.victims, model, output)
        elif again.code != 0:
            sentence = victims.neutral(again.said[0], output)
            raise BrokenRuleError(f"with room again: {sentence}")
        if plan["command"] in ("plain", "resume"):
            victims.same_run(output / CATEGORY, whole)

    def _check_kept(self, plan: Plan, output: Path, before: dict[str, str]) -> None:
        """That the run which was there is there, here or moved aside."""
        if plan["command"] == "plain":
            kept = [
                folder
                for folder in output.glob(f"{CATEGORY}*")
                if victims.fingerprint(folder) == before
            ]
            if not kept:
                raise BrokenRuleError("the run that was there is lost or changed")
        elif plan["command"] != "resume":
            written = ("posterior.json", "posterior.npz", "posterior.png")
            victims.expect_unchanged(before, output / CATEGORY, written)

    def _command(self, plan: Plan, output: Path) -> Command:
        model, folder = plan["model"], output / CATEGORY
        if plan["command"] in ("plain", "resume"):
            more = ["--resume"] if plan["command"] == "resume" else []
            return self.victims.main(model, output, *more)
        if plan["command"] == "report":
            return Command("report.py", [str(folder), f"--output={output / 'report.html'}"])
        if plan["command"] == "posterior" and model == "GenNet":
            where = [f"--output_dir={output}", f"--category={CATEGORY}"]
            return Command("GenNet/posterior.py", [*where, "--draws=16", "--samplers", "mala"])
        script = "GenNet/sample.py" if model == "GenNet" else "DesNet/synthesize.py"
        return Command(script, [str(folder), "--count=2", f"--to={output / 'images.npz'}"])


def limit_size(size: int) -> None:
    """No file of this process may grow past so many bytes."""
    # The files that its stdout and stderr go to count too: they are pipes or terminals of a user.
    resource.setrlimit(resource.RLIMIT_FSIZE, (max(size, 16384), resource.RLIM_INFINITY))


def use_temporary(folder: Path) -> None:
    """This process keeps its temporary files there."""
    tempfile.tempdir = str(folder)


def fill(filler: Path, left: int) -> None:
    """Fill the disk of a file, but for so many bytes."""
    with open(filler, "wb", buffering=0) as file:
        with suppress(OSError):
            while True:
                file.write(bytes(1 << 16))
        with suppress(OSError):
            while True:
                file.write(bytes(512))
        file.truncate(max(0, os.fstat(file.fileno()).st_size - left))


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A folder that is a file system of SIZE bytes in memory."""
    options = ["-t", "tmpfs", "-o", f"size={SIZE}", "attack", str(folder)]
    subprocess.run(["mount", *options], check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, capture_output=True)


@cache
def can_mount() -> bool:
    """Whether a file system can be mounted here."""
    try:
        with tempfile.TemporaryDirectory() as folder, small_disk(Path(folder)):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False
