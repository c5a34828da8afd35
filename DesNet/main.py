"""Learn an energy of a category of images by real sampling, and show what it synthesizes.

Example: python DesNet/main.py --data_path ~/pictures --category birds
"""

import argparse

import numpy as np
from matplotlib.figure import Figure
from tqdm import tqdm

import console
import datasets
import evaluation
import figures
import long_run
import moments
from DesNet import LEARNING, NETWORKS, SAMPLERS, DesNet, DivergenceError
from ops import batches_per_epoch
from run import Run, RunError, resolve_flags

NUM_EPOCHS = {"short_run": 600, "convergent": 1000}
CHAIN_FRAMES = 31  # steps of a chain that its pictures show
# Steps that the pictures show of chains that learning never restarts.
CONVERGENT_STEPS = {"langevin": 1000, "mala": 1000, "hmc": 200}
FILMED = 7  # chains that are shown step by step
EVALUATED = 256  # images that pictures, arrays and metrics are of

# What is recorded of every iteration besides the loss: title and axis of its chart.
DIAGNOSTICS = {
    "energy_difference": ("Energy difference d(t)", "mean f(observed) - mean f(synthesized)"),
    "energy_difference_autocorrelation": (
        "Lag-1 autocorrelation of d(t), over about 50 iterations",
        "correlation",
    ),
    "gradient_magnitude": ("Gradient magnitude v(t) along the chains", "mean |d log p / dY|"),
    "gradient_norm": ("Norm of the learning gradient", "norm"),
    "acceptance_rate": ("Proposals accepted", "share"),
    "step_size": ("Step size of the chains", "grey levels"),
    "out_of_range": ("Synthesized pixels outside [0, 255]", "share"),
}


def by_learning(setting: str) -> str:
    """The defaults of a setting, for the help of its flag."""
    return f" (default: {', '.join(f'{v[setting]} for {k}' for k, v in LEARNING.items())})"


def make_parser() -> console.Parser:
    """The flags, each with its default and unit."""
    parser = console.Parser("DesNet/main.py", __doc__.splitlines()[0])
    integer, number = console.integer, console.number
    add = parser.add_argument_group("model").add_argument
    add("--image_size", type=integer(16, 512, 8), default=64, help="side, in pixels")
    add(
        "--network",
        choices=NETWORKS,
        help="the ConvNet: three strided convolutions with rectifiers or with a smooth"
        " activation, or that of the assignment" + by_learning("network"),
    )
    add(
        "--ref_sig",
        type=number(1e-3, 1e6),
        default=50.0,
        help="standard deviation of the Gaussian reference, in grey levels",
    )
    add = parser.add_argument_group("sampling").add_argument
    add(
        "--sampler",
        choices=list(SAMPLERS),
        default="langevin",
        help="plain Langevin, Langevin with a Metropolis-Hastings test, or Hamiltonian Monte Carlo",
    )
    add(
        "--delta",
        type=number(1e-6, 100),
        help="step size of the sampler, in grey levels, which mala and hmc adapt to less"
        + by_learning("step_size"),
    )
    add(
        "--T",
        type=integer(1, 10**6),
        help="steps of a chain in an iteration (default: "
        + ", ".join(f"{v} for {k}" for k, v in SAMPLERS.items())
        + ")",
    )
    add(
        "--long_run",
        type=integer(0, 10**9),
        default=0,
        metavar="N",
        help="steps that chains run on after learning, from mean images, noise and training images",
    )
    add = parser.add_argument_group("learning").add_argument
    add(
        "--learning",
        choices=list(LEARNING),
        help="short_run: chains start from mean images at every iteration; convergent: they never"
        " end, and stay images (default: short_run for langevin, convergent for mala and hmc)",
    )
    add(
        "--num_epochs",
        type=integer(1, 10**9),
        help="passes over the images (default: "
        + ", ".join(f"{v} for {k}" for k, v in NUM_EPOCHS.items())
        + ")",
    )
    add("--batch_size", type=integer(1, 10**6), help="images in an iteration (default: 7, or all)")
    add("--learning_rate", type=number(1e-9, 10), help="of Adam" + by_learning("learning_rate"))
    add("--beta1", type=number(0, 0.999), default=0.5, help="decay of Adam's first moment")
    add(
        "--beta2",
        type=number(0, 0.99999),
        help="decay of Adam's second moment" + by_learning("beta2"),
    )
    add(
        "--decay",
        type=number(0, 1),
        default=0.7,
        help="share of the run, at its end, in which the learning rate falls to 0",
    )
    add(
        "--mode_penalty",
        type=number(0, 1e6),
        help="weight of what one Langevin step from a training image would gain in log p"
        + by_learning("mode_penalty"),
    )
    add(
        "--weight_decay",
        type=number(0, 0.5),
        help="share of every weight that an iteration takes off at the full learning rate"
        + by_learning("weight_decay"),
    )
    add(
        "--data_noise",
        type=number(0, 255),
        help="standard deviation of the noise on the training images, in grey levels"
        + by_learning("data_noise"),
    )
    add(
        "--data_noise_start",
        type=number(0, 255),
        help="this noise at the first iteration, from where it shrinks to --data_noise, and the"
        " step size with it" + by_learning("data_noise_start"),
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
    return figures.panel(rows, "Synthesis from mean images", labels)


def evenly(count: int, most: int) -> np.ndarray:
    """Indices of at most `most` of `count` frames, from the first to the last in even strides."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(int)


def save_moving_pictures(run: Run, film: np.ndarray) -> None:
    """Write chains step by step, film [F, n, S, S, 3], and the progress panels.

    chain.webp is a sprite (see `figures.sprite`): a row is a step, from the first to the last in
    even strides, and a column is a chain.
    """
    sprite = figures.sprite(film.reshape(-1, *film.shape[2:]), film.shape[1])
    run.save("chain.webp", lambda file: figures.write_webp(file, sprite))
    frames = [figures.tiles([step]) for step in film]
    run.save("langevin.gif", lambda file: figures.write_gif(file, frames, 120, hold=1500))
    panels = figures.read_panels(run.folder / "progress")
    if panels:
        run.save("training.gif", lambda file: figures.write_gif(file, panels, 400, hold=1500))


def save_results(run: Run, model: DesNet, data: datasets.Dataset, starts: np.ndarray) -> dict:
    """Write the pictures, arrays and metrics of the run as it stands; return the mean metrics.

    They are of the first EVALUATED images.
    """
    images, names = data.images[:EVALUATED].astype(np.float32), data.names[:EVALUATED]
    starts = starts[:EVALUATED]
    synthesized = model.synthesize(starts)
    match = evaluation.assigned_quality(synthesized, images)
    length = model.num_steps
    if model.learning == "convergent":
        length = CONVERGENT_STEPS[model.sampler]
    film = model.film(starts[:FILMED], evenly(length + 1, CHAIN_FRAMES).tolist())
    matched = moments.compare(model, images, synthesized)
    loss = run.column("loss")
    pictures = {
        "synthesis.png": synthesis_panel(images, starts, synthesized),
        "langevin.png": figures.panel(
            figures.wrapped(film[:, 0], 8), f"One chain over {length} steps, row by row"
        ),
        "moments.png": moments.chart(matched, images, synthesized),
        "loss.png": figures.charts({"Loss": (loss, "mean f(synthesized) - mean f(observed)")}),
        "diagnostics.png": figures.charts(
            {title: (run.column(name), label) for name, (title, label) in DIAGNOSTICS.items()}
        ),
    }
    for name, figure in pictures.items():
        run.save_figure(name, figure)
    save_moving_pictures(run, film)
    run.save_arrays(
        "results.npz",
        images=images,
        starts=starts,
        synthesized=synthesized,
        loss=np.array(loss),
    )
    mean = {
        "psnr": float(match["psnr"].mean()),
        "ssim": float(match["ssim"].mean()),
        "out_of_range": evaluation.out_of_range(synthesized),
    }
    if len(images) > 1:
        spread = evaluation.distance(images)
        mean["diversity"] = evaluation.distance(synthesized) / max(spread, 1e-9)
    run.save_metrics(
        {
            **mean,
            "images": len(data.images),
            "evaluated": len(images),
            "assigned_to": {
                name: names[i] for name, i in zip(names, match["assigned"], strict=True)
            },
            "psnr_by_image": dict(zip(names, match["psnr"].tolist(), strict=True)),
            "ssim_by_image": dict(zip(names, match["ssim"].tolist(), strict=True)),
            "moments": matched,
            **{name: run.history[-1][name] for name in DIAGNOSTICS},
            "loss": loss[-1],
            "roll_backs": int(run.column("roll_backs")[-1]),
        }
    )
    return mean


def save_long_run(
    run: Run, model: DesNet, data: datasets.Dataset, starts: np.ndarray, num_steps: int
) -> None:
    """Run chains on for `num_steps` steps; write long_run.png and long_run.json."""
    with tqdm(total=num_steps, unit="step", dynamic_ncols=True, desc="long run") as bar:
        images = data.images[:EVALUATED].astype(np.float32)
        films, records = long_run.run(model, images, starts, num_steps, bar.update)
    run.save_figure("long_run.png", long_run.film_strip(films, long_run.checkpoints(num_steps)))
    run.save_json("long_run.json", records)
    for kind, (*_, last) in records.items():
        print(
            f"After {num_steps} steps from {kind}: PSNR {last['psnr']:.2f} dB and"
            f" SSIM {last['ssim']:.3f} to the nearest training image,"
            f" {100 * last['out_of_range']:.2f} % out of range"
        )


def learn(args: argparse.Namespace) -> None:
    """Load, learn and write, as the flags say."""
    config = console.session_config(args.device)
    if args.data_noise == 0 and args.data_noise_start:
        raise RunError(
            "--data_noise_start shrinks by factors to --data_noise, which is not to be 0"
        )
    data = datasets.load(args.data_path / args.category, args.image_size, args.fit)
    for reason in data.skipped:
        print(f"Skipped {reason}")
    args.batch_size = datasets.batch_size(args.batch_size, len(data.images), default=7)
    starts = datasets.mean_images(data.images)
    objection = ""
    if args.sampler != "langevin":
        objection = f"the test of {args.sampler} compares energies that it rounds"
    args.precision = console.resolve_precision(args.precision, config, objection)
    model = DesNet(
        mean_colour=data.images.mean((0, 1, 2), dtype=np.float64),
        num_images=len(data.images),
        image_size=args.image_size,
        batch_size=args.batch_size,
        network=args.network,
        ref_sigma=args.ref_sig,
        sampler=args.sampler,
        learning=args.learning,
        step_size=args.delta,
        num_steps=args.T,
        data_noise=args.data_noise,
        data_noise_start=args.data_noise_start,
        mode_penalty=args.mode_penalty,
        learning_rate=args.learning_rate,
        beta1=args.beta1,
        beta2=args.beta2,
        decay=args.decay,
        weight_decay=args.weight_decay,
        seed=args.seed,
        precision=args.precision,
        num_cores=console.num_cores(config),
    )
    model.build_model(config)
    args.delta, args.T, args.learning = model.step_size, model.num_steps, model.learning
    for name in LEARNING[model.learning]:
        if name != "step_size":
            setattr(args, name, getattr(model, name))
    args.num_epochs = args.num_epochs or NUM_EPOCHS[args.learning]
    total = args.num_epochs * batches_per_epoch(len(data.images), args.batch_size)
    run = Run(args, model.saver, model.session)
    print(
        f"DesNet: {len(data.images)} images of {args.category} at {args.image_size} x"
        f" {args.image_size}, {console.describe_device(config)},"
        f" {model.network} descriptor of {model.num_parameters / 1e6:.2f} million parameters,"
        f" {args.sampler} x {args.T} in {args.precision}, {args.learning}"
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
    mean = save_results(run, model, data, starts)
    if args.long_run:
        save_long_run(run, model, data, starts, args.long_run)
    run.report(mean, total)


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
