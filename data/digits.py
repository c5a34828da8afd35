"""Write the category digits: the 1,797 hand-written digits of 8 x 8 pixels of scikit-learn.

They are the test set of the Optical Recognition of Handwritten Digits of the UCI repository (E.
Alpaydin and C. Kaynak, 1998, CC BY 4.0): 43 people wrote them, and each pixel counts, from 0 to 16,
the pixels that are black in a square of 4 x 4 of a bitmap.
"""

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

LARGEST = 16  # count of a pixel, which becomes white
INSTALL = "pip install scikit-learn"


def read() -> dict[str, Image.Image]:
    """The digits, white on black: 8-bit grey images by name, NUMBER_DIGIT.

    The number is scikit-learn's, from 0: so the first files are of all digits, as any run of them.

    Raises:
        ImportError: there is no scikit-learn.
    """
    from sklearn.datasets import load_digits  # the one use of it

    digits = load_digits()
    grey = np.rint(digits.images * (255 / LARGEST)).astype(np.uint8)  # [1797, 8, 8]
    return {
        f"{number:04}_{digit}": Image.fromarray(image)
        for number, (digit, image) in enumerate(zip(digits.target, grey, strict=True))
    }


def write(folder: Path) -> None:
    """Write the digits as PNG files into a folder that appears with all of them in it.

    One that is there already, or that another process has written meanwhile, stays as it is.

    Raises:
        ImportError: there is no scikit-learn.
        OSError: the folder cannot be written.
    """
    if folder.exists():
        return
    images = read()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".") as temporary:
        whole = Path(temporary) / folder.name  # with the rights of any new folder
        whole.mkdir()
        for name, image in images.items():
            image.save(whole / f"{name}.png")
        try:
            os.rename(whole, folder)
        except OSError:
            if not folder.exists():
                raise


def main() -> None:
    """Write the category."""
    parser = argparse.ArgumentParser(
        prog="data/digits.py",
        description="Write the category digits, of scikit-learn's hand-written digits.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(__file__).resolve().parent,
        metavar="DIR",
        help="write the images as DIR/digits/NUMBER_DIGIT.png",
    )
    folder = parser.parse_args().out / "digits"
    try:
        write(folder)
    except ImportError:
        parser.exit(2, f"{parser.prog}: no scikit-learn, whose digits they are: {INSTALL}\n")
    except OSError as error:
        why = f"cannot write {folder}: {error.strerror}"
        parser.exit(2, f"{parser.prog}: {why}; make room, or choose another --out.\n")
    print(f"digits: {len(list(folder.glob('*.png')))} pictures in {folder}")


if __name__ == "__main__":
    main()
