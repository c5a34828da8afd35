"""Learn an energy of a category of images by real sampling, and show what it synthesizes.

Example: python DesNet/main.py --data_path ~/pictures --category birds
"""

import argparse

import numpy as np
from matplotlib.figure import Figure
from scipy.optimize import linear_sum_assignment
from tqdm import tqdm

import console
import datasets
import figures
import metrics
from DesNet import NETWORKS, DesNet, DivergenceError
from ops import batches_per_epoch
from run import Run, RunError, resolve_flags

CHAIN_FRAMES = 31  # steps of a chain that its pictures show
FILMED = 7  # chains that are shown step by step


def make_parser() -> console.Parser:
    """The flags, each with its default and unit."""
    parser = console.Parser("DesNet/main.py", __doc__.splitlines()[0])
    integer, number = console.integer, console.number
    add = parser.add_argument_group("model").add_argument
    add("--image_size", type=integer(16, 512, 8), default=64, help="side, in pixels")
    add(
        "--network",
        choices=NETWORKS,
        default="strided",
        help="the ConvNet: three strided convolutions, or that of the assignment",
    )
    add(
        "--ref_sig",
        type=number(1e-3, 1e6),
        default=50.0,
        help="standard deviation of the Gaussian reference, in grey levels",
    )
    add = parser.add_argument_group("sampling").add_argument
    add(
        "--delta",
        type=number(1e-6, 100),
        default=0.3,
        help="step size of Langevin dynamics, in grey levels",
    )
    add("--T", type=integer(1, 10**6), default=30, help="steps of a chain")
    add = parser.add_argument_group("learning").add_argument
    add("--num_epochs", type=integer(1, 10**9), default=600, help="passes over the images")
    add("--batch_size", type=integer(1, 10**6), help="images in an iteration (default: 7, or all)")
    add("--learning_rate", type=number(1e-9, 10), default=0.04, help="of Adam")
    add("--beta1", type=number(0, 0.999), default=0.5, help="decay of Adam's first moment")
    add("--beta2", type=number(0, 0.99999), default=0.999, help="decay of Adam's second moment")
    add(
        "--decay",
        type=number(0, 1),
        default=0.7,
        help="share of the run, at its end, in which the learning rate falls to 0",
    )
    add(
        "--mode_penalty",
        type=number(0, 1e6),
        default=1.0,
        help="weight of what one Langevin step from a training image would gain in log p",
    )
    add(
        "--weight_decay",
        type=number(0, 0.5),
        default=0.004,
        help="share of every weight that an iteration takes off at the full learning rate",
    )
    console.add_run_flags(parser, "egret", "DesNet")
    return parser


def synthesis_panel(images: np.ndarray, starts: np.ndarray, synthesized: np.ndarray) -> Figure:
    """The first 28 training images, the mean images their chains start from, and their ends."""
    rows: list[np.ndarray] = []
    labels: list[str] = []
    for group in zip(
        *(figures.wrapped(part[:28], 7) for part in (images, starts, synthesized)), strict=True
    ):
        rows.extend(group)
        labels.extend(["training image", "mean image", "synthesized"])
    return figures.panel(rows, "Langevin synthesis from mean images", labels)


def evenly(count: int, most: int) -> np.ndarray:
    """Indices of at most `most` of `count` frames, from the first to the last in even strides."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(int)


def film_strip(frames: np.ndarray) -> Figure:
    """A chain, frame by frame: at most CHAIN_FRAMES of its steps, from the first to the last."""
    shown = frames[evenly(len(frames), CHAIN_FRAMES)]
    return figures.panel(figures.wrapped(shown, 8), "One chain over its Langevin steps, row by row")


def save_moving_pictures(run: Run, film: np.ndarray) -> None:
    """Write chains step by step, film [l + 1, n, S, S, 3], and the progress panels.

    chain.webp is a sprite (see `figures.sprite`): a row is a step, from the first to the last in
    even strides, and a column is a chain.
    """
    shown = film[evenly(len(film), CHAIN_FRAMES)]  # [F, n, S, S, 3]
    sprite = figures.sprite(shown.reshape(-1, *film.shape[2:]), film.shape[1])
    run.save("chain.webp", lambda file: figures.write_webp(file, sprite))
    frames = [figures.tiles([step]) for step in shown]
    run.save("langevin.gif", lambda file: figures.write_gif(file, frames, 120, hold=1500))
    panels = figures.read_panels(run.folder / "progress")
    if panels:
        run.save("training.gif", lambda file: figures.write_gif(file, panels, 400, hold=1500))


def quality(synthesized: np.ndarray, images: np.ndarray) -> dict[str, np.ndarray]:
    """PSNR and SSIM [N] of each synthesized image to the training image that it is assigned to.

    The assignment is the one-to-one assignment of least squared error: chains owe nothing to
    the image whose mean colour they start from.
    """
    cost = [((image - images) ** 2).mean((1, 2, 3)) for image in synthesized]
    _, assigned = linear_sum_assignment(cost)
    psnr, ssim = metrics.psnr_and_ssim(synthesized, images[assigned])
    return {"assigned": assigned, "psnr": psnr, "ssim": ssim}


def save_results(run: Run, model: DesNet, data: datasets.Dataset, starts: np.ndarray) -> dict:
    """Write the pictures, arrays and metrics of the run as it stands; return the mean metrics."""
    synthesized = model.synthesize(starts)
    match = quality(synthesized, data.images)
    film = model.film(starts[: min(FILMED, model.batch_size)])
    loss = run.column("loss")
    pictures = {
        "synthesis.png": synthesis_panel(data.images, starts, synthesized),
        "langevin.png": film_strip(film[:, 0]),
        "loss.png": figures.charts({"Loss": (loss, "mean f(synthesized) - mean f(observed)")}),
        "diagnostics.png": figures.charts(
            {
                "Energy difference d(t)": (
                    run.column("energy_difference"),
                    "mean f(observed) - mean f(synthesized)",
                ),
                "Gradient magnitude v(t) along the chains": (
                    run.column("gradient_magnitude"),
                    "mean |d log p / dY|",
                ),
                "Synthesized pixels outside [0, 255]": (run.column("out_of_range"), "share"),
            }
        ),
    }
    for name, figure in pictures.items():
        run.save_figure(name, figure)
    save_moving_pictures(run, film)
    run.save_arrays(
        "results.npz",
        images=data.images,
        starts=starts,
        synthesized=synthesized,
        loss=np.array(loss),
    )
    mean = {
        "psnr": float(match["psnr"].mean()),
        "ssim": float(match["ssim"].mean()),
        "out_of_range": float(((synthesized < 0) | (synthesized > 255)).mean()),
    }
    if len(data.images) > 1:
        mean["diversity"] = distance(synthesized) / max(distance(data.images), 1e-9)
    run.save_metrics(
        {
            **mean,
            "assigned_to": {
                name: data.names[i] for name, i in zip(data.names, match["assigned"], strict=True)
            },
            "psnr_by_image": dict(zip(data.names, match["psnr"].tolist(), strict=True)),
            "ssim_by_image": dict(zip(data.names, match["ssim"].tolist(), strict=True)),
            "loss": loss[-1],
            "roll_backs": int(run.column("roll_backs")[-1]),
        }
    )
    return mean


def distance(images: np.ndarray) -> float:
    """Mean root-mean-square difference between two different images of a set, in grey levels."""
    pairs = [
        np.sqrt(((images[i] - images[i + 1 :]) ** 2).mean((1, 2, 3))) for i in range(len(images))
    ]
    return float(np.concatenate(pairs).mean())


def learn(args: argparse.Namespace) -> None:
    """Load, learn and write, as the flags say."""
    config = console.session_config(args.device)
    data = datasets.load(args.data_path / args.category, args.image_size, args.fit)
    for reason in data.skipped:
        print(f"Skipped {reason}")
    args.batch_size = datasets.batch_size(args.batch_size, len(data.images), default=7)
    starts = datasets.mean_images(data.images)
    model = DesNet(
        mean_colour=data.images.mean((0, 1, 2), dtype=np.float64),
        image_size=args.image_size,
        batch_size=args.batch_size,
        network=args.network,
        ref_sigma=args.ref_sig,
        step_size=args.delta,
        num_steps=args.T,
        mode_penalty=args.mode_penalty,
        learning_rate=args.learning_rate,
        beta1=args.beta1,
        beta2=args.beta2,
        decay=args.decay,
        weight_decay=args.weight_decay,
        seed=args.seed,
    )
    model.build_model(config)
    total = args.num_epochs * batches_per_epoch(len(data.images), args.batch_size)
    run = Run(args, model.saver, model.session)
    print(
        f"DesNet: {len(data.images)} images of {args.category} at {args.image_size} x"
        f" {args.image_size}, {console.describe_device(config)},"
        f" {args.network} descriptor of {model.num_parameters / 1e6:.2f} million parameters,"
        f" langevin x {args.T}"
    )
    roll_backs = run.column("roll_backs")[-1] if run.history else 0.0
    for record in run.follow(model.train(data.images, starts, args.num_epochs), total):
        iteration = int(record["iteration"])
        if record["roll_backs"] > roll_backs:
            roll_backs = record["roll_backs"]
            tqdm.write(
                f"Iteration {iteration} left the sane region: went back to the last good state,"
                f" learning rate now {record['learning_rate']:.2g}"
            )
        if iteration % args.log_step == 0:
            panel = synthesis_panel(data.images[:7], starts[:7], model.synthesize(starts[:7]))
            run.save_figure(f"progress/{iteration:06d}.png", panel)
            run.save_checkpoint()
    run.save_checkpoint()
    run.report(save_results(run, model, data, starts), total)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; a mistake of the user's ends it with a sentence and exit code 2."""
    parser = make_parser()
    try:
        learn(resolve_flags(parser, arguments))
    except (datasets.DatasetError, console.DeviceError, DivergenceError, RunError) as mistake:
        parser.exit(2, f"{parser.prog}: {mistake}\n")
    except KeyboardInterrupt:
        parser.exit(130, f"{parser.prog}: stopped; --resume goes on from the last checkpoint\n")


if __name__ == "__main__":
    main()
