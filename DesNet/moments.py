"""Moment matching: what a learned descriptor should have equalled between images.

At the maximum of the likelihood the mean gradient of f over synthesized images equals that over
observed ones (Xie et al., 2016, section 3).  The same comparison with filters that the model never
saw tells whether it matched more than it was asked to.
"""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from common import figures
from common.session import tf
from DesNet import GROUP, DesNet

WAVELENGTHS = (4, 8, 16)  # of the Gabor filters, in pixels
ORIENTATIONS = 4  # of the Gabor filters, evenly over 180 degrees
BINS = 8  # of the colour histogram, along each of red, green and blue


def gabor_filters() -> dict[str, np.ndarray]:
    """Complex Gabor filters [k, k] by name, "wavelength orientation".

    exp(-(x^2 + y^2) / (2 s^2)) exp(2 pi i (x cos t + y sin t) / w), s = w / 2 (Daugman, 1985),
    less its mean, so that a flat image has no response.
    """
    filters = {}
    for wavelength in WAVELENGTHS:
        y, x = np.mgrid[-wavelength : wavelength + 1, -wavelength : wavelength + 1]
        envelope = np.exp(-(x**2 + y**2) / (2 * (wavelength / 2) ** 2))
        envelope /= envelope.sum()
        for k in range(ORIENTATIONS):
            angle = np.pi * k / ORIENTATIONS
            wave = np.exp(2j * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / wavelength)
            name = f"{wavelength} px, {180 * k // ORIENTATIONS}°"
            filters[name] = envelope * (wave - (envelope * wave).sum())
    return filters


def gabor_energies(images: np.ndarray) -> dict[str, float]:
    """Mean magnitude of each Gabor filter's response to the luminance of [N, S, S, 3].

    In grey levels; over all images and the places where the filter lies inside (over all places
    if the images are smaller than the filter).
    """
    # Imported here, for it takes as long as half of all else that --help needs.
    from scipy.signal import fftconvolve

    luminance = images @ np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
    energies = {}
    for name, kernel in gabor_filters().items():
        mode = "valid" if len(kernel) <= images.shape[1] else "same"
        response = fftconvolve(luminance, kernel[None], mode, axes=(1, 2))
        energies[name] = float(np.abs(response).mean())
    return energies


def colour_histogram(images: np.ndarray) -> np.ndarray:
    """Share of the pixels of [N, S, S, 3] in each of BINS^3 cells of [0, 255]^3, clipped."""
    pixels = np.clip(images, 0, 255).reshape(-1, 3)
    counts, _ = np.histogramdd(pixels, bins=BINS, range=[(0, 255)] * 3)
    return counts / len(pixels)


def filter_responses(model: DesNet, images: np.ndarray) -> dict[str, np.ndarray]:
    """(1/n) sum_i df(Y_i)/dtheta over images [n, S, S, 3] in [0, 255], by layer, flattened.

    Learning moves along the difference between that of the observed images and that of the
    synthesized ones.  For the last layer it is the mean of what its weight multiplies.
    """
    with model.session.graph.as_default():
        total = tf.reduce_sum(model.descriptor(model.inputs.starts - model.mean_colour))
        layers: dict[str, list[tf.Variable]] = {}
        for variable in model.networks[0].variables():
            layers.setdefault(variable.op.name.split("/")[1], []).append(variable)
        responses = {
            name: tf.concat([tf.reshape(g, [-1]) for g in tf.gradients(total, variables)], 0)
            for name, variables in layers.items()
        }
    sums: dict[str, np.ndarray] = {}
    for i in range(0, len(images), GROUP):
        feed = {model.inputs.starts: images[i : i + GROUP]}
        for name, values in model.session.run(responses, feed).items():
            sums[name] = sums.get(name, 0) + values.astype(np.float64)
    return {name: values / len(images) for name, values in sums.items()}


def compare(model: DesNet, observed: np.ndarray, synthesized: np.ndarray) -> dict:
    """Moments of observed and synthesized images, both [N, S, S, 3] in [0, 255].

    Returns:
        layers: for each, observed and synthesized, the norms of the mean of df/dtheta, and
        difference, the norm of their difference over that of the observed one.  gabor: for each
        filter, observed and synthesized mean magnitude, and their relative difference.  colour:
        the total-variation distance between the two histograms, in [0, 1].
    """
    layers = {}
    responses = filter_responses(model, synthesized)
    for name, response in filter_responses(model, observed).items():
        norm = float(np.linalg.norm(response))
        layers[name] = {
            "observed": norm,
            "synthesized": float(np.linalg.norm(responses[name])),
            "difference": float(np.linalg.norm(responses[name] - response)) / max(norm, 1e-12),
        }
    gabor = {}
    energies = gabor_energies(synthesized)
    for name, energy in gabor_energies(observed).items():
        gabor[name] = {
            "observed": energy,
            "synthesized": energies[name],
            "difference": abs(energies[name] - energy) / max(energy, 1e-12),
        }
    histograms = colour_histogram(observed), colour_histogram(synthesized)
    return {
        "layers": layers,
        "gabor": gabor,
        "colour": float(np.abs(histograms[0] - histograms[1]).sum() / 2),
    }


def chart(moments: dict, observed: np.ndarray, synthesized: np.ndarray) -> Figure:
    """Differences by layer, Gabor magnitudes against each other, and the colours' marginals."""
    figure = Figure((15, 4.5), figures.DPI, layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    layers = moments["layers"]
    left.bar(list(layers), [layer["difference"] for layer in layers.values()], color="0.5")
    left.set_title("Mean ∂f/∂θ by layer", loc="left", fontsize=11)
    left.set_ylabel("difference, synthesized to observed, relative")
    gabor = list(moments["gabor"].values())
    for i, wavelength in enumerate(WAVELENGTHS):
        part = gabor[i * ORIENTATIONS : (i + 1) * ORIENTATIONS]
        middle.plot(
            [f["observed"] for f in part],
            [f["synthesized"] for f in part],
            "o",
            label=f"{wavelength} pixels",
        )
    top = 1.1 * max(max(f["observed"], f["synthesized"]) for f in gabor)
    middle.plot([0, top], [0, top], color="0.7", lw=1, zorder=0)
    middle.set(xlabel="observed, grey levels", ylabel="synthesized, grey levels")
    middle.set_title("Gabor filters, mean magnitude", loc="left", fontsize=11)
    middle.legend(title="wavelength")
    centres = (np.arange(BINS) + 0.5) * 255 / BINS
    for images, style in ((observed, "-"), (synthesized, "--")):
        histogram = colour_histogram(images)
        for channel, colour in enumerate(("tab:red", "tab:green", "tab:blue")):
            others = tuple({0, 1, 2} - {channel})
            right.plot(centres, histogram.sum(others), style, color=colour)
    right.set(xlabel="grey level", ylabel="share of pixels")
    title = f"Colours, observed and synthesized (dashed): TV {moments['colour']:.3f}"
    right.set_title(title, loc="left", fontsize=11)
    return figure
