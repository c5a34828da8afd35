"""DesNet learned down a ladder of noise."""

import json

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from conftest import COLOURS, IMAGES, SIDE, built, desnet, fails, flags, goes_on_to_the_same_bits

from common import quality
from noise_levels import NoiseLevels

LADDER = {"learning": "score_matching", "num_steps": 32}


def test_the_ladder_goes_from_the_reference_to_the_images():
    levels = NoiseLevels(50.0, 4.0, 64, 128, 2.8)
    assert levels.lowest == 200
    assert levels.sigma[0] == levels.tau[0] == 50
    assert levels.detail[0] == 0
    assert levels.colour[0] < 0.003
    mean = levels.entry("mean")
    assert (levels.colour[mean:] == 1).all()
    assert (levels.detail[:mean] == 0).all()
    assert levels.detail[mean] < 0.02
    for values in (levels.detail[-1], levels.sigma[-1] / 4, levels.tau[-1] / 4):
        assert values == pytest.approx(1)
    for noise, seen in ((levels.sigma, levels.detail), (levels.tau, levels.colour)):
        assert (np.diff(seen / noise) >= -1e-9).all()
    assert levels.entry("noise") == 0 < mean < levels.entry("picture") < levels.entry("image")
    picture = levels.entry("picture")
    assert levels.sigma[picture] == pytest.approx(50 * levels.detail[picture], rel=0.06)


def parts(factors, image):
    flat = image.mean((1, 2), keepdims=True)
    return factors[0] * (image - flat) + factors[1] * flat


def test_chains_of_the_exact_score_are_where_the_levels_are_and_end_at_the_image():
    # Of a density of one image the score is known, and with it all that a chain is to be.
    levels = NoiseLevels(50.0, 4.0, SIDE, 64, 2.8)
    image = IMAGES[:1].astype(np.float64) - 127.5
    rng = np.random.default_rng(0)
    y = levels.noisy(np.zeros((256, SIDE, SIDE, 3), np.float32), np.zeros(256, int), rng)
    for level in range(levels.lowest):
        noise = np.array([levels.sigma[level], levels.tau[level]])
        away = y - levels.seen(image, np.array([level]))
        flat = away.mean((1, 2))
        detail = away - flat[:, None, None]
        assert np.sqrt(np.square(detail).mean()) == pytest.approx(noise[0], rel=0.02)
        # The first levels are those of an image without a colour.
        if 8 < level <= levels.mean:
            assert np.sqrt(np.square(flat).mean()) * SIDE == pytest.approx(noise[1], rel=0.1)
        score = -parts(1 / noise**2, away)
        y = parts(levels.growth[level], y) + parts(levels.drift[level], score)
        y = y + parts(levels.width[level], rng.normal(size=y.shape))
    assert np.abs(parts((1, 0), y - image)).max() < 1e-3
    assert np.abs(parts((0, 1), y - image)).max() < 1.5


def test_the_score_that_is_fitted_is_that_of_the_images_with_noise():
    model = built(desnet(**LADDER))
    matching, levels = model.score_matching, model.levels
    images = (IMAGES - model.mean_colour).astype(np.float64)
    colours = images.mean((1, 2))
    matching._neighbours.keep(model.session, images - colours[:, None, None], colours)
    level = np.repeat(np.arange(0, levels.lowest + 1, 7), 2).astype(np.int32)
    y = np.random.default_rng(0).normal(size=(len(level), SIDE, SIDE, 3)).astype(np.float32) * 30
    with model.session.graph.as_default():
        values = levels.detail, levels.colour, levels.sigma, levels.tau
        at = (tf.constant(each[level], tf.float32) for each in values)
        found = model.session.run(matching._neighbours.seen_from(tf.constant(y), *at))
    for k, i in enumerate(level):
        seen = levels.seen(images, np.full(len(images), i))
        away = parts(1 / np.array([levels.sigma[i], levels.tau[i]]), y[k] - seen)
        log = -np.square(away).sum((1, 2, 3)) / 2
        weights = np.exp(log - log.max())
        expected = np.tensordot(weights / weights.sum(), seen, 1)
        np.testing.assert_allclose(found[k], expected, atol=0.02)


def test_without_a_network_colours_are_normal_and_there_is_no_detail(monkeypatch):
    monkeypatch.setattr(
        "common.layers._Normal.__call__", lambda _, shape, dtype, **__: tf.zeros(shape, dtype)
    )
    model = built(desnet(**LADDER))
    levels = model.levels
    level = levels.mean // 2
    y = np.random.default_rng(1).normal(size=(3, SIDE, SIDE, 3)).astype(np.float32) * 20
    with model.session.graph.as_default():
        score = model.session.run(model.score(tf.constant(y), tf.fill([3], level)))
    np.testing.assert_allclose(parts((1, 0), y + 50**2 * score), 0, atol=1e-2)
    found = y.mean((1, 2)) + levels.tau[level] ** 2 * score.mean((1, 2))
    noise, b = levels.tau[level] / SIDE, levels.colour[level]
    covariance = b**2 * np.cov(COLOURS.T, bias=True)
    values, axes = np.linalg.eigh(covariance)
    values = np.maximum(values, (2.5 * b) ** 2)  # colours of no spread are given one
    known = axes @ np.diag(values / (values + noise**2)) @ axes.T
    np.testing.assert_allclose(found, y.mean((1, 2)) @ known, rtol=1e-2, atol=1e-2)


@pytest.fixture(scope="module")
def learned():
    model = built(desnet(**LADDER, learning_rate=0.003))
    assert model.settings.learning == "score_matching"
    records = list(model.train(IMAGES, 400))
    assert records[-1]["loss"] < records[20]["loss"] / 4
    assert records[-1]["roll_backs"] == 0
    assert model.kept_iteration() == 400
    return model


def test_chains_from_noise_and_from_mean_images_arrive_and_stay(learned):
    model, images = learned, IMAGES.astype(np.float32)
    made = model.synthesize()
    # Each at the image whose colour it starts from.
    assert quality.psnr_and_ssim(made, images)[0].min() > 22
    arrived = model.run_chains(model.starts(24, "noise"), model.length_from("noise"), kind="noise")
    assert quality.nearest_quality(arrived, images)[0].mean() > 22
    errors = np.square(arrived[:, None] - images).mean((2, 3, 4))
    assert set(errors.argmin(1)) == {0, 1, 2}
    stayed = model.run_chains(images, 300, kind="image")
    assert quality.nearest_quality(stayed, images)[0].min() > 22
    visible = np.zeros((3, SIDE, SIDE, 1), bool)
    visible[:, :, : SIDE // 2] = True
    completed = model.complete(images, visible)
    np.testing.assert_allclose(
        *(each[:, :, : SIDE // 2] for each in (completed, images)), atol=1e-3
    )
    assert quality.psnr_and_ssim(completed, images)[0].min() > 20


def test_images_are_as_likely_as_each_other(learned):
    sigma, rng = np.float32(learned.levels.sigma[-1]), np.random.default_rng(3)
    noise = rng.normal(size=(32, *IMAGES.shape)).astype(np.float32)

    def heights():
        """Of log p, less what the noise loses by chance: the mean over its draws, [3]."""
        found = [-learned.energies(IMAGES + sigma * u) + (u**2).sum((1, 2, 3)) / 2 for u in noise]
        return np.mean(found, 0)

    with learned.session.graph.as_default():
        values = learned.networks[0].heights.values
        leveled = learned.session.run(values.read_value())
    spread = np.ptp(heights())
    learned.session.run(values.initializer)
    assert spread < np.ptp(heights()) / 10
    assert spread < 25
    # They are flat where the images with noise are: no chain sees them.
    with learned.session.graph.as_default():
        y = tf.constant(IMAGES - learned.mean_colour + sigma * noise[0], tf.float32)
        slope = tf.gradients(learned.networks[0].heights(y), y)[0]
        learned.session.run(values.assign(leveled))
    assert np.abs(learned.session.run(slope)).max() < 1e-3


def test_heights_are_in_the_last_checkpoint_and_gone_when_learning_goes_on():
    model = built(desnet(**LADDER))
    with model.session.graph.as_default():
        values = model.networks[0].heights.values.read_value()
    records = model.train(IMAGES, 3)
    for _ in range(2):
        next(records)
    assert not model.session.run(values).any()
    next(records)  # of the last iteration, after which a run writes a checkpoint
    assert model.session.run(values).all()
    next(model.train(IMAGES, 5))
    assert not model.session.run(values).any()


def test_the_weights_of_the_lowest_loss_are_kept():
    model = built(desnet(**LADDER))
    for record in model.train(IMAGES, 30):
        if record["iteration"] == 20:
            before = model.learned_values()
        if record["iteration"] == 25:
            with model.session.graph.as_default():
                variables = model.networks[0].variables()
                model.session.run([variable.assign(10 * variable) for variable in variables])
    assert model.kept_iteration() == 20
    after = model.learned_values()
    for name in [v for v in before if "heights" not in v]:
        np.testing.assert_array_equal(after[name], before[name], err_msg=name)
    next(model.train(IMAGES, 40))
    assert model.kept_iteration() == 0


def test_a_chain_in_pieces_takes_the_path_of_the_whole():
    # Of few levels, the long steps of a network that knows nothing would magnify what is rounded.
    model = built(desnet(**LADDER | {"num_steps": 128}))
    starts = model.starts()
    whole = model.run_chains(starts, 20)
    part = model.run_chains(model.run_chains(starts, 9), 11, 9)
    np.testing.assert_allclose(part, whole, atol=0.05)
    kinds = ["noise", "mean", "image"]
    assert not np.allclose(model.run_chains(starts, 20, kind=kinds), whole)


def test_learning_goes_on_to_the_same_bits(ladder, tmp_path, mains):
    goes_on_to_the_same_bits(mains["DesNet"], ladder, ladder.parents[1] / "data", tmp_path)
    manifest = json.loads((ladder / "manifest.json").read_text())
    assert "noise" in manifest["story"]["does"]
    metrics = json.loads((ladder / "metrics.json").read_text())
    assert 0 <= metrics["acceptance_rate"] <= 1
    assert set(metrics["moments"]["layers"]) == {
        *("conv_1", "conv_2", "conv_3", "value", "level", "colour"),
        *("noise_1", "noise_2", "noise_3", "noise_whole", "whole", "pixels", "colours"),
        *("combined", "value_whole", "dense_1", "dense_2"),
    }
    assert 0 <= metrics["moments"]["colour"] <= 1


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (["--sampler=mala"], "--sampler langevin alone"),
        (["--network=strided"], "--network strided"),
        (["--contrast_start=0.5"], "--contrast_start 0.5"),
        (["--weight_decay=0.1"], "--weight_decay 0.1"),
        (["--data_noise_start=9"], "--data_noise_start 9"),
        (["--data_noise=60"], "--data_noise 60"),
        (["--delta=9"], "--delta 9"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_is_of_another_way_to_learn_is_told(asked, says, pictures, tmp_path, mains, capsys):
    words = flags("DesNet", pictures, tmp_path / "out", "--learning=score_matching", *asked)
    assert says in fails(capsys, mains["DesNet"].main, words)
    assert not (tmp_path / "out").exists()


def test_the_network_of_the_ladder_learns_down_it():
    assert desnet(network="noise_conditional").settings.learning == "score_matching"
