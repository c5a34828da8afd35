"""A run of the restricted Boltzmann machine: what is recorded, measured and shown."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

import partition
import rbm_pictures as pictures
from baseline import Experiment
from common import likelihood
from common.console import doing
from common.experiment import Chart
from common.run_folder import Picture
from rbm import RBM
from rbm_settings import RBMSettings

DRAWN = 64  # draws of the model whose free energy is shown


class RBMExperiment(Experiment):
    """The restricted Boltzmann machine on a category of images."""

    name, word, says = "RBM", "rbm", "A restricted Boltzmann machine"
    settings_class, model_class = RBMSettings, RBM
    abilities: ClassVar[tuple[str, ...]] = ("reconstruct", "sample", "score", "infer")
    story = pictures.STORY
    losses = [
        Chart(
            *("loss", "Reconstruction error", "mean squared error, grey levels squared", True),
            "What contrastive divergence is watched by: how close an image comes back from its"
            " hidden units. It says nothing of how likely the image is.",
            item=1,
        )
    ]
    diagnostics = [
        Chart("psnr", "PSNR of reconstructions", "mean over the images, dB"),
        Chart(
            *("believed", "Likelihood, as reconstructions suggest it"),
            *("−log₂ p(v | h), bits a dimension", False),
            "With the hidden units as the image infers them, and at no cost.",
        ),
        Chart("gradient_norm", "Learning gradient", "‖gradient‖", True),
    ]
    exact = [
        Chart(
            *("bits", "Exact likelihood", "−log₂ p(v), bits a dimension", False),
            "By enumeration of all hidden configurations; of Gaussian units, the density of a grey"
            " level. Should fall; where it rises, learning makes the images less likely.",
            item=1,
        ),
        Chart(
            *("largest_weight", "Largest mixture weight", "largest p(h), share", False),
            "At 1 the machine has put all its mass on one configuration: one image.",
        ),
    ]
    difference = Chart(
        *("energy_difference", "Energy difference d(t)"),
        *("mean F at chains − mean F at images, nats", False),
        "Near 0, the chains’ ends look to the machine like images: learning by chains stops there,"
        " whatever the likelihood.",
    )
    noise = Chart("sigma", "Noise of the visible units", "σ, grey levels")

    def __init__(self, *args: Any) -> None:
        """Divide the category and build the model; see `Experiment`."""
        super().__init__(*args)
        charts = list(self.diagnostics)
        if self.settings.enumerated:
            charts.append(self.exact[1])
            self.losses = [*self.losses, self.exact[0]]  # type: ignore[misc]
        if self.settings.learning != "exact":
            charts.append(self.difference)
        if self.settings.visible == "gaussian" and self.settings.learn_sigma:
            charts.append(self.noise)
        self.diagnostics = charts  # type: ignore[misc]
        if self.settings.visible == "binary":  # which see no 8-bit images
            self.abilities = ("reconstruct", "sample", "infer")  # type: ignore[misc]

    def describe(self) -> str:
        """The machine, and how it learns."""
        settings = self.settings
        steps = "" if settings.learning == "exact" else f" with {settings.cd_steps} Gibbs steps"
        return (
            f"restricted Boltzmann machine of {settings.hidden} hidden units on"
            f" {settings.dimensions} {settings.visible} ones, learned by"
            f" {pictures.WAYS[settings.learning]}{steps}"
        )

    def own_arrays(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What the machine has learned and does."""
        model = self.model
        own = {
            "filters": model.filters(),
            "hidden": model.infer(self.evaluated),
            "chains": model.gibbs_chains(self.evaluated[: pictures.CHAINS], pictures.PLACES),
            "free_energy": model.free_energy(self.evaluated),
            "free_energy_samples": model.free_energy(model.draw(DRAWN)),
        }
        if len(self.held.names):
            own["free_energy_holdout"] = model.free_energy(arrays["holdout"])
        if self.settings.enumerated:
            own["log_prior"] = model.log_prior()
        return own

    def own_pictures(self, arrays: dict[str, np.ndarray]) -> dict[str, Picture]:
        """Filters, components, free energies and the film of the chains."""
        if not self.settings.enumerated:
            return pictures.made(arrays, None)
        order, weights = pictures.heaviest(arrays["log_prior"])
        all_h = partition.all_configurations(self.settings.hidden)
        components = self.model.decode(all_h[order])
        return pictures.made(arrays, (components, weights))

    def own_figures(self, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
        """The partition function, how even the mixture is, and how likely binary images are."""
        model, settings = self.model, self.settings
        with doing("Annealed importance sampling"):
            annealed = model.annealed_log_partition()
        self.log_z = annealed.log_mean
        figures: dict[str, Any] = {
            "log_z_annealed": annealed.log_mean,
            "log_z_standard_error": annealed.standard_error,
            "annealed_effective": annealed.effective_chains,
        }
        if settings.enumerated:
            self.log_z = model.log_partition()
            figures |= {
                "log_z": self.log_z,
                "largest_weight": float(np.exp(arrays["log_prior"].max())),
                "effective_components": partition.effective_number(arrays["log_prior"]),
            }
        if settings.visible == "gaussian":
            return figures | {"sigma": float(127.5 * np.exp(model.values().log_sigma))}
        for part in ("images", "holdout"):
            if arrays[part].size:
                nats = model.log_prob(arrays[part], self.log_z)
                bits = likelihood.bits_per_dim(nats, settings.dimensions)
                figures[f"binary_bits_{part}"] = float(bits.mean())
        return figures

    def own_sections(self) -> list[dict[str, Any]]:
        """What the machine has learned, and what it is worth."""
        return pictures.sections(self.settings)

    def likelihood(self) -> dict[str, Any] | None:
        """Of Gaussian units; binary ones tell but one bit a dimension, on another scale."""
        if self.settings.visible == "binary":
            return None
        parts, names = self.measured()
        with doing("Likelihood of 8-bit images"):
            nats = {part: self.model.log_prob(images, self.log_z) for part, images in parts.items()}
        how = "exact by enumeration of the hidden units"
        if not self.settings.enumerated:
            how = "density at the grey levels, log Z by annealed importance sampling"
        return likelihood.told(how, nats, names, self.settings.dimensions)
