"""A category: a folder of images, decoded once into one array on disk, and its batches."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import shlex
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from PIL import Image, ImageOps
from tqdm import tqdm

from common import streams
from common.console import say
from common.endings import MistakeError, silent_stderr
from common.flags import PROJECT
from common.streams import Stream

PIECE = 1024  # images that are decoded together: what waits in memory to be written
SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp"}
# Of what is under these names.  Pillow would try fifty more, and call Ghostscript for some.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP")
DIGITS = PROJECT / "data" / "digits"  # a category that digits.py beside it writes


class DatasetError(MistakeError):
    """A folder of images that cannot be used; the message is a sentence for the user."""


class Dataset(NamedTuple):
    """The images of a category, in the order of their file names."""

    images: np.ndarray  # [N, S, S, 3] uint8, mapped from a temporary file
    names: list[str]  # file names, N of them
    skipped: list[str]  # a sentence for every file that is no readable image
    apart: np.ndarray | None = None  # of several workers, the images that none of them learns


def _to_rgb(image: Image.Image) -> Image.Image:
    """Any Pillow mode as upright 8-bit RGB, transparency laid over white."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):
        # Pillow clips 16-bit and float pixels when it converts them: scale them to 8 bits.
        white = 1.0 if image.mode == "F" else 65535.0
        grey = np.array(image, np.float64)  # changed in place: it may be large
        np.nan_to_num(grey, copy=False)
        grey.clip(0, white, out=grey)
        grey /= white
        grey *= 255
        return Image.fromarray(grey.round(out=grey).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def _read(path: Path, image_size: int, fit: str) -> np.ndarray | str:
    """The image [S, S, 3] uint8, or a sentence that says why it is none."""
    try:
        with Image.open(path, formats=FORMATS) as file:
            image = _to_rgb(file)
        size = (image_size, image_size)
        if fit == "crop":
            image = ImageOps.fit(image, size, Image.Resampling.BICUBIC)
        else:
            image = image.resize(size, Image.Resampling.BICUBIC)
        return np.asarray(image)
    except Image.UnidentifiedImageError:
        return f"{path.name}: not an image"
    # Of a damaged file Pillow's readers raise nearly everything, NotImplementedError, struct.error
    # and MemoryError too; whatever it is, the file cannot be read.
    except Exception as error:
        why = " ".join(str(error).split())[:200]
        return f"{path.name}: {why if why.isprintable() and why else type(error).__name__}"


@contextlib.contextmanager
def _quiet() -> Iterator[IO[str]]:
    """Warnings of damage go unsaid, Pillow's and libtiff's: a file is decoded, or its name is told.

    Yields:
        What stderr is meanwhile, for a progress bar: libtiff prints there whatever Python says.
    """
    with silent_stderr() as terminal, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # An image of over 90 million pixels is a mistake or an attack: Pillow only warns of it.
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield terminal


def read_images(paths: Sequence[Path], image_size: int, fit: str) -> np.ndarray:
    """Decode some files: [n, S, S, 3] uint8; arguments as for `load`.

    Raises:
        DatasetError: one is no readable image.
    """
    with _quiet():
        images = [_read(path, image_size, fit) for path in paths]
    for image in images:
        if isinstance(image, str):
            raise DatasetError(f"{image}; choose another file.")
    return np.stack(images)


def load(folder: Path, image_size: int = 64, fit: str = "stretch") -> Dataset:
    """Decode every image in `folder`, on all cores, to a memory-mapped array.

    The array lies in an unnamed file in the directory for temporary files (TMPDIR), 12 kB for an
    image of 64 x 64, and is gone when the process ends.  Files that are no readable image
    (truncated, another type, a decompression bomb) are left out and named in `skipped`.  Hidden
    files and sub-folders are ignored.

    Args:
        folder: where the images lie.
        image_size: side S of the square they are resized to, in pixels (bicubic).
        fit: "stretch" resizes the whole picture, as the assignment does; "crop" takes its
            centre square.

    Raises:
        DatasetError: there is no such folder, or no readable image in it, or no room for them.
    """
    data = decode(image_files(folder), image_size, fit)
    if not data.names:
        why = f" ({'; '.join(data.skipped)})" if data.skipped else ""
        raise DatasetError(
            f"no readable image in {folder}{why}; its files end in {' '.join(sorted(SUFFIXES))}."
        )
    return data


def image_files(folder: Path) -> list[Path]:
    """The files in a folder that may be images, in the order of their names.

    The category digits is written first, if it is not there.

    Raises:
        DatasetError: there is no such folder, or it cannot be read or written.
    """
    _write_at_first_use(folder)
    if not os.path.isdir(folder):  # a name that is too long is none, where Path.is_dir raises
        parent = Path(os.path.abspath(folder.parent))
        if os.path.isdir(parent) and _images(parent):
            raise DatasetError(
                f"no image folder {folder}, but {parent} itself holds images: learn them with"
                f" --data_path {shlex.quote(str(parent.parent))}"
                f" --category {shlex.quote(parent.name)}."
            )
        siblings = visible_folders(folder.parent)
        there = f"; {folder.parent} holds {', '.join(siblings)}" if siblings else ""
        raise DatasetError(
            f"no image folder {folder}{there}; choose one with --data_path and --category."
        )
    try:
        return _images(folder)
    except OSError as error:
        raise DatasetError(f"cannot read the folder {folder}: {error.strerror}.") from error


def _write_at_first_use(folder: Path) -> None:
    """Write the category that does not ship but is written where it is first asked for: digits.

    Any other folder, and digits that are there, are left alone.

    Args:
        folder: that is asked for.

    Raises:
        DatasetError: it cannot be written, as where scikit-learn is missing.
    """
    script = DIGITS.with_suffix(".py")
    asked_for = os.path.realpath(folder) == os.path.realpath(DIGITS)
    if not asked_for or os.path.isdir(folder) or not script.exists():
        return
    say("Writing data/digits ...")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"{script} ended by {-done.returncode}"]
        raise DatasetError(lines[-1])


def _images(folder: Path) -> list[Path]:
    return sorted(
        p
        for p in folder.iterdir()
        if p.suffix.lower() in SUFFIXES and not p.name.startswith(".") and p.is_file()
    )


def decode(paths: list[Path], image_size: int, fit: str) -> Dataset:
    """Decode these files as `load` does, none of which need be readable.

    Raises:
        DatasetError: there is no room for them.
    """
    try:
        return _decode(paths, image_size, fit)
    except OSError as error:
        raise DatasetError(
            f"cannot keep the decoded images in {tempfile.gettempdir()} ({error.strerror}):"
            " set TMPDIR to a directory with more room."
        ) from error


def visible_folders(folder: Path) -> list[str]:
    """Names of the folders in a folder, if it can be read."""
    try:
        names = [path.name for path in folder.iterdir() if os.path.isdir(path)]
    except OSError:
        return []
    return sorted(name for name in names if name[0] not in "._")


def _decode(paths: list[Path], image_size: int, fit: str) -> Dataset:
    """The images of these files, in a temporary file; `load` says what becomes of the others."""
    names, skipped = [], []
    with (
        _quiet() as terminal,
        tempfile.TemporaryFile() as file,
        ThreadPoolExecutor(os.cpu_count()) as pool,
        tqdm(
            total=len(paths),
            desc="Images",
            leave=False,
            delay=2,
            dynamic_ncols=True,
            file=terminal,
        ) as bar,
    ):
        for i in range(0, len(paths), PIECE):
            piece = paths[i : i + PIECE]
            decoded = pool.map(lambda path: _read(path, image_size, fit), piece)
            for path, image in zip(piece, decoded, strict=True):
                if isinstance(image, str):
                    skipped.append(image)
                else:
                    names.append(path.name)
                    file.write(image.tobytes())
                bar.update()
        file.flush()
        shape = (len(names), image_size, image_size, 3)
        images = np.memmap(file, np.uint8, "r", shape=shape) if names else np.empty(shape, np.uint8)
    return Dataset(images, names, skipped)


def split(data: Dataset, holdout: list[str] | None) -> tuple[Dataset, Dataset]:
    """Divide a category into what is learned and what is held out.

    Args:
        data: the category.
        holdout: file names of the images to hold out; None: none.

    Returns:
        The images to learn, and the others.  Of several workers, names are those of all images, and
        of the images to learn the first ones are this worker's.

    Raises:
        DatasetError: a name is not there, or none is left to learn.
    """
    there = ", ".join(data.names)
    for name in holdout or []:
        if name not in data.names:
            raise DatasetError(f"--holdout {name}: no such image; there are {there}.")
    held = np.isin(data.names, holdout or [])  # [N]
    if held.all():
        raise DatasetError(f"--holdout leaves none of {there} to learn: name fewer.")
    names = [np.array(data.names)[chosen].tolist() for chosen in (~held, held)]
    if data.apart is not None:
        return Dataset(data.images, names[0], []), Dataset(data.apart, names[1], [])
    # The whole array stays on disk; a choice from it is copied to memory.
    learned = data.images[~held] if held.any() else data.images
    return Dataset(learned, names[0], []), Dataset(data.images[held], names[1], [])


def every_fourth(folder: Path) -> list[str]:
    """Names of every fourth image in a folder, the last of each four.

    Raises:
        DatasetError: there is no such folder, or there are fewer than four.
    """
    names = [path.name for path in image_files(folder)]
    if len(names) < 4:
        raise DatasetError(
            f"--holdout fourth: there are but {len(names)} images in {folder}; name those to hold"
            " out."
        )
    return names[3::4]


def digest(image: np.ndarray) -> bytes:
    """Eight bytes that tell whether the pixels of an image have changed."""
    return hashlib.blake2b(image.tobytes(), digest_size=8).digest()


def digests(data: Dataset) -> dict[str, str]:
    """The digest of each image, by file name."""
    return {name: digest(image).hex() for name, image in zip(data.names, data.images, strict=True)}


def mean_colours(images: np.ndarray) -> np.ndarray:
    """The mean colour of each image [N, S, S, 3]: [N, 3] in float64."""
    # In float64: a sum of uint8 or int16 pixels overflows, and starts chains from a wrong colour.
    return images.mean(axis=(1, 2), dtype=np.float64)


def flat_images(colours: np.ndarray, image_size: int) -> np.ndarray:
    """A flat image of each colour [N, 3]: [N, S, S, 3] in float32.

    An image reduced to 1 x 1 and enlarged again.  All pixels are one number in memory.
    """
    flat = colours.astype(np.float32)[:, None, None]
    return np.broadcast_to(flat, [len(colours), image_size, image_size, 3])


def batches_per_epoch(num_images: int, batch_size: int) -> int:
    """Batches that it takes to see every image once."""
    return math.ceil(num_images / batch_size)


def batch_indices(iteration: int, num_images: int, batch_size: int, seed: int) -> np.ndarray:
    """Indices of the images of an iteration, counted from 0: every epoch permutes all images."""
    epoch, part = divmod(iteration, batches_per_epoch(num_images, batch_size))
    order = np.arange(num_images)
    if num_images > batch_size:
        order = streams.generator(seed, Stream.ORDER, epoch).permutation(num_images)
    return order[part * batch_size : (part + 1) * batch_size]


def batches(
    images: np.ndarray, indices: Callable[[int], np.ndarray], first: int, last: int
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """The batches of the iterations from `first` up to `last`, read one ahead by a thread.

    Args:
        images: [N, ...], which may lie on disk.
        indices: those of the images of an iteration, such as `batch_indices`.
        first: number of the first iteration, counted from 0.
        last: number of the first that is none of them.

    Yields:
        The number of the iteration, the indices [B] of its images, and those in float32 [B, ...].
    """

    def read(iteration: int) -> tuple[int, np.ndarray, np.ndarray]:
        index = indices(iteration)
        return iteration, index, images[index].astype(np.float32)

    with ThreadPoolExecutor(1) as reader:
        ahead = reader.submit(read, first)
        for iteration in range(first, last):
            batch = ahead.result()
            ahead = reader.submit(read, iteration + 1)
            yield batch
