"""PixelCNN and PixelRNN: what a pixel sees, exact probabilities, and drawing pixel by pixel."""

import itertools
import json

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from conftest import ROOT, load_file, results
from evaluation import evaluate

import pixelcnn
import pixelrnn
from common import streams
from common.streams import Stream
from pixel_likelihood import UNIFORMS, log_mass

SIDE = 8
IMAGES = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3)).astype(np.float32)
IMAGES[0, 2:5] = 0
IMAGES[1, 3:6] = 255
SMALL = {"image_size": SIDE, "width": 6, "num_layers": 1, "num_epochs": 6, "batch_size": 3}
KINDS = {
    "PixelCNN": (pixelcnn.PixelCNN, pixelcnn.PixelCNNSettings),
    "PixelRNN": (pixelrnn.PixelRNN, pixelrnn.PixelRNNSettings),
}


def learned(name, **options):
    """A small model that has learned a little, so that no weight or bias is 0."""
    kind, settings = KINDS[name]
    model = kind(settings(**SMALL | {"learning_rate": 0.02} | options), len(IMAGES))
    model.build_model()
    records = list(model.train(IMAGES))
    return model, records


@pytest.fixture(scope="module", params=itertools.product(KINDS, ["logistics", "softmax"]))
def model(request):
    """Each model with each distribution."""
    name, distribution = request.param
    return learned(name, distribution=distribution)[0]


def derivatives(model, function, outputs):
    """The derivatives [outputs, inputs] of function(images) [B, outputs] at one image."""
    image = tf.constant(np.repeat(IMAGES[:1] * 0.8 + 20, outputs, 0))
    value = tf.reduce_sum(function(image) * np.eye(outputs, dtype=np.float32))
    return model.session.run(tf.gradients(value, image)[0]).reshape(outputs, -1)


def test_a_level_is_conditioned_on_those_before_it_alone(model):
    """The derivative of log p(level i | ...) in level j > i is 0: of all pixels and channels."""
    count = SIDE * SIDE * 3

    def log_probs(images):
        values = model.distribution.log_probs(model.given(images), images)
        return tf.reshape(values, [-1, count])

    with model.session.graph.as_default():
        found = derivatives(model, log_probs, count)
    assert not np.triu(found, 1).any()
    # Of the level before, of the pixel above and of the one right of that, it is not.
    found = found.reshape(SIDE, SIDE, 3, SIDE, SIDE, 3)
    for row, column in itertools.product(range(1, SIDE), range(1, SIDE - 1)):
        seen = found[row, column]
        assert seen[0, row, column - 1].all()
        assert seen[1, row, column, 0]
        assert seen[2, row, column, :2].all()
        assert seen[0, row - 1, column : column + 2].all()


def test_features_of_a_pixel_do_not_see_it(model):
    """Nor later ones: the derivative in pixel j >= i is 0."""
    count = SIDE * SIDE
    rng = np.random.default_rng(1)

    def projected(images):
        given = tf.concat(model.given(images), -1)
        weight = rng.normal(size=given.shape[-1]).astype(np.float32)
        return tf.reshape(tf.reduce_sum(given * weight, -1), [-1, count])

    with model.session.graph.as_default():
        found = derivatives(model, projected, count).reshape(count, count, 3).any(2)
    assert not np.triu(found).any()
    for pixel in range(1, count):
        assert found[pixel, pixel - 1] or pixel % SIDE == 0


def test_the_probabilities_of_the_levels_of_a_channel_add_up_to_1(model):
    for image, row, column, channel in itertools.product((0, 1), (0, 4), (0, 5), range(3)):
        images = np.repeat(IMAGES[image : image + 1], 256, 0)
        images[:, row, column, channel] = np.arange(256)
        masses = np.exp(model.log_probs(images)[:, row, column, channel])
        np.testing.assert_allclose(masses.sum(), 1, rtol=2e-5)


def test_the_log_probability_of_an_image_is_the_sum_over_its_levels(model):
    expected = model.log_probs(IMAGES).astype(np.float64).sum((1, 2, 3))
    np.testing.assert_allclose(model.log_prob(IMAGES), expected, rtol=1e-12)
    assert (model.log_prob(IMAGES) < 0).all()
    bits = -expected / np.log(2)
    np.testing.assert_allclose(model.bits(IMAGES).sum((1, 2)), bits, rtol=1e-5)


@pytest.mark.parametrize("log_scale", [-7.0, -3.0, 0.0, 4.0])
@pytest.mark.parametrize("mean", [-1.5, -0.99, 0.2, 1.01, 3.0])
def test_the_mass_of_a_discretized_logistic_is_exact(log_scale, mean):
    levels = np.arange(256.0)
    centred = levels / 127.5 - 1 - mean
    scale = np.float64(log_scale)
    found = evaluate(lambda: log_mass(tf.constant(centred), tf.constant(scale), levels))
    np.testing.assert_allclose(np.exp(found).sum(), 1, rtol=1e-9)
    assert np.isfinite(found).all()
    edges = np.concatenate([[-np.inf], (np.arange(255) + 0.5) / 127.5 - 1, [np.inf]])
    with np.errstate(over="ignore"):
        below = 1 / (1 + np.exp(-(edges - mean) / np.exp(log_scale)))
    np.testing.assert_allclose(np.exp(found), np.diff(below), atol=1e-12)


def test_what_windows_give_is_what_the_whole_image_gives():
    for distribution in ("logistics", "softmax"):
        model = learned("PixelCNN", distribution=distribution)[0]
        reach = model.radius
        with model.session.graph.as_default():
            levels = tf.constant(IMAGES)
            whole = model.given(levels)
            paper = tf.unstack(model.padded(levels), axis=0)
            windows = tf.stack(
                [
                    image[row : row + reach + 1, column : column + 2 * reach + 1]
                    for image in paper
                    for row in range(SIDE)
                    for column in range(SIDE)
                ]
            )
            alone = model.seen(windows)
            pixels = tf.reshape(levels, [-1, 1, 1, 3])
            tensors = (
                model.distribution.log_probs(whole, levels),
                model.distribution.log_probs(alone, pixels),
                *(whole.features, alone.features),
            )
            found = [value.reshape(-1, value.shape[-1]) for value in model.session.run(tensors)]
        np.testing.assert_allclose(found[1], found[0], atol=2e-5)
        np.testing.assert_allclose(found[3], found[2], atol=1e-5)


def test_what_rows_give_is_what_the_whole_image_gives():
    model = learned("PixelRNN", num_layers=2)[0]
    with model.session.graph.as_default():
        levels = tf.constant(IMAGES)
        paper = model.padded(levels)
        states = tf.zeros([len(IMAGES), 2, SIDE, 2 * model.settings.width])
        rows = []
        for row in range(SIDE):
            given, states = model.row(paper[:, row : row + pixelrnn.RADIUS + 1], states)
            rows.append(given.features)
        found = model.session.run([tf.concat(rows, 1), model.given(levels).features])
    np.testing.assert_allclose(*found, atol=1e-5)


def test_samples_are_what_full_passes_draw(model):
    """By the same numbers, each pixel of a sample is drawn again from a pass over the sample."""
    samples = model.sample(5)
    np.testing.assert_array_equal(model.sample(2), samples[:2])
    assert np.unique(samples).size > 50
    rng = streams.generator(model.settings.seed, Stream.SAMPLES)
    uniforms = rng.random([5, SIDE, SIDE, UNIFORMS], np.float32)
    with model.session.graph.as_default():
        given = model.given(tf.constant(samples))
        again = model.session.run(model.distribution.draw(given, tf.constant(uniforms)))
    # But for numbers that fall on the border of two levels, to a rounding: a pixel, by chance.
    assert (again != samples).mean() < 0.005


def test_samples_follow_the_probabilities(model):
    """Of the first level, whose probabilities are the same for every image."""
    images = np.zeros((256, SIDE, SIDE, 3), np.float32)
    images[:, 0, 0, 0] = np.arange(256)
    masses = np.exp(model.log_probs(images)[:, 0, 0, 0].astype(np.float64))
    visible = np.ones([2000, SIDE, SIDE, 1])
    visible[:, 0, 0] = 0
    drawn = model.complete(np.zeros([2000, SIDE, SIDE, 3], np.float32), visible)[:, 0, 0, 0]
    below = np.searchsorted(np.sort(drawn), np.arange(256), "right") / len(drawn)
    assert np.abs(below - np.cumsum(masses)).max() < 0.05  # Kolmogorov: 0.044 is 1 in 1000


def test_a_completion_leaves_what_is_seen(model):
    visible = np.ones([3, SIDE, SIDE, 1])
    visible[0, 5:] = 0
    visible[1, 2:4, 3:6] = 0
    drawn = model.complete(IMAGES, visible)
    seen = np.broadcast_to(visible, IMAGES.shape) == 1
    np.testing.assert_array_equal(drawn[seen], IMAGES[seen])
    assert (drawn[~seen] != IMAGES[~seen]).mean() > 0.8
    assert drawn.min() >= 0
    assert drawn.max() <= 255
    np.testing.assert_array_equal(drawn, np.rint(drawn))


@pytest.mark.parametrize("name", KINDS)
def test_learning_makes_images_more_likely_and_gives_the_same_bits_again(name):
    model, records = learned(name, num_epochs=40)
    assert records[-1]["bits_per_dim"] < records[0]["bits_per_dim"] - 1
    for record in records:
        bits = record["loss"] / np.log(2) / IMAGES[0].size
        assert record["bits_per_dim"] == pytest.approx(bits, rel=1e-5)
    again = learned(name, num_epochs=40)[1]
    assert again == records


@pytest.mark.parametrize("name", KINDS)
def test_a_run_shows_samples_completions_and_likelihoods(name, pictures, tmp_path):
    main = load_file(ROOT / "Baselines" / "main.py").main
    word = name.lower()
    flags = ["--image_size=8", "--width=4", "--num_layers=1", "--num_epochs=3", "--category=cats"]
    flags += [f"--data_path={pictures}", f"--output_dir={tmp_path}", "--holdout", "1.png"]
    main([word, *flags])
    folder = tmp_path / "cats"
    for part in ("samples", "completion", "holdout_completion", "surprise", "holdout_surprise"):
        assert (folder / f"{part}.png").stat().st_size > 1000
    arrays = results(folder)
    assert arrays["completions"].shape == (3, 2, 8, 8, 3)
    assert arrays["holdout_completions"].shape == (3, 1, 8, 8, 3)
    upper = np.broadcast_to(arrays["images"][:, :4], (3, 2, 4, 8, 3))
    np.testing.assert_array_equal(arrays["completions"][:, :, :4], upper)
    told = json.loads((folder / "likelihood.json").read_text())
    model = KINDS[name][0].load(folder)
    for part, images in (("learned", arrays["images"]), ("held_out", arrays["holdout"])):
        bits = -model.log_prob(images).mean() / np.log(2) / (8 * 8 * 3)
        assert told[part]["bits_per_dim"] == pytest.approx(bits, rel=1e-6)
    np.testing.assert_array_equal(model.sample(4), arrays["samples"][:4])
