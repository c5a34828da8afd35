"""What the report says of a run of DesNet: what is asked, and what its sections show.

Texts alone; report_page/manifest.py says what the words of a section mean.
"""

from __future__ import annotations

from typing import Any

from common import guard, naturalness

_NATURAL, *_MIXED = naturalness.FIGURES

STORY: dict[str, Any] = {
    "claim": "DesNet judges.",
    "does": "It scores how much an image looks like the training images. New images come from one"
    " flat colour by small steps, each up the score and with some noise.",
    "asks": "Descriptor, real sampling: learn a bottom-up ConvNet f, a score of whole images."
    " Alternate between Langevin synthesis from mean images and a step of the weights θ.",
    "equations": [
        {
            "says": "the model, Y in grey levels about the mean colour",
            "latex": r"p(Y; \theta) \propto \exp[f(Y; \theta)] \, p_0(Y), \quad"
            r" p_0 = N(0, s^2 I)",
        },
        {
            "says": "synthesis: Langevin steps of whole images",
            "latex": r"\tilde{Y} \leftarrow \tilde{Y} + \frac{\delta^2}{2} \left("
            r" \frac{\partial}{\partial Y} f(\tilde{Y}; \theta) - \frac{\tilde{Y}}{s^2} \right)"
            r" + \delta U, \quad U \, \sim \, N(0, I)",
        },
        {
            "says": "learning: up the score of observed images, down that of synthesized ones",
            "latex": r"\theta \leftarrow \theta + \gamma \left( \frac{1}{n} \sum_{i=1}^{n}"
            r" \frac{\partial}{\partial \theta} f(Y_i; \theta) - \frac{1}{\tilde{n}}"
            r" \sum_{i=1}^{\tilde{n}} \frac{\partial}{\partial \theta} f(\tilde{Y}_i; \theta)"
            r" \right)",
        },
        {
            "says": "the loss that is plotted",
            "latex": r"\frac{1}{\tilde{n}} \sum_i f(\tilde{Y}_i; \theta)"
            r" - \frac{1}{n} \sum_i f(Y_i; \theta)",
        },
    ],
    "items": [
        {
            "number": 1,
            "asks": "Images synthesized from mean images by Langevin steps",
            "look": "birds of clean shape, and as many different ones as there are above.",
            "wrong": "colours without a shape, noise, or the same bird everywhere.",
        },
        {
            "number": 2,
            "asks": "The loss over the iterations of learning",
            "look": "swings about 0 that calm down at the end.",
            "wrong": "growing ever faster to one side: divergence.",
        },
    ],
}

# Of --learning score_matching.
LADDER_STORY: dict[str, Any] = {
    **STORY,
    "does": "It scores how much an image looks like the training images, at every level of noise."
    " New images come from noise, or from one flat colour, by small steps down these levels, each"
    " up the score and with some noise.",
    "asks": "Descriptor, real sampling: learn a bottom-up ConvNet f, a score of whole images with"
    " noise. At noisy images, and wherever chains of the model go, its slope is fitted to that of"
    " the training images' own density at this noise.",
    "equations": [
        {
            "says": "the model at a level of noise, Y in grey levels about the mean colour",
            "latex": r"p_t(Y; \theta) \propto \exp[f(Y, t; \theta)] \, p_0(Y), \quad"
            r" p_0 = N(0, s^2 I)",
        },
        {
            "says": "synthesis: a Langevin step from each level to the next, by which the signal"
            " grows by a factor g, and a share c of the noise is kept",
            "latex": r"\tilde{Y} \leftarrow g_t \tilde{Y} + (g_t - c_t) \sigma_t^2"
            r" \frac{\partial}{\partial Y} \log p_t(\tilde{Y}; \theta)"
            r" + \delta_t U, \quad U \, \sim \, N(0, I)",
        },
        {
            "says": "learning: the score of the noisy training images is known",
            "latex": r"\min_\theta \, \mathbb{E} \left\| \frac{\partial}{\partial Y}"
            r" \log p_t(Y; \theta) - \frac{\partial}{\partial Y} \log \frac{1}{n}"
            r" \sum_{i=1}^{n} N(Y; Y_{i, t}, \sigma_t^2 I) \right\|^2",
        },
    ],
    "items": [
        STORY["items"][0],
        {
            "number": 2,
            "asks": "The loss over the iterations of learning",
            "look": "falls, and goes on falling as the learning rate does.",
            "wrong": "stays where it was: the images are too many for so few epochs.",
        },
    ],
}

SECTIONS: list[dict[str, Any]] = [
    {
        "kind": "sprite",
        "title": "",
        "picture": "chain.webp",
        "label": "Steps of the chains",
        "alt": "Chains after the chosen number of steps",
        "zoom": 2,
        "caption": "Move along the chains. Every chain starts from one flat colour, the mean of a"
        " training image, or as --start says, and takes small steps up the learned score. Look for"
        " the body to appear in the first steps and details in the last.",
    },
    {
        "kind": "tiles",
        "item": 1,
        "title": "Synthesis",
        "arrays": {
            "images": "Training image",
            "starts": "Start of its chain",
            "synthesized": "Synthesized from there",
        },
        "caption": "From the top: the training image, where the chain starts (its mean colour,"
        " unless --start says otherwise), and where it arrives. Look for clean shapes, and for as"
        " much variety as above. PSNR · SSIM to the closest training image.",
    },
    {
        "kind": "figures",
        "title": "How natural the synthesized images are",
        "caption": "Beside the training images, by pixels alone.",
        "file": "metrics.json",
        "figures": [
            _NATURAL,
            {
                "path": ["out_of_range"],
                "name": "pixels outside [0, 255]",
                "unit": "%",
                "note": "above a few per cent, chains overshoot",
            },
            *_MIXED,
            {
                "path": ["acceptance_rate"],
                "name": "accepted proposals",
                "unit": "%",
                "note": "in the last iteration; all, for a sampler without a test",
            },
            guard.ROLL_BACKS,
        ],
    },
    {
        "kind": "picture",
        "title": "What learning equals: moments",
        "picture": "moments.png",
        "alt": "Differences of moments by layer, Gabor filters and colours",
        "caption": "Observed beside synthesized images. Learning equals the mean ∂f/∂θ, layer by"
        " layer (left; short bars are good). It never saw Gabor filters (middle; on the line is"
        " good) and colours (right; dashed over solid is good).",
    },
    {
        "kind": "figures",
        "title": "",
        "caption": "",
        "file": "metrics.json",
        "figures": [
            {
                "path": ["moments", "colour"],
                "name": "colours",
                "note": "total variation between the histograms: 0 if alike, at most 1",
            },
        ],
    },
    {
        "kind": "table",
        "title": "",
        "fold": "Moments by layer",
        "caption": "Norms of the mean ∂f/∂θ, and of their difference as a share of the observed.",
        "file": "metrics.json",
        "row": "layer",
        "columns": [
            {"path": ["moments", "layers", "*", "difference"], "heading": "difference"},
            {"path": ["moments", "layers", "*", "observed"], "heading": "observed"},
            {"path": ["moments", "layers", "*", "synthesized"], "heading": "synthesized"},
        ],
    },
    {
        "kind": "table",
        "title": "",
        "fold": "Gabor filters",
        "caption": "Mean magnitude in grey levels, and the difference as a share of the observed.",
        "file": "metrics.json",
        "row": "wavelength, orientation",
        "columns": [
            {"path": ["moments", "gabor", "*", "difference"], "heading": "difference"},
            {"path": ["moments", "gabor", "*", "observed"], "heading": "observed"},
            {"path": ["moments", "gabor", "*", "synthesized"], "heading": "synthesized"},
        ],
    },
]

LONG_RUN: list[dict[str, Any]] = [  # what --long_run asks for
    {
        "kind": "picture",
        "title": "Chains that run on",
        "picture": "long_run.png",
        "alt": "Chains from each start after more and more steps",
        "caption": "What becomes of chains that go on after learning, from mean images, noise and"
        " training images. Those of a density stay with images; those of a short run leave them.",
    },
    {
        "kind": "table",
        "title": "",
        "caption": "PSNR and SSIM to the nearest training image. Distance: between two chains, root"
        " mean square.",
        "file": "long_run.json",
        "row": "from",
        "columns": [
            {"path": ["*", "*", key], "heading": heading, **unit}
            for key, heading, unit in (
                ("steps", "steps", {}),
                ("psnr", "PSNR, dB", {}),
                ("ssim", "SSIM", {}),
                ("out_of_range", "out of range", {"unit": "%"}),
                ("energy", "energy, nats", {}),
                ("energy_drift", "its change", {}),
                ("distance", "distance, grey levels", {}),
            )
        ],
    },
]


HOLDOUT: dict[str, Any] = {  # what --holdout asks for
    "kind": "figures",
    "title": "Held-out images",
    "caption": "The mean energy −log p(Y), up to a constant that all share. An image that was not"
    " learned should be about as likely as those that were.",
    "file": "metrics.json",
    "figures": [
        {"path": ["energy", part], "name": name, "unit": "nats", "note": note}
        for part, name, note in (
            ("learned", "learned images", "of which the energy is learned"),
            (
                "held_out",
                "held-out images",
                "the nearer to the learned ones, the better",
            ),
            ("synthesized", "synthesized images", "where chains end"),
        )
    ],
}


LIKELIHOOD: list[dict[str, Any]] = [  # what likelihood.py writes, if somebody calls it
    {
        "kind": "figures",
        "title": "How likely images are",
        "caption": "By annealed importance sampling, from both sides of log Z.",
        "file": "likelihood.json",
        "later": True,
        "figures": [
            {
                "path": ["learned", "bits_per_dim"],
                "name": "bits per dimension",
                "note": "of training images, the mean; lower is better",
            },
            {
                "path": ["bracket"],
                "name": "bracket on log Z",
                "unit": "nats",
                "note": "from the lower to the upper side; by chance it may be below 0",
            },
        ],
    },
    {
        "kind": "picture",
        "title": "",
        "picture": "energies.png",
        "later": True,
        "alt": "Energies of training, synthesized and other images",
        "caption": "Every dot is an image. Look for blue dots that lie close together, left of all"
        " red ones.",
    },
    {
        "kind": "table",
        "title": "",
        "caption": "Area under the curve: the probability that an image of the model’s own kind is"
        " more likely than one of another kind. 1/2 tells nothing.",
        "file": "likelihood.json",
        "later": True,
        "row": "told from",
        "columns": [
            {"path": ["area_under_the_curve", "*", own], "heading": f"{own} images"}
            for own in ("learned", "synthesized")
        ],
    },
]


def sections(long_run: int, holdout: bool) -> list[dict[str, Any]]:
    """The sections of a run, in order.

    Args:
        long_run: steps that its chains run on.
        holdout: whether there are held-out images.
    """
    asked = [*([HOLDOUT] if holdout else []), *(LONG_RUN if long_run else [])]
    return [*SECTIONS, *asked, *LIKELIHOOD]
