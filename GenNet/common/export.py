"""What a trained model gives to others: images in files, and TensorFlow's SavedModel."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

from common import figures
from common.files import FileError, write_json, write_whole
from common.flags import Parser
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
        print(f"SavedModel in {args.export}; signatures.json in it says what it takes and gives")
        return
    made = make()
    save_images(to, made)
    print(f"{len(made.images)} image{'s' if len(made.images) > 1 else ''} in {to}")


def save_images(to: Path, made: Made) -> None:
    """Write images to a file whose ending says how, or each to a PNG of its own.

    Args:
        to: ends in .png, .gif or .npz; without an ending it is a folder.
        made: the images; a GIF shows their film, or else one image after another.

    Raises:
        FileError: the ending is another, or it cannot be written.
    """
    images = made.images
    frames = images[:, None] if made.film is None else made.film
    try:
        (to if not to.suffix else to.parent).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"cannot write {to}: {error.strerror}.") from error
    if not to.suffix:
        for i, image in enumerate(figures.to_uint8(images), 1):
            _write_png(to / f"{i:04d}.png", image)
    elif to.suffix == ".png":
        scale = 1 if len(images) == 1 else figures.SCALE
        _write_png(to, figures.tiles(figures.wrapped(images, COLUMNS), scale))
    elif to.suffix == ".gif":
        tiled = [figures.tiles(figures.wrapped(frame, COLUMNS)) for frame in frames]
        write_whole(to, lambda file: figures.write_gif(file, tiled, MILLISECONDS))
    elif to.suffix == ".npz":
        content: dict[str, Any] = {"images": images.astype(np.float32), **made.arrays}
        write_whole(to, lambda file: np.savez_compressed(file, **content))
    else:
        raise FileError(f"cannot write {to}: its ending is to be {ENDINGS}.")


def _write_png(path: Path, picture: np.ndarray) -> None:
    """Write uint8 [H, W, 3]."""
    write_whole(path, lambda file: Image.fromarray(picture).save(file, "PNG"))


def export(model: Model, folder: Path) -> None:
    """Write a SavedModel of the model's signatures, with what each input and output is.

    It holds the networks alone, and is used with TensorFlow alone: `tf.saved_model.load(folder)
    .signatures[name](**inputs)`.  signatures.json in it says shapes, units and ranges.

    Args:
        model: learned.
        folder: to be made.

    Raises:
        FileError: it is there already, or cannot be written.
    """
    if folder.exists():
        raise FileError(f"{folder} is there already: choose another folder to export to.")
    temporary = folder.with_name(f".{folder.name}.tmp")
    learned = model.learned_values()
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        with tf.Graph().as_default(), tf.Session() as session:
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
    except (OSError, tf.errors.OpError) as error:
        raise FileError(f"cannot write {folder}: {error}.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
