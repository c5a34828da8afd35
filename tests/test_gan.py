"""The adversarial network: its two objectives, batch normalisation, learning, and what it shows."""

import json

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from conftest import IMAGES, ROOT, SIDE, built, load_file, results
from evaluation import evaluate

import gan_layers
import gan_pictures
from common import export
from common.coverage import Nearest
from common.model import LearningError
from gan import GAN, OBJECTIVES, GANSettings

RNG = np.random.default_rng(0)
SHAPES = np.kron(RNG.integers(0, 2, size=(3, 2, 2, 3)), np.ones([1, 8, 8, 1])) * 200 + 25
SMALL = ["gan", "--image_size=16", "--width=4", "--num_epochs=2", "--category=cats"]


def gan(num_images=3, **options):
    """A small one, described."""
    return GAN(GANSettings(**{"image_size": SIDE, "width": 4, **options}), num_images)


def learned(num_epochs, **options):
    """One that has learned three pictures of four coloured squares, and the records of that."""
    model = built(gan(num_epochs=num_epochs, **options))
    return model, list(model.train(SHAPES))


@pytest.fixture(scope="module")
def trained():
    return learned(300, width=8)


# Objectives


def probability(log_odds):
    return 1 / (1 + np.exp(-log_odds))


def test_the_objectives_are_those_of_the_paper():
    real, made = RNG.normal(size=5), RNG.normal(size=7)

    def build():
        a, b = tf.constant(real), tf.constant(made)
        return (
            GAN.discriminator_loss(a, b),
            GAN.generator_loss(b, "minimax"),
            GAN.generator_loss(b, "non_saturating"),
        )

    said_of_real, said_of_made = probability(real), probability(made)
    expected = (
        -np.log(said_of_real).mean() - np.log(1 - said_of_made).mean(),
        np.log(1 - said_of_made).mean(),
        -np.log(said_of_made).mean(),
    )
    np.testing.assert_allclose(evaluate(build), expected, rtol=1e-12)


def test_only_minimax_is_flat_where_the_discriminator_is_sure():
    def build():
        made = tf.constant([-20.0])
        losses = [GAN.generator_loss(made, name) for name in ("minimax", "non_saturating")]
        return [tf.gradients(loss, made)[0][0] for loss in losses]

    minimax, non_saturating = evaluate(build)
    assert abs(minimax) < 1e-8
    assert non_saturating == pytest.approx(-1, abs=1e-6)


def test_the_objective_of_the_settings_is_what_the_generator_learns_by():
    losses = [learned(1, objective=name)[1][0]["generator_loss"] for name in OBJECTIVES]
    assert losses[1] < 0 < losses[0]


# Batch normalisation


def normalised(x, training):
    return lambda: gan_layers.batch_norm(tf.constant(x), "norm", training, running=True)


def test_a_batch_is_normalised_by_its_own_moments():
    x = RNG.normal(3, 2, size=(4, 3, 3, 2)).astype(np.float32)
    expected = (x - x.mean((0, 1, 2))) / np.sqrt(x.var((0, 1, 2)) + gan_layers.EPSILON)
    np.testing.assert_allclose(evaluate(normalised(x, True)), expected, rtol=1e-4, atol=1e-4)


def test_the_running_averages_come_to_the_moments_of_the_batches():
    x = RNG.normal(3, 2, size=(4, 3, 3, 2)).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        with tf.variable_scope("net", reuse=tf.AUTO_REUSE):
            batch, drawn = normalised(x, True)(), normalised(x, False)()
        updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
        session.run(tf.global_variables_initializer())
        assert np.abs(session.run(batch) - session.run(drawn)).max() > 1
        for _ in range(500):
            session.run(updates)
        np.testing.assert_allclose(*session.run([batch, drawn]), atol=0.05)


def test_an_image_does_not_depend_on_those_beside_it(trained):
    model, _ = trained
    z = 3 * RNG.normal(size=(5, 2))
    alone = np.concatenate([model.generate(z[i : i + 1]) for i in range(5)])
    np.testing.assert_allclose(model.generate(z), alone, atol=1e-3)


def test_the_running_averages_of_the_generator_are_learned(trained):
    model, _ = trained
    start, now = built(gan(width=8)).learned_values(), model.learned_values()
    averages = [name for name in now if name.endswith(("mean", "variance"))]
    assert len(averages) == 4
    assert all(np.abs(now[name] - start[name]).min() > 1e-6 for name in averages)


# Learning


def test_every_iteration_draws_new_z():
    _, records = learned(3, learning_rate=1e-9)  # at which nothing else changes
    assert len({record["d_made"] for record in records}) == 3


def test_samples_become_like_the_training_images(trained):
    model, _ = trained
    before = built(gan(width=8)).sample(16)

    def farness(samples):
        errors = ((samples[:, None] - SHAPES) ** 2).mean((2, 3, 4))
        return np.sqrt(errors.min(1)).mean()

    assert farness(model.sample(16)) < 0.8 * farness(before)


def test_the_penalty_keeps_the_discriminator_gentle():
    slopes = [learned(60, r1=r1)[1][-1]["r1"] for r1 in (0.0, 10.0)]
    assert slopes[1] < slopes[0] / 3


def test_more_steps_of_the_discriminator_make_it_surer():
    one, four = (learned(20, discriminator_steps=k)[1][-1] for k in (1, 4))
    assert four["loss"] < 0.8 * one["loss"]
    assert four["d_real"] > one["d_real"]


def test_learning_that_diverges_says_so():
    model = built(gan())
    with pytest.raises(LearningError, match="--learning_rate"):
        list(model.train(np.full_like(IMAGES, np.inf)))


@pytest.mark.parametrize("side", [8, 12, 20])
def test_images_of_other_sizes_are_learned_too(side):
    model = built(gan(1, image_size=side, num_epochs=2))
    list(model.train(np.full([1, side, side, 3], 99, np.float32)))
    assert model.sample(3).shape == (3, side, side, 3)


# What is shown


def test_a_mode_is_hit_by_a_sample_that_is_near_and_alike():
    grey = np.full([1, SIDE, SIDE, 3], IMAGES[2].mean(), np.float32)
    samples = np.concatenate([IMAGES[[0, 0, 1]] * 0.9 + 10, grey])
    found = gan_pictures.modes(gan_pictures.hits(samples, IMAGES))
    assert found["modes_by_correlation"] == found["modes_by_ssim"] == 2


def test_arithmetic_makes_one_class_of_another():
    nearest = np.array([0, 0, 0, 1, 1, 1, 1, 1, 1])  # most samples are tigers
    found = Nearest(nearest, np.linspace(1, 0.5, 9))
    z = np.arange(18.0).reshape(9, 2)
    told = gan_pictures.arithmetic(z, found, ["lion_1.png", "tiger_1.png"])
    assert told.rows == ["lion", "− tiger", "+ tiger", "= lion?"]
    averages = [z[:3].mean(0), z[3:6].mean(0), z[6:].mean(0)]
    np.testing.assert_allclose(told.z[:3, -1], averages)
    np.testing.assert_allclose(told.z[3, -1], averages[0] - averages[1] + averages[2])


def test_arithmetic_without_classes_is_of_single_samples():
    found = Nearest(np.array([0, 1, 2, 0]), np.ones(4))
    z = RNG.normal(size=(4, 2))
    told = gan_pictures.arithmetic(z, found, ["1.jpg", "2.jpg", "3.jpg"])
    assert set(told.columns) == {"one sample"}
    np.testing.assert_allclose(told.z[3], told.z[0] - told.z[1] + told.z[2])


def test_walks_go_from_one_z_to_another_in_even_steps():
    z = RNG.normal(size=(4, 2))
    walks = gan_pictures.walks(z)
    np.testing.assert_allclose(walks[:, 0], z[::2])
    np.testing.assert_allclose(walks[:, -1], z[1::2])
    np.testing.assert_allclose(np.diff(walks, 2, axis=1), 0, atol=1e-12)


# Runs


def test_a_run_shows_images_hit_walks_and_arithmetic(pictures, tmp_path):
    main = load_file(ROOT / "Baselines" / "main.py").main
    main([*SMALL, f"--data_path={pictures}", f"--output_dir={tmp_path}", "--z_dim=3"])
    folder = tmp_path / "cats"
    arrays, model = results(folder), GAN.load(folder)
    for name in ("samples", "walks", "arithmetic"):
        z = arrays[f"{name}_z"].reshape(-1, 3)
        np.testing.assert_array_equal(arrays[name], model.generate(z))
    figures = json.loads((folder / "metrics.json").read_text())
    assert 0 <= figures["modes_by_correlation"] <= figures["modes_nearest"] <= 3
    assert {"walks.png", "arithmetic.png"} <= {path.name for path in folder.iterdir()}


def test_a_saved_model_holds_the_running_averages(trained, tmp_path):
    model, _ = trained
    z = RNG.normal(size=(4, 2)).astype(np.float32)
    export.export(model, tmp_path / "saved")
    with tf.Graph().as_default(), tf.Session() as session:
        loaded = tf.saved_model.load(session, ["serve"], str(tmp_path / "saved"))
        told = loaded.signature_def["generate"]
        images = session.run(told.outputs["images"].name, {told.inputs["z"].name: z})
    np.testing.assert_allclose(images, model.generate(z), atol=1e-3)
