"""Images in and out: the reader, the mean images, the panels and the drawn data."""

import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, load_file, save_image
from PIL import Image

from common import datasets, figures

ORANGE = (220, 120, 20)


def written(tmp_path, name, image, **options):
    """The 16 x 16 image that comes back from a file."""
    image.save(tmp_path / name, **options)
    return datasets.load(tmp_path, 16).images[0]


@pytest.mark.parametrize(
    ("name", "image", "expected"),
    [
        ("a.png", Image.new("RGB", (20, 20), ORANGE), ORANGE),
        ("a.JPEG", Image.new("RGB", (20, 20), ORANGE), ORANGE),
        ("a.TIF", Image.new("RGB", (20, 20), ORANGE), ORANGE),
        ("a.png", Image.new("L", (20, 20), 200), (200, 200, 200)),
        ("a.png", Image.new("1", (20, 20), 1), (255, 255, 255)),
        ("a.png", Image.new("LA", (20, 20), (0, 0)), (255, 255, 255)),
        ("a.png", Image.new("RGBA", (20, 20), (*ORANGE, 255)), ORANGE),
        ("a.png", Image.new("RGBA", (20, 20), (0, 0, 0, 51)), (204, 204, 204)),
        ("a.gif", Image.new("RGB", (20, 20), ORANGE).quantize(8), ORANGE),
        ("a.jpg", Image.new("CMYK", (20, 20), (0, 0, 0, 255)), (0, 0, 0)),
        ("a.png", Image.fromarray(np.full((20, 20), 65535 * 4 // 5, np.uint16)), (204, 204, 204)),
        ("a.tif", Image.fromarray(np.full((20, 20), 0.8, np.float32)), (204, 204, 204)),
    ],
    ids=lambda value: value.mode if isinstance(value, Image.Image) else str(value),
)
def test_every_kind_of_image_becomes_rgb(tmp_path, name, image, expected):
    result = written(tmp_path, name, image)
    assert result.shape == (16, 16, 3)
    assert np.abs(result - expected).max() <= 3  # JPEG's own error


def test_exif_rotation_is_undone(tmp_path):
    image = Image.new("RGB", (40, 40), "black")
    image.paste("white", (0, 0, 20, 40))  # white on the left ...
    exif = Image.Exif()
    exif[0x0112] = 6  # ... and to be turned a quarter clockwise: white on top
    result = written(tmp_path, "a.jpg", image, exif=exif)
    assert result[:6].mean() > 240
    assert result[-6:].mean() < 15


def test_images_are_stretched_or_cropped(tmp_path):
    wide = Image.new("RGB", (60, 20), "black")
    wide.paste("white", (20, 0, 40, 20))
    wide.save(tmp_path / "a.png")
    assert datasets.load(tmp_path, 20, "crop").images.min() == 255
    assert datasets.load(tmp_path, 20, "stretch").images[0, :, 0].max() == 0


def test_files_come_in_the_order_of_their_names_and_others_are_left_alone(tmp_path):
    for name in ("b.png", "a.PNG", ".hidden.png"):
        save_image(tmp_path / name, np.zeros((20, 20, 3)))
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "folder.png").mkdir()
    data = datasets.load(tmp_path, 16)
    assert data.names == ["a.PNG", "b.png"]
    assert data.skipped == []


def test_images_are_decoded_in_pieces_to_an_array_on_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "PIECE", 2)
    images = np.random.default_rng(0).integers(0, 256, (7, 16, 16, 3))
    for i, image in enumerate(images):
        save_image(tmp_path / f"{i}.png", image)
    (tmp_path / "3b.png").write_text("not an image")
    data = datasets.load(tmp_path, 16)
    assert isinstance(data.images, np.memmap)
    np.testing.assert_array_equal(data.images, images)
    assert data.names == [f"{i}.png" for i in range(7)]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full to write to")
def test_no_room_for_the_decoded_images_gets_a_sentence(tmp_path, monkeypatch):
    save_image(tmp_path / "a.png", np.zeros((20, 20, 3)))
    monkeypatch.setattr("tempfile.TemporaryFile", lambda: open("/dev/full", "w+b"))  # noqa: SIM115
    with pytest.raises(datasets.DatasetError, match="set TMPDIR"):
        datasets.load(tmp_path, 16)


def test_batches_are_those_of_their_iterations():
    images = np.arange(10, dtype=np.uint8)[:, None]
    seen = list(datasets.batches(images, lambda i: datasets.batch_indices(i, 10, 4, 5), 2, 7))
    assert [iteration for iteration, *_ in seen] == [2, 3, 4, 5, 6]
    for iteration, index, batch in seen:
        np.testing.assert_array_equal(index, datasets.batch_indices(iteration, 10, 4, 5))
        np.testing.assert_array_equal(batch[:, 0], index)
        assert batch.dtype == np.float32
    epoch = np.concatenate([index for _, index, _ in seen[1:4]])
    assert sorted(epoch) == list(range(10))


def test_damaged_files_are_named_and_skipped(tmp_path, monkeypatch):
    save_image(tmp_path / "good.png", np.random.default_rng(0).integers(0, 256, (99, 99, 3)))
    content = (tmp_path / "good.png").read_bytes()
    (tmp_path / "truncated.png").write_bytes(content[: len(content) // 2])
    (tmp_path / "text.jpg").write_text("not an image")
    (tmp_path / "empty.jpg").write_bytes(b"")
    save_image(tmp_path / "bomb.png", np.zeros((120, 120, 3)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 110 * 110)
    data = datasets.load(tmp_path, 16)
    assert data.names == ["good.png"]
    assert [reason.split(":")[0] for reason in data.skipped] == [
        "bomb.png",
        "empty.jpg",
        "text.jpg",
        "truncated.png",
    ]


def test_other_formats_under_the_name_of_an_image_are_not_tried(tmp_path):
    for suffix, format in ((".bmp", "DDS"), (".jpg", "EPS"), (".png", "TGA")):
        Image.new("RGB", (20, 20), ORANGE).save(tmp_path / f"a{suffix}", format)
    content = (tmp_path / "a.bmp").read_bytes()
    (tmp_path / "b.bmp").write_bytes(content[:8] + content[9:])  # raises NotImplementedError
    Image.new("RGB", (20, 20), ORANGE).save(tmp_path / "good.gif", "PNG")
    data = datasets.load(tmp_path, 16)
    assert data.names == ["good.gif"]
    names = ("a.bmp", "a.jpg", "a.png", "b.bmp")
    assert data.skipped == [f"{name}: not an image" for name in names]


@pytest.mark.parametrize("error", [MemoryError(), struct.error("one\ntwo"), RecursionError("\0")])
def test_whatever_a_file_raises_it_is_named_in_one_line(tmp_path, monkeypatch, error):
    for name in ("bad.png", "good.png"):
        save_image(tmp_path / name, np.zeros((20, 20, 3)))

    def opened(path, *args, **options):
        if path.name == "bad.png":
            raise error
        return read(path, *args, **options)

    read = Image.open
    monkeypatch.setattr(Image, "open", opened)
    data = datasets.load(tmp_path, 16)
    assert data.names == ["good.png"]
    assert data.skipped[0].startswith("bad.png: ")
    assert len(data.skipped[0]) > len("bad.png: ")
    assert data.skipped[0].isprintable()


def test_damage_is_told_of_in_skipped_alone(tmp_path, capfd, recwarn):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 20, 3)).astype(np.uint8))
    image.save(tmp_path / "a.tif", compression="tiff_adobe_deflate")
    content = bytearray((tmp_path / "a.tif").read_bytes())
    content[8] ^= 1  # of what is compressed: libtiff complains
    (tmp_path / "a.tif").write_bytes(content)
    image.save(tmp_path / "b.tif")
    content = bytearray((tmp_path / "b.tif").read_bytes())
    content[4] ^= 2  # where its tags stand: Pillow warns
    (tmp_path / "b.tif").write_bytes(content)
    pixels = np.full((20, 20), 0.8, np.float32)
    pixels[:10] = np.nan
    Image.fromarray(pixels).save(tmp_path / "c.tif")
    data = datasets.load(tmp_path, 16)
    assert data.names == ["c.tif"]
    assert data.images[0, :4].max() == 0
    assert [reason[:7] for reason in data.skipped] == ["a.tif: ", "b.tif: "]
    with pytest.raises(datasets.DatasetError, match=r"a\.tif"):
        datasets.read_images([tmp_path / "a.tif"], 16, "stretch")
    assert capfd.readouterr().err == ""
    assert not recwarn.list
    os.write(2, b"heard")  # stderr is what it was
    assert capfd.readouterr().err == "heard"


def test_images_are_read_where_stderr_is_closed(tmp_path):
    save_image(tmp_path / "a.png", np.full((20, 20, 3), 7))
    code = (
        "import sys; from pathlib import Path; from common import datasets\n"
        "print(datasets.load(Path(sys.argv[1]), 16).images.max())"
    )
    done = subprocess.run(
        ["sh", "-c", 'exec "$0" -c "$1" "$2" 2>&-', sys.executable, code, str(tmp_path)],
        cwd=ROOT / "GenNet",
        stdout=subprocess.PIPE,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, "7\n")


@pytest.mark.parametrize("folder", ["a" * 300, f"{'a' * 300}/cats"])
def test_a_folder_that_cannot_be_gets_a_sentence(tmp_path, folder):
    with pytest.raises(datasets.DatasetError, match="no image folder"):
        datasets.load(tmp_path / folder, 16)


def test_mean_images_are_right_for_bright_and_large_images():
    image = np.full((2, 300, 300, 3), 255, np.uint8)  # a sum of these overflows 16 bits
    image[1, :150] = 0
    mean = datasets.flat_images(datasets.mean_colours(image), image.shape[1])
    assert mean.shape == image.shape
    assert np.all(mean[0] == 255)
    assert np.all(mean[1] == 127.5)


def test_panels_have_a_fixed_range():
    picture = figures.tiles([np.full((1, 4, 4, 3), v) for v in (100.0, -50.0, 300.0)], scale=2)
    side = 8 + figures.GAP
    assert np.all(picture[:8, :8] == 100)
    assert np.all(picture[side : side + 8] == 0)
    assert np.all(picture[2 * side : 2 * side + 8] == 255)


def test_a_tile_of_a_panel_shows_its_pixels_one_to_one(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3)).astype(np.float64)
    figure = figures.panel([image, image], "title", ["one", "two"], scale=3)
    figure.savefig(tmp_path / "panel.png")
    shown = np.asarray(Image.open(tmp_path / "panel.png").convert("RGB"))
    tile = image[0].repeat(3, 0).repeat(3, 1)
    windows = np.lib.stride_tricks.sliding_window_view(shown, (24, 24, 3))[:, :, 0]
    assert (windows == tile).all((2, 3, 4)).sum() == 2


@pytest.mark.parametrize("category", ["lion_tiger", "egret"])
def test_the_shipped_images_are_what_the_script_draws(category, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "data")  # as `python data/draw.py` does
    drawn = load_file(ROOT / "data" / "draw.py").draw(category)
    shipped = {path.stem: Image.open(path) for path in (ROOT / "data" / category).iterdir()}
    assert shipped.keys() == drawn.keys()
    for name, image in shipped.items():
        difference = np.asarray(image, float) - np.asarray(drawn[name], float)
        assert np.abs(difference).mean() < 0.5
