"""Use a trained descriptor: synthesize from where it starts, any colour or any picture; export it.

Example: python DesNet/synthesize.py output/DesNet/egret --colour '#ff8800' --count 4 --to a.gif
"""

from __future__ import annotations

from common import endings

if __name__ == "__main__":
    endings.while_loading("DesNet/synthesize.py")

import argparse
from functools import partial
from pathlib import Path

import numpy as np
from PIL import ImageColor

from common import datasets, export, fitting, flags, occlusion, quality, run_folder
from common.export import Made
from common.flags import SettingsError
from common.run_folder import Folder
from descriptor_pictures import FRAMES, film
from descriptor_settings import STARTS
from DesNet import DesNet, Settings, load


def make_parser() -> flags.Parser:
    """The flags, each with its default."""
    parser = flags.Parser("DesNet/synthesize.py", __doc__)
    parser.add_argument("run", metavar="RUN", type=Path, help="folder of a run of DesNet/main.py")
    group = parser.add_argument_group("from where (by default as the run itself)")
    add = group.add_mutually_exclusive_group().add_argument
    add(
        "--colour", nargs="+", metavar="COLOUR", help="flat images: #ff8800, orange, rgb(255,136,0)"
    )
    add("--from", dest="files", nargs="+", metavar="FILE", type=Path, help="pictures")
    start = flags.choice(list(STARTS))
    add("--start", type=start, **start.options, help="as of DesNet/main.py")
    add = parser.add_argument_group("how").add_argument
    add(
        "--count",
        type=flags.whole(1, 10**6),
        help="so many chains: of the run's own starts in turn; of colours or pictures, each",
    )
    add(
        "--occlude",
        type=occlusion.HOW,
        **occlusion.HOW.options,
        help="hide a share of the pixels of --from at random (1%% to 99%%), or a square by its"
        " side (20px), and draw these alone, given the others",
    )
    add(
        "--steps",
        type=flags.whole(1, 10**9),
        help="of a chain (default: those of the run, or as many as its pictures show)",
    )
    add(
        "--nearest",
        action="store_true",
        help="show below each image of a panel the training image that is nearest to it",
    )
    export.add_flags(parser, "synthesized.png")
    return parser


def choose_starts(model: DesNet, args: argparse.Namespace) -> np.ndarray:
    """Where the chains start, [n, S, S, 3] in [0, 255].

    Raises:
        SettingsError: a colour that is none.
        DatasetError: a file that is no readable image.
    """
    size = model.settings.image_size
    if args.files:
        starts = datasets.read_images(args.files, size, model.settings.fit).astype(np.float32)
    elif args.colour:
        try:
            colours = np.array([ImageColor.getrgb(text)[:3] for text in args.colour], float)
        except ValueError as error:
            raise SettingsError(f"--colour: {error}; colours are such as '#ff8800'") from error
        starts = datasets.flat_images(colours, size)
    else:
        return model.starts(args.count, args.start)
    return starts.repeat(args.count or 1, 0)


def frames_of(to: Path, steps: int) -> list[int]:
    """Steps at which chains are shown in a film, or, in anything else, the last one."""
    return fitting.evenly(steps + 1, FRAMES).tolist() if to.suffix == ".gif" else [steps]


def complete(model: DesNet, to: Path, args: argparse.Namespace) -> Made:
    """Pictures whose hidden pixels are drawn, and their chains if `to` is a film.

    Raises:
        SettingsError: there are no pictures.
        DatasetError: a file that is no readable image, or a square as large as one.
    """
    if not args.files:
        raise SettingsError("--occlude hides pixels of pictures: name them with --from")
    pictures, settings = choose_starts(model, args), model.settings
    visible = occlusion.visible_pixels(
        args.occlude, len(args.files), settings.image_size, settings.seed
    ).repeat(args.count or 1, 0)

    def run(frame: np.ndarray, num_steps: int, first_step: int) -> np.ndarray:
        return model.completion.complete(frame, visible, num_steps, first_step)

    chains = film(run, pictures, frames_of(to, args.steps or model.length_from("mean")))
    return Made(chains[-1], {"pictures": pictures, "visible": visible}, chains)


def make(model: DesNet, to: Path, args: argparse.Namespace) -> Made:
    """The images that are asked for, and their chains if `to` is a film.

    Raises:
        SettingsError: a colour that is none.
        DatasetError: a file that is no readable image.
    """
    if args.occlude:
        return complete(model, to, args)
    kind = "picture" if args.files else "mean" if args.colour else args.start
    steps: int = args.steps or model.length_from(kind or model.settings.start)
    starts = choose_starts(model, args)
    arrays = {"starts": np.asarray(starts)}
    new = args.files or args.colour or args.start or args.steps or len(starts) > model.num_chains
    if new or to.suffix == ".gif":
        chains = film(partial(model.run_chains, kind=kind), starts, frames_of(to, steps))
        return Made(chains[-1], arrays, chains)
    return Made(model.synthesize(args.count), arrays)  # as results.npz holds them


def with_nearest(made: Made, images: np.ndarray) -> Made:
    """What was made, and the image [N, S, S, 3] nearest to each."""
    beside = images[quality.nearest(made.images, images)]
    return made._replace(beside=beside, arrays=made.arrays | {"nearest": beside})


def use(args: argparse.Namespace) -> None:
    """Load the run, and write what is asked for."""
    to = args.to or args.run / "synthesized.png"
    Folder(args.run).manifest("DesNet")  # a folder is only made for what a run gives
    export.check(args, to)
    images = None
    if args.nearest:
        images = run_folder.read(args.run, "DesNet", Settings).images()[0]["learned"]
    model = load(args.run)

    def made() -> Made:
        found = make(model, to, args)
        return found if images is None else with_nearest(found, images)

    export.write(args, model, to, made)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; a mistake of the user's ends it with a sentence and exit code 2."""
    parser = make_parser()
    endings.end_in_a_sentence(
        parser.prog, lambda: use(parser.parse_args(arguments)), "stopped; nothing was written"
    )


if __name__ == "__main__":
    main()
