"""Use a trained baseline: sample, decode any z, go from image to image, reconstruct, or export it.

Example: python Baselines/sample.py output/VAE/lion_tiger --reconstruct ~/pictures/lion.jpg
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "GenNet"))

from common import endings  # noqa: E402

if __name__ == "__main__":
    endings.while_loading("Baselines/sample.py")

import argparse  # noqa: E402
import importlib  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402

import models  # noqa: E402
from common import datasets, export, flags  # noqa: E402
from common.export import Made  # noqa: E402
from common.run_folder import Folder, RunError  # noqa: E402


def make_parser() -> flags.Parser:
    """The flags, each with its default."""
    parser = flags.Parser("Baselines/sample.py", __doc__ or "")
    parser.add_argument(
        "run", metavar="RUN", type=Path, help="folder of a run of Baselines/main.py"
    )
    group = parser.add_argument_group("which images (by default 64 samples)")
    add = group.add_mutually_exclusive_group().add_argument
    add("--count", type=flags.whole(1, 10**6), help="so many samples")
    add(
        "--z",
        nargs="+",
        metavar="Z",
        help="images of these z, each its coordinates with commas between (--z=-1,0.3 if it begins"
        " with a minus)",
    )
    add("--reconstruct", nargs="+", metavar="FILE", type=Path, help="pictures, as the model draws")
    export.add_flags(parser, "sample.png")
    return parser


def make(model: Any, args: argparse.Namespace) -> Made:
    """The images that are asked for.

    Raises:
        RunError: the model cannot do that.
        DatasetError: a file that is no readable image.
        SettingsError: a z that is none.
    """
    name, settings = type(model).__name__, model.settings
    if args.z:
        if not hasattr(model, "generate"):
            raise RunError(f"a run of {name} has no z: leave out --z.")
        z = export.vectors(args.z, settings.z_dim)
        return Made(model.generate(z), {"z": z})
    if args.reconstruct:
        if not hasattr(model, "reconstruct"):
            raise RunError(f"a run of {name} reconstructs no images: leave out --reconstruct.")
        pictures = datasets.read_images(args.reconstruct, settings.image_size, settings.fit)
        return Made(model.reconstruct(pictures.astype(np.float32)), {"pictures": pictures})
    if not hasattr(model, "sample"):
        raise RunError(f"a run of {name} draws no samples: say what to --reconstruct.")
    return Made(model.sample(args.count or 64), {})


def use(args: argparse.Namespace) -> None:
    """Load the run, and write what is asked for."""
    to = args.to or args.run / "sample.png"
    word = models.word_of(Folder(args.run))
    export.check(args, to)
    model = importlib.import_module(word).load(args.run)
    export.write(args, model, to, lambda: make(model, args))


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; a mistake of the user's ends it with a sentence and exit code 2."""
    parser = make_parser()
    endings.end_in_a_sentence(
        parser.prog, lambda: use(parser.parse_args(arguments)), "stopped; nothing was written"
    )


if __name__ == "__main__":
    main()
