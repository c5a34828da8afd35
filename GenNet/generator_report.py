"""What the report says of a run of GenNet: what is asked, and what its sections show.

Texts alone; report_page/manifest.py says what the words of a section mean.
"""

from __future__ import annotations

from typing import Any

from common import guard, naturalness

STORY: dict[str, Any] = {
    "claim": "GenNet draws.",
    "does": "It turns every point z of a plane into an image. Learning searches, for every training"
    " image, the points that draw it, and improves the drawing.",
    "asks": "Generator, real inference: learn a top-down ConvNet f from a few images. Alternate"
    " between Langevin sampling of the z of every image and a step of the weights W.",
    "equations": [
        {
            "says": "the model",
            "latex": r"Y = f(Z; W) + \varepsilon, \quad Z \, \sim \, N(0, I_d), \quad"
            r" \varepsilon \, \sim \, N(0, \sigma^2 I)",
        },
        {
            "says": "its log density, a sum over all pixels, one number an image",
            "latex": r"\log \, p(Y, Z; W) = -\frac{\|Y - f(Z; W)\|^2}{2 \sigma^2}"
            r" - \frac{\|Z\|^2}{2} + c",
        },
        {
            "says": "inference: Langevin steps of every Z",
            "latex": r"Z \leftarrow Z + \frac{\delta^2}{2} \frac{\partial}{\partial Z}"
            r" \log \, p(Y, Z; W) + \delta U, \quad U \, \sim \, N(0, I_d)",
        },
        {
            "says": "learning: a step of the weights",
            "latex": r"W \leftarrow W + \gamma \frac{1}{n} \sum_{i=1}^{n} \frac{1}{\sigma^2}"
            r" (Y_i - f(Z_i; W)) \frac{\partial}{\partial W} f(Z_i; W)",
        },
    ],
    "items": [
        {
            "number": 1,
            "asks": "Training images, reconstructed at their inferred z",
            "look": "eyes, manes and stripes in the same places.",
            "wrong": "one blurred animal for all, or a face that is another image’s.",
        },
        {
            "number": 2,
            "asks": "Random images, f(z) at z ~ N(0, I)",
            "look": "animals that could be in the training set.",
            "wrong": "noise, garish colours, or two faces laid over each other.",
        },
        {
            "number": 3,
            "asks": "Images on an 8 × 8 grid of z over (−2, 2)²",
            "look": "animals everywhere, each turning into the next within a tile or two.",
            "wrong": "64 images that are all the same, garish corners, or two faces in most tiles.",
        },
        {
            "number": 4,
            "asks": "The loss over the iterations of learning",
            "look": "a curve that falls and levels off.",
            "wrong": "a curve that climbs, or is still falling steeply at its end.",
        },
    ],
}

_ERRORS = {"psnr": "PSNR, dB", "mae": "MAE, grey levels", "rms": "RMSE, grey levels"}
_WAYS = {"generator": "f(Z), this model", "pca": "PCA", "mean_image": "mean image"}


def _unseen(name: str, title: str, picture_caption: str, where: str) -> list[dict[str, Any]]:
    """The picture and the errors of what learning did not see."""
    return [
        {
            "kind": "picture",
            "title": title,
            "picture": f"{name}.png",
            "alt": f"{title}: images, and what three ways make of them",
            "caption": picture_caption,
        },
        {
            "kind": "table",
            "title": "",
            "caption": f"Errors on {where}, mean over the images. PCA has as many principal"
            " components as z has dimensions.",
            "file": "metrics.json",
            "row": "restored by",
            "rows": _WAYS,
            "columns": [{"path": [name, "*", k], "heading": v} for k, v in _ERRORS.items()],
        },
        {
            "kind": "table",
            "title": "",
            "fold": "Errors by image",
            "caption": f"PSNR on {where}, in dB.",
            "file": "metrics.json",
            "row": "image",
            "columns": [
                {"path": [name, "by_image", "*", way, "psnr"], "heading": heading}
                for way, heading in _WAYS.items()
            ],
        },
    ]


UNSEEN: dict[str, list[dict[str, Any]]] = {  # sections of what --occlude and --holdout ask for
    "occlusion": _unseen(
        "occlusion",
        "Hidden pixels, restored",
        "From the top: the training image, what learning saw of it, and what f(Z), principal"
        " components and the mean image put in the place of the rest. Look for parts of a face"
        " that nobody has shown.",
        "the hidden pixels",
    ),
    "holdout": _unseen(
        "holdout",
        "Held-out images",
        "Images that were left out of learning, and what inference of their z alone makes of them."
        " With few training images, expect likeness of pose and colour, no more.",
        "the held-out images",
    ),
}

SECTIONS: list[dict[str, Any]] = [
    {
        "kind": "plane",
        "picture": "plane.webp",
        "wide": "plane_wide.webp",
        "walk": "walk",
        "z": "z",
    },
    {
        "kind": "tiles",
        "item": 1,
        "title": "Reconstructions",
        "arrays": {"images": "Training image", "reconstructions": "Reconstruction"},
        "caption": "Above the training image, below what the generator draws at its inferred z."
        " Look for eyes, manes and stripes in the same place. PSNR · SSIM of each.",
    },
    {
        "kind": "sheet",
        "item": 2,
        "title": "Samples",
        "array": "samples",
        "alt": "64 images drawn at random points of the plane",
        "caption": "f(z) at random z ~ N(0, I): new images. Good ones could be training images,"
        " and few are a blend of two.",
    },
    {
        "kind": "sheet",
        "item": 3,
        "title": "Interpolation",
        "array": "interpolation",
        "alt": "8 by 8 images over the plane of z from -2 to 2",
        "caption": "f(z) on an even grid over (−2, 2)²: z₁ grows to the right, z₂ upward."
        " Neighbours should differ by little.",
    },
    {
        "kind": "gif",
        "title": "A walk through the training images",
        "picture": "interpolation.gif",
        "label": "Walk through the plane",
        "alt": "Generated image along a closed walk past all training images",
        "zoom": 4,
        "caption": "interpolation.gif: a closed walk in even steps past every inferred z.",
    },
    {
        "kind": "figures",
        "title": "How natural the interpolation is",
        "caption": "The 64 images over the plane beside the training images, by pixels alone.",
        "file": "metrics.json",
        "figures": naturalness.FIGURES,
    },
    {
        "kind": "figures",
        "title": "How well the chains infer",
        "caption": "Four chains an image, drawn at the end by the run’s own sampler.",
        "file": "metrics.json",
        "figures": [
            {
                "path": ["r_hat"],
                "name": "R-hat, worst image",
                "note": "near 1 if the chains agree; from 1.01 on they are to be doubted; a dash if"
                " one stood still",
            },
            {
                "path": ["effective_sample_size"],
                "name": "effective draws, least of the images",
                "note": "as many independent ones tell as much",
            },
            {
                "path": ["effective_sample_size_per_evaluation"],
                "name": "effective draws a pass",
                "note": "through the network, forward or backward",
            },
            {
                "path": ["acceptance_rate"],
                "name": "accepted proposals",
                "unit": "%",
                "note": "of these chains; all, for a sampler without a test",
            },
            guard.ROLL_BACKS,
        ],
    },
    {
        "kind": "table",
        "title": "",
        "fold": "Chains by image",
        "caption": "A dash: a chain stood still, of which it cannot be told.",
        "file": "metrics.json",
        "row": "image",
        "columns": [
            {"path": ["r_hat_by_image", "*"], "heading": "R-hat"},
            {"path": ["effective_sample_size_by_image", "*"], "heading": "effective draws"},
        ],
    },
]

# What posterior.py writes into the folder of a run, if somebody calls it.
POSTERIOR: list[dict[str, Any]] = [
    {
        "kind": "figures",
        "title": "The exact posterior",
        "caption": "By quadrature over the plane: what no chain can tell.",
        "file": "posterior.json",
        "later": True,
        "figures": [
            {"path": ["log_p"], "name": "exact log p(Y; W)", "unit": "nats", "note": "mean"},
            {
                "path": ["bits_per_dim"],
                "name": "bits per dimension",
                "note": "of 8-bit images, mean over the images; lower is better",
            },
        ],
    },
    {
        "kind": "picture",
        "title": "",
        "picture": "posterior.png",
        "later": True,
        "alt": "Posterior density of z of each image, with draws of each sampler",
        "caption": "Blue: p(z | Y) by quadrature. Dots: draws of each sampler. Look for dots that"
        " fill the blue and no more.",
    },
    {
        "kind": "table",
        "title": "",
        "caption": "TV: total variation between chains and quadrature; 0 is exact, and no chain is"
        " expected below its floor, that of as many independent draws.",
        "file": "posterior.json",
        "later": True,
        "row": "sampler",
        "columns": [
            {"path": ["samplers", "*", key], "heading": heading}
            for key, heading in {
                "total_variation_worst": "TV, worst",
                "total_variation": "TV, mean",
                "total_variation_floor": "floor",
                "r_hat": "R-hat, worst",
                "effective_sample_size": "effective draws, least",
                "effective_sample_size_per_evaluation": "effective draws a pass",
                "acceptance_rate": "accepted",
            }.items()
        ],
    },
    {
        "kind": "table",
        "title": "",
        "fold": "Exact likelihood by image",
        "caption": "",
        "file": "posterior.json",
        "later": True,
        "row": "image",
        "columns": [
            {"path": ["images", "*", "log_p"], "heading": "log p(Y; W), nats"},
            {"path": ["images", "*", "bits_per_dim"], "heading": "bits per dimension"},
        ],
    },
]


def sections(unseen: set[str]) -> list[dict[str, Any]]:
    """The sections of a run, in order; of what learning did not see those keys of UNSEEN."""
    restored = [section for name in UNSEEN if name in unseen for section in UNSEEN[name]]
    return [*SECTIONS, *restored, *POSTERIOR]
