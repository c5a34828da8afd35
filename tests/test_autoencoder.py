"""The autoencoder and the denoising autoencoder: their losses, codes, noise and patches."""

import json

import numpy as np
import pytest
from conftest import ROOT, fails, load_file, results, save_image
from evaluation import evaluate
from scipy.special import expit

import autoencoder_pictures as compared
import denoising
import denoising_pictures
import reconstruction
from autoencoder import Autoencoder, AutoencoderSettings
from common import streams
from common.session import tf
from common.streams import Stream
from denoising import DenoisingAutoencoder, DenoisingSettings

SIDE = 8


def blobs(count, seed=0):
    """Images of one soft spot each, whose place and brightness differ."""
    rng = np.random.default_rng(seed)
    axis = np.arange(SIDE)
    x, y = rng.uniform(2, 5, (2, count, 1, 1))
    spots = np.exp(-((axis - x) ** 2 + (axis[:, None] - y) ** 2) / 6)
    grey = rng.uniform(120, 240, (count, 1, 1)) * spots
    return np.repeat(grey[..., None], 3, 3).astype(np.float32)


IMAGES = blobs(12)


def learned(model_class, settings_class, epochs, **options):
    options = {"image_size": SIDE, "num_epochs": epochs, **options}
    model = model_class(settings_class(**options), len(IMAGES))
    model.build_model()
    return model, list(model.train(IMAGES))


def autoencoder(epochs=300, **options):
    return learned(Autoencoder, AutoencoderSettings, epochs, **options)[0]


@pytest.mark.parametrize("tied", [False, True])
def test_the_linear_case_is_that_of_principal_components(tied):
    options = {"layers": "dense", "activation": "linear", "tied": tied, "learning_rate": 0.01}
    model = autoencoder(2000, **options)
    mean = IMAGES.reshape(len(IMAGES), -1).mean(0, dtype=np.float64)
    flat = IMAGES.reshape(len(IMAGES), -1) - mean
    left, values, axes = np.linalg.svd(flat, full_matrices=False)
    assert values[1] > 1.1 * values[2]  # or there would be no plane to find
    projected = (mean + (left[:, :2] * values[:2]) @ axes[:2]).reshape(IMAGES.shape)
    made = model.reconstruct(IMAGES)
    assert np.abs(made - projected).max() < 2
    best = compared.error(IMAGES, projected)
    assert compared.error(IMAGES, made) == pytest.approx(best, rel=1e-3)
    view = compared.principal_components({"learned": IMAGES, "held_out": blobs(5, 1)}, 2)
    assert view.errors["learned"] == pytest.approx(best, rel=1e-6)
    assert view.errors["held_out"] > best


@pytest.mark.parametrize("inputs", ["real", "binary"])
def test_the_loss_is_a_sum_over_pixels_and_a_mean_over_images(inputs):
    x = IMAGES[:3] / 255
    outputs = np.random.default_rng(0).normal(size=x.shape).astype(np.float32)
    loss = evaluate(lambda: reconstruction.losses(tf.constant(x), tf.constant(outputs), inputs))
    if inputs == "real":
        expected = ((outputs - x) ** 2).sum((1, 2, 3)) / 2
    else:
        made = expit(outputs.astype(np.float64))
        expected = -(x * np.log(made) + (1 - x) * np.log(1 - made)).sum((1, 2, 3))
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_the_tied_dense_one_is_the_lectures():
    model = autoencoder(5, layers="dense", tied=True, inputs="binary", z_dim=7)
    values = model.learned_values()
    assert {name: value.shape for name, value in values.items()} == {
        "encoder/code/weight": (192, 7),
        "encoder/code/bias": (7,),
        "decoder/bias": (192,),
    }
    weight, bias = values["encoder/code/weight"], values["encoder/code/bias"]
    x = IMAGES.reshape(len(IMAGES), -1) / 255
    made = expit(values["decoder/bias"] + expit(bias + x @ weight) @ weight.T)
    np.testing.assert_allclose(
        model.reconstruct(IMAGES), 255 * made.reshape(IMAGES.shape), rtol=1e-4
    )


@pytest.mark.parametrize("options", [{"width": 8}, {"layers": "dense"}])
def test_codes_are_whitened_and_go_back_to_the_reconstructions(options):
    model = autoencoder(60, **options)
    z = model.infer(IMAGES)
    np.testing.assert_allclose(z.mean(0), 0, atol=0.05)
    np.testing.assert_allclose(np.cov(z.T, bias=True), np.eye(2), atol=0.1)
    np.testing.assert_allclose(model.generate(z), model.reconstruct(IMAGES), atol=0.1)
    rng = streams.generator(0, Stream.SAMPLES)
    np.testing.assert_array_equal(model.sample(5), model.generate(rng.normal(size=(5, 2))))


def test_convolutions_learn_to_reconstruct():
    model = autoencoder(width=8)
    made = model.reconstruct(IMAGES)
    pca = compared.principal_components({"learned": IMAGES}, 2)
    assert compared.error(IMAGES, made) < pca.errors["learned"]


def test_digits_are_told_by_names_and_by_neighbours():
    assert compared.digits_of(["0001_0.png", "1234_7.png"]).tolist() == [0, 7]
    assert compared.digits_of(["0001_0.png", "lion_1.png"]) is None
    view = compared.View(np.array([[0.0, 0], [0, 1], [9, 9], [9, 8], [0, 2]]), {"learned": 1.0})
    told = view.told(np.array([3, 3, 4, 5, 3]))
    assert told == {"learned": 1.0, "same_digit": 0.6}
    assert view.told(None) == {"learned": 1.0}


@pytest.mark.parametrize("named", ["000{1}_{0}.png", "cat_{}{}.png"])
def test_only_digits_are_coloured(named, tmp_path):
    folder = tmp_path / "cats"
    folder.mkdir()
    for i, image in enumerate(blobs(5)):
        save_image(folder / named.format(i % 2, i), image)
    arguments = [f"--data_path={tmp_path}", "--category=cats", "--image_size=8", "--num_epochs=2"]
    main = load_file(ROOT / "Baselines" / "main.py").main
    main(["autoencoder", *arguments, "--width=4", f"--output_dir={tmp_path / 'out'}"])
    run = tmp_path / "out" / "cats"
    metrics = json.loads((run / "metrics.json").read_text())["compression"]
    is_digits = named.startswith("000")
    assert (run / "codes.png").exists() == is_digits
    assert ("same_digit" in metrics["code"]) == is_digits
    arrays = results(run)
    error = compared.error(arrays["images"], arrays["reconstructions"])
    assert metrics["code"]["learned"] == pytest.approx(error, rel=1e-5)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["autoencoder", "--tied"], "--tied is of dense layers"),
        (["autoencoder", "--activation=linear"], "--activation linear is of dense layers"),
        (["denoising", "--image_size=8", "--patch_size=9"], "choose 2 to 8"),
        (["denoising", "--noise=pepper"], "one of gaussian, masking, salt_and_pepper"),
    ],
)
def test_flags_that_do_not_go_together_get_a_sentence(arguments, says, tmp_path, capsys):
    main = load_file(ROOT / "Baselines" / "main.py").main
    assert says in fails(capsys, main, [*arguments, f"--output_dir={tmp_path}"])


# Noise


@pytest.mark.parametrize("noise", denoising.NOISES)
def test_noise_is_what_it_is_called_and_of_grey_images_grey(noise):
    clean = np.full((40, 16, 16, 3), 0.4, np.float32)
    clean[20:, 0, 0, 0] = 0.5  # which is no grey
    made = evaluate(lambda: denoising.corrupt(tf.constant(clean), noise, 0.3, tf.constant([1, 2])))
    assert (made[:20] == made[:20, ..., :1]).all()
    red, green = made[20:, 1:, 1:, 0], made[20:, 1:, 1:, 1]
    assert (red == green).mean() < 0.6  # by chance
    pixel = made[:, 1:, 1:, 0]
    if noise == "gaussian":
        assert pixel.mean() == pytest.approx(0.4, abs=0.01)
        assert pixel.std() == pytest.approx(0.3, abs=0.01)
        return
    black, white = (pixel == 0).mean(), (pixel == 1).mean()
    halves = (0.3, 0) if noise == "masking" else (0.15, 0.15)
    assert (black, white) == pytest.approx(halves, abs=0.02)
    assert np.isin(pixel, np.float32([0, 0.4, 1])).all()


def test_patches_are_cut_out_anywhere_in_their_image():
    images = np.arange(2 * 64, dtype=np.float32).reshape(2, 8, 8, 1)
    patches = evaluate(lambda: denoising.cut_out(tf.constant(images), 3, 500, tf.constant([1, 2])))
    assert patches.shape == (1000, 3, 3, 1)
    corner = patches[:, :1, :1]
    inside = np.arange(3)[:, None] * 8 + np.arange(3)
    np.testing.assert_array_equal(
        patches - corner, np.broadcast_to(inside[..., None], (1000, 3, 3, 1))
    )
    places = corner.ravel().astype(int)
    assert (places // 64 == np.repeat([0, 1], 500)).all()
    assert set(places % 64) == {8 * y + x for y in range(6) for x in range(6)}


def test_an_image_is_the_mean_of_its_patches():
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (2, 8, 8, 3)).astype(np.float32)
    np.testing.assert_allclose(denoising.averaged(images, 3, lambda p: p), images, rtol=1e-5)
    order = iter(np.arange(72, dtype=np.float32))
    numbered = denoising.averaged(
        images, 3, lambda p: np.stack([np.full(p.shape[1:], next(order)) for _ in p])
    )
    assert numbered[0, 0, 0, 0] == 0  # which is in the first patch alone
    assert numbered[1, 7, 7, 0] == 71
    assert numbered[0, 0, 1, 0] == 0.5


@pytest.mark.parametrize("patch_size", [6, 8])
def test_it_removes_noise_that_its_twin_leaves(patch_size):
    options = {"patch_size": patch_size, "z_dim": 64, "noise_level": 0.3, "learning_rate": 0.01}
    model, records = learned(DenoisingAutoencoder, DenoisingSettings, 300, **options)
    assert records[-1]["loss"] < records[0]["loss"]
    corrupted = model.corrupt(IMAGES, 1)
    noise, left, copied = (
        compared.error(IMAGES, images)
        for images in (corrupted, model.denoise(corrupted), model.denoise(corrupted, twin=True))
    )
    assert left < 0.5 * noise
    assert left < copied
    assert model.filters().shape == (64, patch_size, patch_size, 3)
    assert not np.array_equal(model.filters(), model.filters(twin=True))
    np.testing.assert_array_equal(corrupted, model.corrupt(IMAGES, 1))
    assert not np.array_equal(corrupted, model.corrupt(IMAGES, 2))


def test_filters_are_shown_about_grey_the_strongest_first():
    filters = np.zeros((2, 2, 2, 3))
    filters[0, 0, 0], filters[1, 0, 1] = 0.1, -4
    shown = denoising_pictures.as_images(filters)
    assert shown[0, 0, 1].tolist() == [0, 0, 0]
    assert shown[1, 0, 0].tolist() == [255, 255, 255]
    assert (shown[:, 1] == 127.5).all()
