"""Moment matching: what a learned descriptor should have equalled between images.

At the maximum of the likelihood the mean gradient of f over synthesized images equals that over
observed ones (Xie et al., 2016, section 3).  The same comparison with filters that the model never
saw tells whether it matched more than it was asked to.
"""

from __future__ import annotations

import textwrap

import numpy as np
import scipy
from matplotlib.axes import Axes
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
    luminance = images @ np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
    energies = {}
    for name, kernel in gabor_filters().items():
        mode = "valid" if len(kernel) <= images.shape[1] else "same"
        response = scipy.signal.fftconvolve(luminance, kernel[None], mode, axes=(1, 2))
        energies[name] = float(np.abs(response).mean())
    return energies


def colour_histogram(images: np.ndarray) -> np.ndarray:
    """Share of the pixels of [N, S, S, 3] in each of BINS^3 cells of [0, 255]^3, clipped."""
    pixels = np.clip(images, 0, 255).reshape(-1, 3)
    counts, _ = np.histogramdd(pixels, bins=BINS, range=[(0, 255)] * 3)
    return counts / len(pixels)


def filter_responses(model: DesNet, *several: np.ndarray) -> list[dict[str, np.ndarray]]:
    """(1/n) sum_i df(Y_i)/dtheta over images [n, S, S, 3] in [0, 255], by layer, flattened.

    Learning moves along the difference between that of the observed images and that of the
    synthesized ones.  For the last layer it is the mean of what its weight multiplies.

    Args:
        model: whose f it is.
        several: images, each array of which gives a dictionary.
    """
    with model.session.graph.as_default():
        total = tf.reduce_sum(model.descriptor(model.inputs.starts - model.mean_colour))
        variables = model.networks[0].variables()
        gradients = tf.gradients(total, variables)
    layers = [variable.op.name.split("/")[1] for variable in variables]
    return [
        {
            layer: np.concatenate(
                [v.ravel() for v, of in zip(values, layers, strict=True) if of == layer]
            )
            for layer in dict.fromkeys(layers)
        }
        for values in (_mean_over(model, gradients, images) for images in several)
    ]


def _mean_over(model: DesNet, sums: list[tf.Tensor], images: np.ndarray) -> list[np.ndarray]:
    """What are sums over the starts that are fed, as means over images [n, S, S, 3]."""
    parts = (
        model.session.run(sums, {model.inputs.starts: images[i : i + GROUP]})
        for i in range(0, len(images), GROUP)
    )
    together = (np.stack(each) for each in zip(*parts, strict=True))
    return [each.sum(0, dtype=np.float64) / len(images) for each in together]


def compare(model: DesNet, observed: np.ndarray, synthesized: np.ndarray) -> dict:
    """Moments of observed and synthesized images, both [N, S, S, 3] in [0, 255].

    Returns:
        layers: for each, observed and synthesized, the norms of the mean of df/dtheta, and
        difference, the norm of their difference over that of the observed one.  gabor: for each
        filter, observed and synthesized mean magnitude, and their relative difference.  colour:
        the total-variation distance between the two histograms, in [0, 1].
    """
    layers = {}
    responses, of_synthesized = filter_responses(model, observed, synthesized)
    for name, response in responses.items():
        norm = float(np.linalg.norm(response))
        layers[name] = {
            "observed": norm,
            "synthesized": float(np.linalg.norm(of_synthesized[name])),
            "difference": float(np.linalg.norm(of_synthesized[name] - response)) / max(norm, 1e-12),
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
    figure = Figure((15, 5.2), figures.DPI, layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    layers = moments["layers"]
    left.bar(list(layers), [layer["difference"] for layer in layers.values()], color="0.5")
    left.set_title("What learning equals: mean ∂f/∂θ by layer", loc="left", fontsize=11)
    left.set_ylabel("relative difference, synthesized to observed")
    _explain(left, "layer", "0: the synthesized images excite the layer as the observed ones do.")
    _chart_gabor(middle, list(moments["gabor"].values()))
    centres = (np.arange(BINS) + 0.5) * 255 / BINS
    for images, style, words in ((observed, "-", "observed"), (synthesized, "--", "synthesized")):
        histogram = colour_histogram(images)
        for channel, colour in enumerate(("red", "green", "blue")):
            others = tuple({0, 1, 2} - {channel})
            label = f"{colour}, {words}"
            shares = histogram.sum(others)
            right.plot(centres, shares, style, color=f"tab:{colour}", label=label)
    right.set_ylabel("share of pixels")
    right.set_title("Not asked of it: colours", loc="left", fontsize=11)
    right.set_ylim(0, 1.35 * right.get_ylim()[1])  # room for the legend
    right.legend(fontsize=9, ncols=2)
    _explain(
        right,
        "grey level",
        f"Total variation of the joint histograms {moments['colour']:.3f}: 0 if they are equal,"
        " 1 if no colour is shared.",
    )
    return figure


def _chart_gabor(axes: Axes, gabor: list[dict[str, float]]) -> None:
    """Magnitudes of the filters, of observed images to the right, of synthesized ones upward."""
    for i, wavelength in enumerate(WAVELENGTHS):
        part = gabor[i * ORIENTATIONS : (i + 1) * ORIENTATIONS]
        axes.plot(
            [f["observed"] for f in part],
            [f["synthesized"] for f in part],
            "o",
            label=f"wavelength {wavelength} pixels",
        )
    top = 1.1 * max(max(f["observed"], f["synthesized"]) for f in gabor) or 1
    axes.plot([0, top], [0, top], color="0.6", lw=1, zorder=0, label="equal")
    axes.set_ylabel("synthesized, grey levels")
    axes.set_title("Not asked of it: Gabor filters, mean magnitude", loc="left", fontsize=11)
    axes.legend(fontsize=9)
    _explain(
        axes,
        "observed, grey levels",
        f"A dot is a filter, {ORIENTATIONS} orientations of each wavelength. Above the line:"
        " synthesized images have more of its pattern than observed ones; below: less.",
    )


def _explain(axes: Axes, axis: str, sentence: str) -> None:
    """Name the horizontal axis, and say under it how the panel is read."""
    axes.set_xlabel(f"{axis}\n\n{textwrap.fill(sentence, 64)}", fontsize=9.5)
