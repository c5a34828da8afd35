"""Learn a generator of a category of images by real inference, and show what it has learned.

Example: python GenNet/main.py --data_path ~/pictures --category cats
"""

from __future__ import annotations

from common import endings

if __name__ == "__main__":
    endings.while_loading("GenNet/main.py")

from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from tqdm import tqdm

import diagnostics
import generator_pictures as pictures
import generator_report
import heldout
from common import command, experiment, guard, naturalness, quality, samplers
from common.console import doing, say, timed
from common.datasets import Dataset
from common.endings import shown
from common.experiment import Chart, Results
from common.model import Record
from common.run import Run
from common.run_folder import Picture, png
from common.shards import Shard
from GenNet import GenNet, Settings
from inference import CHAINS, draw_posterior, infer, passes_per_draw

DIAGNOSED = 55  # training images whose posterior is drawn from at the end, and
PASSES = 200  # through the network that each of its chains may take
SAMPLES = 64  # images that are drawn, z ~ N(0, I)
WALKED = 55  # training images that the walk passes, as many as the panel shows
UNSEEN = {  # what learning does not see -> its name on the console, the title of its panel
    "occlusion": ("hidden", "Training images whose hidden pixels are restored"),
    "holdout": ("holdout", "Held-out images, reconstructed by inference alone"),
}


class Experiment(experiment.Experiment):
    """GenNet on a category of images."""

    name = "GenNet"
    command_line = ["GenNet/main.py"]
    abilities = ("reconstruct", "sample", "interpolate", "score", "complete", "infer")
    roles = experiment.Experiment.roles | {"holdout_reconstructions": "holdout_inferred"}
    settings_class = Settings
    losses = [
        Chart(
            *("loss", "Reconstruction error", "mean ‖Y − f(Z)‖² / 2σ², nats", True),
            "Should fall and level off: what is left is what the generator cannot draw.",
            item=4,
        )
    ]
    diagnostics = [
        Chart(
            *("psnr", "PSNR of f(Z) to the images of the batch", "mean over the images, dB", False),
            "How close the generator draws its images at their inferred z; before they are rounded."
            " Should rise and level off.",
        ),
        Chart("energy_difference", "Energy difference d(t)", "mean gain in log p(Y, Z), nats"),
        Chart(
            *("score_magnitude", "Score magnitude v(t) along the chains"),
            *("mean |∂ log p / ∂Z|, nats", True),
        ),
        Chart("gradient_norm", "Learning gradient", "‖∂L / ∂W‖", True),
        Chart(
            *("acceptance_rate", "Accepted proposals", "share", False),
            "1 for a sampler without a test. Near 0, inference would stand still.",
        ),
        Chart("step_size", "Step size δ of the chains", "mean δ"),
        Chart(
            *("prior", "Prior term", "mean ‖Z‖² / 2, nats", False),
            "For z ~ N(0, I) it is half the number of dimensions of z. Far above, the inferred z"
            " have left the prior, and samples would not look like the training images.",
        ),
    ]
    baseline = "the mean image"
    story = generator_report.STORY
    learner: GenNet
    model: GenNet

    def __init__(self, settings: Settings, data: Dataset, shard: Shard) -> None:
        """Divide the category into what is learned and what is held out, and build the model."""
        learned, self.held = heldout.split(data, settings.holdout, settings.occlude, settings.seed)
        if shard.cluster.size == 1:  # a piece of several is without those held out
            shard = Shard((len(learned.names),))
        self.images, self.names = learned.images, learned.names
        visible = learned.visible if settings.occlude else None
        self.constants = {"num_images": len(self.names)}
        if visible is not None:
            self.constants["visible"] = visible
        evaluated = slice(experiment.EVALUATED)
        self.evaluated = heldout.Part(
            self.images[evaluated].astype(np.float32),
            self.names[evaluated],
            learned.visible[evaluated],
        )
        num_images = len(self.names)
        self.model = self.make(lambda own: GenNet(settings, num_images, visible, shard=own), shard)
        self._step_size = float(self.model.step_sizes().mean())  # that was said last

    def describe(self) -> str:
        """The generator and its sampler."""
        settings = self.model.settings
        return (
            f"generator of {self.model.num_parameters / 1e6:.1f} million parameters,"
            f" {settings.sampler} x {settings.num_steps} in {settings.precision}"
        )

    def sentence(self) -> str:
        """What was learned, and how."""
        settings = self.model.settings
        return (
            f"A generator of {settings.category}, learned from {len(self.names)} images by"
            f" inferring their z with {samplers.NAMES[settings.sampler]}"
        )

    def train(self) -> Iterator[Record]:
        """Alternating back-propagation."""
        return self.learner.train(self.images[: self.learner.shard.count])

    def note(self, record: Record) -> None:
        """Say that chains were sent back."""
        if self.model.settings.sampler == "langevin" and record["step_size"] < self._step_size / 2:
            self._step_size = record["step_size"]
            say(
                f"Iteration {int(record['iteration'])}: chains left the prior and were sent back,"
                f" mean step size now {self._step_size:.2g}"
            )

    def progress(self) -> Figure:
        """The first training images over their reconstructions."""
        first = slice(pictures.COLUMNS)
        reconstructions = self.model.generate(self.model.latents()[first])
        return pictures.reconstruction_panel(self.images[first], reconstructions)

    def results(self, run: Run) -> Results:
        """Reconstructions, samples and the plane; how well the chains infer; what was unseen."""
        model, images, names = self.model, self.evaluated.images, self.evaluated.names
        with doing("Reconstructions, samples and the plane"):
            arrays = {
                "images": images,
                "reconstructions": model.reconstruct(len(images)),
                "interpolation": model.interpolate(pictures.GRID_SIDE, pictures.GRID_REACH),
                "z": model.latents(),
            }
            arrays["samples"], seconds = timed(lambda: model.sample(SAMPLES))
        with doing("How close they are, and how natural"):
            psnr, ssim = quality.psnr_and_ssim(arrays["reconstructions"], images)
            mean = np.broadcast_to(images.mean(0, keepdims=True), images.shape)
            plane = naturalness.measure(arrays["interpolation"], images)
        restored = self.restore_unseen()
        errors = {name: heldout.errors(part) for name, part in restored.items()}
        headline = {
            "psnr": float(psnr.mean()),
            "psnr_worst": float(psnr.min()),
            "ssim": float(ssim.mean()),
            **{name: plane[name] for name in ("natural_tiles", "ghost_tiles")},
        }
        numbers = {
            **headline,
            "psnr_baseline": float(quality.psnr_and_ssim(mean, images)[0].mean()),
            "psnr_by_image": dict(zip(names, psnr.tolist(), strict=True)),
            "ssim_by_image": dict(zip(names, ssim.tolist(), strict=True)),
            "z_mean": arrays["z"].mean(0).tolist(),
            "z_std": arrays["z"].std(0).tolist(),
            **self.posterior_chains(len(run.history)),
            **plane,
            **errors,
            "roll_backs": int(run.history[-1]["roll_backs"]),
            "seconds_a_sample": seconds / SAMPLES,
        }
        for name, means in errors.items():
            headline |= heldout.mean_errors(UNSEEN[name][0], means)
        arrays["walk"] = pictures.closed_walk(arrays["z"][:WALKED])
        with doing("Pictures, still and moving"):
            shown = pictures.still_pictures(arrays)
            shown |= self.unseen_pictures(restored)
            shown |= pictures.moving_pictures(model, arrays["z"], arrays["walk"])
        sections = generator_report.sections({*restored})
        arrays |= self.unseen_arrays(restored)
        return Results(shown, arrays, numbers, headline, sections)

    def posterior_chains(self, iterations: int) -> dict[str, Any]:
        """How well chains of the run's own sampler draw from p(Z | Y; W), CHAINS of them an image.

        They take about a tenth of the steps of the run's `iterations`, and at most PASSES;
        posterior.py takes more.

        Returns:
            r_hat, the worst of the images; effective_sample_size, the least; both by image; the
            mean effective draws per pass through the network, forward or backward; and the
            acceptance_rate of the chains.  None stands for what cannot be told: of chains that
            stood still, whose images are in stood_still.
        """
        model = self.model
        images, names = self.evaluated.images[:DIAGNOSED], self.evaluated.names[:DIAGNOSED]
        own = iterations * (model.settings.num_steps or 1) // 10
        num_draws = max(min(int(PASSES / passes_per_draw(model)), own), 8)
        num_warm_up = num_draws // 5
        total = len(images) * CHAINS * (num_draws + num_warm_up)
        with tqdm(total=total, desc="Posterior chains", leave=False, dynamic_ncols=True) as bar:
            precision = model.settings.precision  # that of the chains that learned
            draws = draw_posterior(model, images, num_draws, num_warm_up, bar.update, precision)
        r_hat, size = diagnostics.convergence(draws.z)
        number = diagnostics.number
        return {
            "r_hat": number(r_hat.max()),  # NaN, so none, if any stood still
            "r_hat_by_image": dict(zip(names, map(number, r_hat), strict=True)),
            "effective_sample_size": number(size.min()),
            "effective_sample_size_by_image": dict(zip(names, map(number, size), strict=True)),
            "effective_sample_size_per_evaluation": number(
                size.mean() / (CHAINS * num_draws * passes_per_draw(model))
            ),
            "acceptance_rate": number(draws.acceptance_rate.mean()),
            "stood_still": [
                name
                for name, still in zip(names, diagnostics.stood_still(draws.z), strict=True)
                if still
            ],
        }

    def finish(self, run: Run) -> None:
        """Say on the console what the figures are not to be believed without."""
        still = run.metrics["stood_still"]
        if still:
            say(
                f"Chains stood still for {shown(', '.join(still))}: their R-hat cannot be told; a"
                " smaller --delta, or --sampler mala, which adapts it, lets them move."
            )
        advice = "try more --num_epochs, or a smaller --g_lr"
        if self.model.settings.sampler != "preconditioned":
            advice += ", or the default --sampler"
        guard.say_if_below_baseline(run.metrics, self.baseline, advice)

    # What learning did not see

    def restore_unseen(self) -> dict[str, heldout.Restored]:
        """What is restored: "occlusion", hidden pixels, and "holdout", held-out images."""
        restored: dict[str, heldout.Restored] = {}
        model, learned, held = self.model, self.evaluated, self.held
        if model.visible is None and not held.names:
            return restored
        pca = heldout.PCA(learned.images, learned.visible, model.settings.z_dim)
        mean = heldout.mean_image(learned.images, learned.visible)
        if model.visible is not None:
            generated = model.reconstruct(len(learned.images))
            restored["occlusion"] = heldout.Restored(learned, generated, pca.fitted, mean)
        if held.names:
            visible = None if model.visible is None else held.visible
            with doing("Inference of the held-out images"):
                inferred = infer(model, held.images, visible)
            projected = pca.project(held.images, held.visible)
            restored["holdout"] = heldout.Restored(held, inferred, projected, mean)
        return restored

    def unseen_pictures(self, restored: dict[str, heldout.Restored]) -> dict[str, Picture]:
        """A panel of each part that was restored."""
        return {
            f"{name}.png": png(heldout.panel(part, UNSEEN[name][1]))
            for name, part in restored.items()
        }

    def unseen_arrays(self, restored: dict[str, heldout.Restored]) -> dict[str, np.ndarray]:
        """The arrays of what was restored."""
        arrays = {} if self.model.visible is None else {"visible": self.model.visible}
        if "holdout" in restored:
            arrays |= {
                "holdout": self.held.images,
                "holdout_inferred": restored["holdout"].generator,
            }
        return arrays


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; a mistake of the user's ends it with a sentence and exit code 2."""
    command.main("GenNet/main.py", __doc__, Experiment, arguments)


if __name__ == "__main__":
    main()
