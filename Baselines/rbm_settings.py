"""The settings of the restricted Boltzmann machine: its flags, said once."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import partition
from baseline import Settings
from common import flags
from common.flags import SettingsError, choice, number, setting, whole

EPOCHS, BATCH = 1500, 64
ITERATIONS = 3000  # of many images, at most
RATES = {"exact": 0.005, "cd": 0.001, "pcd": 0.001}  # of Gaussian visible units
BINARY_RATES = {"exact": 0.1, "cd": 0.01, "pcd": 0.01}
# Chains of hidden units see of Gaussian pixels but H products with the weights: they are cheap.
STEPS = {"gaussian": 2000, "binary": 1000}
CHAINS = {"gaussian": 512, "binary": 64}


def _by_visible(defaults: dict[str, Any]) -> str:
    return ", ".join(f"{value:g} of {visible} units" for visible, value in defaults.items())


# Seconds on two cores: of an iteration, of each of its images, and of these for a Gibbs step; and
# of a visible unit for each configuration, where these are added up pixel by pixel.
ITERATION, IMAGE, STEP, UNIT = 0.002, 0.0004, 0.0007, 4e-9


@dataclasses.dataclass(frozen=True, kw_only=True)
class RBMSettings(Settings):
    """What the restricted Boltzmann machine is told."""

    hidden: int = setting(
        12,
        whole(1, 4096),
        "binary hidden units H; up to 16, all 2^H configurations are added up",
        group="model",
    )
    visible: str = setting(
        "gaussian",
        choice(["gaussian", "binary"]),
        "visible units, one a channel of a pixel; binary ones see only whether it is above 127.5",
        group="model",
    )
    sigma: float = setting(
        0.3,
        number(1e-3, 100),
        "standard deviation of Gaussian visible units, of images in [-1, 1], when learning begins",
        group="model",
    )
    # Chains that do not mix leave the mass where no image is, the farther off in standard
    # deviations, the smaller sigma gets.
    learn_sigma: bool | None = setting(
        None,
        flags.switch,
        "learn it as all else (default: with the exact gradient only)",
        group="model",
    )
    learning: str | None = setting(
        None,
        choice(["cd", "pcd", "exact"]),
        "contrastive divergence, persistent chains, or the exact gradient (default: exact, or pcd"
        " of more than 16 hidden units)",
        group="learning",
    )
    cd_steps: int = setting(
        1, whole(1, 10**6), "Gibbs steps k of an iteration of cd and pcd", group="learning"
    )
    annealing_steps: int = setting(
        None,
        whole(1, 10**7),
        f"steps of annealed importance sampling, at the end (default: {_by_visible(STEPS)})",
        group="likelihood",
    )
    annealing_chains: int = setting(
        None,
        whole(2, 10**5),
        f"chains of it (default: {_by_visible(CHAINS)})",
        group="likelihood",
    )
    learning_rate: float = setting(
        None,
        number(1e-9, 10),
        f"learning rate of Adam, at the beginning (default: {RATES['exact']:g} with the exact"
        f" gradient, else {RATES['cd']:g}; of binary units {BINARY_RATES['exact']:g}, else"
        f" {BINARY_RATES['cd']:g})",
        group="learning",
    )
    log_step: int = setting(
        100,
        whole(1, 10**9),
        "iterations from one progress panel and checkpoint to the next",
        group=flags.RUN,
        free=True,
    )
    # The weights p(h) find their balance while steps are small: a nat more or less in thousands.
    decay: float = setting(
        1.0,
        number(0, 1),
        "share of the run, at its end, in which the learning rate falls to 0",
        group="learning",
    )
    num_epochs: int | None = flags.num_epochs(str(EPOCHS), "about 2 minutes")
    batch_size: int | None = flags.batch_size(str(BATCH))
    output_dir: Any = flags.output_dir("RBM")

    @property
    def enumerated(self) -> bool:
        """Whether all configurations of h are added up."""
        return self.hidden <= partition.LARGEST

    @property
    def dimensions(self) -> int:
        """D, visible units."""
        return self.image_size**2 * 3

    def iteration_seconds(self, batch: float) -> float:
        """What an iteration of so many images takes on two cores, roughly."""
        seconds = ITERATION
        if self.visible == "binary" and self.enumerated:
            passes = 2 if self.learning == "exact" else 1
            seconds += passes * UNIT * self.dimensions * 2**self.hidden
        image = IMAGE + STEP * self.cd_steps * (self.learning != "exact")
        return seconds + batch * image * (self.image_size / 64) ** 2

    def resolved(self, num_images: int) -> RBMSettings:
        """These settings with nothing left open, for a number of images to learn.

        Raises:
            SettingsError: the settings do not go together, or with the number of images.
        """
        if self.learning == "exact" and not self.enumerated:
            raise SettingsError(
                f"--learning exact adds up 2^H configurations, too many for --hidden {self.hidden}:"
                f" choose at most {partition.LARGEST}, or --learning pcd"
            )
        learning = self.learning or ("exact" if self.enumerated else "pcd")
        batch = self.batch_size_of(num_images, BATCH)
        epochs = max(1, min(EPOCHS, ITERATIONS // math.ceil(num_images / batch)))
        filled = dataclasses.replace(self, learning=learning).filled(num_images, epochs, BATCH)
        rates = RATES if self.visible == "gaussian" else BINARY_RATES
        return dataclasses.replace(
            filled,
            learn_sigma=learning == "exact" if self.learn_sigma is None else self.learn_sigma,
            learning_rate=self.learning_rate or rates[learning],
            annealing_steps=self.annealing_steps or STEPS[self.visible],
            annealing_chains=self.annealing_chains or CHAINS[self.visible],
        )
