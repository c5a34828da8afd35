"""Learn a generator of a category of images by real inference, and show what it has learned.

Example: python GenNet/main.py --data_path ~/pictures --category cats
"""

import argparse

import numpy as np
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from tqdm import tqdm

import console
import datasets
import diagnostics
import figures
import heldout
import metrics
from GenNet import SAMPLERS, GenNet
from inference import CHAINS, draw_posterior, infer, passes_per_draw
from ops import batches_per_epoch
from run import Run, RunError, resolve_flags

PLANE_SIDE = 33  # images along an edge of the plane's sprite
PLANE_REACH = 2.5  # standard deviations of the prior, from the middle to an edge
WALK_STEPS = 120  # of the walk through the training images
DIAGNOSED = 55  # training images whose posterior is drawn from at the end, and
PASSES = 200  # through the network that each of its chains may take
EVALUATED = 256  # training images that pictures, arrays and metrics are of
WALKED = 55  # training images that the walk passes, as many as the panel shows
UNSEEN = {  # what learning does not see -> its name on the console, the title of its panel
    "occlusion": ("hidden", "Training images whose hidden pixels are restored"),
    "holdout": ("holdout", "Held-out images, reconstructed by inference alone"),
}


def make_parser() -> console.Parser:
    """The flags, each with its default and unit."""
    parser = console.Parser("GenNet/main.py", __doc__.splitlines()[0])
    add = parser.add_argument_group("model").add_argument
    integer, number = console.integer, console.number
    add("--image_size", type=console.integer(16, 512, 16), default=64, help="side, in pixels")
    add("--z_dim", type=integer(1, 512), default=2, help="dimensions of the latent vector z")
    add(
        "--sigma",
        type=number(1e-3, 100),
        default=0.3,
        help="standard deviation of the noise on images in [-1, 1]",
    )
    add = parser.add_argument_group("inference").add_argument
    add(
        "--sampler",
        choices=list(SAMPLERS),
        default="preconditioned",
        help="of the posterior of z: Langevin in the Gauss-Newton metric with a"
        " Metropolis-Hastings test, plain Langevin, Langevin with the test, Hamiltonian",
    )
    add(
        "--delta",
        type=number(1e-6, 100),
        help="step size of the sampler; by default "
        + ", ".join(f"{v['step_size']:g} for {k}" for k, v in SAMPLERS.items())
        + "; mala and hmc adapt it (the assignment: 0.3)",
    )
    add(
        "--sample_steps",
        type=integer(1, 10**6),
        help="steps of inference in an iteration; by default "
        + ", ".join(f"{v['num_steps']} for {k}" for k, v in SAMPLERS.items()),
    )
    add(
        "--sigma_start",
        type=number(1e-3, 100),
        default=2.0,
        help="noise at the first iteration, from where it shrinks to --sigma",
    )
    add(
        "--sigma_steps",
        type=integer(0, 10**9),
        default=60,
        help="iterations in which the noise shrinks (0: it is --sigma at once)",
    )
    add(
        "--parameter_expansion",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="keep the inferred z distributed as N(0, I)",
    )
    add = parser.add_argument_group("learning").add_argument
    add("--num_epochs", type=integer(1, 10**9), default=600, help="passes over the images")
    add("--batch_size", type=integer(1, 10**6), help="images in an iteration (default: 11, or all)")
    add("--g_lr", type=number(1e-9, 10), default=0.001, help="learning rate of Adam")
    add("--beta1", type=number(0, 0.999), default=0.5, help="decay of Adam's first moment")
    add(
        "--decay",
        type=number(0, 1),
        default=0.5,
        help="share of the run, at its end, in which the learning rate falls to 0",
    )
    add = parser.add_argument_group("what learning does not see").add_argument
    add(
        "--holdout",
        nargs="+",
        metavar="NAME",
        help="file names of images that are left out, and reconstructed by inference alone",
    )
    add(
        "--occlude",
        type=heldout.occlusion,
        metavar="HOW",
        help="hide pixels of every image, and restore them: a share at random (1%% to 99%%), or a"
        " square at a random place, by its side (20px)",
    )
    add(
        "--smooth",
        action=argparse.BooleanOptionalAction,
        help="smooth the kernels of the network, so that a pixel is like its neighbours unless"
        " learning tells them apart (default: with --occlude only)",
    )
    console.add_run_flags(parser, "lion_tiger", "GenNet")
    return parser


def latent_plane(z: np.ndarray, images: np.ndarray) -> Figure:
    """The inferred z [N, d] on the plane of the first two dimensions, as thumbnails."""
    reach = max(2.5, 1.1 * float(np.abs(z[:, :2]).max()))
    figure = Figure((8, 8), figures.DPI, layout="constrained")
    axes = figure.subplots()
    for radius in (1, 2):  # standard deviations of the prior
        circle = np.linspace(0, 2 * np.pi, 200)
        axes.plot(radius * np.cos(circle), radius * np.sin(circle), color="0.7", lw=1, zorder=0)
    for (x, *rest), image in zip(z, figures.to_uint8(images), strict=True):
        thumbnail = OffsetImage(image, zoom=56 / len(image), interpolation="antialiased")
        place = (x, rest[0] if rest else 0.0)
        axes.add_artist(AnnotationBbox(thumbnail, place, pad=0.1, bboxprops={"lw": 0.5}))
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), xlabel="z₁", ylabel="z₂", aspect="equal")
    title = "Inferred z of the training images (circles: 1 and 2 sigma of the prior)"
    axes.set_title(title, loc="left")
    return figure


def reconstruction_panel(images: np.ndarray, reconstructions: np.ndarray) -> Figure:
    """Training images over their reconstructions, 11 pairs a row, the first 55 pairs."""
    images, reconstructions = images[:55], reconstructions[:55]
    rows: list[np.ndarray] = []
    labels: list[str] = []
    for pair in zip(figures.wrapped(images, 11), figures.wrapped(reconstructions, 11), strict=True):
        rows.extend(pair)
        labels.extend(["training image", "reconstruction"])
    return figures.panel(rows, "Training images and their reconstructions f(Z)", labels)


def plane_sprite(model: GenNet) -> np.ndarray:
    """f(z) on a PLANE_SIDE x PLANE_SIDE grid over [-PLANE_REACH, PLANE_REACH]^2, for the report.

    A sprite (see `figures.sprite`), uint8 [H, W, 3]: z_1 grows to the right, z_2 upward, and the
    outermost tiles are f(z) on the border of the square.
    """
    axis = np.linspace(-PLANE_REACH, PLANE_REACH, PLANE_SIDE)
    rows = [
        figures.sprite(model.generate(np.stack([axis, np.full(PLANE_SIDE, z_2)], 1)), PLANE_SIDE)
        for z_2 in axis[::-1]
    ]
    return np.concatenate(rows)


def closed_walk(z: np.ndarray) -> np.ndarray:
    """A closed walk in short, even steps through all z [N, d], always on to the nearest not seen.

    Returns:
        [T, d], about WALK_STEPS places, every z one of them.
    """
    order, left = [0], set(range(1, len(z)))
    while left:
        here = z[order[-1]]
        order.append(min(left, key=lambda i: float(np.linalg.norm(z[i] - here))))
        left.remove(order[-1])
    legs = np.roll(z[order], -1, 0) - z[order]  # [N, d]
    lengths = np.linalg.norm(legs, axis=1)
    counts = np.ceil(WALK_STEPS * lengths / max(lengths.sum(), 1e-9)).astype(int)
    steps = [
        start + leg * np.arange(count)[:, None] / count
        for start, leg, count in zip(z[order], legs, np.maximum(counts, 1), strict=True)
    ]
    return np.concatenate(steps)


def save_moving_pictures(run: Run, model: GenNet, walk: np.ndarray) -> None:
    """Write the plane (for a z of two dimensions), the walk [T, d] and the progress panels."""
    if walk.shape[1] == 2:
        sprite = plane_sprite(model)
        run.save("plane.webp", lambda file: figures.write_webp(file, sprite))
    frames = list(figures.to_uint8(model.generate(walk)).repeat(2, 1).repeat(2, 2))
    run.save("interpolation.gif", lambda file: figures.write_gif(file, frames, 60))
    panels = figures.read_panels(run.folder / "progress")
    if panels:
        run.save("training.gif", lambda file: figures.write_gif(file, panels, 400, hold=1500))


def posterior_chains(model: GenNet, data: heldout.Part, iterations: int) -> dict:
    """How well chains of the run's own sampler draw from p(Z | Y; W), CHAINS of them an image.

    They take at most a tenth of the steps of the run's `iterations`; posterior.py takes more.

    Returns:
        r_hat, the worst of the images; effective_sample_size, the least; both by image; the mean
        effective draws per pass through the network, forward or backward; and the acceptance_rate
        of the chains.  None stands for what is no finite number: chains that never moved.
    """
    images, names = data.images[:DIAGNOSED], data.names[:DIAGNOSED]
    num_draws = min(int(PASSES / passes_per_draw(model)), iterations * model.num_steps // 10)
    num_draws = max(num_draws, 8)
    num_warm_up = num_draws // 5
    total = len(images) * CHAINS * (num_draws + num_warm_up)
    with tqdm(total=total, desc="Posterior chains", leave=False, dynamic_ncols=True) as bar:
        draws = draw_posterior(model, images, num_draws, num_warm_up, bar.update)
    r_hat, size = diagnostics.convergence(draws.z)
    number = diagnostics.number
    return {
        "r_hat": number(r_hat.max()),
        "r_hat_by_image": dict(zip(names, map(number, r_hat), strict=True)),
        "effective_sample_size": number(size.min()),
        "effective_sample_size_by_image": dict(zip(names, map(number, size), strict=True)),
        "effective_sample_size_per_evaluation": number(
            size.mean() / (CHAINS * num_draws * passes_per_draw(model))
        ),
        "acceptance_rate": number(draws.acceptance_rate.mean()),
    }


def diagnostic_charts(run: Run) -> Figure:
    """How the learning and its sampler went, by iteration."""
    return figures.charts(
        {
            "Energy difference d(t)": (
                run.column("energy_difference"),
                "mean gain in log p(Y, Z)",
            ),
            "Gradient magnitude v(t) along the chains": (
                run.column("score_magnitude"),
                "mean |d log p / dZ|",
            ),
            "Learning gradient": (run.column("gradient_norm"), "||L'(W)||"),
            "Acceptance rate": (run.column("acceptance_rate"), "share of proposals"),
            "Step size": (run.column("step_size"), "delta, mean"),
        },
        log=["Gradient magnitude v(t) along the chains", "Learning gradient"],
    )


def restore_unseen(
    model: GenNet, learned: heldout.Part, held: heldout.Part
) -> dict[str, heldout.Restored]:
    """What learning did not see: "occlusion", hidden pixels, and "holdout", held-out images."""
    restored: dict[str, heldout.Restored] = {}
    if model.visible is None and not held.names:
        return restored
    pca = heldout.PCA(learned.images, learned.visible, model.z_dim)
    mean = heldout.mean_image(learned.images, learned.visible)
    if model.visible is not None:
        generated = model.reconstruct(len(learned.images))
        restored["occlusion"] = heldout.Restored(learned, generated, pca.fitted, mean)
    if held.names:
        visible = None if model.visible is None else held.visible
        restored["holdout"] = heldout.Restored(
            held, infer(model, held.images, visible), pca.project(held.images, held.visible), mean
        )
    return restored


def save_results(
    run: Run, model: GenNet, data: heldout.Part, held: heldout.Part
) -> dict[str, float]:
    """Write the pictures, arrays and metrics of the run as it stands; return the mean metrics.

    They are of the first EVALUATED images; the inferred z are those of all.
    """
    images, names = data.images[:EVALUATED].astype(np.float32), data.names[:EVALUATED]
    evaluated = heldout.Part(images, names, data.visible[:EVALUATED])
    reconstructions = model.reconstruct(EVALUATED)
    samples = model.sample(64)
    interpolation = model.interpolate(8, 2.0)
    z = model.latents()
    psnr, ssim = metrics.psnr_and_ssim(reconstructions, images)
    axis = [f"{value:.2f}" for value in np.linspace(-2, 2, 8)]
    pictures = {
        "reconstruction.png": reconstruction_panel(images, reconstructions),
        "samples.png": figures.panel(
            figures.wrapped(samples, 8), "Samples of the model: f(z), z ~ N(0, I)"
        ),
        "interpolation.png": figures.panel(
            figures.wrapped(interpolation, 8),
            "f(z) over the plane of z",
            axis[::-1],
            axis,
            "z₂",
            "z₁",
        ),
        "latent.png": latent_plane(z[:EVALUATED], images),
        "loss.png": figures.charts(
            {"Reconstruction error": (run.column("loss"), "||Y - f(Z)||² / (2 sigma²)")},
            log=["Reconstruction error"],
        ),
        "diagnostics.png": diagnostic_charts(run),
    }
    restored = restore_unseen(model, evaluated, held)
    unseen = {} if model.visible is None else {"visible": model.visible}
    if held.names:
        unseen |= {"holdout": held.images, "holdout_inferred": restored["holdout"].generator}
    errors = {name: heldout.errors(part) for name, part in restored.items()}
    for name, part in restored.items():
        pictures[f"{name}.png"] = heldout.panel(part, UNSEEN[name][1])
    for name, figure in pictures.items():
        run.save_figure(name, figure)
    walk = closed_walk(z[:WALKED])
    save_moving_pictures(run, model, walk)
    run.save_arrays(
        "results.npz",
        images=images,
        reconstructions=reconstructions,
        samples=samples,
        interpolation=interpolation,
        z=z,
        walk=walk,
        loss=np.array(run.column("loss")),
        **unseen,
    )
    mean = {
        "psnr": float(psnr.mean()),
        "psnr_worst": float(psnr.min()),
        "ssim": float(ssim.mean()),
    }
    run.save_metrics(
        {
            **mean,
            "images": len(data.images),
            "evaluated": len(images),
            "psnr_by_image": dict(zip(names, psnr.tolist(), strict=True)),
            "ssim_by_image": dict(zip(names, ssim.tolist(), strict=True)),
            "z_mean": z.mean(0).tolist(),
            "z_std": z.std(0).tolist(),
            "loss": run.column("loss")[-1],
            **posterior_chains(model, evaluated, len(run.history)),
            **errors,
        }
    )
    for name, means in errors.items():
        mean |= heldout.mean_errors(UNSEEN[name][0], means)
    return mean


def learn(args: argparse.Namespace) -> None:
    """Load, learn and write, as the flags say."""
    config = console.session_config(args.device)
    data = datasets.load(args.data_path / args.category, args.image_size, args.fit)
    for reason in data.skipped:
        print(f"Skipped {reason}")
    learned, held = heldout.split(data, args.holdout, args.occlude, args.seed)
    if args.smooth is None:
        args.smooth = args.occlude is not None
    args.batch_size = datasets.batch_size(args.batch_size, len(learned.images), default=11)
    args.precision = console.resolve_precision(args.precision, config)
    model = GenNet(
        num_images=len(learned.images),
        image_size=args.image_size,
        z_dim=args.z_dim,
        batch_size=args.batch_size,
        sigma=args.sigma,
        sigma_start=args.sigma_start,
        sigma_steps=args.sigma_steps,
        sampler=args.sampler,
        step_size=args.delta,
        num_steps=args.sample_steps,
        parameter_expansion=args.parameter_expansion,
        g_lr=args.g_lr,
        beta1=args.beta1,
        decay=args.decay,
        seed=args.seed,
        smooth=args.smooth,
        visible=learned.visible if args.occlude else None,
        precision=args.precision,
    )
    model.build_model(config)
    args.delta, args.sample_steps = model.step_size, model.num_steps
    total = args.num_epochs * batches_per_epoch(len(learned.images), args.batch_size)
    run = Run(args, model.saver, model.session)
    print(
        f"GenNet: {len(learned.images)} images of {args.category} at {args.image_size} x"
        f" {args.image_size}, {console.describe_device(config)},"
        f" generator of {model.num_parameters / 1e6:.1f} million parameters,"
        f" {args.sampler} x {args.sample_steps} in {args.precision}"
    )
    for record in run.follow(model.train(learned.images, args.num_epochs), total):
        if record["iteration"] % args.log_step == 0:
            panel = reconstruction_panel(learned.images[:11], model.generate(model.latents()[:11]))
            run.save_figure(f"progress/{int(record['iteration']):06d}.png", panel)
            run.save_checkpoint()
    run.save_checkpoint()
    mean = save_results(run, model, learned, held)
    run.report(mean, total)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; a mistake of the user's ends it with a sentence and exit code 2."""
    parser = make_parser()
    try:
        learn(resolve_flags(parser, arguments))
    except (datasets.DatasetError, console.DeviceError, RunError) as mistake:
        parser.exit(2, f"{parser.prog}: {mistake}\n")
    except KeyboardInterrupt:
        parser.exit(130, f"{parser.prog}: stopped; --resume goes on from the last checkpoint\n")


if __name__ == "__main__":
    main()
