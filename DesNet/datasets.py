"""A category: a folder of images, read into one array."""

import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp"}


class DatasetError(Exception):
    """A folder of images that cannot be used; the message is a sentence for the user."""


class Dataset(NamedTuple):
    """The images of a category, in the order of their file names."""

    images: np.ndarray  # [N, S, S, 3] float32 in [0, 255]
    names: list[str]  # file names, N of them
    skipped: list[str]  # a sentence for every file that is no readable image


def _to_rgb(image: Image.Image) -> Image.Image:
    """Any Pillow mode as upright 8-bit RGB, transparency laid over white."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):
        # Pillow clips 16-bit and float pixels when it converts them: scale them to 8 bits.
        white = 1.0 if image.mode == "F" else 65535.0
        grey = np.asarray(image, np.float64).clip(0, white) / white * 255
        return Image.fromarray(grey.round().astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def _read(path: Path, image_size: int, fit: str) -> np.ndarray:
    with warnings.catch_warnings():
        # An image of over 90 million pixels is a mistake or an attack: Pillow only warns of it.
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(path) as file:
            image = _to_rgb(file)
    size = (image_size, image_size)
    if fit == "crop":
        image = ImageOps.fit(image, size, Image.Resampling.BICUBIC)
    else:
        image = image.resize(size, Image.Resampling.BICUBIC)
    return np.asarray(image, np.float32)


def load(folder: Path, image_size: int = 64, fit: str = "stretch") -> Dataset:
    """Read every image in `folder`.

    Files that are no readable image (truncated, another type, a decompression bomb) are left out
    and named in `skipped`.  Hidden files and sub-folders are ignored.

    Args:
        folder: where the images lie.
        image_size: side S of the square they are resized to, in pixels (bicubic).
        fit: "stretch" resizes the whole picture, as the assignment does; "crop" takes its
            centre square.

    Raises:
        DatasetError: there is no such folder, or no readable image in it.
    """
    if not folder.is_dir():
        siblings = sorted(path.name for path in folder.parent.glob("[!.]*") if path.is_dir())
        there = f"; {folder.parent} holds {', '.join(siblings)}" if siblings else ""
        raise DatasetError(
            f"no image folder {folder}{there}; choose one with --data_path and --category."
        )
    try:
        paths = sorted(
            p
            for p in folder.iterdir()
            if p.suffix.lower() in SUFFIXES and not p.name.startswith(".") and p.is_file()
        )
    except OSError as error:
        raise DatasetError(f"cannot read the folder {folder}: {error.strerror}.") from error
    images, names, skipped = [], [], []
    for path in paths:
        try:
            images.append(_read(path, image_size, fit))
            names.append(path.name)
        except Image.UnidentifiedImageError:
            skipped.append(f"{path.name}: not an image")
        except (
            OSError,
            ValueError,
            SyntaxError,  # what Pillow raises for a damaged PNG
            Image.DecompressionBombError,
            Image.DecompressionBombWarning,
        ) as error:
            skipped.append(f"{path.name}: {error}")
    if not images:
        why = f" ({'; '.join(skipped)})" if skipped else ""
        raise DatasetError(
            f"no readable image in {folder}{why}; its files end in {' '.join(sorted(SUFFIXES))}."
        )
    return Dataset(np.stack(images), names, skipped)


def mean_images(images: np.ndarray) -> np.ndarray:
    """Each image [N, S, S, 3] reduced to 1 x 1 and enlarged again: a flat colour, float32."""
    # In float64: a sum of uint8 or int16 pixels overflows, and starts chains from a wrong colour.
    mean = images.mean(axis=(1, 2), keepdims=True, dtype=np.float64)
    return np.broadcast_to(mean, images.shape).astype(np.float32)


def batch_size(asked: int | None, num_images: int, default: int) -> int:
    """The batch size that was asked for, or else the default or all images if they are fewer.

    Raises:
        DatasetError: there are fewer images than were asked for in a batch.
    """
    if asked is None:
        return min(default, num_images)
    if asked > num_images:
        raise DatasetError(
            f"--batch_size {asked} is more than the {num_images} images there are:"
            f" choose 1 to {num_images}, or leave it out."
        )
    return asked
