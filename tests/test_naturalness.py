"""Measures of how natural images are: against images whose place is known."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from common import naturalness

RNG = np.random.default_rng(0)


def textures(n, seed=0):
    """Smooth random images of middling contrast, [n, 32, 32, 3]."""
    noise = np.random.default_rng(seed).normal(size=(n, 32, 32, 3))
    smooth = gaussian_filter(noise, (0, 1.5, 1.5, 0))
    return np.clip(128 + 40 * smooth / smooth.std(), 1, 254)


IMAGES = textures(6)


def test_training_images_are_natural_copies_without_ghosts():
    found = naturalness.measure(IMAGES, IMAGES)
    assert found["natural_tiles"] == found["copied_tiles"] == 1
    assert found["patch_distance"] == 0
    assert found["ghost_tiles"] == 0
    assert found["ghost_energy"] < 1e-6


def test_less_white_is_as_natural_and_more_is_not():
    images = IMAGES.copy()
    images[:, :2] = 255  # a sixteenth of each
    assert naturalness.natural(np.minimum(images, 253), images).all()
    images[:, 2:8] = 255
    assert not naturalness.natural(images, np.minimum(images, 253)).any()


def test_tiles_of_grey_images_may_have_a_colour_that_nobody_sees():
    grey = IMAGES.mean(3, keepdims=True).repeat(3, 3)
    for levels, found in ((1, True), (6, False)):
        tinted = grey + np.array([levels, 0, 0])
        assert (naturalness.natural(tinted, grey) == found).all()


def test_tiles_of_a_single_image_are_natural_if_they_are_nearly_it():
    (one,) = image = IMAGES[:1]
    tiles = np.stack([128 + contrast * (one - 128) for contrast in (0.98, 0.8)])
    assert list(naturalness.natural(tiles, image)) == [True, False]


def test_halves_of_two_images_are_ghosts_and_no_copies():
    mixed = (IMAGES[:3] + IMAGES[3:]) / 2
    assert (naturalness.ghost_energy(mixed, IMAGES) > 0.3).all()
    found = naturalness.measure(mixed, IMAGES)
    assert (found["ghost_tiles"], found["copied_tiles"]) == (1, 0)


def test_an_image_of_its_own_is_neither():
    images, own = textures(30), textures(30, seed=1)
    found = naturalness.measure(own, images)
    assert found["natural_tiles"] > 0.9
    assert found["copied_tiles"] == 0
    assert not (naturalness.ghost_energy(own, IMAGES) > naturalness.GHOST).any()
    half = naturalness.patch_distance(128 + 0.5 * (own - 128), images)
    assert 0 < found["patch_distance"] < half / 2


@pytest.mark.parametrize(
    "spoil",
    [
        lambda images: 128 + 4 * (images - 128),  # clipped, and of too much contrast
        lambda images: 128 + 0.2 * (images - 128),
        lambda images: images + 25 * RNG.normal(size=images.shape),  # too fine
        lambda images: np.broadcast_to(images.mean(3, keepdims=True), images.shape),  # grey
    ],
    ids=["harsh", "pale", "noisy", "grey"],
)
def test_what_no_training_image_is_like_is_not_natural(spoil):
    assert not naturalness.natural(spoil(IMAGES), IMAGES).any()
    assert naturalness.patch_distance(spoil(IMAGES), IMAGES) > 0.05


def test_one_flat_image_and_small_ones_can_be_measured():
    for images in (np.full((1, 16, 16, 3), 90.0), IMAGES[:1, :16, :16]):
        found = naturalness.measure(images, images)
        assert np.isfinite(list(found.values())).all()
        assert found["natural_tiles"] == 1
