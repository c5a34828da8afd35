"""A run: the folder it writes, and what is read of it again.

    config.json    every resolved flag            metrics.json   what the run reached
    manifest.json  what its files are             results.npz    its arrays
    constants.npz  what the model is made of      log/           TensorBoard events
    history.csv    one row an iteration           *.png *.gif    the pictures
    checkpoints/   what --resume goes on from     *.webp         sprites for the report
    progress/      a panel every --log_step

A file is written whole or not at all.  Only history.csv and the events grow.  A run begins beside
its folder, as `.NAME.new`, and takes the place of what is there, which is moved aside, when it is
whole.

The manifest is what readers of a run go by.  It says `format`, which changes when any of these
files comes to mean something else; `model`; `images`, the names of those that were learned;
`digests` of all images of the category; `sittings`, in which it was learned: a run that went on
with other epochs, or by other workers, has several; `flags`, those that a command line has to say
to make it again; and, at the end, what the results show (see `experiment.Results`).
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np

from common import files, flags
from common.endings import MistakeError
from common.files import FileError
from common.flags import Settings, SettingsError
from common.session import tf
from common.shards import full_shape

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from common.model import Model

FORMAT = 3  # of a run's files
AGAIN = "make the run again, or choose another"  # what to do about one that is damaged, and
FINISH = "finish the run by main.py --resume"  # about one that has not ended, and
ANEW = "leave out --resume to start anew"  # about one that was to be gone on with


class RunError(MistakeError):
    """A run that cannot start, go on or be read; the message is a sentence for the user."""


class Picture(NamedTuple):
    """A picture of a run: how its file is written, and what the manifest says of it."""

    write: Callable[[IO[bytes]], object]
    about: dict[str, Any]


def is_sitting(value: object) -> bool:
    """Whether a value of JSON is a sitting of a run.

    `start` is how many iterations were done before; the whole run was then to have `iterations`, in
    `num_epochs`, by `workers`.
    """
    names = ("start", "iterations", "num_epochs", "workers")
    return isinstance(value, dict) and all(
        isinstance(value.get(name), int) and 0 <= value[name] < 2**63 for name in names
    )


def png(figure: Figure, **about: Any) -> Picture:
    """A figure as a picture of a run."""
    return Picture(lambda file: figure.savefig(file, format="png"), about)


class Folder:
    """The folder of a run: files are written whole, and read with care.

    Attributes:
        folder: OUTPUT_DIR/NAME.
        written: the names of the files that were written.
    """

    def __init__(self, folder: Path, advice: str = AGAIN) -> None:
        """Describe it; nothing is read.

        Args:
            folder: OUTPUT_DIR/NAME.
            advice: what to do if it is damaged.
        """
        self.folder = folder
        self.written: list[str] = []
        self._advice = advice

    @property
    def checkpoint(self) -> Path:
        """Of the checkpoints, less the iteration."""
        return self.folder / "checkpoints" / "model"

    def _damaged(self, wrong: object) -> RunError:
        return RunError(f"{str(wrong).rstrip('.')}: {self._advice}.")

    # Files

    def save(self, name: str, write: Callable[[IO[bytes]], object]) -> None:
        """Write the file `name` in the run's folder, whole or not at all.

        Args:
            name: path below the folder.
            write: writes the content to an open binary file.

        Raises:
            FileError: it cannot be written.
        """
        files.write_whole(self.folder / name, write)
        self._note(name)

    def _note(self, name: str) -> None:
        if name not in self.written:
            self.written.append(name)

    def save_figure(self, name: str, figure: Figure) -> None:
        """Write a figure as PNG."""
        self.save(name, png(figure).write)

    def save_arrays(self, name: str, **arrays: np.ndarray) -> None:
        """Write arrays as compressed npz, numbers in float32."""
        content: dict[str, Any] = {key: value.astype(np.float32) for key, value in arrays.items()}
        self.save(name, lambda file: np.savez_compressed(file, **content))

    def save_json(self, name: str, value: dict[str, Any]) -> None:
        """Write a dictionary as JSON."""
        files.write_json(self.folder / name, value)
        self._note(name)

    def read_json(self, name: str) -> dict[str, Any]:
        """A dictionary of the run.

        Raises:
            RunError: it is missing or damaged.
        """
        try:
            return files.read_json(self.folder / name)
        except FileError as error:
            raise self._damaged(error) from error

    def read_arrays(self, name: str) -> dict[str, np.ndarray]:
        """Arrays of the run.

        Raises:
            RunError: they are missing or damaged.
        """
        try:
            return files.read_arrays(self.folder / name)
        except FileError as error:
            raise self._damaged(error) from error

    # What was learned

    def manifest(self, model: str) -> dict[str, Any]:
        """What the run says of itself.

        Args:
            model: whose run it is to be.

        Raises:
            RunError: there is no run, or one of another model or another version.
        """
        if not os.path.isfile(self.folder / "config.json"):  # whatever its name is
            raise RunError(f"there is no run in {self.folder}: learn one with main.py.")
        if not os.path.isfile(self.folder / "manifest.json"):
            raise RunError(
                f"the run in {self.folder} has no manifest.json, as those of earlier versions:"
                " make it again."
            )
        manifest = self.read_json("manifest.json")
        if manifest.get("model") != model:
            raise RunError(
                f"the run in {self.folder} is of {manifest.get('model')}, not {model}: choose"
                " another."
            )
        if manifest.get("format") != FORMAT:
            raise RunError(
                f"the run in {self.folder} has format {manifest.get('format')}, where this version"
                f" reads {FORMAT}: make it again, or use the version that made it."
            )
        names = manifest.get("images")
        if not names or not isinstance(names, list) or not all(isinstance(n, str) for n in names):
            raise self._damaged(f"{self.folder / 'manifest.json'} is damaged: it names no images")
        sittings = manifest.get("sittings")
        if not isinstance(sittings, list) or not all(is_sitting(value) for value in sittings):
            raise self._damaged(f"{self.folder / 'manifest.json'} is damaged: it has no sittings")
        return manifest

    def settings(self, settings_class: type[Settings]) -> Any:
        """The settings that the run was made with, each checked as a flag would be.

        Raises:
            RunError: config.json is missing or damaged.
        """
        try:
            return flags.from_config(settings_class, self.read_json("config.json"))
        except SettingsError as error:
            raise self._damaged(f"{self.folder / 'config.json'} is damaged: {error}") from error

    def restore(self, model: Model) -> int:
        """Read the newest checkpoint into a model that is built.

        Returns:
            The iteration that it was written after.

        Raises:
            RunError: it is missing, damaged or of a model of another shape.
        """
        numbers = self.checkpoints()
        if not numbers:
            raise self._damaged(f"there is no checkpoint in {self.checkpoint.parent}")
        prefix = Path(f"{self.checkpoint}-{numbers[-1]}")
        try:
            with _plain(prefix.parent) as folder, model.session.graph.as_default():
                path = str(folder / prefix.name)
                # Restoring alone would take any shape.
                shapes = tf.train.load_checkpoint(path).get_variable_to_shape_map()
                for variable in tf.global_variables():
                    if shapes[variable.op.name] != full_shape(variable):
                        raise ValueError(f"{variable.op.name} has another shape")
                model.saver.restore(model.session, path)
            return numbers[-1]
        except Exception as error:  # TensorFlow raises anything of a damaged checkpoint
            raise self._damaged(
                f"the checkpoint {prefix} is damaged or of another shape (other images, another"
                " network)"
            ) from error

    def checkpoints(self) -> list[int]:
        """The iterations after which the checkpoints were written that are whole."""
        # An index is written last.  The list that TensorFlow keeps besides can be lost or torn.
        texts = (p.stem[6:] for p in self.checkpoint.parent.glob("model-*.index"))
        return sorted(int(text) for text in texts if text.isdecimal())

    # What is learned from

    def check_images(self, digests: dict[str, str]) -> None:
        """See that the images are those that the run began with.

        Args:
            digests: of the images as they are now, see `datasets.digests`.

        Raises:
            RunError: some are others, or it is not known what they were.
        """
        before = self.read_json("manifest.json").get("digests")
        if not isinstance(before, dict):
            raise self._damaged(f"{self.folder / 'manifest.json'} is damaged: it has no digests")
        changes = {
            "changed": [n for n in digests if n in before and digests[n] != before[n]],
            "gone": [n for n in before if n not in digests],
            "new": [n for n in digests if n not in before],
        }
        told = [
            f"{len(names)} {what} ({', '.join(names[:3])}{', ...' if names[3:] else ''})"
            for what, names in changes.items()
            if names
        ]
        if told:
            raise RunError(
                f"the run in {self.folder} began with other images, of which {' and '.join(told)}:"
                f" put them back, or {ANEW}."
            )


@contextlib.contextmanager
def _plain(folder: Path) -> Iterator[Path]:
    """A path to the folder in which TensorFlow, when it reads, sees no pattern such as [1]*."""
    with tempfile.TemporaryDirectory() as place:
        link = Path(place) / "link"
        link.symlink_to(folder.resolve())
        yield link


class Learned(NamedTuple):
    """What a model is made of again."""

    folder: Folder
    settings: Any
    constants: dict[str, np.ndarray]
    names: list[str]  # of the images that it learned

    def constant(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """One of the constants, which has this shape and holds finite numbers.

        Raises:
            RunError: it is missing, or is not so.
        """
        value = self.constants.get(name)
        if value is None or value.shape != shape or not np.isfinite(value).all():
            found = "missing" if value is None else f"of the shape {value.shape} or not finite"
            raise RunError(
                f"constants.npz in {self.folder.folder} is damaged: {name} is {found}, where"
                f" config.json and manifest.json ask for the shape {shape}: {AGAIN}."
            )
        return value

    def images(self, most: int | None = None) -> tuple[dict[str, np.ndarray], dict[str, list[str]]]:
        """The images that the finished run shows, and their names, by part.

        Args:
            most: of a part; by default all.

        Returns:
            "learned" [n, S, S, 3] and "held_out" [m, S, S, 3] in [0, 255], perhaps none.

        Raises:
            RunError: the run has not finished, or is damaged.
        """
        folder, side = self.folder.folder, self.settings.image_size
        try:
            arrays = files.read_arrays(folder / "results.npz")
        except FileError as error:
            raise RunError(f"{str(error)[:-1]}: {FINISH}.") from error
        names = {"learned": self.names, "held_out": sorted(self.settings.holdout or [])}
        none = np.empty((0, side, side, 3))
        parts = {"learned": arrays.get("images", none), "held_out": arrays.get("holdout", none)}
        for part, images in parts.items():
            if (
                images.ndim != 4
                or images.shape[1:] != (side, side, 3)
                or not int(part == "learned") <= len(images) <= len(names[part])
                or not np.isfinite(images).all()
            ):
                raise RunError(
                    f"results.npz in {folder} is damaged: of the {part.replace('_', '-')} images it"
                    f" holds none of {side} x {side} pixels, at most the {len(names[part])} that"
                    f" manifest.json names: {FINISH}."
                )
        parts = {part: images[:most] for part, images in parts.items()}
        return parts, {part: names[part][: len(images)] for part, images in parts.items()}


def read(folder: Path | str, model: str, settings_class: type[Settings]) -> Learned:
    """Read what the model of a run is made of; `Folder.restore` then reads its variables.

    Args:
        folder: OUTPUT_DIR/CATEGORY.
        model: whose run it is to be.
        settings_class: of that model.

    Raises:
        RunError: there is no such run, it is damaged, of another model or of another version.
    """
    opened = Folder(Path(folder))
    names = opened.manifest(model)["images"]
    settings = opened.settings(settings_class)
    return Learned(opened, settings, opened.read_arrays("constants.npz"), names)
