"""Draws of the prior that are matched with training images: a plane of images."""

import numpy as np
import pytest
from conftest import SIDE, built, gennet

from common.guard import DivergenceError
from generator_settings import Settings

EPOCHS = 250
AT = np.arange(SIDE) / SIDE * 2 * np.pi
IMAGES = np.stack(  # six patterns of waves
    [
        127.5 + 100 * np.sin(x * AT[:, None, None] + y * AT[:, None] + np.array([0, 1, 2]))
        for x, y in ((1, 0), (0, 1), (1, 1), (1, -1), (2, 0), (0, 2))
    ]
).astype(np.float32)
COUNT = len(IMAGES)


def learned(prior_draws):
    """A generator of these, and what it yielded last."""
    model = built(gennet(COUNT, prior_draws=prior_draws, num_epochs=EPOCHS, width=8))
    *_, last = model.train(IMAGES)
    return model, last


@pytest.fixture(scope="module")
def matched():
    return learned(6)


def errors(made):
    """Mean squared error of each image to each training image, [n, COUNT]."""
    return np.square(made[:, None] - IMAGES).mean((2, 3, 4))


def test_the_plane_shows_images_and_every_one_of_them(matched):
    model, last = matched
    assert last["psnr"] > 25
    assert last["roll_backs"] == 0
    found, plain = (errors(each.sample(200)) for each in (model, learned(0)[0]))
    assert np.median(found.min(1)) < np.median(plain.min(1)) / 2
    assert np.bincount(found.argmin(1), minlength=COUNT).min() > 200 / COUNT / 6


def test_no_z_leads_out_of_the_images_range_of_contrast(matched):
    model, _ = matched
    far = np.array([[3.0, -2.0], [-1.0, 4.0], [-3.0, -3.0]])
    near, farther = (model.generate(factor * far) for factor in (20, 2000))
    # The direction alone is left: f is the same there, and no tile is torn.
    np.testing.assert_allclose(near, farther, atol=12)
    assert near.std((1, 2, 3)).max() < 1.3 * IMAGES.std((1, 2, 3)).max()


def test_potentials_ascend_where_images_lack_draws():
    model = built(gennet(COUNT, prior_draws=64, num_epochs=EPOCHS, width=8))
    potentials = model.transport._potentials
    with model.session.graph.as_default():
        value = potentials.read_value()
    records = model.train(IMAGES)
    np.testing.assert_array_equal(model.session.run(value), 0)
    near = errors(model.generate(1.25 * np.random.default_rng(0).normal(size=(4000, 2))))
    share = np.bincount(near.argmin(1), minlength=COUNT) / 4000
    next(records)
    moved = model.session.run(value)
    assert moved.sum() == pytest.approx(0, abs=1e-3 * float(np.abs(moved).max()))
    assert moved[share.argmax()] < 0 < moved[share.argmin()]


def test_chains_that_stand_where_another_image_is_drawn_come_back():
    model, last = learned(6)
    with model.session.graph.as_default():
        model.chains.load(np.roll(model.latents(), 1, 0), model.session)
    assert errors(model.reconstruct()).argmin(1).tolist() != list(range(COUNT))
    *_, again = model.train(IMAGES, EPOCHS + 25)
    assert errors(model.reconstruct()).argmin(1).tolist() == list(range(COUNT))
    assert again["psnr"] > last["psnr"] - 5
    assert again["roll_backs"] == 0


def test_iterations_that_do_not_count_leave_the_potentials():
    model = built(gennet(COUNT, prior_draws=6, num_epochs=2))
    with model.session.graph.as_default():
        value = model.transport._potentials.read_value()
    with pytest.raises(DivergenceError):
        next(model.train(np.full_like(IMAGES, np.nan)))
    np.testing.assert_array_equal(model.session.run(value), 0)


def test_draws_are_matched_where_a_plane_is_shown_and_nothing_is_held_out():
    def draws(**options):
        return Settings(image_size=SIDE, **options).resolved(11).prior_draws

    assert draws() == 11
    assert draws(batch_size=4) == 4
    assert draws(z_dim=3) == 11
    for options in ({"z_dim": 4}, {"occlude": "50%"}, {"holdout": ["a.png"]}, {"prior_draws": 0}):
        assert draws(**options) == 0
    assert draws(z_dim=100, prior_draws=5) == 5
