"""What a run of the restricted Boltzmann machine shows besides reconstructions and samples."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

import baseline_pictures
from common import figures
from common.run_folder import Picture, png
from rbm_settings import RBMSettings

WAYS = {  # of learning, in words
    "cd": "contrastive divergence",
    "pcd": "persistent contrastive divergence",
    "exact": "the exact gradient",
}
STORY: dict[str, Any] = {
    "claim": "The RBM knows its likelihood.",
    "does": "Hidden units that are on or off each add an image of their own to the pixels. With few"
    " of them, all of their configurations can be added up, and probabilities are exact.",
    "asks": "Restricted Boltzmann machine: learn its weights by contrastive divergence, by chains"
    " that persist, or by the exact gradient; and see what the true likelihood says of each.",
    "equations": [
        {
            "says": "the model, of Gaussian pixels v and with u = h − ½",
            "latex": r"p(v, h) = \frac{1}{Z} \exp \left( -\frac{\|v - b\|^2}{2 \sigma^2}"
            r" + \frac{(v - b)^T W u}{\sigma^2} + c^T h \right)",
        },
        {
            "says": "a Gibbs step: all hidden units given the pixels,",
            "latex": r"p(h_j = 1 \mid v) = \frac{1}{1 + e^{-a_j}}, \quad"
            r" a = c + \frac{1}{\sigma^2} W^T (v - b)",
        },
        {
            "says": "then all pixels given the hidden units",
            "latex": r"v \mid h \, \sim \, N(b + W u, \sigma^2 I)",
        },
        {
            "says": "the free energy",
            "latex": r"F(v) = -\log \sum_h e^{-E(v, h)}, \quad p(v) = \frac{e^{-F(v)}}{Z}",
        },
        {
            "says": "learning: the second term by k Gibbs steps, or exactly",
            "latex": r"-\frac{\partial}{\partial W} \log \, p(v) = \frac{\partial F(v)}"
            r"{\partial W} - E_{v' \sim p} \frac{\partial F(v')}{\partial W}",
        },
    ],
    "items": [
        {
            "number": 1,
            "asks": "The loss over the iterations of learning, and the exact likelihood",
            "look": "both curves fall and level off.",
            "wrong": "reconstructions that get better while the images get less likely.",
        },
        {
            "number": 2,
            "asks": "The components of the mixture, and their exact weights",
            "look": "many components of some weight, that could be images.",
            "wrong": "one component of 100 %: every sample is the same image.",
        },
    ],
}
COMPONENTS = 24  # of the mixture that are shown, the heaviest
FILTERS = 64  # that are shown
CHAINS = 6  # of the film that start at images, and as many that start at noise
# Gibbs steps to each of its frames: chains move at the beginning, or hardly ever.
PLACES = (0, 1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64, 91, 128, 181, 256)
MILLISECONDS = 400  # that a frame is shown


def heaviest(log_prior: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which configurations are the likeliest, at most COMPONENTS, and their probabilities."""
    order = np.argsort(-log_prior, kind="stable")[:COMPONENTS]
    return order, np.exp(log_prior[order])


def filters_panel(filters: np.ndarray, scale: int) -> Figure:
    """The columns of W [H, S, S, 3] as images: grey is 0, and the farthest from it black or white.

    All of them are on one scale.
    """
    reach = max(float(np.abs(filters).max()), 1e-12)
    shown = 127.5 * (1 + filters[:FILTERS] / reach)
    title = figures.first_of("Filters: what each hidden unit adds", FILTERS, len(filters))
    return figures.panel(figures.wrapped(shown, 8), title, scale=scale)


def components_panel(images: np.ndarray, weights: np.ndarray, scale: int) -> Figure:
    """The means of the heaviest components p(v | h) [n, S, S, 3], with their weights p(h) [n]."""
    captions = [f"{100 * w:.3g} %" if w >= 1e-4 else "< 0.01 %" for w in weights]
    title = f"The heaviest components of the mixture: {100 * weights.sum():.3g} % of the whole"
    return figures.panel(figures.wrapped(images, 8), title, captions=captions, scale=scale)


def free_energy_chart(parts: dict[str, np.ndarray], dimensions: int) -> Figure:
    """Histograms of the free energy a dimension, of the images of each part [n]."""
    figure = Figure((9, 4), figures.DPI, layout="constrained")
    axes = figure.subplots()
    scaled = {name: values / dimensions for name, values in parts.items()}
    everything = np.concatenate(list(scaled.values()))
    low, high = everything.min(), everything.max()
    margin = 0.02 * (high - low) or 1e-3
    edges = np.linspace(low - margin, high + margin, 41)
    for name, values in scaled.items():
        share = np.full(len(values), 1 / len(values))
        axes.hist(
            values, edges.tolist(), weights=share, alpha=0.55, label=f"{name} ({len(values)})"
        )
    axes.set_title("Free energy F(v): low is likely", loc="left", fontsize=figures.TITLE)
    axes.set(xlabel="F(v), nats a dimension", ylabel="share of the images")
    axes.legend()
    return figure


def film(chains: np.ndarray) -> Picture:
    """Gibbs chains [T, 2 n, S, S, 3]: above those that start at images, below those at noise."""
    half = chains.shape[1] // 2
    scale = baseline_pictures.scale(chains[0])
    tiled = [figures.tiles([frame[:half], frame[half:]], scale) for frame in chains]
    words = [f"{steps} Gibbs steps" for steps in PLACES[: len(chains)]]
    frames = figures.numbered(tiled, words)
    return Picture(
        lambda file: figures.write_gif(file, frames, MILLISECONDS, hold=1500),
        {"scale": 1, "milliseconds": MILLISECONDS},
    )


def made(
    arrays: dict[str, np.ndarray], components: tuple[np.ndarray, np.ndarray] | None
) -> dict[str, Picture]:
    """The pictures of the arrays of a run.

    Args:
        arrays: as `RBMExperiment.own_arrays` gives them.
        components: of the mixture, if they are enumerated: their means, and their weights.
    """
    scale = baseline_pictures.scale(arrays["images"])
    named = {"": "learned", "_holdout": "held out", "_samples": "draws of the model"}
    parts = {
        name: arrays[f"free_energy{suffix}"]
        for suffix, name in named.items()
        if f"free_energy{suffix}" in arrays
    }
    shown = {
        "filters.png": png(filters_panel(arrays["filters"], scale)),
        "free_energy.png": png(free_energy_chart(parts, arrays["images"][0].size)),
        "chains.gif": film(arrays["chains"]),
    }
    if components is not None:
        shown["components.png"] = png(components_panel(*components, scale))
    return shown


def _picture(name: str, title: str, alt: str, caption: str) -> dict[str, Any]:
    return {"kind": "picture", "title": title, "picture": name, "alt": alt, "caption": caption}


def sections(settings: RBMSettings) -> list[dict[str, Any]]:
    """The sections of the report."""
    shown = [
        {"item": 2}
        | _picture(
            *("components.png", "The heaviest components", "Means of the likeliest components"),
            "The model is a mixture of 2^H components, one for each configuration h. Their weights"
            " are exact; one of 100 % means that all samples are one image.",
        ),
        _picture(
            *("filters.png", "Filters", "The weights of each hidden unit as an image"),
            "The weights of each hidden unit: what it adds to an image where it is on, half of it,"
            " and takes away where it is off. Grey is nothing.",
        ),
        {
            "kind": "gif",
            "title": "Gibbs chains",
            "picture": "chains.gif",
            "label": "Gibbs chains",
            "alt": "Images along chains of Gibbs steps",
            "caption": "The mean of p(v | h) along chains: above those that start at training"
            " images, below those that start at noise. Chains that stand still mix too slowly to"
            " learn from.",
        },
        _picture(
            *("free_energy.png", "Free energy", "Histograms of the free energy"),
            "Held-out images far to the right of the learned ones: learned by heart. Draws of the"
            " model far to the left: its mass lies elsewhere than at the images.",
        ),
    ]
    return [*shown, _figures(settings)]


def _figures(settings: RBMSettings) -> dict[str, Any]:
    """The partition function, and the mixture."""
    rows = [
        ("log_z_annealed", "log Z, annealed", "nats", "by annealed importance sampling"),
        ("log_z_standard_error", "its standard error", "nats", "too small where chains miss mass"),
    ]
    if settings.enumerated:
        rows = [
            ("log_z", "log Z, exact", "nats", "by enumeration of the hidden units"),
            *rows,
            ("largest_weight", "largest mixture weight", "%", "near 100, one image is all"),
            ("effective_components", "effective components", "", "exp of the entropy of p(h)"),
        ]
    if settings.visible == "binary":
        note = "−log₂ p(v) of binary images: no likelihood of 8-bit ones, which is not told"
        rows.append(("binary_bits_images", "bits a binary pixel", "bits", note))
    else:
        rows.append(("sigma", "noise σ", "grey levels", "standard deviation of p(v | h)"))
    return {
        "kind": "figures",
        "title": "The partition function",
        "caption": "What turns energies into probabilities.",
        "file": "metrics.json",
        "figures": [
            {"path": [key], "name": name, "note": note, **({"unit": unit} if unit else {})}
            for key, name, unit, note in rows
        ],
    }
