"""What the runs write for the report: sprites, walks and moving pictures."""

import io

import numpy as np
import pytest
from PIL import Image

import generator_pictures
from common import figures


class Painter:
    """A model whose image of z is the flat colour (z_1, z_2, 0), scaled to [0, 255]."""

    def generate(self, z):
        colours = np.zeros((len(z), 3))
        colours[:, :2] = (z + 2.5) * 51
        return np.broadcast_to(colours[:, None, None], (len(z), 16, 16, 3))


def test_the_plane_grows_to_the_right_and_upward():
    sprite = generator_pictures.plane_sprite(Painter())
    assert sprite.shape == (33 * 16, 33 * 16, 3)
    corners = sprite[[0, 0, -1, -1], [0, -1, 0, -1], :2]
    np.testing.assert_array_equal(corners, [[0, 255], [255, 255], [0, 0], [255, 0]])
    np.testing.assert_array_equal(sprite[16 * 16, 16 * 16], [128, 128, 0])  # z = 0


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
