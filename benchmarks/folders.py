"""Folders of images that no default is tuned to, made without a network: what robust.py learns."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "data"))

import digits as handwritten  # noqa: E402

SIDE = 128  # pixels of what is made here
MANY = 500

Pictures = Iterator[Image.Image]


def drawn(*categories: str) -> Pictures:
    """The images that ship, by file name."""
    for category in categories:
        for path in sorted((ROOT / "data" / category).glob("*.png")):
            with Image.open(path) as image:
                yield image.convert("RGB")


def mirrored() -> Pictures:
    """Every big cat, and its mirror image."""
    for image in drawn("lion_tiger"):
        yield image
        yield ImageOps.mirror(image)


def digits() -> Pictures:
    """Fifty digits of 8 x 8 pixels."""
    yield from list(handwritten.read().values())[:50]


def gradients() -> Pictures:
    """Twelve plain gradients, each from one colour to another in a direction of its own."""
    rng = np.random.default_rng(0)
    across = np.linspace(0, 1, SIDE)
    for angle in np.linspace(0, 2 * np.pi, 12, endpoint=False):
        place = np.cos(angle) * across[None] + np.sin(angle) * across[:, None]  # [S, S]
        share = ((place - place.min()) / np.ptp(place))[..., None]
        first, last = rng.integers(0, 256, (2, 3))
        yield Image.fromarray((first + share * (last - first)).round().astype(np.uint8))


def one() -> Pictures:
    """One big cat."""
    yield next(drawn("lion_tiger"))


def equal() -> Pictures:
    """One big cat, twice."""
    yield from (*one(), *one())


def grey() -> Pictures:
    """The egrets without their colours."""
    for image in drawn("egret"):
        yield ImageOps.grayscale(image)


def many() -> Pictures:
    """Five hundred cuts of all drawn images, some of them mirrored, in different light."""
    rng = np.random.default_rng(0)
    images = list(drawn("lion_tiger", "egret"))
    for number in range(MANY):
        image = images[number % len(images)]
        side = int(min(image.size) * rng.uniform(0.6, 0.95))
        left, top = (int(rng.integers(0, length - side + 1)) for length in image.size)
        cut = image.crop((left, top, left + side, top + side)).resize((SIDE, SIDE))
        cut = ImageOps.mirror(cut) if rng.random() < 0.5 else cut
        yield ImageEnhance.Brightness(cut).enhance(rng.uniform(0.6, 1.2))


FOLDERS: dict[str, tuple[str, Callable[[], Pictures]]] = {  # name -> what it holds
    "lion_tiger": ("drawn lions and tigers", lambda: drawn("lion_tiger")),
    "egret": ("drawn egrets", lambda: drawn("egret")),
    "both": ("both together", lambda: drawn("lion_tiger", "egret")),
    "mirrored": ("lions and tigers, and their mirror images", mirrored),
    "digits": ("hand-written digits of 8 x 8", digits),
    "gradients": ("plain gradients", gradients),
    "one": ("a single image", one),
    "equal": ("two equal images", equal),
    "grey": ("grey egrets", grey),
    "many": ("500 cuts of the drawn images", many),
}


def write(name: str, folder: Path) -> None:
    """Write the images of one of FOLDERS into a folder that is not there yet."""
    folder.mkdir(parents=True)
    for number, image in enumerate(FOLDERS[name][1]()):
        image.save(folder / f"{number:04}.png")
