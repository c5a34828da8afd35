"""The settings of GenNet: every flag of `GenNet/main.py`, said once."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

from common import flags, occlusion, samplers, session
from common.flags import choice, number, setting, switch, whole

# Steps of inference in an iteration and their size, for each sampler.  Langevin is stable only for
# delta^2 < 4 / lambda, lambda the largest eigenvalue of I + J^T J / sigma^2, J = df/dz: about 0.02
# for a trained generator.  MALA and HMC start there and adapt.  In the metric G the step has no
# scale: 1 fits every network and sigma.
SAMPLERS = {
    "preconditioned": {"step_size": 1.0, "num_steps": 1},
    "langevin": {"step_size": 0.02, "num_steps": 30},
    "mala": {"step_size": 0.02, "num_steps": 30},
    "hmc": {"step_size": 0.02, "num_steps": 3},
}

LEAPFROG = 10  # gradient evaluations in a step of hmc
# Of the step of Langevin with the test on N(0, I) in d dimensions, which is that times d^(-1/6):
# Roberts and Rosenthal (1998).
SCALING = 1.65
LOCAL = 16  # dimensions of z up to which each chain steps in a metric of its own
PLANE = 3  # dimensions of z of which draws of the prior can be everywhere
BATCH = 11  # images of the assignment
# Seconds on two cores: of an iteration; of learning from an image of 64 x 64 in it; of each step of
# its chain, by sampler, or, of hmc, of a leapfrog; and, of preconditioned ones, of every dimension
# of z beyond the first two in each Jacobian.
ITERATION, LEARN, DIRECTION = 0.06, 0.0057, 0.0014
STEP = {"preconditioned": 0.0037, "langevin": 0.002, "mala": 0.002, "hmc": 0.002}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Optimizer:
    """What goes with an optimizer of the weights.

    Attributes:
        num_epochs: of the images of the assignment.
        warm_up: share of the run in which the learning rate grows.
        tenths: of the run, in which the noise shrinks.
        draws: of the prior for each image of a batch.
        potentials: learning rate of those of the draws, in mean squared distances.
        seconds: that a step takes beside its gradients, on two cores, of 64 channels.
    """

    num_epochs: int
    warm_up: float
    tenths: int
    draws: int
    potentials: float
    seconds: float


# Steps of Muon's are so large that images would take their places in the plane before the draws
# tell how much of it is whose: there the rate grows while the noise shrinks.
OPTIMIZERS = {
    "adam": Optimizer(num_epochs=350, warm_up=0, tenths=1, draws=1, potentials=0.3, seconds=0),
    "muon": Optimizer(num_epochs=100, warm_up=0.4, tenths=4, draws=2, potentials=0.9, seconds=0.1),
}


def _by_sampler(name: str) -> str:
    return "by default " + ", ".join(f"{v[name]:g} for {k}" for k, v in SAMPLERS.items())


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings(flags.Settings):
    """What GenNet is told; None where `resolved` chooses.  Images are in [-1, 1] inside."""

    image_size: int = setting(64, whole(16, 512, 16), "side S, in pixels", group="model")
    z_dim: int = setting(2, whole(1, 512), "dimensions d of the latent vector z", group="model")
    width: int = setting(
        64,
        whole(1, 1024),
        "channels of the last hidden layer; each layer above has twice as many",
        group="model",
    )
    sigma: float = setting(
        0.3,
        number(1e-3, 100),
        "standard deviation of the noise on images in [-1, 1]",
        group="model",
    )
    sampler: str = setting(
        "preconditioned",
        choice(list(SAMPLERS)),
        "of the posterior of z: Langevin in the Gauss-Newton metric with a Metropolis-Hastings"
        " test, plain Langevin, Langevin with the test, Hamiltonian",
        group="inference",
    )
    step_size: float | None = setting(
        None,
        number(1e-6, 100),
        f"step size of the sampler; {_by_sampler('step_size')}; mala and hmc adapt it, and"
        f" preconditioned where z has more than {LOCAL} dimensions, from {SCALING:g} / d^(1/6) on"
        " (the assignment: 0.3)",
        group="inference",
        flag="delta",
    )
    num_steps: int | None = setting(
        None,
        whole(1, 10**6),
        f"steps of inference in an iteration; {_by_sampler('num_steps')}",
        group="inference",
        flag="sample_steps",
    )
    num_leapfrog: int = setting(
        LEAPFROG, whole(1, 1000), "gradient evaluations in a step of hmc", group="inference"
    )
    # A large noise leaves the posteriors wide while the network is still random, so that the chains
    # find their order in the plane before details pin them down.
    sigma_start: float = setting(
        2.0,
        number(1e-3, 100),
        "noise at the first iteration, from where it shrinks to --sigma",
        group="inference",
    )
    sigma_steps: int | None = setting(
        None,
        whole(0, 10**9),
        "iterations in which the noise shrinks (0: it is --sigma at once; default: a tenth of all,"
        " with muon four tenths)",
        group="inference",
    )
    parameter_expansion: bool = setting(
        True, switch, "keep the inferred z distributed as N(0, I)", group="inference"
    )
    optimizer: str = setting(
        "adam",
        choice(list(OPTIMIZERS)),
        "of all weights Adam; or, of those of hidden layers, Muon, whose steps are orthogonal"
        " matrices: fewer epochs, a plane that is less even",
        group="learning",
    )
    learning_rate: float = setting(
        0.002, number(1e-9, 10), "learning rate", group="learning", flag="g_lr"
    )
    beta1: float = setting(
        0.9, number(0, 0.999), "decay of the mean of gradients", group="learning"
    )
    prior_draws: int | None = setting(
        None,
        whole(0, 1024),
        "draws of the prior in an iteration, each matched with a training image and learned, so"
        " that all of the plane shows images, and offered to the chains (0, the assignment: none;"
        " default: as many as images in it, with muon twice as many, of a z of up to"
        f" {PLANE} dimensions where nothing is held out or hidden, else none)",
        group="learning",
    )
    decay: float = setting(
        0.5,
        number(0, 1),
        "share of the run, at its end, in which the learning rate falls to 0",
        group="learning",
    )
    holdout: list[str] | None = flags.holdout("reconstructed by inference alone")
    occlude: str | None = setting(
        None,
        occlusion.HOW,
        "hide pixels of every image, and restore them: a share at random (1%% to 99%%), or a square"
        " at a random place, by its side (20px)",
        group="what learning does not see",
    )
    # A network with free kernels learns the visible pixels of a few images by heart and leaves
    # noise at the hidden ones.
    smooth: bool | None = setting(
        None,
        switch,
        "smooth the kernels of the network, so that a pixel is like its neighbours unless learning"
        " tells them apart (default: with --occlude only)",
        group="what learning does not see",
    )
    num_epochs: int | None = flags.num_epochs(
        ", ".join(f"{each.num_epochs} with {name}" for name, each in OPTIMIZERS.items())
    )
    batch_size: int | None = flags.batch_size(str(BATCH))
    category: str = flags.category("lion_tiger")
    output_dir: Path = flags.output_dir("GenNet")
    precision: str = flags.precision()

    @property
    def shares_metric(self) -> bool:
        """Whether all chains, while the model learns, step in one metric (see `shared_metric`)."""
        return self.sampler == "preconditioned" and self.z_dim > LOCAL

    @property
    def target_acceptance(self) -> float | None:
        """The acceptance rate to which learning adapts steps; None where it does not."""
        return samplers.TARGET_ACCEPTANCE.get("mala" if self.shares_metric else self.sampler)

    def noise(self, iteration: int) -> float:
        """Sigma of an iteration, counted from 0: it shrinks geometrically to that of the model."""
        start = max(self.sigma_start, self.sigma)
        progress = min(1.0, iteration / self.sigma_steps) if self.sigma_steps else 1.0
        return start * (self.sigma / start) ** progress

    def rate(self, progress: float) -> float:
        """The learning rate when this share of the run is done."""
        warm_up = OPTIMIZERS[self.optimizer].warm_up
        grown = min(1.0, 0.1 + progress / warm_up) if warm_up else 1.0
        return self.learning_rate * grown * self.left(progress)

    def left(self, progress: float) -> float:
        """What its fall at the end leaves of it when this share of the run is done."""
        return min(1.0, (1 - progress) / self.decay if self.decay else 1.0)

    def iteration_seconds(self, batch: float) -> float:
        """What an iteration of so many images takes on two cores, roughly."""
        steps, step = self.num_steps or int(SAMPLERS[self.sampler]["num_steps"]), STEP[self.sampler]
        if self.sampler == "hmc":
            steps *= self.num_leapfrog
        image = LEARN + steps * step
        if self.shares_metric:
            image = LEARN + (steps + 2) * STEP["mala"]
        elif self.sampler == "preconditioned":
            image += (steps + 1) * max(0, self.z_dim - 2) * DIRECTION
        image += LEARN * (self.prior_draws or 0) / batch
        fixed = ITERATION + OPTIMIZERS[self.optimizer].seconds * (self.width / 64) ** 2
        return fixed + batch * image * (self.image_size / 64) ** 2 * (self.width / 64) ** 2

    def resolved(self, num_images: int) -> Settings:
        """These settings with nothing left open, for a number of images to learn.

        Raises:
            SettingsError: the settings do not go together, or with the number of images.
            DeviceError: a device or a precision that is not there.
        """
        sampler, optimizer = SAMPLERS[self.sampler], OPTIMIZERS[self.optimizer]
        batch_size = self.batch_size_of(num_images, BATCH)
        step_size = self.step_size or sampler["step_size"]
        if self.shares_metric and self.step_size is None:
            step_size = SCALING * self.z_dim ** (-1 / 6)
        draws = self.prior_draws
        if draws is None:
            apart = self.holdout is not None or self.occlude is not None
            draws = 0 if apart or self.z_dim > PLANE else optimizer.draws * batch_size
        # Fewer of many images; longer chains or a larger z take the time that they take.
        usual = dataclasses.replace(self, num_steps=None, num_leapfrog=LEAPFROG, z_dim=2)
        usual = dataclasses.replace(usual, prior_draws=draws)
        epochs = usual.epochs_of(num_images, optimizer.num_epochs, batch_size)
        iterations = epochs * math.ceil(num_images / batch_size)
        return dataclasses.replace(
            self,
            num_epochs=epochs,
            batch_size=batch_size,
            prior_draws=draws,
            step_size=step_size,
            num_steps=self.num_steps or int(sampler["num_steps"]),
            sigma_steps=iterations * optimizer.tenths // 10
            if self.sigma_steps is None
            else self.sigma_steps,
            smooth=self.occlude is not None if self.smooth is None else self.smooth,
            precision=session.resolve_precision(self.precision, self.device),
        )
