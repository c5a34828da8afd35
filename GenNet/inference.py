"""Inference of z by a learned generator: draws of posteriors, and images that were not learned."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from common import samplers, streams
from common.session import tf
from common.streams import Stream

if TYPE_CHECKING:
    from generator_settings import Settings
    from GenNet import GenNet

CHAINS = 4  # an image, where its posterior is drawn from
PIECE = 50  # draws from one look at Ctrl-C to the next, and to the next J of the metric
PARTICLES = 32  # that infer an image which was not learned
ADAPTATION = 0.2  # of their step sizes, see samplers.adapted_step_size


class Draws(NamedTuple):
    """Chains of the posteriors of n images, C chains each, and how they went."""

    z: np.ndarray  # [n, C, draws, d]
    step_size: np.ndarray  # [n, C]
    acceptance_rate: np.ndarray  # [n, C]


class Drawing(NamedTuple):
    """Chains in a graph."""

    fed: dict[str, tf.Tensor]
    drawn: tuple[tf.Tensor, tf.Tensor]  # the path [l, B, d] and the acceptance rates [B]


class Inputs(NamedTuple):
    """What is fed to the graph of the model."""

    images: tf.Tensor  # [B, S, S, 3] in [0, 255]
    visible: tf.Tensor | None  # [B, S, S, 1], of a model that does not see whole images
    index: tf.Tensor  # [B], of the images
    sigma: tf.Tensor  # noise of the iteration
    learning_rate: tf.Tensor
    z: tf.Tensor  # [n, d], what `generate` decodes and `Posterior` starts from

    @classmethod
    def placeholders(cls, settings: Settings, masked: bool) -> Inputs:
        """Placeholders, that of the visible pixels only if the model is masked."""
        side = settings.image_size
        return cls(
            tf.placeholder(tf.float32, [None, side, side, 3], "images"),
            tf.placeholder(tf.float32, [None, side, side, 1], "visible") if masked else None,
            tf.placeholder(tf.int32, [None], "index"),
            tf.placeholder(tf.float32, [], "sigma"),
            tf.placeholder(tf.float32, [], "learning_rate"),
            tf.placeholder(tf.float32, [None, settings.z_dim], "z"),
        )


class Posterior:
    """p(Z | Y; W) of a model as it is: its chains and its metric, on top of the model's graph."""

    def __init__(self, model: GenNet) -> None:
        self._model = model
        self._inputs = model.inputs
        self._drawings: dict[str, Drawing] = {}  # by precision

    def run_chains(
        self,
        z: np.ndarray,
        step_size: np.ndarray,
        num_steps: int,
        images: np.ndarray,
        *,
        stream: Stream,
        rank: int = 0,
        first_step: int = 0,
        visible: np.ndarray | None = None,
        reference: np.ndarray | None = None,
        sigma: float | None = None,
        precision: str = "float32",
    ) -> tuple[np.ndarray, np.ndarray]:
        """Run chains of p(Z | Y) by the model's sampler.

        Args:
            z: [B, d], where the chains are.
            step_size: [B].
            num_steps: l.
            images: of each chain, [B, S, S, 3] in [0, 255], or [1, S, S, 3] for all.
            stream: of their random numbers.
            rank: of these chains, where others draw from the same stream.
            first_step: number of the first step, for chains that go on.
            visible: likewise, [B, S, S, 1] or [1, S, S, 1]; None if the model sees whole images.
            reference: [B, d], where the preconditioned sampler takes its J; by default at z.
            sigma: standard deviation of the noise; by default the model's.
            precision: that f is computed in; learning's is that of the settings.

        Returns:
            The path [l, B, d] and the acceptance rates [B].
        """
        fed, drawn = self._drawing(precision)
        values = {
            **{"step_size": step_size, "num_steps": num_steps, "first_step": first_step},
            **{"rank": rank, "stream": stream, "reference": z if reference is None else reference},
        }
        feed = {fed[name]: value for name, value in values.items()}
        feed |= {**self._seen(images, visible, sigma), self._inputs.z: z}
        return self._model.session.run(drawn, feed)

    def metric(
        self, z: np.ndarray, images: np.ndarray, visible: np.ndarray | None = None
    ) -> np.ndarray:
        """The metric G = I + J^T J / sigma^2 at z [n, d] for images [n, S, S, 3]: [n, d, d].

        Args:
            z: [n, d].
            images: [n, S, S, 3] in [0, 255].
            visible: [n, S, S, 1]; None if the model sees whole images.
        """
        feed = {**self._seen(images, visible), self._inputs.z: z}
        return self._model.session.run(self._metric, feed).astype(np.float64)

    def _drawing(self, precision: str) -> Drawing:
        """The chains, built when they are first asked for."""
        if precision not in self._drawings:
            self._drawings[precision] = self._build(precision)
        return self._drawings[precision]

    def _build(self, precision: str) -> Drawing:
        model = self._model
        with model.session.graph.as_default(), model.networks[0].precision(precision):
            d = model.settings.z_dim
            fed = {
                "step_size": tf.placeholder(tf.float32, [None], "step_size"),
                "stream": tf.placeholder(tf.int32, [], "stream"),
                "rank": tf.placeholder(tf.int32, [], "rank"),
                "first_step": tf.placeholder(tf.int32, [], "first_step"),
                "num_steps": tf.placeholder(tf.int32, [], "num_steps"),
                "reference": tf.placeholder(tf.float32, [None, d], "reference"),
            }
            chains = model.langevin_dynamics(
                self._inputs.z,
                self._inputs.images / 127.5 - 1,
                self._inputs.sigma,
                fed["step_size"],
                streams.key(model.settings.seed, fed["stream"], rank=fed["rank"]),
                visible=self._inputs.visible,
                num_steps=fed["num_steps"],
                first_step=fed["first_step"],
                keep_path=True,
                reference=fed["reference"],
            )
            return Drawing(fed, (chains.path, chains.acceptance_rate))

    @cached_property
    def _metric(self) -> tf.Tensor:
        model, inputs = self._model, self._inputs
        with model.session.graph.as_default():
            jacobian = model.jacobian(inputs.z, inputs.visible)
            return model.gauss_newton_metric(jacobian, inputs.sigma)

    def _seen(
        self, images: np.ndarray, visible: np.ndarray | None, sigma: float | None = None
    ) -> dict:
        if sigma is None:
            sigma = self._model.settings.sigma
        feed = {self._inputs.images: images, self._inputs.sigma: sigma}
        if self._inputs.visible is not None:
            feed[self._inputs.visible] = visible
        return feed


def passes_per_draw(model: GenNet) -> float:
    """Passes through the network, forward or backward, that a draw of `draw_posterior` takes.

    The preconditioned sampler takes one, and d + 1 for the J of every PIECE draws.
    """
    settings = model.settings
    passes = {
        "preconditioned": 1 + (settings.z_dim + 1) / PIECE,
        "hmc": 2.0 * settings.num_leapfrog,
    }
    return passes.get(settings.sampler, 2.0)


def draw_posterior(
    model: GenNet,
    images: np.ndarray,
    num_draws: int,
    num_warm_up: int,
    advance: Callable[[int], object] = lambda steps: None,
    precision: str = "float32",
) -> Draws:
    """Draw from p(Z_i | Y_i; W) by CHAINS chains an image of the model's own sampler.

    They start overdispersed, at Z_i + 2 G^(-1/2) U with U ~ N(0, I): two posterior standard
    deviations around the inferred Z_i.  In the warm-up, which is dropped, every chain of MALA and
    HMC adapts its step size (Robbins-Monro, averaged over the second half; Polyak and Juditsky,
    1992).  It then stays fixed, so that the draws have the sampler's law.  The preconditioned
    sampler takes J at Z_i throughout: a posterior is so narrow that it hardly changes there.

    Args:
        model: learned.
        images: [n, S, S, 3] in [0, 255], the first n training images.
        num_draws: of each chain.
        num_warm_up: steps before them.
        advance: called with the number of steps of chains that have just been taken.
        precision: that f is computed in along the chains.
    """
    n, d = len(images), model.settings.z_dim
    inferred = model.latents()[:n]  # [n, d]
    batch_size = model.settings.batch_size or 1
    metric = np.concatenate(
        [
            model.posterior.metric(inferred[part], images[part], _visible(model, part))
            for part in _batches(n, batch_size)
        ]
    )  # [n, d, d]
    rng = streams.generator(model.settings.seed, Stream.OVERDISPERSION)
    noise = rng.normal(size=(n, CHAINS, d))
    # G = L L^T; L^-T U has the covariance G^-1.
    whitening = np.linalg.cholesky(metric).swapaxes(1, 2)[:, None]  # L^T
    spread = np.linalg.solve(whitening, noise[..., None])[..., 0]
    start = (inferred[:, None] + 2 * spread).reshape(-1, d)  # [n C, d]
    step_size = model.step_sizes()[:n].repeat(CHAINS)
    if model.settings.sampler in samplers.TARGET_ACCEPTANCE:
        step_size = np.linalg.eigvalsh(metric)[:, -1].repeat(CHAINS) ** -0.5
    parts = []
    for chains in _batches(len(start), CHAINS * batch_size):
        of = chains // CHAINS  # the image of each chain
        rest = {
            **{"images": images[of], "visible": _visible(model, of), "reference": inferred[of]},
            **{"stream": Stream.POSTERIOR, "rank": int(chains[0]), "precision": precision},
        }
        parts.append(
            _draw(model, start[chains], step_size[chains], num_draws, num_warm_up, advance, rest)
        )
    z, step_size, rate = (np.concatenate(values) for values in zip(*parts, strict=True))
    shape = (n, CHAINS)
    return Draws(z.reshape(*shape, -1, d), step_size.reshape(shape), rate.reshape(shape))


def _batches(count: int, size: int) -> list[np.ndarray]:
    index = np.arange(count)
    return np.split(index, index[size::size])


def _visible(model: GenNet, index: np.ndarray) -> np.ndarray | None:
    return None if model.visible is None else model.visible[index]


def _draw(
    model: GenNet,
    z: np.ndarray,
    step_size: np.ndarray,
    num_draws: int,
    num_warm_up: int,
    advance: Callable[[int], object],
    rest: dict,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions [B, draws, d], step sizes and acceptance rates [B] of chains from z [B, d]."""

    def run(first: int, last: int, piece: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Steps from `first` up to `last`: the path and the acceptance rates of each piece."""
        nonlocal z
        for t in range(first, last, piece):
            length = min(piece, last - t)
            path, rate = model.posterior.run_chains(z, step_size, length, first_step=t, **rest)
            z = path[-1]
            yield path, rate
            advance(length * len(z))

    target = samplers.TARGET_ACCEPTANCE.get(model.settings.sampler)
    logs = []
    for t, (_, rate) in enumerate(run(0, num_warm_up, 1 if target else PIECE), 1):
        if target:
            step_size = step_size * np.exp((rate - target) / math.sqrt(t))
            logs.append(np.log(step_size))
    if logs:
        step_size = np.exp(np.mean(logs[len(logs) // 2 :], 0))
    paths, accepted = [], np.zeros(len(z))
    for path, rate in run(num_warm_up, num_warm_up + num_draws, PIECE):
        paths.append(path)
        accepted += rate * len(path)
    return np.concatenate(paths).swapaxes(0, 1), step_size, accepted / num_draws


def infer(model: GenNet, images: np.ndarray, visible: np.ndarray | None = None) -> np.ndarray:
    """Reconstruct images by inference alone, W as it is: the mean of f(Z) given each image.

    An image that was not learned has a residual far larger than the noise of the model, and not
    white: its pixels are fewer observations than the likelihood counts.  So each image has a sigma
    of its own, at least that of the model: the one whose posterior mean is nearest to the visible
    pixels.

    Args:
        model: learned.
        images: [n, S, S, 3] in [0, 255].
        visible: [n, S, S, 1], which pixels are seen; for a model that learned through such.

    Returns:
        [n, S, S, 3] in [0, 255].
    """
    masks = np.ones([len(images), 1, 1, 1]) if visible is None else visible
    return np.stack([_infer_image(model, *pair) for pair in zip(images, masks, strict=True)])


def _infer_image(model: GenNet, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """What `infer` gives for one image [S, S, 3], of which `mask` [S, S, 1] is seen.

    PARTICLES draws of the prior become draws of the posterior of every sigma in turn, by a
    sequential Monte Carlo sampler (Del Moral, Doucet and Jasra, 2006): they are resampled by what
    the smaller sigma changes in their likelihood, and moved by the sampler of the model.
    """
    settings = model.settings
    rng = streams.generator(settings.seed, Stream.PARTICLES)
    z = rng.normal(size=(PARTICLES, settings.z_dim))
    step_size = np.full(PARTICLES, model.step_sizes().min())
    target = samplers.TARGET_ACCEPTANCE.get(settings.sampler)
    visible = None if model.visible is None else mask[None]
    # At the first sigma the whole image weighs about as much as one number: z is still free.
    first = max(math.sqrt(image.size), settings.sigma)
    levels = 1 + math.ceil(math.log2(first / settings.sigma))  # sigma halves
    precision, least = 0.0, math.inf
    outputs = model.generate(z)
    nearest = outputs.mean(0)
    for level, sigma in enumerate(np.geomspace(first, settings.sigma, levels)):
        gain = sigma**-2 - precision
        precision += gain
        error = (np.square((outputs - image) / 127.5) * mask).sum((1, 2, 3))
        share = np.cumsum(np.exp(-gain / 2 * (error - error.min())))
        places = (np.arange(PARTICLES) + rng.uniform()) / PARTICLES  # systematic resampling
        chosen = np.searchsorted(share / share[-1], places)
        z, step_size = z[chosen], step_size[chosen]
        path, rate = model.posterior.run_chains(
            z,
            step_size,
            settings.num_steps or 1,
            image[None],
            stream=Stream.PARTICLE_STEPS,
            rank=level,
            visible=visible,
            sigma=sigma,
        )
        z = path[-1]
        if target is not None:
            step_size = step_size * np.exp(ADAPTATION * (rate - target))
        outputs = model.generate(z)
        mean = outputs.mean(0)
        seen = (np.square(mean - image) * mask).sum()
        if seen < least:
            nearest, least = mean, seen
    return nearest
