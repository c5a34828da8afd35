"""The settings of DesNet: every flag of `DesNet/main.py`, said once."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from common import flags, session
from common.flags import SettingsError, choice, number, setting, whole
from descriptor_network import NETWORKS

# Images in an iteration at most.  Short runs compete for images: all are to be there at once.
BATCH = {"short_run": 16, "convergent": 7, "score_matching": 16}
GROWING = 0.4  # share of the run, at its start, in which the contrast of the images grows
ANNEALED = 0.6  # share of the run, at its start, in which the noise on the images shrinks
OVERSHOOT = 16.0  # grey levels that chains of black and white images may overshoot by
CHAINS = 16  # of score matching, that are on their way while it learns
POINTS = 16  # noisy images in an iteration of score matching, at least
WARM_UP_STEPS = 10  # iterations in which the learning rate rises: the first gradients overshoot

# Where chains start, and what one and all of them are called.
STARTS = {
    "mean": ("mean image", "mean images"),
    "mean+noise": ("mean image, noise", "mean images with noise"),
    "noise": ("noise", "noise"),
}
START_NOISE = 16.0  # grey levels: standard deviation of what is added to a mean image

# Steps of a chain in an iteration: every sampler evaluates the network 30 times.
SAMPLERS = {"langevin": 30, "mala": 30, "hmc": 6}
# Steps that a new chain takes to arrive where learning never starts one anew.
CONVERGENT_STEPS = {"langevin": 1000, "mala": 1000, "hmc": 200}
LEAPFROG = 5  # gradient evaluations in a step of hmc
# Seconds on two cores of an iteration of so many steps, and of each of its images of 64 x 64.
ITERATION, IMAGE = 0.013, {"langevin": 0.0085, "mala": 0.015, "hmc": 0.0122}
POINT = 0.006  # and of each point where score matching fits the score, panels included

# The settings of the ways to learn.  A short run drifts, along steep slopes.  Its images begin
# near the flat colours that chains start from, so that every one draws the chain beside it along,
# and no two chains seek the same.  Noise of twice the size of the steps widens their modes.  A
# density has to be explored: large steps; noise of twice their size on the observed
# images (Nijkamp et al.), which gives every mode a width that the steps resolve; and a smooth
# energy, for at the kinks of rectifiers a Metropolis-Hastings test turns down all but tiny steps.
# The noise and the steps start eight times as large: at first there is one wide mode, which chains
# cross in a few steps, and as the noise shrinks it divides into one for each image.
#
# Score matching has a ladder of noise, also down to 4 grey levels, and steps in proportion to it:
# what it takes is not in these numbers, so that it is right for images of any kind.
LEARNING: dict[str, dict[str, Any]] = {
    "short_run": {
        "num_epochs": 600,
        "network": "strided",
        "step_size": 1.0,
        "data_noise": 2.0,
        "data_noise_start": 2.0,
        "contrast_start": 0.2,
        "learning_rate": 0.04,
        "beta1": 0.5,
        "beta2": 0.999,
        "mode_penalty": 1.0,
        "weight_decay": 0.004,
    },
    "convergent": {
        "num_epochs": 1000,
        "network": "smooth",
        "step_size": 2.0,
        "data_noise": 4.0,
        "data_noise_start": 32.0,
        "contrast_start": 1.0,
        "learning_rate": 0.003,
        "beta1": 0.5,
        "beta2": 0.9,  # gradients grow by orders of magnitude: a longer memory overshoots
        "mode_penalty": 0.0,
        "weight_decay": 0.0,
    },
    "score_matching": {
        "num_epochs": 350,
        "network": "noise_conditional",
        "num_steps": 128,
        "step_size": 2.8,
        "data_noise": 4.0,
        "data_noise_start": 4.0,
        "contrast_start": 1.0,
        "learning_rate": 0.003,
        "beta1": 0.9,
        "beta2": 0.99,
        "mode_penalty": 0.0,
        "weight_decay": 0.0,
    },
}

# With its network, short runs are those of the assignment.
ASSIGNMENT: dict[str, Any] = {
    "step_size": 0.3,
    "data_noise": 0.0,
    "data_noise_start": 0.0,
    "contrast_start": 1.0,
    "learning_rate": 0.01,
    "mode_penalty": 0.0,
    "weight_decay": 0.0,
}


def _by_learning(name: str) -> str:
    return ", ".join(f"{v[name]} for {k}" for k, v in LEARNING.items())


def _default(name: str) -> str:
    return f" (default: {_by_learning(name)})"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings(flags.Settings):
    """What DesNet is told; None where `resolved` chooses.  Images are in grey levels, [0, 255]."""

    image_size: int = setting(64, whole(16, 512, 8), "side S, in pixels", group="model")
    network: str | None = setting(
        None,
        choice(list(NETWORKS)),
        "the ConvNet: three strided convolutions with rectifiers, with a smooth activation, or told"
        " the level of noise; or that of the assignment" + _default("network"),
        group="model",
    )
    ref_sigma: float = setting(
        50.0,
        number(1e-3, 1e6),
        "standard deviation of the Gaussian reference, in grey levels",
        group="model",
        flag="ref_sig",
    )
    sampler: str = setting(
        "langevin",
        choice(list(SAMPLERS)),
        "plain Langevin, Langevin with a Metropolis-Hastings test, or Hamiltonian Monte Carlo",
        group="sampling",
    )
    step_size: float | None = setting(
        None,
        number(1e-6, 100),
        "step size of the sampler, in grey levels, which mala and hmc adapt to less, and which at"
        " higher noise is larger in proportion" + _default("step_size"),
        group="sampling",
        flag="delta",
    )
    num_steps: int | None = setting(
        None,
        whole(1, 10**6),
        "steps of a chain in an iteration, or down the levels of noise (default: "
        + ", ".join(f"{v} for {k}" for k, v in SAMPLERS.items())
        + f"; down the levels {LEARNING['score_matching']['num_steps']})",
        group="sampling",
        flag="T",
    )
    # At the step size that it adapts to, five make about half a turn of its orbit.
    num_leapfrog: int = setting(
        LEAPFROG, whole(1, 1000), "gradient evaluations in a step of hmc", group="sampling"
    )
    start: str = setting(
        "mean",
        choice(list(STARTS)),
        "what chains start from: the mean colour of a training image, the same with noise of"
        f" {START_NOISE:g} grey levels, or noise of the reference alone",
        group="sampling",
    )
    long_run: int = setting(
        0,
        whole(0, 10**9),
        "steps that chains run on after learning, from mean images, noise and training images",
        group="sampling",
        free=True,
    )
    learning: str | None = setting(
        None,
        choice(list(LEARNING)),
        "score_matching: chains go down a ladder of noise to images, and the score is fitted where"
        " they are; short_run: they start anew at every iteration, as in the assignment;"
        " convergent: they never end, and stay images (default: score_matching, convergent for mala"
        " and hmc, short_run for a --network that is told no noise)",
        group="learning",
    )
    num_epochs: int | None = flags.num_epochs(_by_learning("num_epochs"))
    batch_size: int | None = flags.batch_size(", ".join(f"{v} for {k}" for k, v in BATCH.items()))
    learning_rate: float | None = setting(
        None, number(1e-9, 10), "of Adam, and of Muon" + _default("learning_rate"), group="learning"
    )
    beta1: float | None = setting(
        None,
        number(0, 0.999),
        "decay of Adam's first moment" + _default("beta1"),
        group="learning",
    )
    beta2: float | None = setting(
        None,
        number(0, 0.99999),
        "decay of Adam's second moment" + _default("beta2"),
        group="learning",
    )
    decay: float = setting(
        0.7,
        number(0, 1),
        "share of the run, at its end, in which the learning rate falls to 0",
        group="learning",
    )
    mode_penalty: float | None = setting(
        None,
        number(0, 1e6),
        "weight of what one Langevin step from a training image would gain in log p"
        + _default("mode_penalty"),
        group="learning",
    )
    # It bounds the gradient of f, which otherwise grows until Langevin steps overshoot.
    weight_decay: float | None = setting(
        None,
        number(0, 0.5),
        "share of every weight that an iteration takes off at the full learning rate"
        + _default("weight_decay"),
        group="learning",
    )
    data_noise: float | None = setting(
        None,
        number(0, 255),
        "standard deviation of the noise on the training images, in grey levels"
        + _default("data_noise"),
        group="learning",
    )
    data_noise_start: float | None = setting(
        None,
        number(0, 255),
        "this noise at the first iteration, from where it shrinks to --data_noise, and the step"
        " size with it" + _default("data_noise_start"),
        group="learning",
    )
    contrast_start: float | None = setting(
        None,
        number(0, 1),
        "contrast of the training images at the first iteration, as a share of their own"
        + _default("contrast_start"),
        group="learning",
    )
    holdout: list[str] | None = flags.holdout("whose energies are told beside the others")
    category: str = flags.category("egret")
    output_dir: Path = flags.output_dir("DesNet")
    precision: str = flags.precision()

    def noise_factor(self, progress: float) -> float:
        """The noise on the observed images over data_noise, when this share of the run is done."""
        if not self.data_noise:
            return 1.0
        start = max(self.data_noise_start or 0.0, self.data_noise)
        return (start / self.data_noise) ** max(0.0, 1 - progress / ANNEALED)

    def margin(self, noise_factor: Any) -> Any:
        """How far outside [0, 255] a pixel of a sane chain may be, in grey levels.

        Two standard deviations of what noise alone does, as a random walk by the steps of the
        chain, and no farther than the reference lets it; and OVERSHOOT.

        Args:
            noise_factor: of the step size, a number or a tensor.
        """
        steps = (self.num_leapfrog if self.sampler == "hmc" else 1) * (self.num_steps or 1) ** 0.5
        walked = steps * (self.step_size or 0.0) * noise_factor
        return OVERSHOOT + 2 * self.ref_sigma * walked / (self.ref_sigma + walked)

    def remedy(self, iteration: int, noise_factor: float) -> str:
        """What to say when an iteration, counted from 0, diverges however small its steps."""
        step = (self.step_size or 0.0) * noise_factor
        if step >= 2 * self.ref_sigma:
            smaller = "--delta" if noise_factor == 1 else "--delta or --data_noise_start"
            return (
                f"chains with steps of {step:g} grey levels leave a Gaussian of --ref_sig"
                f" {self.ref_sigma:g}, whatever is learned: choose a smaller {smaller}, less than"
                " twice --ref_sig."
            )
        return (
            f"learning diverges at iteration {iteration + 1} however small its steps: choose a"
            " smaller --learning_rate or --delta."
        )

    def contrast(self, progress: float) -> float:
        """That of the observed images when this share of the run is done, at most 1."""
        start = 1.0 if self.contrast_start is None else self.contrast_start
        return start + (1 - start) * min(1.0, progress / GROWING)

    def rate(self, iteration: int, total: int) -> float:
        """The learning rate of Adam in an iteration, counted from 0."""
        left = 1 - iteration / total
        fall = left / self.decay if self.decay else 1.0
        return (self.learning_rate or 0.0) * min(1.0, (iteration + 1) / WARM_UP_STEPS, fall)

    def iteration_seconds(self, batch: float) -> float:
        """What an iteration of so many images takes on two cores, roughly."""
        if self.learning == "score_matching":
            return (CHAINS + max(POINTS, batch)) * POINT * (self.image_size / 64) ** 2
        usual = SAMPLERS[self.sampler]
        length = (self.num_steps or usual) / usual
        if self.sampler == "hmc":
            length *= self.num_leapfrog / LEAPFROG
        image = IMAGE[self.sampler] * (self.image_size / 64) ** 2
        return (ITERATION + batch * image) * length

    @property
    def way(self) -> str:
        """The way to learn that is asked for, or else the usual one."""
        if self.learning:
            return self.learning
        # A Metropolis-Hastings test does not let a chain climb thousands of nats in 30 steps: short
        # runs of mala and hmc would stand still.
        if self.sampler != "langevin":
            return "convergent"
        ladder = self.network in (None, LEARNING["score_matching"]["network"])
        return "score_matching" if ladder else "short_run"

    def _check_ladder(self, chosen: dict[str, Any]) -> None:
        """Whether what was chosen is of a ladder of noise.

        Raises:
            SettingsError: it is not.
        """
        defaults = LEARNING["score_matching"] | {"data_noise_start": chosen["data_noise"]}
        chosen["data_noise_start"] = self.data_noise_start or chosen["data_noise"]
        of_others = "network", "data_noise_start", "contrast_start", "mode_penalty", "weight_decay"
        for name in of_others:
            if chosen[name] != defaults[name]:
                raise SettingsError(
                    f"--{name} {chosen[name]} is of another way to learn than score_matching: leave"
                    " it out, or choose --learning short_run or convergent"
                )
        if self.sampler != "langevin":
            raise SettingsError(
                "--learning score_matching goes with --sampler langevin alone: leave one of the two"
                " out"
            )
        if not 0 < chosen["data_noise"] < self.ref_sigma:
            raise SettingsError(
                f"a ladder of noise goes down from --ref_sig {self.ref_sigma:g} to --data_noise"
                f" {chosen['data_noise']:g}, which has to be less, and more than 0"
            )
        if chosen["step_size"] >= 2 * chosen["data_noise"]:
            raise SettingsError(
                f"chains with steps of --delta {chosen['step_size']:g} leave noise of --data_noise"
                f" {chosen['data_noise']:g}, whatever is learned: choose less than twice of it"
            )

    def resolved(self, num_images: int) -> Settings:
        """These settings with nothing left open, for a number of images to learn.

        Raises:
            SettingsError: the settings do not go together, or with the number of images.
            DeviceError: a device or a precision that is not there.
        """
        learning = self.way
        defaults = dict(LEARNING[learning])
        if self.network == "assignment" and learning == "short_run":
            defaults |= ASSIGNMENT
        chosen = {
            name: value if getattr(self, name) is None else getattr(self, name)
            for name, value in defaults.items()
        }
        batch_size = self.batch_size_of(num_images, BATCH[learning])
        # Fewer of many images; longer chains take the time that they take.
        usual = dataclasses.replace(self, learning=learning, num_steps=None, num_leapfrog=LEAPFROG)
        chosen["num_epochs"] = usual.epochs_of(num_images, defaults["num_epochs"], batch_size)
        chosen["num_steps"] = self.num_steps or defaults.get("num_steps", SAMPLERS[self.sampler])
        if learning == "score_matching":
            self._check_ladder(chosen)
        elif chosen["network"] == "noise_conditional":
            raise SettingsError("--network noise_conditional is of --learning score_matching")
        if chosen["data_noise"] == 0:
            if self.data_noise_start:
                raise SettingsError(
                    "--data_noise_start shrinks by factors to --data_noise, which is not to be 0"
                )
            chosen["data_noise_start"] = 0.0
        # The test compares energies of 10^5 nats, which bfloat16 rounds by hundreds.
        objection = ""
        if self.sampler != "langevin":
            objection = f"the test of {self.sampler} compares energies that it rounds"
        return dataclasses.replace(
            self,
            learning=learning,
            batch_size=batch_size,
            precision=session.resolve_precision(self.precision, self.device, objection),
            **chosen,
        )
