"""What a trained model gives to others: images in files, and TensorFlow's SavedModel."""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

from common import figures
from common.console import say
from common.endings import shown
from common.files import FileError, check_writable, write_json, write_whole
from common.flags import Parser, SettingsError
from common.session import tf

if TYPE_CHECKING:
    from common.model import Model

ENDINGS = ".png (a panel), .gif (a film), .npz (arrays), or none, a folder of single .png"
COLUMNS = 8  # images in a row of a panel
MILLISECONDS = 100  # that an image of a GIF is shown


class Made(NamedTuple):
    """What a model has made of a request."""

    images: np.ndarray  # [n, S, S, 3] in [0, 255], unclipped
    arrays: dict[str, np.ndarray]  # that an npz holds besides
    film: np.ndarray | None = None  # frames [F, n, S, S, 3] that a GIF shows instead
    beside: np.ndarray | None = None  # [n, S, S, 3], of which a panel shows each below its image


class Signature(NamedTuple):
    """A function of a SavedModel."""

    inputs: dict[str, tf.Tensor]
    outputs: dict[str, tf.Tensor]
    about: dict[str, str]  # what each input and output is: its shape, unit and range


def add_flags(parser: Parser, default: str) -> None:
    """Add the flags of a command that writes what a trained model makes, to RUN/`default`."""
    add = parser.add_argument_group("what is written").add_argument
    add("--to", type=Path, metavar="FILE", help=f"{ENDINGS} (default: RUN/{default})")
    add("--export", type=Path, metavar="DIR", help="write a SavedModel of TensorFlow instead")


def vectors(texts: list[str], size: int) -> np.ndarray:
    """Texts such as "0.3,-1", the values of --z, as z [n, d].

    Args:
        texts: the values.
        size: d.

    Raises:
        SettingsError: one is no z of d finite numbers.
    """
    rows = []
    for text in texts:
        try:
            row = [float(word) for word in text.split(",")]
        except ValueError:
            row = []
        if len(row) != size or not np.isfinite(row).all():
            raise SettingsError(f"--z {text}: a z of this run is {size} numbers, commas between")
        rows.append(row)
    return np.array(rows)


def write(args: argparse.Namespace, model: Model, to: Path, make: Callable[[], Made]) -> None:
    """Write what a command asks for, and say where.

    Args:
        args: with `export`, see `add_flags`.
        model: of the run.
        to: see `save_images`.
        make: makes the images, if these are asked for.

    Raises:
        FileError: it cannot be written.
    """
    if args.export:
        export(model, args.export)
        told = f"SavedModel in {args.export}; signatures.json in it says what it takes and gives"
    else:
        made = make()
        save_images(to, made)
        told = f"{len(made.images)} image{'s' if len(made.images) > 1 else ''} in {to}"
    say(shown(told))


def check(args: argparse.Namespace, to: Path) -> None:
    """Find out before any work whether what a command asks for can be written.

    Args:
        args: with `export`, see `add_flags`.
        to: see `save_images`.

    Raises:
        FileError: it cannot, or its ending is another.
    """
    if args.export:
        if os.path.lexists(args.export):
            raise FileError(f"{args.export} is there already: choose another folder to export to.")
        check_writable(args.export)
    elif to.suffix not in ("", ".png", ".gif", ".npz"):
        raise FileError(f"cannot write {to}: its ending is to be {ENDINGS}.")
    else:
        check_writable(to if to.suffix else to / _single(1))


def _single(number: int) -> str:
    """The file of one image, counted from 1, in a folder of them."""
    return f"{number:04d}.png"


def save_images(to: Path, made: Made) -> None:
    """Write images to a file whose ending says how, or each to a PNG of its own.

    Args:
        to: ends in .png, .gif or .npz; without an ending it is a folder.  It passed `check`.
        made: the images; a GIF shows their film, or else one image after another.

    Raises:
        FileError: it cannot be written.
    """
    images = made.images
    frames = images[:, None] if made.film is None else made.film
    if not to.suffix:
        for i, image in enumerate(figures.to_uint8(images), 1):
            _write_png(to / _single(i), image)
    elif to.suffix == ".png":
        parts = [part for part in (images, made.beside) if part is not None]
        scale = 1 if len(images) * len(parts) == 1 else figures.SCALE
        together = zip(*(figures.wrapped(part, COLUMNS) for part in parts), strict=True)
        _write_png(to, figures.tiles([row for rows in together for row in rows], scale))
    elif to.suffix == ".gif":
        tiled = [figures.tiles(figures.wrapped(frame, COLUMNS)) for frame in frames]
        write_whole(to, lambda file: figures.write_gif(file, tiled, MILLISECONDS))
    else:
        content: dict[str, Any] = {"images": images.astype(np.float32), **made.arrays}
        write_whole(to, lambda file: np.savez_compressed(file, **content))


def _write_png(path: Path, picture: np.ndarray) -> None:
    """Write uint8 [H, W, 3]."""
    write_whole(path, lambda file: Image.fromarray(picture).save(file, "PNG"))


def export(model: Model, folder: Path) -> None:
    """Write a SavedModel of the model's signatures, with what each input and output is.

    It holds the networks alone, and is used with TensorFlow alone: `tf.saved_model.load(folder)
    .signatures[name](**inputs)`.  signatures.json in it says shapes, units and ranges.

    Args:
        model: learned.
        folder: to be made.  It passed `check`.

    Raises:
        FileError: it cannot be written.
    """
    learned = model.learned_values()
    try:
        with (
            tempfile.TemporaryDirectory(dir=folder.parent, prefix=".", suffix=".tmp") as around,
            tf.Graph().as_default(),
            tf.Session() as session,
        ):
            temporary = Path(around) / "model"
            signatures = model.signatures()
            session.run(tf.global_variables_initializer())
            for variable in tf.global_variables():
                variable.load(learned[variable.op.name], session)
            builder = tf.saved_model.builder.SavedModelBuilder(str(temporary))
            builder.add_meta_graph_and_variables(
                session,
                [tf.saved_model.tag_constants.SERVING],
                signature_def_map={
                    name: tf.saved_model.predict_signature_def(each.inputs, each.outputs)
                    for name, each in signatures.items()
                },
            )
            builder.save()
            about = {name: each.about for name, each in signatures.items()}
            write_json(temporary / "signatures.json", about)
            temporary.rename(folder)
    except (OSError, ValueError, tf.errors.OpError) as error:  # also a name that is no Unicode
        raise FileError(f"cannot write {folder}: {error}.") from error
