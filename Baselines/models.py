"""The baselines by name: words of the command line, files, and what the runs call them."""

from __future__ import annotations

import os
from typing import NamedTuple

from common.run_folder import Folder, RunError


class Named(NamedTuple):
    """A baseline."""

    name: str  # of its class, and in the manifest of its runs
    what: str  # in a few words


MODELS = {  # by the word of the command line, which is that of the file
    "autoencoder": Named("Autoencoder", "autoencoder"),
    "denoising": Named("DenoisingAutoencoder", "denoising autoencoder"),
    "vae": Named("VAE", "variational autoencoder"),
    "gan": Named("GAN", "generative adversarial network"),
    "pixelcnn": Named("PixelCNN", "gated PixelCNN"),
    "pixelrnn": Named("PixelRNN", "PixelRNN with row LSTMs"),
    "rbm": Named("RBM", "restricted Boltzmann machine"),
    "boltzmann": Named("Boltzmann", "general Boltzmann machine of up to 20 nodes"),
}


def word_of(folder: Folder) -> str:
    """The word of the model whose run lies in a folder.

    Raises:
        RunError: there is no run, or one of another model.
    """
    if not os.path.isfile(folder.folder / "manifest.json"):
        folder.manifest("")  # which says what is missing
    name = folder.read_json("manifest.json").get("model")
    for word, named in MODELS.items():
        if named.name == name:
            folder.manifest(named.name)
            return word
    names = ", ".join(named.name for named in MODELS.values())
    raise RunError(f"the run in {folder.folder} is of {name}, which is none of {names}.")
