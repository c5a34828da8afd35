"""Measure how likely images are under a finished run: its log Z by annealed importance sampling.

log p(Y) = f(Y) + log N(Y; 0, s^2 I) - log Z, and Z is what learning never needs.  It is estimated
from both sides (see annealed.py): forward from exact samples of a reference, at most log Z in
expectation; and back from chains of the model, at least log Z if these are samples of it.

Down a ladder of noise (`--learning score_matching`) chains of the model come from noise, and settle
at the lowest level.  The reference is the density that learning fits to: the learned images with
this noise, in equal parts.  It has its mass where the model has, and few temperatures do; what the
model has elsewhere, the forward side lacks.  Of other models the reference is N(0, s^2 I), and
chains start at training images, for none come there from elsewhere: the upper side is an estimate
only as good as these chains.  Where it lies below the forward one, they have not found where the
model has its mass: by more than chance, it is refuted, for the forward estimate exceeds log Z by t
nats with a probability of at most exp(-t).

`bits_per_dim` is -log2 of the density per grey level over the D = S S 3 numbers of an image, with
the mean of both log Z; of a side that is refuted, with the forward one alone, and the bits are then
at least so many.  The density is smooth over a grey level, so that this is also the probability of
an 8-bit image.  The file likelihood.json has `bracket`, the distance of both sides in nats and
bits, log Z by each chain, where the chains end, and how well log p(Y) tells the images from others
(`area_under_the_curve`; see out_of_distribution.py): noise, shuffled patches and the folders beside
their own.  energies.png shows all of these.

Example: python DesNet/likelihood.py output/DesNet/egret --temperatures 4000
"""

from __future__ import annotations

from common import endings

if __name__ == "__main__":
    endings.while_loading("DesNet/likelihood.py")

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

import annealed
import out_of_distribution
from common import flags, likelihood, quality, run_folder
from common.console import say
from common.endings import shown
from common.experiment import EVALUATED
from common.files import check_writable
from common.ownership import owned
from common.run_folder import RunError
from DesNet import DesNet, Settings, load

# Nats.  Two sides that both hold are as far the wrong way round once in ten thousand times.
CHANCE = 20.0
SETTLED = "from training images", "from noise, settled"  # of other models, and of a ladder
LADDER, OTHERS = 100, 1000  # temperatures


def make_parser() -> flags.Parser:
    """The flags, each with its default."""
    parser = flags.Parser("DesNet/likelihood.py", __doc__)
    parser.add_argument("run", metavar="RUN", type=Path, help="folder of a run of DesNet/main.py")
    add = parser.add_argument_group("chains").add_argument
    add("--chains", type=flags.whole(2, 1024), default=8, help="each way")
    add(
        "--temperatures",
        type=flags.whole(2, 10**7),
        help="from the reference to the model: the more, the narrower the bracket (default:"
        f" {LADDER} for a ladder of noise, else {OTHERS})",
    )
    sampler = flags.choice(["hmc", "mala"])
    add("--sampler", type=sampler, default="hmc", help="of the moves", **sampler.options)
    return parser


def make_annealer(model: DesNet, images: np.ndarray, args: argparse.Namespace) -> annealed.Annealer:
    """Of the model's density; images [N, S, S, 3] in grey levels less the mean colour."""
    settings = model.settings
    how = model.session, args.sampler, settings.num_leapfrog, settings.seed
    if model.levels is None:
        normal = annealed.Normal(settings.ref_sigma, images.shape[1:])
        return annealed.Annealer(model.descriptor, normal, *how)
    mixture = annealed.Mixture(images, float(model.levels.sigma[-1]))
    # The constants of both references, which no chain sees.
    shift = images[0].size * np.log(mixture.sigma / settings.ref_sigma)
    return annealed.Annealer(
        lambda x: model.log_prob(x) - mixture.log_prob(x) + shift, mixture, *how
    )


def find_log_z(
    model: DesNet, starts: np.ndarray, images: np.ndarray, args: argparse.Namespace
) -> annealed.Bracket:
    """The bracket of log Z.

    Args:
        model: learned.
        starts: of chains that settle and go back, [n, S, S, 3] in [0, 255].
        images: learned, likewise.
        args: of the command line.
    """
    annealer = make_annealer(model, images - model.mean_colour, args)
    total = annealed.moves(args.temperatures, args.temperatures)
    with tqdm(total=total, desc="annealing", unit="move", dynamic_ncols=True) as bar:
        return annealed.bracket(
            *(annealer, starts - model.mean_colour, args.temperatures, args.temperatures),
            bar.update,
        )


def arrivals(model: DesNet, images: np.ndarray, count: int) -> np.ndarray:
    """Where chains of the model that are to settle start, [count, S, S, 3] in [0, 255].

    Down a ladder of noise they come from noise, and need no image; others stay where they are.
    """
    if not model.levels:
        return images[np.arange(count) % len(images)]
    starts = model.starts(count, "noise")
    return model.run_chains(starts, model.length_from("noise"), kind="noise")


def where(model: DesNet, position: np.ndarray, images: np.ndarray) -> dict[str, float]:
    """Where chains [n, S, S, 3], in grey levels less the mean colour, stand."""
    made = position + model.mean_colour
    psnr, ssim = quality.nearest_quality(made, images)
    return {
        "energy": float(model.energies(made).mean()),
        "out_of_range": quality.out_of_range(made),
        "psnr": float(psnr.mean()),
        "ssim": float(ssim.mean()),
    }


def constant(model: DesNet, dimensions: int, log_z: float) -> float:
    """What log p(Y) is less than f(Y) - ||Y||^2 / 2 s^2, for images of so many dimensions: nats."""
    return dimensions / 2 * np.log(2 * np.pi * model.settings.ref_sigma**2) + log_z


def refuted(width: float) -> bool:
    """Whether a reverse side that is above the forward one by so many nats cannot hold."""
    return width < -CHANCE


def tell(
    model: DesNet,
    parts: dict[str, np.ndarray],
    names: dict[str, list[str]],
    every: np.ndarray,
    found: annealed.Bracket,
    areas: dict[str, dict[str, float]],
    args: argparse.Namespace,
) -> dict[str, Any]:
    """What likelihood.json says, of some images, and of chains beside `every` learned one."""
    dimensions = parts["learned"][0].size
    forward, reverse = found.forward, found.reverse
    width = reverse.log_mean - forward.log_mean
    log_z = forward.log_mean if refuted(width) else (forward.log_mean + reverse.log_mean) / 2
    beyond = constant(model, dimensions, log_z)
    how = f"annealed importance sampling, {args.temperatures} temperatures"
    return likelihood.told(
        f"{how}: at least" if refuted(width) else how,
        {
            part: -model.energies(images).astype(np.float64) - beyond if len(images) else images
            for part, images in parts.items()
        },
        names,
        dimensions,
        log_z=log_z,
        log_z_forward=forward.log_mean,
        log_z_forward_standard_error=forward.standard_error,
        log_z_reverse=reverse.log_mean,
        log_z_reverse_standard_error=reverse.standard_error,
        log_z_by_chain={
            "forward": found.annealed.log_weights.tolist(),
            "reverse": (-found.returned.log_weights).tolist(),
        },
        bracket=width,
        bracket_bits_per_dim=width / np.log(2) / dimensions,
        effective_chains={"forward": forward.effective_chains, "reverse": reverse.effective_chains},
        acceptance_rate={
            "forward": float(found.annealed.acceptance_rate.mean()),
            "reverse": float(found.returned.acceptance_rate.mean()),
        },
        chains=args.chains,
        temperatures=args.temperatures,
        sampler=args.sampler,
        ends={
            "training images": where(model, every - model.mean_colour, every),
            "from the reference": where(model, found.annealed.position, every),
            SETTLED[model.levels is not None]: where(model, found.settled, every),
        },
        area_under_the_curve=areas,
    )


def print_table(report: dict[str, Any]) -> None:
    """The likelihood, both sides of log Z, and where the chains ended."""
    for side, words in (("forward", "at most log Z"), ("reverse", "at least, by good chains")):
        value, error = (report[f"log_z_{side}{end}"] for end in ("", "_standard_error"))
        effective = report["effective_chains"][side]
        print(
            f"log Z {side}: {value:.1f} +- {error:.1f} nats ({words}; {effective:.1f} of"
            f" {report['chains']} chains count)"
        )
    print(
        f"Bracket: {report['bracket']:.1f} nats, {report['bracket_bits_per_dim']:.4f} bits per"
        " dimension"
    )
    at_least = "at least " if refuted(report["bracket"]) else ""
    for part, words in (("learned", "learned"), ("held_out", "held-out")):
        if part in report:
            bits = report[part]["bits_per_dim"]
            print(f"{words} images: {at_least}{bits:.4f} bits per dimension")
    print(f"{'':<24}energy, nats  out of range  PSNR, dB   SSIM")
    for name, ends in report["ends"].items():
        print(
            f"{name:<24}{ends['energy']:12.0f}{100 * ends['out_of_range']:12.1f} %"
            f"{ends['psnr']:10.2f}{ends['ssim']:7.3f}"
        )
    for other, areas in report["area_under_the_curve"].items():
        told = ", ".join(f"{area:.3f} ({own})" for own, area in areas.items())
        print(f"Told from {other}, area under the curve: {told}")
    if at_least:
        say(
            "The reverse side lies below the forward one, which refutes it: its chains are not"
            " where the model has its mass."
        )


def use(args: argparse.Namespace) -> None:
    """Load the run, measure and write."""
    learned = run_folder.read(args.run, "DesNet", Settings)
    folder = learned.folder
    with owned(folder.folder):
        parts, names = learned.images()
        every = parts["learned"]
        if learned.settings.learning == "score_matching" and len(every) < len(learned.names):
            raise RunError(
                f"the run in {folder.folder} has learned {len(learned.names)} images, and shows"
                f" {len(every)}: log Z takes all of them. Choose a run of at most {EVALUATED}."
            )
        parts = {part: images[: likelihood.MEASURED] for part, images in parts.items()}
        names = {part: of[: likelihood.MEASURED] for part, of in names.items()}
        for name in (likelihood.FILE, "energies.png"):
            check_writable(folder.folder / name)
        model = load(folder.folder)
        if not np.isfinite(model.energies(parts["learned"])).all():
            raise RunError(f"the run in {folder.folder} has diverged: choose another run.")
        if args.temperatures is None:
            args.temperatures = LADDER if model.levels else OTHERS
        starts = arrivals(model, every, args.chains)
        found = find_log_z(model, starts, every, args)
        made = found.settled + model.mean_colour
        values, areas = out_of_distribution.measure(model, parts, made, likelihood.MEASURED)
        report = tell(model, parts, names, every, found, areas, args)
        size = parts["learned"][0].size
        beyond = constant(model, size, report["log_z"])
        bits = {name: likelihood.bits_per_dim(of - beyond, size) for name, of in values.items()}
        folder.save_json(likelihood.FILE, report)
        folder.save_figure("energies.png", out_of_distribution.chart(bits))
    print_table(report)
    say(shown(f"Written to {folder.folder}: {' '.join(sorted(folder.written))}"))


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
