"""Draw the pictures that ship with the project in place of photographs.

Every picture is painted at four times its size from soft fields (numpy) and brush strokes
(Pillow), lit as a relief, and then reduced.  Each has random numbers of its own, so that the
same pictures come out on every machine.
"""

import argparse
import os
import tempfile
from pathlib import Path

from canvas import Canvas
from cats import CATS, Cat
from egrets import EGRETS, Egret
from PIL import Image

CATEGORIES: dict[str, dict[str, Cat] | dict[str, Egret]] = {"lion_tiger": CATS, "egret": EGRETS}


def draw(category: str) -> dict[str, Image.Image]:
    """Draw the pictures of a category, "lion_tiger" or "egret": RGB images by name."""
    pictures = {}
    for name, individual in CATEGORIES[category].items():
        canvas = Canvas(individual.seed)
        individual.paint(canvas)
        pictures[name] = canvas.picture()
    return pictures


def save(image: Image.Image, path: Path) -> None:
    """Write a PNG file in one go: a reader finds the old file or the new one, never a part."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".") as folder:
        temporary = Path(folder) / path.name
        image.save(temporary, optimize=True)
        os.replace(temporary, path)


def main() -> None:
    """Draw every category into a folder of its own."""
    parser = argparse.ArgumentParser(
        description="Draw the pictures that ship with the project.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(__file__).resolve().parent,
        metavar="DIR",
        help="write the pictures as DIR/CATEGORY/NAME.png",
    )
    out = parser.parse_args().out
    for category in CATEGORIES:
        folder = out / category
        folder.mkdir(parents=True, exist_ok=True)
        pictures = draw(category)
        for name, image in pictures.items():
            save(image, folder / f"{name}.png")
        print(f"{category}: {len(pictures)} pictures in {folder}")


if __name__ == "__main__":
    main()
