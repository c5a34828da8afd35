"""Measure a finished run: p(z | Y; W) by quadrature, and how well each sampler draws from it.

For every training image it evaluates the posterior of its z and the exact likelihood log p(Y; W) by
quadrature (see quadrature.py), and draws from the posterior by chains of each sampler.  It writes
posterior.json, posterior.npz and posterior.png into the run's folder.

Likelihoods.  `log_p` is log p(Y; W) in nats, with all constants, of images in [-1, 1].
`bits_per_dim` is -log2 of the density per grey level, p(Y) / 127.5^D, over the D = S S 3 numbers of
an image: what is usual for 8-bit images.  `bits_per_dim_unit` leaves the images in [-1, 1]: it is
log2(127.5) = 6.99 less.

Chains.  Four an image, from two posterior standard deviations around the inferred z.  MALA and HMC
adapt their step size in the warm-up, which is dropped; every draw that is reported has a fixed one.

Total variation.  Between the shares of the draws and the exact masses of nine cells: in coordinates
in which the posterior has mean 0 and covariance I (those of its heaviest mode), each axis is cut at
-1 and 1.  A mean that is off by 0.2 standard deviations, or standard deviations that are off by
10 %, give some 0.05 or more.  Even n independent draws give about 0.95 / sqrt(n): that floor is
reported next to it, for n the effective sample size.

Example: python GenNet/posterior.py --category cats --samplers preconditioned mala
"""

from __future__ import annotations

from common import endings

if __name__ == "__main__":
    endings.while_loading("GenNet/posterior.py")

import argparse
import dataclasses
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from tqdm import tqdm

import diagnostics
import quadrature
from common import figures, flags, run_folder, streams
from common.console import doing, say
from common.endings import shown
from common.files import check_writable
from common.ownership import owned
from common.run_folder import Folder, Learned, RunError
from common.streams import Stream
from generator_pictures import PLANE_REACH
from GenNet import SAMPLERS, GenNet, Settings
from inference import CHAINS, Draws, draw_posterior, passes_per_draw

WARM_UP = 50  # steps of every chain before its draws
# What a draw takes here.  On a Gaussian of two dimensions, effective draws are the most where the
# metric's step is 1.4; and HMC with two leapfrog steps of the size it adapts to makes about half a
# turn in the narrow direction, where ten go round in circles and may come back to the start.
STEP_SIZE = {"preconditioned": 1.4}
NUM_LEAPFROG = 2
PLANE_SIDE = 501  # points along an edge of posterior.npz, which reaches as far as the plane
SHOWN = 6  # images in posterior.png
SIDE_OF_PANEL = 210  # pixels, in it
DOTS = 300  # draws of a sampler in a panel
COLOURS = dict(zip(SAMPLERS, ("C3", "0.3", "C1", "C2"), strict=True))


def make_parser() -> flags.Parser:
    """The flags, each with its default."""
    parser = flags.Parser("GenNet/posterior.py", __doc__)
    add = parser.add_argument_group("run").add_argument
    defaults = Settings()
    add(
        "--output_dir",
        type=Path,
        default=defaults.output_dir,
        help="the run is that in OUTPUT_DIR/CATEGORY",
    )
    add(
        "--category",
        type=flags.folder_name,
        default=defaults.category,
        help="of images that it learned, or the --name that the run was given",
    )
    add("--device", type=flags.device, default="auto", help=flags.DEVICE_HELP)
    add = parser.add_argument_group("chains").add_argument
    add(
        "--draws",
        type=flags.whole(4 * CHAINS, 10**8),
        default=6000,
        help=f"of each image by each sampler, of its {CHAINS} chains together",
    )
    add(
        "--samplers",
        nargs="+",
        type=flags.choice(list(SAMPLERS)),
        default=list(SAMPLERS),
        metavar="NAME",
        help=f"which to draw with, of {', '.join(SAMPLERS)}",
    )
    return parser


def load_images(learned: Learned) -> tuple[np.ndarray, list[str]]:
    """Training images of the run [n, S, S, 3] in [0, 255], and their names.

    Raises:
        RunError: the run has not finished, or did not see whole images.
    """
    folder = learned.folder.folder
    if "visible" in learned.constants:
        raise RunError(
            f"the run in {folder} was made with --occlude, and quadrature is of whole images:"
            " choose another run."
        )
    parts, names = learned.images()
    return parts["learned"], names["learned"]


def load_model(learned: Learned, sampler: str, device: str) -> GenNet:
    """The model of the run as it was when it ended, to draw with `sampler`.

    Raises:
        RunError: its checkpoint cannot be restored, or holds no finite numbers.
    """
    settings = learned.settings
    own = settings.step_size if sampler == settings.sampler == "langevin" else None
    settings = dataclasses.replace(
        settings,
        sampler=sampler,
        step_size=own or STEP_SIZE.get(sampler),
        num_steps=None,
        num_leapfrog=NUM_LEAPFROG,
        device=device,
        precision="float32",  # chains that are measured
    )
    model = GenNet(settings, len(learned.names))
    model.build_model()
    learned.folder.restore(model)
    z = model.latents()
    if not (np.isfinite(z).all() and np.isfinite(model.generate(z)).all()):
        raise RunError(f"the run in {learned.folder.folder} has diverged: choose another run.")
    return model


def find_posteriors(model: GenNet, images: np.ndarray) -> list[quadrature.Posterior]:
    """The posterior of every image [N, S, S, 3] in [0, 255], by quadrature."""
    flat = images.reshape(len(images), -1).astype(np.float64) / 127.5 - 1  # [N, D]

    def decode(z: np.ndarray) -> np.ndarray:
        return model.generate(z).reshape(len(z), -1) / 127.5 - 1

    total = quadrature.SIDE + len(images)
    with tqdm(total=total, desc="quadrature", dynamic_ncols=True) as bar:
        starts = quadrature.starts(decode, flat, model.settings.sigma, bar.update)
        posteriors = []
        for image, start, inferred in zip(flat, starts, model.latents()[: len(flat)], strict=True):
            climbs = np.concatenate([start, inferred[None]])
            posteriors.append(quadrature.posterior(decode, image, model.settings.sigma, climbs))
            bar.update()
    return posteriors


def draw(model: GenNet, images: np.ndarray, num_draws: int) -> Draws:
    """Chains of the model's sampler for every image, `num_draws` of each."""
    total = len(images) * CHAINS * (num_draws + WARM_UP)
    with tqdm(total=total, desc=model.settings.sampler, unit="step", dynamic_ncols=True) as bar:
        return draw_posterior(model, images, num_draws, WARM_UP, bar.update)


def assess(draws: Draws, posteriors: list[quadrature.Posterior], passes: float) -> list[dict]:
    """How well the draws of every image match its posterior: a dictionary an image."""
    rng = streams.generator(0, Stream.FLOOR)
    r_hat, size = diagnostics.convergence(draws.z)
    number = diagnostics.number
    reports = []
    for i, posterior in enumerate(posteriors):
        z = draws.z[i].reshape(-1, 2)
        exact = quadrature.cell_masses(posterior)
        shares = np.bincount(quadrature.cells(posterior, z), minlength=len(exact)) / len(z)
        floor = np.nan
        if np.isfinite(size[i]):
            floor = diagnostics.expected_total_variation(exact, size[i], rng)
        reports.append(
            {
                "total_variation": diagnostics.total_variation(shares, exact),
                "total_variation_floor": number(floor),
                "r_hat": number(r_hat[i]),
                "effective_sample_size": number(size[i]),
                "effective_sample_size_per_evaluation": number(size[i] / (len(z) * passes)),
                "acceptance_rate": number(draws.acceptance_rate[i].mean()),
                "step_size": number(draws.step_size[i].mean()),
                "mean": [number(value) for value in z.mean(0)],
            }
        )
    return reports


def exact_report(posterior: quadrature.Posterior, dimensions: int) -> dict[str, Any]:
    """What quadrature found of an image of D dimensions."""
    bits = -posterior.log_p / np.log(2) / dimensions
    return {
        "log_p": posterior.log_p,
        "bits_per_dim": bits + np.log2(127.5),
        "bits_per_dim_unit": bits,
        "mean": posterior.mean.tolist(),
        "covariance": posterior.covariance.tolist(),
        "modes": [
            {"z": grid.centre.tolist(), "mass": float(mass)}
            for grid, mass in zip(posterior.grids, posterior.masses, strict=True)
        ],
    }


def posterior_panel(
    posteriors: list[quadrature.Posterior], draws: dict[str, Draws], names: list[str]
) -> Figure:
    """The density of every image's heaviest mode on the plane of z, and each sampler's draws of it.

    A row for each of the first SHOWN images: the density, and a panel for each sampler.
    """
    title = figures.first_of("Posteriors p(z | Y) of the training images", SHOWN, len(names))
    about = "Blue: the density by quadrature, to 3.5 standard deviations. Dots: draws."
    posteriors = posteriors[:SHOWN]
    left, above, across, down = 96, 84, SIDE_OF_PANEL + 18, SIDE_OF_PANEL + 62  # pixels
    wide = max(figures.text_width(title, figures.TITLE), figures.text_width(about, 9))
    width = max(left + across * (1 + len(draws)), 28 + wide)
    height = above + down * len(posteriors)
    figure = Figure((width / figures.DPI, height / figures.DPI), figures.DPI)
    figure.text(14 / width, 1 - 10 / height, title, fontsize=figures.TITLE, va="top")
    figure.text(14 / width, 1 - 32 / height, about, fontsize=9, va="top", color="0.35")
    side = (SIDE_OF_PANEL / width, SIDE_OF_PANEL / height)
    for i, posterior in enumerate(posteriors):
        axis, density = _around_heaviest(posterior)
        # Levels at whole and half standard deviations of a normal law.
        levels = density.max() * np.exp(-(np.arange(3.5, -0.1, -0.5) ** 2) / 2)
        for j, sampler in enumerate(("", *draws)):
            bottom = height - above - i * down - SIDE_OF_PANEL
            axes = figure.add_axes(((left + j * across) / width, bottom / height, *side))
            pale = 0.4 if sampler else 1.0
            axes.contourf(*axis, density, levels, cmap="Blues", extend="max", alpha=pale)
            if sampler:
                z = draws[sampler].z[i].swapaxes(0, 1).reshape(-1, 2)  # every chain's in turn
                z = z[np.linspace(0, len(z) - 1, min(DOTS, len(z))).astype(int)]
                axes.plot(*z.T, ".", ms=3, mew=0, alpha=0.7, color=COLOURS[sampler])
                _say_outside(axes, z, axis)
            axes.set(xlim=axis[0][[0, -1]], ylim=axis[1][[0, -1]])
            axes.locator_params("x", nbins=4)
            axes.locator_params("y", nbins=6)
            axes.tick_params(labelsize=8, labelleft=not sampler)
            axes.set_xlabel("z₁", labelpad=1)
            if not sampler:
                axes.set_ylabel("z₂")
            # A name is no formula, whatever dollars there are in it.
            name = sampler or figures.shortened(shown(names[i]), SIDE_OF_PANEL, 10)
            axes.set_title(name, loc="left", fontsize=10, parse_math=False)
    return figure


def _say_outside(axes: Axes, z: np.ndarray, axis: list[np.ndarray]) -> None:
    """Say which share of the draws z [n, 2] lies beyond the axes, if any does."""
    inside = [(z[:, k] >= axis[k][0]) & (z[:, k] <= axis[k][-1]) for k in (0, 1)]
    share = 1 - (inside[0] & inside[1]).mean()
    if share:
        which = "all" if share == 1 else f"{100 * share:.0f} % of the"
        words = f"{which} draws lie outside"
        axes.text(0.03, 0.03, words, transform=axes.transAxes, fontsize=8)


def _around_heaviest(posterior: quadrature.Posterior) -> tuple[list[np.ndarray], np.ndarray]:
    """Two axes [121], four standard deviations around the heaviest mode, and the density there."""
    heaviest = posterior.grids[0]
    reach = 4 * np.sqrt((heaviest.factor**2).sum(1))
    axis = [
        np.linspace(middle - half, middle + half, 121)
        for middle, half in zip(heaviest.centre, reach, strict=True)
    ]
    return axis, quadrature.density(posterior, *axis)


def write(
    folder: Folder,
    names: list[str],
    posteriors: list[quadrature.Posterior],
    draws: dict[str, Draws],
    report: dict[str, Any],
) -> None:
    """Write posterior.json, posterior.npz and posterior.png into the run's folder."""
    folder.save_json("posterior.json", report)
    axis = np.linspace(-PLANE_REACH, PLANE_REACH, PLANE_SIDE)
    density = [quadrature.density(p, axis, axis).astype(np.float32) for p in posteriors]
    folder.save_arrays(
        "posterior.npz",
        z_axis=axis,
        density=np.stack(density),
        mean=np.stack([posterior.mean for posterior in posteriors]),
        covariance=np.stack([posterior.covariance for posterior in posteriors]),
        **{f"draws_{sampler}": drawn.z for sampler, drawn in draws.items()},
    )
    panel = posterior_panel(posteriors, draws, names)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # that a font lacks: a box stands for it
        folder.save_figure("posterior.png", panel)


def print_table(report: dict[str, Any]) -> None:
    """The likelihood, and a row for each sampler."""
    print(f"Exact log p(Y; W): {report['log_p']:.1f} nats, {report['bits_per_dim']:.4f} bits/dim")
    print(f"{'':<16}TV worst   mean  floor   R-hat    ESS  ESS/pass  accepted")
    for sampler, numbers in report["samplers"].items():
        row = {key: np.nan if value is None else value for key, value in numbers.items()}
        print(
            f"{sampler:<16}{row['total_variation_worst']:8.3f} {row['total_variation']:6.3f}"
            f" {row['total_variation_floor']:6.3f} {row['r_hat']:7.3f}"
            f" {row['effective_sample_size']:6.0f}"
            f" {row['effective_sample_size_per_evaluation']:9.4f} {row['acceptance_rate']:9.2f}"
        )


def summary(reports: list[dict]) -> dict[str, float]:
    """Of a sampler over the images: means, but the worst R-hat and the least effective size."""

    def column(name: str) -> np.ndarray:
        return np.array([np.nan if r[name] is None else r[name] for r in reports])

    keys = ("total_variation", "total_variation_floor", "effective_sample_size_per_evaluation")
    return {
        **{key: column(key).mean() for key in (*keys, "acceptance_rate", "step_size")},
        "total_variation_worst": column("total_variation").max(),
        "r_hat": column("r_hat").max(),
        "effective_sample_size": column("effective_sample_size").min(),
    }


def use(args: argparse.Namespace) -> None:
    """Load the run, measure and write, as the flags say."""
    learned = run_folder.read(args.output_dir / args.category, "GenNet", Settings)
    with owned(learned.folder.folder):
        measure(learned, args)


def measure(learned: Learned, args: argparse.Namespace) -> None:
    """Measure a run, and write what was found."""
    folder = learned.folder
    if learned.settings.z_dim != 2:
        raise RunError(
            f"the run in {folder.folder} has no z of two dimensions, which a grid can cover:"
            " choose a run of GenNet with --z_dim 2."
        )
    images, names = load_images(learned)
    for name in ("posterior.json", "posterior.npz", "posterior.png"):
        check_writable(folder.folder / name)
    models = {
        sampler: load_model(learned, sampler, args.device)
        for sampler in dict.fromkeys(args.samplers)
    }
    posteriors = find_posteriors(next(iter(models.values())), images)
    num_draws = -(-args.draws // CHAINS)
    exact = [exact_report(posterior, images[0].size) for posterior in posteriors]
    report: dict[str, Any] = {
        "log_p": float(np.mean([each["log_p"] for each in exact])),
        "bits_per_dim": float(np.mean([each["bits_per_dim"] for each in exact])),
        "chains": CHAINS,
        "draws": CHAINS * num_draws,
        "samplers": {},
        "images": {name: {**each, "samplers": {}} for name, each in zip(names, exact, strict=True)},
    }
    draws = {}
    for sampler, model in models.items():
        draws[sampler] = draw(model, images, num_draws)
        reports = assess(draws[sampler], posteriors, passes_per_draw(model))
        for name, each in zip(names, reports, strict=True):
            report["images"][name]["samplers"][sampler] = each
        means = summary(reports)
        report["samplers"][sampler] = {k: diagnostics.number(v) for k, v in means.items()}
    with doing("Pictures"):
        write(folder, names, posteriors, draws, report)
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
