"""Learn an energy of a category of images by real sampling, and show what it synthesizes.

Example: python DesNet/main.py --data_path ~/pictures --category birds
"""

from __future__ import annotations

from common import endings

if __name__ == "__main__":
    endings.while_loading("DesNet/main.py")

from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from tqdm import tqdm

import descriptor_pictures as pictures
import descriptor_report
import long_run
import moments
from common import command, datasets, experiment, guard, naturalness, quality, samplers, session
from common.console import doing, say, timed
from common.datasets import Dataset
from common.experiment import Chart, Results
from common.model import Record
from common.run import Run
from common.run_folder import png
from common.shards import Shard
from descriptor_settings import STARTS
from DesNet import DesNet, Settings, halves_batches, threads_of_operation

LADDER_LOSSES = [
    Chart(
        *("loss", "Loss", "squared error of the score, relative", True),
        "How far the score is from that of the noisy images. Should fall to the end.",
        item=2,
    )
]
MANY_GHOSTS = 0.2  # share of synthesized images that are mixtures, from which on it is said


class Experiment(experiment.Experiment):
    """DesNet on a category of images."""

    name = "DesNet"
    command_line = ["DesNet/main.py"]
    abilities = ("sample", "score", "complete")
    roles = {"images": "images", "samples": "synthesized", "holdout": "holdout"}
    settings_class = Settings
    losses = [
        Chart(
            *("loss", "Loss", "mean f(synthesized) − mean f(observed), nats", False),
            "Minus the energy difference. It may swing, and calms down as the learning rate falls;"
            " growing ever faster to one side, it would be divergence.",
            item=2,
        )
    ]
    diagnostics = [
        Chart(
            *("psnr", "PSNR of the ends of the chains", "mean over the chains, dB"),
            *(
                False,
                "How close the chains arrive at images: down a ladder of noise, at any one, less"
                " the noise; else at those of the batch, each at another. Should rise and level"
                " off.",
            ),
        ),
        Chart(
            *("energy_difference", "Energy difference d(t)"),
            "mean f(observed) − mean f(synthesized), nats",
        ),
        Chart(
            "energy_difference_autocorrelation",
            "Lag-1 autocorrelation of d(t)",
            "over about 50 iterations",
        ),
        Chart(
            *("score_magnitude", "Score magnitude v(t) along the chains"),
            *("mean |∂ log p / ∂Y|, nats / grey level", False),
            "How hard the score pushes along the chains. Should level off.",
        ),
        Chart("gradient_norm", "Learning gradient", "‖∂L / ∂θ‖", True),
        Chart("acceptance_rate", "Accepted proposals", "share"),
        Chart("step_size", "Step size δ of the chains", "mean δ, grey levels"),
        Chart(
            *("out_of_range", "Synthesized pixels outside [0, 255]", "share", False),
            "Should end close to 0: above, chains overshoot.",
        ),
    ]
    baseline = "the flat colours"
    story = descriptor_report.STORY
    learner: DesNet
    model: DesNet

    def __init__(self, settings: Settings, data: Dataset, shard: Shard) -> None:
        """Divide the category into what is learned and what is held out, and build the model."""
        learned, held = datasets.split(data, settings.holdout)
        if shard.cluster.size == 1:  # a piece of several is without those held out
            shard = Shard((len(learned.names),))
        self.images, self.names = learned.images, learned.names
        self.held = held.images[: experiment.EVALUATED].astype(np.float32)
        colours = shard.cluster.gather(datasets.mean_colours(self.images[: shard.count]))
        self.constants = {"colours": colours}
        self.evaluated = self.images[: experiment.EVALUATED].astype(np.float32)
        self.model = self.make(lambda own: DesNet(settings, colours, shard=own), shard)
        if self.model.levels is not None:
            self.losses, self.story = LADDER_LOSSES, descriptor_report.LADDER_STORY  # type: ignore[misc]

    @classmethod
    def threads(cls, settings: Any) -> int:
        """Half of the cores, where the two halves of a batch are computed side by side."""
        num_cores = session.num_cores(settings.device)
        return threads_of_operation(num_cores) if halves_batches(settings, num_cores) else 0

    def describe(self) -> str:
        """The descriptor, its sampler and its way to learn."""
        settings = self.model.settings
        return (
            f"{settings.network} descriptor of {self.model.num_parameters / 1e6:.2f} million"
            f" parameters, {settings.sampler} x {settings.num_steps} in {settings.precision},"
            f" {settings.learning}"
        )

    def sentence(self) -> str:
        """What was learned, and how."""
        settings = self.model.settings
        return (
            f"A descriptor of {settings.category}, learned from {len(self.names)} images by"
            f" synthesis from {STARTS[settings.start][1]} with {samplers.NAMES[settings.sampler]}"
        )

    def train(self) -> Iterator[Record]:
        """Synthesis and learning in turn."""
        return self.learner.train(self.images[: self.learner.shard.count])

    def progress(self) -> Figure:
        """The first training images, where their chains start, and where these end."""
        first = self.images[: pictures.COLUMNS]
        starts, made = self.model.starts(len(first)), self.model.synthesize(len(first))
        return pictures.synthesis_panel(first, starts, made, self.model.settings.start)

    def results(self, run: Run) -> Results:
        """Syntheses, chains step by step, and what learning has equalled."""
        model, images = self.model, self.evaluated
        names = self.names[: len(images)]
        with doing("Chains"):
            starts = model.starts(len(images))
            synthesized, seconds = timed(lambda: model.synthesize(len(images)))
        with doing("How close they are, and how natural"):
            match = quality.assigned_quality(synthesized, images)
            flat = model.mean_images(len(images))
            natural = naturalness.measure(synthesized, images)
        with doing("What learning has equalled"):
            matched = moments.compare(model, images, synthesized)
        arrays = {"images": images, "starts": starts, "synthesized": synthesized}
        if len(self.held):
            arrays["holdout"] = self.held
        with doing("Pictures, still and moving"):
            panel = pictures.synthesis_panel(images, starts, synthesized, model.settings.start)
            shown = {
                "synthesis.png": png(panel),
                **pictures.chain_pictures(model),
                "moments.png": png(moments.chart(matched, images, synthesized)),
            }
        headline = {
            "psnr": float(match["psnr"].mean()),
            "psnr_worst": float(match["psnr"].min()),
            "ssim": float(match["ssim"].mean()),
            "out_of_range": quality.out_of_range(synthesized),
            "ghost_tiles": natural["ghost_tiles"],
        }
        if len(images) > 1:
            spread = quality.distance(images)
            headline["diversity"] = quality.distance(synthesized) / max(spread, 1e-9)
        last = run.history[-1]
        assigned = [names[i] for i in match["assigned"]]
        numbers = {
            **headline,
            **natural,
            "psnr_baseline": float(quality.psnr_and_ssim(flat, images)[0].mean()),
            "assigned_to": dict(zip(names, assigned, strict=True)),
            "psnr_by_image": dict(zip(names, match["psnr"].tolist(), strict=True)),
            "ssim_by_image": dict(zip(names, match["ssim"].tolist(), strict=True)),
            "moments": matched,
            "energy": self.energies(arrays),
            **{
                chart.column: last[chart.column]
                for chart in self.diagnostics
                if chart.column not in headline  # which is of all images
            },
            "roll_backs": int(last["roll_backs"]),
            "kept_iteration": model.kept_iteration() or len(run.history),
            "seconds_a_sample": seconds / len(images),
        }
        sections = descriptor_report.sections(model.settings.long_run, "holdout" in arrays)
        return Results(shown, arrays, numbers, headline, sections)

    def energies(self, arrays: dict[str, np.ndarray]) -> dict[str, float]:
        """Mean -log p(Y) of learned, held-out and synthesized images, up to log Z, in nats."""
        parts = {"learned": "images", "held_out": "holdout", "synthesized": "synthesized"}
        return {
            part: float(self.model.energies(arrays[name]).mean())
            for part, name in parts.items()
            if name in arrays
        }

    def finish(self, run: Run) -> None:
        """Say what is out of the ordinary; run chains on for as long as --long_run asks."""
        kept = run.metrics["kept_iteration"]
        if kept < len(run.history):
            say(f"The loss was lowest at iteration {kept:,}: its weights are kept.")
        count = len(self.evaluated)
        ghosts = round(run.metrics["ghost_tiles"] * count)
        if count <= naturalness.FEW and ghosts > MANY_GHOSTS * count:
            other = ", or the default --learning, score_matching, whose chains end at one"
            say(
                f"{ghosts} of {count} synthesized images are mixtures of training images: try more"
                f" --num_epochs{'' if self.model.levels else other}."
            )
        guard.say_if_below_baseline(
            run.metrics, self.baseline, "try more --num_epochs, or a smaller --learning_rate"
        )
        num_steps = self.model.settings.long_run
        if not num_steps:
            return
        with tqdm(total=num_steps, unit="step", dynamic_ncols=True, desc="long run") as bar:
            films, records = long_run.run(self.model, self.evaluated, num_steps, bar.update)
        run.save_figure("long_run.png", long_run.film_strip(films, long_run.stops(num_steps)))
        run.save_json("long_run.json", records)
        for kind, (*_, last) in records.items():
            say(
                f"After {num_steps} steps from {kind}: PSNR {last['psnr']:.2f} dB and"
                f" SSIM {last['ssim']:.3f} to the nearest training image,"
                f" {100 * last['out_of_range']:.2f} % out of range"
            )


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; a mistake of the user's ends it with a sentence and exit code 2."""
    command.main("DesNet/main.py", __doc__, Experiment, arguments)


if __name__ == "__main__":
    main()
