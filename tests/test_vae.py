"""The variational autoencoder: its bound beside the exact likelihood, and its codes."""

import numpy as np
import pytest
from conftest import IMAGES, SIDE
from evaluation import evaluate
from scipy.integrate import quad
from scipy.special import logsumexp

import grey_levels
import quadrature
from common.likelihood import gaussian_grey_levels
from common.session import tf
from vae import VAE, VAESettings, importance_weighted

LEVEL = 24.0  # grey levels: a noise that leaves the posteriors wide
WHOLE = IMAGES.round()
DRAWS = 20_000


def learned(epochs=60, **options):
    options = {"image_size": SIDE, "width": 4, "learning_rate": 0.003, **options}
    model = VAE(VAESettings(num_epochs=epochs, **options), len(IMAGES))
    model.build_model()
    return model, list(model.train(IMAGES))


@pytest.fixture(scope="module")
def trained():
    return learned()


@pytest.fixture(scope="module")
def log_weights(trained):
    return trained[0].log_weights(WHOLE, LEVEL, DRAWS)


def log_joint(decode, z, flat):
    """Log p(Y, z) of an 8-bit image [D] at z [n, 2]."""
    return gaussian_grey_levels(flat, decode(z), LEVEL) - (z**2).sum(1) / 2 - np.log(2 * np.pi)


def exact(model, image):
    """What decodes z, and log p(Y) of an 8-bit image by quadrature."""
    flat = image.reshape(1, -1).astype(np.float64)

    def decode(z):
        return model.generate(z).reshape(len(z), -1)

    start = np.concatenate(
        [quadrature.starts(decode, flat, LEVEL)[0], model.infer(image[None]).astype(np.float64)]
    )
    masses = []
    for grid in quadrature.posterior(decode, flat[0], LEVEL, start).grids:
        cell = grid.log_mass - quadrature.log_joint(decode, grid.z, flat, LEVEL)[0]
        masses.append(log_joint(decode, grid.z, flat[0]) + cell)
    return decode, logsumexp(np.concatenate(masses))


def test_the_bound_lies_below_the_exact_value_by_the_kl_of_the_posterior(trained, log_weights):
    model = trained[0]
    for image, weights in zip(WHOLE, log_weights, strict=True):
        decode, log_p = exact(model, image)
        mean, log_std = (part[0] for part in model._posteriors(image[None]))
        # KL(q || p) on a grid over q, in its own standard deviations.
        axis = np.arange(-6, 6, 0.1) + 0.05
        w = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
        z = mean + np.exp(log_std) * w
        log_q = -(w**2).sum(1) / 2 - np.log(2 * np.pi)
        log_p_of_z = log_joint(decode, z, image.ravel().astype(np.float64)) + log_std.sum() - log_p
        kl = float((np.exp(log_q) * (log_q - log_p_of_z)).sum() * 0.01)
        gap = log_p - weights.mean()
        assert kl > 0.02
        assert gap == pytest.approx(kl, rel=0.01, abs=4 * weights.std() / DRAWS**0.5)


def test_importance_weighted_bounds_rise_to_the_exact_value(trained, log_weights):
    model = trained[0]
    bounds = [importance_weighted(log_weights, draws) for draws in (1, 10, 1000)]
    assert (np.diff(bounds, axis=0) > 0).all()
    truth = [exact(model, image)[1] for image in WHOLE]
    np.testing.assert_allclose(importance_weighted(log_weights, DRAWS), truth, atol=0.1)


def test_the_kl_is_that_of_two_gaussians():
    mean, std = 0.7, 0.4

    def integrand(z):
        q = np.exp(-((z - mean) ** 2) / (2 * std**2)) / (std * np.sqrt(2 * np.pi))
        return q * (-((z - mean) ** 2) / (2 * std**2) - np.log(std) + z**2 / 2)

    kl = evaluate(lambda: VAE.divergence(tf.constant([[mean]]), tf.math.log([[std]])))
    assert kl[0] == pytest.approx(quad(integrand, -5, 5)[0], rel=1e-4)


def test_codes_are_kept_at_the_prior_and_images_stay():
    model, _ = learned(epochs=1, learning_rate=1e-9, prior_reduction=True)
    other, _ = learned(epochs=1, learning_rate=1e-9, prior_reduction=False)
    np.testing.assert_allclose(model.reconstruct(IMAGES), other.reconstruct(IMAGES), atol=0.02)
    mean, log_std = model._posteriors(IMAGES)
    np.testing.assert_allclose(mean.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(mean.var(0) + np.exp(2 * log_std).mean(0), 1, atol=1e-3)
    assert np.abs(other.infer(IMAGES).mean(0)).max() > 0.01


def test_the_record_splits_the_bound_and_learning_lowers_it(trained):
    records = trained[1]
    for record in records:
        assert record["loss"] == pytest.approx(record["reconstruction"] + record["kl"], rel=1e-5)
    assert records[-1]["loss"] < records[0]["loss"] - 100
    assert records[-1]["psnr"] > records[0]["psnr"] + 3
    # The best noise of a batch is the root of its mean squared error.
    errors = 255 / 10 ** (np.array([record["psnr"] for record in records]) / 20)
    assert np.array([r["sigma"] for r in records]) == pytest.approx(errors, rel=0.05)


def test_a_noise_that_is_given_stays():
    records = learned(epochs=2, sigma=0.5)[1]
    assert [record["sigma"] for record in records] == pytest.approx([0.5 * 127.5] * 2)


@pytest.mark.parametrize("sigma", [0.3, 0.7, 3.0, 40.0])
def test_grey_levels_in_a_graph_are_those_of_scipy(sigma):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (4000, 1)).astype(np.float32)
    images[:200], images[200:400] = 0, 255
    means = images + rng.normal(size=images.shape) * np.exp(rng.uniform(-3, 4.5, images.shape))
    expected = gaussian_grey_levels(images.astype(np.float64), means, sigma)
    (found,) = evaluate(
        lambda: [
            grey_levels.gaussian(
                tf.constant(images), tf.constant(means, tf.float32), tf.constant(sigma, tf.float32)
            )
        ]
    )
    np.testing.assert_allclose(found, expected, rtol=3e-4, atol=1e-5)
