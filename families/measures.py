"""What is measured of every family, by its run alone, and the yardsticks beside it."""

import io
from typing import Any

import numpy as np
from PIL import Image

from common import coverage, naturalness, quality
from common.likelihood import bits_per_dim, gaussian_grey_levels
from families.runs import Family


def measure(family: Family) -> dict[str, Any]:
    """The figures of a run; None stands for what a model has not.

    Returns:
        image_size, images (learned), held_out (how many); bits, bits_held_out and, by a sigma that
        is fitted to them, bits_held_out_fitted; how they are known; bounds on the first two, by
        name; psnr and ssim of reconstructions, psnr_held_out; of samples: how many, modes_hit of
        `images`, coverage and expected_coverage, patch_distance, natural_tiles, copied_tiles;
        learning_seconds, seconds_a_sample, parameters; abilities; whether it was learned on the
        split; its flags.
    """
    arrays, metrics, told = family.arrays, family.metrics, family.likelihood
    images = arrays["images"]
    learned, held_out = (told.get(part) or {} for part in ("learned", "held_out"))
    return {
        "folder": family.folder.name,
        "image_size": images.shape[1],
        "images": len(images),
        "held_out": len(arrays.get("holdout", ())),
        "split": family.is_split,
        "bits": learned.get("bits_per_dim"),
        "bits_held_out": held_out.get("bits_per_dim"),
        "bits_held_out_fitted": held_out.get("fitted"),
        "how": told.get("how"),
        "bounds": {
            word: {"bits": bits["learned"], "bits_held_out": bits.get("held_out")}
            for word, bits in told.get("bounds", {}).items()
        },
        **_reconstructed(arrays),
        **_sampled(arrays),
        **{
            name: metrics.get(name)
            for name in ("learning_seconds", "seconds_a_sample", "parameters", "seed")
        },
        "abilities": family.manifest["abilities"],
    }


def _reconstructed(arrays: dict[str, np.ndarray]) -> dict[str, float | None]:
    """PSNR and SSIM of reconstructions, learned and held out."""
    figures: dict[str, float | None] = {}
    for part, made, ending in (
        ("images", "reconstructions", ""),
        ("holdout", "holdout_reconstructions", "_held_out"),
    ):
        figures |= {f"psnr{ending}": None, f"ssim{ending}": None}
        if part in arrays and made in arrays:
            psnr, ssim = quality.psnr_and_ssim(arrays[made], arrays[part])
            figures |= {f"psnr{ending}": float(psnr.mean()), f"ssim{ending}": float(ssim.mean())}
    return figures


def _sampled(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """What samples cover of the training images, and how natural they are."""
    names = ("modes_hit", "coverage", "expected_coverage")
    natural = ("patch_distance", "natural_tiles", "ghost_tiles", "copied_tiles")
    if "samples" not in arrays:
        return {"samples": 0, **dict.fromkeys((*names, *natural))}
    samples, images = arrays["samples"], arrays["images"]
    found = naturalness.measure(samples, images)
    return {
        "samples": len(samples),
        "modes_hit": int(coverage.modes_hit(samples, images).sum()),
        "coverage": coverage.coverage(samples, images),
        "expected_coverage": coverage.expected_coverage(len(samples), len(images)),
        **{name: found[name] for name in natural},
    }


def yardsticks(learned: np.ndarray, held_out: np.ndarray) -> dict[str, dict[str, float | None]]:
    """Bits per dimension without a model: by name, of images [n, S, S, 3] learned and held out.

    A Gaussian about the mean image has the standard deviation of the learned images about it.
    """
    parts = {"bits": learned.round(), "bits_held_out": held_out.round()}
    mean = parts["bits"].mean(0).ravel()
    sigma = max(float((parts["bits"].reshape(len(learned), -1) - mean).std()), 0.3)

    def gaussian(images: np.ndarray) -> float:
        nats = gaussian_grey_levels(images.reshape(len(images), -1), mean, sigma)
        return float(bits_per_dim(nats, mean.size).mean())

    measured = {
        "uniform": lambda images: 8.0,
        "Gaussian about the mean image": gaussian,
        "PNG": lambda images: _file_bits(images, "PNG", optimize=True),
        "lossless WebP": lambda images: _file_bits(
            images, "WEBP", lossless=True, quality=100, method=6
        ),
    }
    return {
        name: {part: bits(images) if len(images) else None for part, images in parts.items()}
        for name, bits in measured.items()
    }


def _file_bits(images: np.ndarray, format: str, **options: Any) -> float:
    """The mean size of the images as files, in bits per dimension."""
    sizes = []
    for image in images.astype(np.uint8):
        file = io.BytesIO()
        Image.fromarray(image).save(file, format, **options)
        sizes.append(8 * file.tell() / image.size)
    return float(np.mean(sizes))
