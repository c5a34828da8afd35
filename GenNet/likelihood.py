"""Measure how likely a run's images are: exact bits per dimension, by quadrature over the plane.

It writes likelihood.json into the folder of the run, which compare.py reads.  Sigma is refitted, so
that models that learned with another noise stand on one scale: see decoder_likelihood.py.
Example: python GenNet/likelihood.py output/GenNet/lion_tiger
"""

from __future__ import annotations

from common import endings

if __name__ == "__main__":
    endings.while_loading("GenNet/likelihood.py")

import argparse
from pathlib import Path

import numpy as np

import decoder_likelihood
from common import flags, likelihood, run_folder
from common.console import say
from common.endings import shown
from common.files import check_writable
from common.ownership import owned
from common.run_folder import RunError
from GenNet import GenNet, Settings


def make_parser() -> flags.Parser:
    """The flags, each with its default."""
    parser = flags.Parser("GenNet/likelihood.py", __doc__ or "")
    parser.add_argument("run", metavar="RUN", type=Path, help="folder of a run of GenNet/main.py")
    return parser


def measure(learned: run_folder.Learned) -> None:
    """Measure a run, and write what was found.

    Raises:
        RunError: its z has not two dimensions, it saw no whole images, or it has not finished.
    """
    folder = learned.folder
    if learned.settings.z_dim != 2:
        raise RunError(
            f"the run in {folder.folder} has no z of two dimensions, which a grid can cover:"
            " choose a run of GenNet with --z_dim 2."
        )
    if "visible" in learned.constants:
        raise RunError(
            f"the run in {folder.folder} sees no whole images (it has --occlude): choose another."
        )
    check_writable(folder.folder / likelihood.FILE)
    parts, names = learned.images(likelihood.MEASURED)
    parts = {part: images.round() for part, images in parts.items()}
    model = GenNet.load(folder.folder)
    known = model.latents()[: len(parts["learned"])]
    told = decoder_likelihood.figures(model.generate, parts, names, known)
    folder.save_json(likelihood.FILE, told)
    for part, heading in (("learned", "learned"), ("held_out", "held out")):
        if part in told:
            bits = np.round(told[part]["bits_per_dim"], 4)
            say(f"{bits} bits per dimension, mean of {told[part]['images']} images {heading}")
    say(shown(f"Written to {folder.folder}: {likelihood.FILE}"))


def use(args: argparse.Namespace) -> None:
    """Load the run, measure and write."""
    learned = run_folder.read(args.run, "GenNet", Settings)
    with owned(learned.folder.folder):
        measure(learned)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; a mistake of the user's ends it with a sentence and exit code 2."""
    parser = make_parser()
    endings.end_in_a_sentence(
        parser.prog,
        lambda: use(parser.parse_args(arguments)),
        "stopped; the same command measures anew",
    )


if __name__ == "__main__":
    main()
