"""What the runs write for the report: sprites, walks and moving pictures."""

import io

import numpy as np
import pytest
from PIL import Image

import generator_pictures
from common import figures


class Painter:
    """A model whose image of z is the flat colour (z_1, z_2, z_3), scaled to [0, 255]."""

    def generate(self, z):
        colours = np.zeros((len(z), 3))
        colours[:, : z.shape[1]] = (z + 2.5) * 51
        return np.broadcast_to(colours[:, None, None], (len(z), 16, 16, 3))


DETAIL = generator_pictures.ONE_PLANE["plane.webp"]


def test_the_plane_grows_to_the_right_and_upward():
    sprite = generator_pictures.plane_sprite(Painter(), 2, [(0, 1)], DETAIL)
    assert sprite.shape == (33 * 16, 33 * 16, 3)
    corners = sprite[[0, 0, -1, -1], [0, -1, 0, -1], :2]
    np.testing.assert_array_equal(corners, [[0, 255], [255, 255], [0, 0], [255, 0]])
    np.testing.assert_array_equal(sprite[16 * 16, 16 * 16], [128, 128, 0])  # z = 0


def test_planes_lie_one_below_another_and_through_0():
    sprite = generator_pictures.plane_sprite(Painter(), 3, [(0, 1), (1, 2)], DETAIL)
    assert sprite.shape == (2 * 33 * 16, 33 * 16, 3)
    upper, lower = np.split(sprite, 2)
    np.testing.assert_array_equal(upper[0, -1], [255, 255, 128])
    np.testing.assert_array_equal(lower[0, -1], [128, 255, 255])


def test_a_line_is_one_row():
    sprite = generator_pictures.plane_sprite(Painter(), 1, [(0,)], DETAIL)
    assert sprite.shape == (16, 33 * 16, 3)
    np.testing.assert_array_equal(sprite[0, [0, -1], 0], [0, 255])


def test_the_axes_along_which_z_varies_most_are_shown():
    z = np.random.default_rng(0).normal(size=(50, 6)) * [1, 3, 0.1, 4, 5, 2]
    pairs = generator_pictures.plane_axes(z)
    assert pairs == [(1, 3), (1, 4), (1, 5), (3, 4), (3, 5), (4, 5)]
    assert generator_pictures.plane_axes(z[:, :3]) == [(0, 1), (0, 2), (1, 2)]
    assert generator_pictures.plane_axes(z[:, :1]) == [(0,)]


def test_sprites_of_photographs_are_few_bytes():
    """Of images as busy as photographs: a page of several runs carries these of each."""
    rng = np.random.default_rng(0)
    tiles = [
        np.asarray(Image.fromarray(rng.integers(64, 192, (20, 20, 3), np.uint8)).resize((64, 64)))
        for _ in range(100)
    ]

    class Photographer:
        def generate(self, z):
            return np.stack([tiles[i] for i in rng.integers(0, 100, len(z))]).astype(float)

    for count in (2, 4):
        z = np.zeros((3, count))
        pictures = generator_pictures.moving_pictures(Photographer(), z, z[:1])
        for name, sprite in (
            generator_pictures.ONE_PLANE if count == 2 else generator_pictures.SEVERAL_PLANES
        ).items():
            file = io.BytesIO()
            pictures[name].write(file)
            assert 0.3 * sprite.most < file.tell() <= sprite.most


@pytest.mark.parametrize("n", [1, 2, 11])
def test_a_walk_passes_every_z_and_closes(n):
    z = np.random.default_rng(0).normal(size=(n, 2))
    walk = generator_pictures.closed_walk(z)
    assert all((walk == place).all(1).any() for place in z)
    steps = np.linalg.norm(np.roll(walk, -1, 0) - walk, axis=1)
    assert len(walk) <= 120 + n
    assert steps.max() <= steps.sum() / 120 + 1e-9


def test_a_sprite_is_read_row_by_row_and_reduces_large_images():
    images = np.zeros((5, 128, 128, 3)) + 10 * np.arange(5)[:, None, None, None]
    sprite = figures.sprite(images, 2)
    assert sprite.shape == (3 * 64, 2 * 64, 3)
    np.testing.assert_array_equal(sprite[::64, ::64, 0], [[0, 10], [20, 30], [40, 0]])


def test_wide_frames_are_reduced():
    file = io.BytesIO()
    figures.write_gif(file, [np.zeros((100, 3300, 3), np.uint8)], 100)
    assert Image.open(file).size == (1100, 34)
