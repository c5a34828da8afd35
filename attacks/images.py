"""Image files that are damaged, of other formats, of huge dimensions.

The rule: a file is decoded to [S, S, 3] uint8, or named in `skipped`.  Nothing is raised, nothing
is printed.
"""

from __future__ import annotations

import io
import os
import resource
import struct
import tempfile
import time
import warnings
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from PIL import Image

from attacks import children
from attacks.harness import BrokenRuleError, Kind, Plan

SIDE = 16
SECONDS = 10.0  # of the processor that one file may take, which is read twice
PATIENCE = 120.0  # seconds after which it hangs
MEMORY = 6 << 30  # bytes that the process which decodes may have
PLACE = st.integers(0, 2**20)  # in a file, modulo its length
HEADER = st.integers(0, 96)
NUMBERS = (0, 1, 0x7F, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


@cache
def seeds() -> dict[str, bytes]:
    """Image files of every format and of every kind of pixels, by what they are."""
    rng = np.random.default_rng(0)
    colours = Image.fromarray(rng.integers(0, 256, (12, 17, 3)).astype(np.uint8))
    grey16 = Image.fromarray(rng.integers(0, 65536, (9, 9)).astype(np.uint16))
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8825)[2] = (1.0, 2.0, 3.0)
    frames = [colours, colours.rotate(90), colours.rotate(180)]
    film = {"save_all": True, "append_images": frames[1:], "duration": 40}
    files: dict[str, tuple[Image.Image, str, dict[str, Any]]] = {
        "jpg": (colours, "JPEG", {}),
        "jpg exif": (colours, "JPEG", {"exif": exif}),
        "jpg progressive": (colours, "JPEG", {"progressive": True}),
        "jpg cmyk": (colours.convert("CMYK"), "JPEG", {}),
        "jpg grey": (colours.convert("L"), "JPEG", {}),
        "jpg of two": (colours, "MPO", {"save_all": True, "append_images": [colours.rotate(270)]}),
        "png": (colours, "PNG", {}),
        "png exif": (colours, "PNG", {"exif": exif}),
        "png text": (colours, "PNG", {"pnginfo": _text(), "icc_profile": b"profile" * 20}),
        "png palette": (colours.quantize(7), "PNG", {"transparency": 2}),
        "png rgba": (colours.convert("RGBA"), "PNG", {}),
        "png grey and alpha": (colours.convert("LA"), "PNG", {}),
        "png 16": (grey16, "PNG", {}),
        "png 1": (colours.convert("1"), "PNG", {}),
        "png animated": (colours, "PNG", film),
        "bmp": (colours, "BMP", {}),
        "bmp palette": (colours.quantize(7), "BMP", {}),
        "bmp rgba": (colours.convert("RGBA"), "BMP", {}),
        "gif": (colours, "GIF", {}),
        "gif animated": (colours, "GIF", film | {"loop": 0, "transparency": 1}),
        "tif": (colours, "TIFF", {"exif": exif}),
        "tif lzw": (colours, "TIFF", {"compression": "tiff_lzw"}),
        "tif jpeg": (colours, "TIFF", {"compression": "jpeg"}),
        "tif deflate": (colours, "TIFF", {"compression": "tiff_adobe_deflate"}),
        "tif fax": (colours.convert("1"), "TIFF", {"compression": "group4"}),
        "tif float": (Image.fromarray(rng.random((9, 9)).astype(np.float32)), "TIFF", {}),
        "tif 16": (grey16, "TIFF", {}),
        "tif pages": (colours, "TIFF", {"save_all": True, "append_images": frames[1:]}),
        "webp": (colours, "WEBP", {"exif": exif}),
        "webp lossless": (colours.convert("RGBA"), "WEBP", {"lossless": True}),
        "webp animated": (colours, "WEBP", film),
        # Other formats that Pillow would read, under a name that it is given.
        **{
            name.lower(): (colours, name, {})
            for name in ("PPM", "ICO", "TGA", "PCX", "SGI", "DDS", "JPEG2000", "ICNS", "EPS")
        },
        "pdf": (colours, "PDF", {}),
    }
    written = {}
    for name, (image, format, options) in files.items():
        file = io.BytesIO()
        try:
            image.copy().save(file, format, **options)  # Pillow leaves options in an image
        except (OSError, KeyError):
            continue  # a Pillow without this codec
        written[name] = file.getvalue()
    return written | _crafted()


def _text() -> object:
    from PIL.PngImagePlugin import PngInfo

    text = PngInfo()
    text.add_text("comment", "words " * 40, zip=True)
    text.add_itxt("title", "Löwe", "de", "title", zip=True)
    return text


def _crafted() -> dict[str, bytes]:
    """Files that say what is not so: dimensions, counts, sizes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    def png(width: int, height: int, bits: int, colour: int, data: bytes, *before: bytes) -> bytes:
        head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
        body = b"".join(before) + chunk(b"IDAT", zlib.compress(data, 9))
        return b"\x89PNG\r\n\x1a\n" + head + body + chunk(b"IEND", b"")

    def bmp(width: int, height: int, bits: int = 24) -> bytes:
        head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, 0, 0, 0, 0, 0, 0)
        return b"BM" + struct.pack("<IHHI", 54 + 64, 0, 0, 54) + head + bytes(64)

    bomb = zlib.compress(bytes(1 << 22), 9)
    return {
        "png of no width": png(0, 5, 8, 2, b""),
        "png of 2^31 pixels": png(2**31 - 1, 1, 8, 2, b"\0"),
        "png of 8000 x 8000": png(8000, 8000, 8, 2, b"\0" * 9),
        "png of one row of 10^6": png(10**6, 1, 8, 2, bytes(3 * 10**6 + 1)),
        "png with a bomb of text": png(
            1, 1, 8, 2, bytes(4), *[chunk(b"zTXt", b"k\0\0" + bomb) for _ in range(20)]
        ),
        "png with a bomb of colours": png(1, 1, 8, 2, bytes(4), chunk(b"iCCP", b"k\0\0" + bomb)),
        "bmp of no height": bmp(5, 0),
        "bmp upside down": bmp(3, -(2**31)),
        "bmp of 2^31 pixels": bmp(2**31 - 1, 1),
        "gif of 65535 x 65535": b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b";",
        "gif of 9000 x 9000": b"GIF89a"
        + struct.pack("<HHBBB", 9000, 9000, 0x80, 0, 0)
        + bytes(6)
        + b",\0\0\0\0"
        + struct.pack("<HHB", 9000, 9000, 0)
        + b"\x02\x02\x44\x01\0;",
        "jpg of 65500 x 65500": b"\xff\xd8\xff\xc0\0\x11\x08\xff\xdc\xff\xdc\x03"
        b"\x01\x22\0\x02\x11\x01\x03\x11\x01\xff\xd9",
        "nothing": b"",
        "text": b"no image\n" * 9,
    }


def _edits() -> st.SearchStrategy[list]:
    """Up to four changes of the bytes of a file."""
    place = PLACE | HEADER
    number = st.sampled_from(NUMBERS) | st.integers(0, 2**32 - 1)
    edit = st.one_of(
        st.tuples(st.just("flip"), place, st.integers(1, 255)),
        st.tuples(st.just("cut"), place),
        st.tuples(st.just("drop"), place, st.integers(1, 64)),
        st.tuples(st.just("repeat"), place, st.integers(1, 4096)),
        st.tuples(st.just("insert"), place, st.binary(min_size=1, max_size=8).map(bytes.hex)),
        st.tuples(st.just("number"), place, number, st.sampled_from(["<H", ">H", "<I", ">I"])),
        st.tuples(st.just("splice"), place, st.sampled_from(sorted(seeds())), PLACE),
    )
    return st.lists(edit.map(list), max_size=4)


def edited(content: bytes, edits: list) -> bytes:
    """The bytes of a file after these changes, each a list: what, where, and by what."""
    for what, place, *by in edits:
        i = place % (len(content) + 1)
        if what == "flip":
            content = content[:i] + bytes(b ^ by[0] for b in content[i : i + 1]) + content[i + 1 :]
        elif what == "cut":
            content = content[:i]
        elif what == "drop":
            content = content[:i] + content[i + by[0] :]
        elif what == "repeat":
            content = content[:i] + content[i : i + 16] * by[0] + content[i:]
        elif what == "insert":
            content = content[:i] + bytes.fromhex(by[0]) + content[i:]
        elif what == "number":
            size = struct.calcsize(by[1])
            written = struct.pack(by[1], by[0] % 256**size)
            content = content[:i] + written + content[i + size :]
        else:
            other = seeds()[by[0]]
            content = content[:i] + other[by[1] % (len(other) + 1) :]
    return content


class Images(Kind):
    """Mutated image files."""

    name = "images"
    count = 7000
    shrinks = True

    def __init__(self) -> None:
        super().__init__()
        children.module("GenNet/main.py")
        self._folder = Path(tempfile.mkdtemp(prefix="attack-images-"))
        self._worker = children.Worker(self._decode)

    def plans(self) -> st.SearchStrategy[Plan]:
        """A file of one format, changed, under the name of another."""
        from common import datasets

        return st.fixed_dictionaries(
            {
                "file": st.sampled_from(sorted(seeds())),
                "suffix": st.sampled_from(sorted(datasets.SUFFIXES)),
                "fit": st.sampled_from(["stretch", "crop"]),
                "edits": _edits(),
            }
        )

    def attempt(self, plan: Plan) -> None:
        """Decode it."""
        self.hits += self._worker.ask(plan, PATIENCE)

    def close(self) -> None:
        """End the process that decodes."""
        self._worker.close()
        for path in self._folder.iterdir():
            path.unlink()
        self._folder.rmdir()

    def _decode(self, plan: Plan) -> bool:
        """Whether the file of a plan is no image; in a process of its own."""
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, hard))
        path = self._folder / f"a{plan['suffix']}"
        path.write_bytes(edited(seeds()[plan["file"]], plan["edits"]))
        start = time.process_time()
        try:
            with _stderr() as printed, warnings.catch_warnings():
                warnings.simplefilter("default")
                decoded = _read_twice(path, plan["fit"])
        finally:
            path.unlink()
        if printed:
            raise BrokenRuleError("printed on stderr", "\n".join(printed))
        seconds = time.process_time() - start
        if seconds > SECONDS:
            raise BrokenRuleError("slow", f"{seconds:.1f} s")
        return not decoded


def _read_twice(path: Path, fit: str) -> bool:
    """Whether a file, alone in its folder, is an image, by both ways to read one.

    Raises:
        BrokenRuleError: they do not agree, or one breaks the rule.
    """
    from common import datasets

    results = []
    for name, read in (
        ("read_images", lambda: datasets.read_images([path], SIDE, fit)),
        ("load", lambda: datasets.load(path.parent, SIDE, fit).images),
    ):
        try:
            results.append(read())
        except datasets.DatasetError as error:
            sentence = str(error)
            if path.name not in sentence or not sentence.isprintable() or len(sentence) > 600:
                raise BrokenRuleError(
                    "not one sentence that names the file", repr(sentence)[:300]
                ) from error
        except BaseException as error:
            raise BrokenRuleError(
                f"{name} raises {type(error).__name__}", str(error)[:300]
            ) from error
    if len(results) == 1:
        raise BrokenRuleError("read_images and load differ")
    for images in results:
        if images.shape != (1, SIDE, SIDE, 3) or images.dtype != np.uint8:
            raise BrokenRuleError("not decoded to [1, S, S, 3] uint8")
        if not np.array_equal(images, results[0]):
            raise BrokenRuleError("decoded twice, and not the same")
    return bool(results)


class _stderr:  # noqa: N801  (a context)
    """What is printed on stderr, by C code too: its lines, afterwards."""

    def __enter__(self) -> list[str]:
        self._printed: list[str] = []
        self._saved, self._file = os.dup(2), tempfile.TemporaryFile()  # noqa: SIM115
        os.dup2(self._file.fileno(), 2)
        return self._printed

    def __exit__(self, *_: object) -> None:
        os.dup2(self._saved, 2)
        os.close(self._saved)
        self._file.seek(0)
        lines = children.said(self._file.read().decode("utf-8", "replace"))
        self._file.close()
        self._printed += lines[:3]
