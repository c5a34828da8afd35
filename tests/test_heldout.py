"""What learning does not see: images held out, hidden pixels, and what they are compared with."""

import json
import re
import shutil

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from conftest import (
    IMAGES,
    SIDE,
    assert_same_results,
    built,
    fails,
    flags,
    gennet,
    report_of,
    results,
    save_image,
)
from PIL import Image

import heldout
from common.occlusion import visible_pixels
from inference import infer
from report_page.tables import number

RNG = np.random.default_rng(0)
VISIBLE = visible_pixels("60%", 3, SIDE, 0)
OTHER = np.where(VISIBLE, IMAGES, 255 - IMAGES)  # other hidden pixels


@pytest.fixture
def few_chains(monkeypatch):
    """Command lines are not judged by how well they infer."""
    monkeypatch.setattr("inference.PARTICLES", 4)


def family(n):
    """Images between two colours and two gradients: a plane, in which PCA is at home."""
    ramp = np.linspace(-1, 1, SIDE)
    across, down = (
        np.broadcast_to(r[..., None], (SIDE, SIDE, 3)) for r in (ramp[None], ramp[:, None])
    )
    weights = np.stack([np.cos(np.arange(n) * 2.4), np.sin(np.arange(n) * 2.4)], 1) * 50
    return (128 + np.tensordot(weights, np.stack([across, down]), 1)).astype(np.float32)


# Hiding


@pytest.mark.parametrize("percent", [1, 50, 99])
def test_a_share_of_every_image_is_hidden(percent):
    visible = visible_pixels(f"{percent}%", 5, SIDE, 0)
    assert visible.shape == (5, SIDE, SIDE, 1)  # a pixel is hidden in all channels
    assert set((~visible).sum((1, 2, 3))) == {round(percent / 100 * SIDE**2)}
    if percent > 1:
        assert (visible[0] != visible[1]).any()


def test_a_square_of_every_image_is_hidden():
    visible = visible_pixels("5px", 200, SIDE, 0)[..., 0]
    corners = set()
    for hidden in ~visible:
        rows, columns = np.flatnonzero(hidden.any(1)), np.flatnonzero(hidden.any(0))
        assert hidden.sum() == 25
        assert len(rows) == len(columns) == np.ptp(rows) + 1 == np.ptp(columns) + 1 == 5
        corners |= {("row", rows[0]), ("column", columns[0])}
    assert len(corners) == 2 * (SIDE - 5 + 1)  # every place, up to the edges


def test_the_seed_decides_what_is_hidden():
    first, again, other = (visible_pixels("50%", 2, SIDE, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


# Hidden pixels in the model


def test_hidden_pixels_are_no_part_of_the_log_density_its_score_and_its_metric():
    model = gennet()
    z = RNG.normal(size=(3, 2))
    mask = VISIBLE.astype(np.float64)

    def densities(images):
        unit = images.astype(np.float64) / 127.5 - 1
        position = tf.constant(z)
        log_prob = model.log_prob(position, unit, 0.3, mask)
        jacobian = model.jacobian(position, mask)
        return [
            log_prob,
            tf.gradients(log_prob, position)[0],
            *model.log_prob_and_score(position, unit, 0.3, jacobian, mask),
            model.gauss_newton_metric(jacobian, 0.3),
            model.reconstruction_loss(model.squared_error(position, unit, mask), 0.3),
            model.generator(position),
        ]

    with tf.Graph().as_default(), tf.Session() as session:
        tensors = densities(IMAGES), densities(OTHER)
        session.run(tf.global_variables_initializer())
        one, other = session.run(tensors)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)
    log_prob, gradient, again, score, metric, loss, output = one
    seen = mask * (IMAGES.astype(np.float64) / 127.5 - 1 - output) ** 2
    by_hand = -seen.sum((1, 2, 3)) / (2 * 0.3**2) - (z**2).sum(1) / 2
    np.testing.assert_allclose(log_prob, by_hand, rtol=1e-10)
    np.testing.assert_allclose(again, by_hand, rtol=1e-10)
    np.testing.assert_allclose(score, gradient, rtol=1e-8)
    assert (np.linalg.eigvalsh(metric) >= 1).all()
    np.testing.assert_allclose(loss, seen.sum() / 3 / (2 * 0.3**2), rtol=1e-10)


@pytest.mark.parametrize("sampler", ["preconditioned", "mala"])
def test_hidden_pixels_do_not_enter_learning_or_inference(sampler):
    states = []
    for images in (IMAGES, OTHER):
        model = built(gennet(sampler=sampler, num_steps=2, visible=VISIBLE, batch_size=2))
        records = list(model.train(images, 2))
        states.append([records[-1]["loss"], model.latents(), model.reconstruct()])
        if sampler == "preconditioned":
            states[-1].append(infer(model, images, VISIBLE))
    for a, b in zip(*states, strict=True):
        np.testing.assert_array_equal(a, b)


def test_hidden_pixels_and_new_images_are_restored_better_than_by_the_mean_image():
    images = family(9)
    learned, new = images[:8], images[8:]
    visible = visible_pixels("50%", 9, SIDE, 0)
    model = built(
        gennet(
            num_images=8,
            width=8,
            smooth=True,
            visible=visible[:8],
            sigma_steps=20,
            learning_rate=0.005,
            num_steps=3,
        )
    )
    list(model.train(learned, 140))
    mean = heldout.mean_image(learned, visible[:8])
    for part, restored in (
        (heldout.Part(learned, list("abcdefgh"), visible[:8]), model.reconstruct()),
        (heldout.Part(new, ["i"], visible[8:]), infer(model, new, visible[8:])),
    ):
        errors = heldout.errors(heldout.Restored(part, restored, restored, mean))
        assert errors["generator"]["rms"] < 0.5 * errors["mean_image"]["rms"]


def test_smooth_kernels_make_neighbouring_pixels_alike():
    roughness = []
    for smooth in (False, True):
        images = built(gennet(image_size=64, smooth=smooth)).generate(RNG.normal(size=(20, 2)))
        roughness.append((np.diff(images, axis=2) ** 2).mean() / images.var(axis=(1, 2)).mean())
    assert roughness[1] < 0.3 * roughness[0]


# Baselines and errors


def test_the_mean_image_is_the_mean_of_what_is_visible():
    visible = VISIBLE.copy()
    visible[:, 0, 0] = False
    mean = heldout.mean_image(IMAGES, visible)
    for row, column in ((1, 2), (7, 9), (3, 14)):
        seen = IMAGES[visible[:, row, column, 0], row, column]
        if len(seen):
            np.testing.assert_allclose(mean[row, column], seen.mean(0), rtol=1e-6)
    colour = IMAGES[np.broadcast_to(visible, IMAGES.shape)].reshape(-1, 3).mean(0)
    np.testing.assert_allclose(mean[0, 0], colour, rtol=1e-6)


def test_components_of_whole_images_are_those_of_the_singular_value_decomposition():
    images, visible = RNG.uniform(0, 255, (6, SIDE, SIDE, 3)), np.ones([6, SIDE, SIDE, 1], bool)
    pca = heldout.PCA(images, visible, 2)
    flat = images.reshape(6, -1)
    u, s, v = np.linalg.svd(flat - flat.mean(0), full_matrices=False)
    expected = (u[:, :2] * s[:2] @ v[:2] + flat.mean(0)).reshape(images.shape)
    np.testing.assert_allclose(pca.fitted, expected, atol=1e-8)
    np.testing.assert_allclose(pca.project(images, visible), expected, atol=1e-8)


def test_components_find_the_hidden_pixels_of_a_plane_of_images():
    images = family(42)  # every pixel is visible in several
    visible = visible_pixels("50%", 42, SIDE, 0)
    pca = heldout.PCA(images[:40], visible[:40], 2)
    np.testing.assert_allclose(pca.fitted, images[:40], atol=0.5)
    np.testing.assert_allclose(pca.project(images[40:], visible[40:]), images[40:], atol=0.5)


def test_errors_are_of_hidden_pixels_in_grey_levels():
    image = np.full([1, SIDE, SIDE, 3], 100.0)
    visible = visible_pixels("50%", 1, SIDE, 0)
    off = np.where(visible, 0.0, [103.0, 103.0, 104.0])
    part = heldout.Part(image, ["a"], visible)
    errors = heldout.errors(heldout.Restored(part, off, image, image[0] + 300))
    rms = np.sqrt((9 + 9 + 16) / 3)
    expected = {"mae": 10 / 3, "rms": rms, "psnr": 20 * np.log10(255 / rms)}
    assert errors["generator"] == pytest.approx(expected)
    assert errors["by_image"]["a"]["generator"] == pytest.approx(expected)
    assert errors["mean_image"]["mae"] == pytest.approx(155)  # clipped, as in a picture
    nothing_hidden = part._replace(visible=np.ones_like(visible))
    errors = heldout.errors(heldout.Restored(nothing_hidden, off, image, image[0]))
    assert errors["generator"]["mae"] == pytest.approx((10 / 3 + 100) / 2)


# Command line


def test_a_held_out_image_is_never_learned(pictures, tmp_path, mains, few_chains):
    options = ["--holdout", "1.png", "--occlude=30%"]
    arguments = flags("GenNet", pictures, tmp_path / "a", *options)
    mains["GenNet"].main(arguments)
    save_image(pictures / "cats" / "1.png", np.zeros((20, 20, 3)))
    mains["GenNet"].main(flags("GenNet", pictures, tmp_path / "b", *options))
    a, b = (results(tmp_path / run / "cats") for run in "ab")
    for key in ("images", "reconstructions", "samples", "z", "loss", "visible"):
        np.testing.assert_array_equal(a[key], b[key])
    assert len(a["images"]) == 2
    assert (b["holdout"] == 0).all()
    assert (a["holdout"] != 0).any()


def test_what_is_hidden_and_held_out_is_reported_and_goes_on_to_the_same_bits(
    pictures, tmp_path, mains, capsys, few_chains
):
    options = ["--holdout", "2.png", "0.png", "--occlude=5px"]
    mains["GenNet"].main(flags("GenNet", pictures, tmp_path / "whole", *options))
    printed = capsys.readouterr().out
    whole, killed = tmp_path / "whole" / "cats", tmp_path / "killed" / "cats"
    metrics = json.loads((whole / "metrics.json").read_text())
    for kind, line, names in (
        ("occlusion", "hidden", {"1.png"}),
        ("holdout", "holdout", {"0.png", "2.png"}),
    ):
        Image.open(whole / f"{kind}.png").load()
        assert set(metrics[kind]["by_image"]) == names
        for errors in (metrics[kind], *metrics[kind]["by_image"].values()):
            for way in ("generator", "pca", "mean_image"):
                assert set(errors[way]) == {"psnr", "mae", "rms"}
        assert f"{line} mae, mean image" in printed
    page = report_of(whole)
    for way in ("generator", "pca", "mean_image"):
        assert f"{number(metrics['occlusion'][way]['rms'])}</td>" in page
        assert f"{number(metrics['holdout']['by_image']['2.png'][way]['psnr'])}</td>" in page
    for title in ("Hidden pixels, restored", "Held-out images"):
        assert re.search(rf'<h3>{title}</h3>\s*<div[^>]*>\s*<img class="picture"', page)
    assert "Not all of this run" not in page
    shutil.copytree(whole, killed)
    state = killed / "checkpoints" / "checkpoint"
    state.write_text('model_checkpoint_path: "model-2"\nall_model_checkpoint_paths: "model-2"\n')
    (killed / "results.npz").unlink()
    resume = flags("GenNet", pictures, tmp_path / "killed", "--resume")
    mains["GenNet"].main(resume)  # both flags are those of the run
    assert_same_results(whole, killed)
    capsys.readouterr()
    for other in (["--holdout", "0.png"], ["--occlude=6px"]):
        sentence = fails(capsys, mains["GenNet"].main, [*resume, *other])
        assert "was made with" in sentence


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--holdout", "7.png"], "there are 0.png, 1.png, 2.png"),
        (["--holdout", "0.png", "1.png", "2.png"], "none of 0.png, 1.png, 2.png to learn"),
        (["--occlude=120%"], "not a share from 1% to 99%"),
        (["--occlude=0%"], "is not a share"),
        (["--occlude=foo"], "is not a share"),
        (["--occlude=16px"], "1px to 15px"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_mistakes_get_one_sentence(pictures, tmp_path, mains, capsys, more, says):
    out = tmp_path / "out"
    assert says in fails(capsys, mains["GenNet"].main, flags("GenNet", pictures, out, *more))
    assert not out.exists()
