"""Small runs that are attacked, and what they would be if they were left alone."""

from __future__ import annotations

import atexit
import hashlib
import json
import shutil
import stat
import tempfile
from functools import cache, cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from attacks import children
from attacks.children import Command, Ended
from attacks.harness import BrokenRuleError, Kind

MODELS = ("GenNet", "DesNet")
CATEGORY = "cats"
EPOCHS = 6
PATIENCE = 600.0  # seconds that a run may take which nobody disturbs
SMALL = {
    "GenNet": ["--width=4", "--sample_steps=2"],
    "DesNet": ["--T=2", "--network=assignment"],
}
NO_CHECKPOINT = ("there is no checkpoint", "no run to go on with", "there is no run")


class Victims:
    """A folder of images, and finished runs of it."""

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="attack-"))
        self.data = self.root / "data"
        (self.data / CATEGORY).mkdir(parents=True)
        rng = np.random.default_rng(0)
        for i in range(3):
            pixels = rng.integers(0, 256, (20, 24, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(self.data / CATEGORY / f"{i}.png")
        self._runs: dict[tuple[str, int], Path] = {}
        self._seconds: dict[str, float] = {}

    def main(self, model: str, output: Path, *more: str, seed: int = 0) -> Command:
        """The command that learns a small run into `output`."""
        small = ["--image_size=16", f"--num_epochs={EPOCHS}", "--log_step=2", *SMALL[model]]
        where = [f"--data_path={self.data}", f"--category={CATEGORY}", f"--output_dir={output}"]
        return Command(f"{model}/main.py", [*small, *where, f"--seed={seed}", *more])

    def run(self, model: str, seed: int = 0) -> Path:
        """A finished run that nobody has disturbed."""
        if (model, seed) not in self._runs:
            output = self.root / "runs" / f"{model}{seed}"
            self._expect(children.run(self.main(model, output, seed=seed), PATIENCE))
            self._runs[model, seed] = output / CATEGORY
        return self._runs[model, seed]

    @cached_property
    def runs(self) -> dict[str, Path]:
        """A finished run of each model, with all that every command writes into one."""
        runs = {model: self.folder() / CATEGORY for model in MODELS}
        for model, run in runs.items():
            shutil.copytree(self.run(model), run)
        where = [f"--output_dir={runs['GenNet'].parent}", f"--category={CATEGORY}"]
        few = ["--draws=16", "--samplers", "mala"]
        self._expect(children.run(Command("GenNet/posterior.py", [*where, *few]), PATIENCE))
        return runs

    def seconds(self, model: str, fresh: bool = False) -> float:
        """The time that a run takes in a process, whose bits are those of every other."""
        key = f"{model} fresh" if fresh else model
        if key not in self._seconds:
            output = self.folder()
            ended = children.run(self.main(model, output), PATIENCE, fresh=fresh)
            self._expect(ended)
            same_run(output / CATEGORY, self.run(model))
            self._seconds[key] = ended.end - ended.start
        return self._seconds[key]

    def close(self) -> None:
        """Remove all of it."""
        shutil.rmtree(self.root)

    def folder(self) -> Path:
        """A new empty folder."""
        return Path(tempfile.mkdtemp(dir=self.root))

    @staticmethod
    def _expect(ended: Ended) -> None:
        if ended.code != 0:
            raise RuntimeError(f"a run that nobody disturbs has failed: {ended.errors}")


@cache
def shared() -> Victims:
    """Those of this process, removed when it ends."""
    victims = Victims()
    atexit.register(victims.close)
    return victims


class KindOfRuns(Kind):
    """A kind of attack on runs."""

    def __init__(self) -> None:
        super().__init__()
        self.victims = shared()


def fingerprint(folder: Path) -> dict[str, str]:
    """What every file below a folder holds, by name; nothing is opened that is no plain file."""
    found = {}
    for path in sorted(folder.rglob("*")):
        kind = stat.S_IFMT(path.lstat().st_mode)
        content = hashlib.sha1(path.read_bytes()).hexdigest() if stat.S_ISREG(kind) else ""
        found[path.relative_to(folder).as_posix()] = f"{kind} {content}"
    return found


def expect_unchanged(before: dict[str, str], folder: Path, written: tuple[str, ...] = ()) -> None:
    """That the files of a folder are those of its fingerprint, but for those in `written`.

    Raises:
        BrokenRuleError: one is lost, changed or new.
    """
    after = fingerprint(folder)
    for name in sorted(before.keys() | after.keys()):
        if name not in written and before.get(name) != after.get(name):
            what = "changed" if name in before and name in after else "new"
            what = what if name in after else "lost"
            raise BrokenRuleError(f"a file that was there is {what}: {shown(name)}")


def shown(name: str) -> str:
    """The name of a file, without what differs from run to run."""
    return "log/events" if name.startswith("log/events") else name


def same_run(folder: Path, whole: Path) -> None:
    """That a run ended as one that nobody disturbed: arrays, history and weights, to the bit.

    Raises:
        BrokenRuleError: it did not.
    """
    for name in ("config.json", "metrics.json", "manifest.json", "results.npz", "history.csv"):
        if not (folder / name).is_file():
            raise BrokenRuleError(f"{name} is missing at the end")
    a, b = arrays(folder), arrays(whole)
    if a.keys() != b.keys() or not all(np.array_equal(a[k], b[k]) for k in a):
        raise BrokenRuleError("results.npz differs from that of an undisturbed run")
    weights = [f"checkpoints/{path.name}" for path in whole.glob("checkpoints/model-*")]
    for name in ["history.csv", *weights]:
        other = folder / name
        if not other.is_file() or other.read_bytes() != (whole / name).read_bytes():
            raise BrokenRuleError(f"{name} differs from that of an undisturbed run")
    figures = [json.loads((run / "metrics.json").read_text()) for run in (folder, whole)]
    for values in figures:
        for time in ("seconds", "learning_seconds", "seconds_a_sample"):
            values.pop(time, None)
    if figures[0] != figures[1]:
        raise BrokenRuleError("metrics.json differs from that of an undisturbed run")


def arrays(folder: Path) -> dict[str, np.ndarray]:
    """Those of results.npz."""
    with np.load(folder / "results.npz") as file:
        return dict(file)


def go_on(victims: Victims, model: str, output: Path) -> None:
    """Go on with a run that was stopped, or start it anew if it had no checkpoint, to its end.

    Raises:
        BrokenRuleError: it does not end as one that nobody disturbed.
    """
    ended = children.run(victims.main(model, output, "--resume"))
    children.check(ended)
    if ended.code == 2 and any(words in ended.errors for words in NO_CHECKPOINT):
        ended = children.run(victims.main(model, output))
        children.check(ended)
    if ended.code != 0:
        raise BrokenRuleError(f"cannot go on: {neutral(ended.said[-1], output)}")
    same_run(output / CATEGORY, victims.run(model))
    left = sorted(path.name for path in (output / CATEGORY).rglob("*") if "tmp" in path.suffix)
    if left:
        raise BrokenRuleError(f"left behind at the end: {left[0]}")


def neutral(text: str, folder: Path) -> str:
    """A sentence without the path of a folder, so that causes can be compared."""
    return text.replace(str(folder), "FOLDER")
