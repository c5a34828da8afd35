"""Hidden pixels: how a command line says which, and which they are."""

from __future__ import annotations

import numpy as np

from common import streams
from common.datasets import DatasetError
from common.flags import text
from common.streams import Stream

HOW = text(
    r"[1-9]\d?%|[1-9]\d*px",
    "a share from 1% to 99%, or the side of a square such as 20px",
    metavar="HOW",
)


def visible_pixels(how: str, num_images: int, image_size: int, seed: int) -> np.ndarray:
    """Draw which pixels of each image are seen.

    Args:
        how: "70%" hides that share of the pixels, at random; "20px" a square of that side, at a
            random place.  A hidden pixel is hidden in all channels.
        num_images: N.
        image_size: S.
        seed: of the run.

    Returns:
        [N, S, S, 1] bool.

    Raises:
        DatasetError: the square is not smaller than the image.
    """
    rng = streams.generator(seed, Stream.OCCLUSION)
    visible = np.ones([num_images, image_size, image_size, 1], bool)
    if how.endswith("%"):
        count = round(int(how[:-1]) / 100 * image_size**2)
        for pixels in visible.reshape(num_images, -1):
            pixels[rng.permutation(image_size**2)[:count]] = False
        return visible
    side = int(how[:-2])
    if side >= image_size:
        raise DatasetError(
            f"--occlude {how} hides whole images of {image_size} x {image_size} pixels:"
            f" choose a square of 1px to {image_size - 1}px."
        )
    for image, (top, left) in zip(
        visible, rng.integers(0, image_size - side + 1, [num_images, 2]), strict=True
    ):
        image[top : top + side, left : left + side] = False
    return visible
