"""Use a trained generator: sample, decode any z, interpolate, reconstruct, or export it.

Example: python GenNet/sample.py output/GenNet/lion_tiger --between lion_1.png tiger_3.png
"""

from __future__ import annotations

from common import endings

if __name__ == "__main__":
    endings.while_loading("GenNet/sample.py")

import argparse
from pathlib import Path

import numpy as np

from common import datasets, export, flags, run_folder
from common.export import Made
from common.flags import SettingsError
from common.run_folder import Folder, RunError
from GenNet import GenNet, Settings, load
from inference import infer


def make_parser() -> flags.Parser:
    """The flags, each with its default."""
    parser = flags.Parser("GenNet/sample.py", __doc__)
    parser.add_argument("run", metavar="RUN", type=Path, help="folder of a run of GenNet/main.py")
    group = parser.add_argument_group("which images (by default 64 samples)")
    add = group.add_mutually_exclusive_group().add_argument
    add("--count", type=flags.whole(1, 10**6), help="so many samples, f(z) with z ~ N(0, I)")
    add(
        "--z",
        nargs="+",
        metavar="Z",
        help="f(z) of these z, each its coordinates with commas between (--z=-1,0.3 if it begins"
        " with a minus)",
    )
    add(
        "--between",
        nargs=2,
        metavar="NAME",
        help="f(z) on the way from one training image's inferred z to another's",
    )
    add("--reconstruct", nargs="+", metavar="FILE", type=Path, help="pictures, by inference alone")
    group.add_argument(
        "--steps", type=flags.whole(2, 10**6), default=8, help="images on the way of --between"
    )
    export.add_flags(parser, "sample.png")
    return parser


def choose_z(model: GenNet, names: list[str], args: argparse.Namespace) -> np.ndarray:
    """The z [n, d] of the images that are asked for, other than reconstructions.

    Raises:
        SettingsError: a z that is none, or no training image of that name.
    """
    if args.z:
        return export.vectors(args.z, model.settings.z_dim)
    if args.between:
        for name in args.between:
            if name not in names:
                raise SettingsError(
                    f"--between {name}: no such training image; there are {', '.join(names)}"
                )
        start, end = model.latents()[[names.index(name) for name in args.between]]
        return start + np.linspace(0, 1, args.steps)[:, None] * (end - start)
    return model.draw_z(args.count or 64)


def make(model: GenNet, args: argparse.Namespace) -> Made:
    """The images that are asked for.

    Raises:
        RunError: the model sees no whole images, of which one is to be reconstructed.
        DatasetError: a file that is no readable image.
        SettingsError: a z that is none, or no training image of that name.
    """
    if not args.reconstruct:
        z = choose_z(model, run_folder.read(args.run, "GenNet", Settings).names, args)
        return Made(model.generate(z), {"z": z})
    if model.visible is not None:
        raise RunError(
            f"the run in {args.run} sees no whole images (it has --occlude): choose another."
        )
    settings = model.settings
    pictures = datasets.read_images(args.reconstruct, settings.image_size, settings.fit)
    return Made(infer(model, pictures.astype(np.float32)), {"pictures": pictures})


def use(args: argparse.Namespace) -> None:
    """Load the run, and write what is asked for."""
    to = args.to or args.run / "sample.png"
    Folder(args.run).manifest("GenNet")  # a folder is only made for what a run gives
    export.check(args, to)
    model = load(args.run)
    export.write(args, model, to, lambda: make(model, args))


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; a mistake of the user's ends it with a sentence and exit code 2."""
    parser = make_parser()
    endings.end_in_a_sentence(
        parser.prog, lambda: use(parser.parse_args(arguments)), "stopped; nothing was written"
    )


if __name__ == "__main__":
    main()
