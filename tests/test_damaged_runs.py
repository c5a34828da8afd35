"""Files of runs that are damaged or hostile: a sentence, and the rest of the page stands."""

import io
import json
import os
import shutil
import struct
import zipfile
import zlib

import numpy as np
import pytest
from conftest import SMALL, fails, posterior_flags, results, save_image
from PIL import Image

import DesNet
import GenNet
import report
from common import command, figures, files
from common.endings import shown
from common.files import FileError
from common.run_folder import RunError
from common.session import tf
from report_page import sections


def page_of(folders, tmp_path):
    page = tmp_path / "page" / "report.html"
    report.main([*map(str, folders), f"--output={page}"])
    return page.read_text(encoding="utf-8")


def change(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


# Arrays


def npy(array):
    content = io.BytesIO()
    np.save(content, array, allow_pickle=True)
    return content.getvalue()


def claiming(shape):
    content = io.BytesIO()
    told = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(content, told)
    return content.getvalue() + bytes(64)


def write_npz(path, member, **attributes):
    """An archive of one member, of which its directory claims these attributes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", member)
        for name, value in attributes.items():
            setattr(archive.infolist()[0], name, value)


class Executed:
    def __reduce__(self):
        return os.mkdir, ("executed",)


ONES = npy(np.ones(3, np.float32))
ARRAYS = {  # what is wrong -> (how it is written, what is said)
    "npy": (lambda path: path.write_bytes(ONES), "is damaged"),
    "10^12": (lambda path: write_npz(path, claiming((10**12,))), "claims the shape"),
    "10^25": (lambda path: write_npz(path, claiming((10**25,))), "claims the shape"),
    "negative": (lambda path: write_npz(path, claiming((-4, -4))), "claims the shape"),
    "encrypted": (lambda path: write_npz(path, ONES, flag_bits=1), "is encrypted"),
    "packed": (lambda path: write_npz(path, ONES, compress_type=97), "is packed by method 97"),
    "bomb": (
        lambda path: write_npz(path, claiming((2**31,)), file_size=2**33 + 128),
        "claims 8589934720 bytes",
    ),
    "strings": (lambda path: np.savez(path, images=np.array(["a"])), "no numbers"),
    "objects": (
        lambda path: write_npz(path, npy(np.array([Executed()], object))),
        "no numbers",
    ),
    "header": (
        lambda path: write_npz(path, b"\x93NUMPY\x01\x00\x40\x1f" + b"(" * 8000),
        "is damaged",
    ),
    "no npy": (lambda path: write_npz(path, b"text"), "is damaged"),
    "twice": (lambda path: write_twice(path), "holds an array twice"),
}


def write_twice(path):
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images.npy", ONES)
        archive.writestr("images.npy", ONES)


@pytest.mark.parametrize("wrong", ARRAYS)
def test_arrays_are_checked_before_they_are_unpacked(
    copies, tools, tmp_path, capsys, monkeypatch, wrong
):
    monkeypatch.chdir(tmp_path)
    write, says = ARRAYS[wrong]
    for name in ("results.npz", "posterior.npz"):
        write(copies[0] / name)
    page = page_of(copies, tmp_path)
    for name in ("results.npz", "posterior.npz"):
        assert f"{name} is damaged" in page
    assert says in page
    assert "Score magnitude" in page
    assert "Synthesis" in page
    capsys.readouterr()
    assert says in fails(capsys, tools["posterior"].main, posterior_flags(copies[0]))
    for load, folder in zip((GenNet.load, DesNet.load), copies, strict=True):
        write(folder / "constants.npz")
        with pytest.raises(RunError, match=says):
            load(folder)
    assert not (tmp_path / "executed").exists()


def test_arrays_of_honest_runs_are_read(tmp_path):
    arrays = {
        "a": np.arange(5.0),
        "b": np.ones([2, 3], bool),
        "c": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "d": np.float32(3),
        "e": np.empty([0, 4]),
    }
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "a.npz", **arrays)
        read = files.read_arrays(tmp_path / "a.npz")
        assert read.keys() == arrays.keys()
        for name, array in arrays.items():
            np.testing.assert_array_equal(read[name], array)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("colours", np.zeros([3, 2]), "colours is of the shape"),
        ("colours", np.zeros([4, 3]), "colours is of the shape"),
        ("colours", np.full([3, 3], np.nan), "not finite"),
        ("others", np.zeros([3, 3]), "colours is missing"),
    ],
)
def test_constants_fit_the_settings(copies, name, value, says):
    np.savez(copies[1] / "constants.npz", **{name: value})
    with pytest.raises(RunError, match=says):
        DesNet.load(copies[1])


def test_visible_pixels_fit_the_settings(copies):
    np.savez(copies[0] / "constants.npz", num_images=3, visible=np.ones([3, 8, 8, 1], bool))
    with pytest.raises(RunError, match="visible is of the shape"):
        GenNet.load(copies[0])


@pytest.mark.parametrize("names", [[], ["0.png"], ["0.png"] * 4])
def test_names_and_images_are_as_many(copies, tools, capsys, names):
    for folder in copies:
        change(folder / "manifest.json", images=names)
    capsys.readouterr()
    fails(capsys, tools["posterior"].main, posterior_flags(copies[0]))
    for load, folder in zip((GenNet.load, DesNet.load), copies, strict=True):
        with pytest.raises(RunError):
            load(folder)


def test_images_of_another_size_are_told(copies, tools, tmp_path, capsys):
    arrays = results(copies[0])
    for images in (arrays["images"][:, :8, :8], arrays["images"] * np.nan, arrays["images"][:0]):
        np.savez(copies[0] / "results.npz", **{**arrays, "images": images})
        assert "results.npz" in fails(capsys, tools["posterior"].main, posterior_flags(copies[0]))
        assert "results.npz is damaged: images h" in page_of(copies, tmp_path)
        capsys.readouterr()


# Settings and figures


@pytest.mark.parametrize(
    "values",
    [
        *({"sigma": value} for value in (0, float("nan"), 10**400, [[[1]]], "0.3", True, None)),
        *({"seed": value} for value in (10**400, 1.5, -1)),
        *({"sampler": value} for value in ([["mala"]], {"a": 1}, 3)),
        {"holdout": [[1]]},
    ],
    ids=lambda values: str(values)[:40],
)
def test_settings_are_checked_like_flags(copies, tools, tmp_path, capsys, values):
    change(copies[0] / "config.json", **values)
    assert "config.json" in fails(capsys, tools["sample"].main, [str(copies[0])])
    assert "Reconstructions" in page_of(copies, tmp_path)


def test_a_flag_of_hundreds_of_digits(mains, tmp_path, capsys):
    for name in SMALL:
        arguments = [f"--output_dir={tmp_path}", f"--seed=1{'0' * 400}"]
        assert "from 0 to" in fails(capsys, mains[name].main, arguments), name


def test_numbers_beyond_all_floats_are_dashes(copies, tmp_path):
    metrics = {"psnr": 10**400, "psnr_by_image": {"a": 10**400}, "iterations": 1e308}
    for folder in copies:
        change(folder / "metrics.json", **metrics)
    page = page_of([*copies, shutil.copytree(copies[0], tmp_path / "other")], tmp_path)
    assert "Reconstructions" in page


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("metrics.json", '{"psnr": ' + "1" * 5000 + "}"),
        ("metrics.json", "[" * 200_000),
        ("config.json", '{"seed": \xff}'),
    ],
)
def test_json_that_cannot_be_read_is_named(copies, tmp_path, name, content):
    (copies[0] / name).write_text(content, encoding="latin-1")
    page = page_of(copies, tmp_path)
    assert f"{name} is damaged" in page
    assert "Reconstructions" in page


def test_files_that_are_too_large_are_not_read(copies, tmp_path):
    for name in ("metrics.json", "history.csv", "results.npz", "plane.webp"):
        os.truncate(copies[0] / name, 2**40)  # sparse
    page = page_of(copies, tmp_path)
    for name in ("metrics.json", "history.csv", "results.npz", "plane.webp"):
        assert f"{name} is damaged: it has 1099511627776 bytes" in page


def test_a_file_that_never_ends_is_not_read(copies, tools, tmp_path, capsys):
    (copies[0] / "constants.npz").unlink()
    os.mkfifo(copies[0] / "constants.npz")
    assert "no regular file" in fails(capsys, tools["sample"].main, [str(copies[0])])


@pytest.mark.parametrize(
    ("header", "row"),
    [("iteration,loss", '1,"' + "x" * 140_000 + '"'), ("iteration,loss,loss", "1,2,3")],
)
def test_history_that_is_no_table_is_named(copies, tmp_path, header, row):
    (copies[0] / "history.csv").write_text(f"{header}\n{row}\n")
    page = page_of(copies, tmp_path)
    assert "history.csv is damaged: " in page
    assert "Reconstructions" in page


@pytest.mark.parametrize(
    "values",
    [
        {"model": "../../elsewhere"},
        {"progress": {"scale": 0}},
        {"progress": {"scale": 10**400}},
        {"format": [[1]]},
        *(
            {"pictures": {"interpolation.gif": about}}
            for about in (
                {"scale": 0.5, "milliseconds": 60},
                {"scale": 2, "milliseconds": 10**400},
                {"scale": [2], "milliseconds": 60},
            )
        ),
        *(
            {"pictures": {"plane_wide.webp": {"side": 25, "reach": 6, "axes": axes}}}
            for axes in (None, [], [[0, 0]], [[0]] * 2, [[0, -1]], [[0, 10**400]], [[0, 1]] * 7)
        ),
    ],
    ids=lambda values: str(values)[:40],
)
def test_a_manifest_that_asks_for_nonsense(copies, tmp_path, values):
    manifest = json.loads((copies[0] / "manifest.json").read_text())
    if "pictures" in values:  # all others are as they should be
        values = {"pictures": manifest["pictures"] | values["pictures"]}
    change(copies[0] / "manifest.json", **values)
    page = page_of(copies, tmp_path)
    assert "manifest.json is damaged" in page
    assert "Synthesis" in page


def test_pictures_lie_in_the_folder_of_the_run(copies, tmp_path):
    manifest = json.loads((copies[0] / "manifest.json").read_text())
    secret = tmp_path / "secret.webp"
    shutil.copy(copies[0] / "plane.webp", secret)
    manifest["sections"][0]["picture"] = str(secret)
    manifest["pictures"][str(secret)] = manifest["pictures"]["plane.webp"]
    change(copies[0] / "manifest.json", **manifest)
    assert "manifest.json is damaged" in page_of(copies, tmp_path)


@pytest.mark.parametrize("axes", [[[0, 2]], [[0, 1], [0, 1]], [[0]]])
def test_planes_that_do_not_go_with_their_sprites_are_left_out(copies, tmp_path, axes):
    manifest = json.loads((copies[0] / "manifest.json").read_text())
    for name in ("plane.webp", "plane_wide.webp"):
        manifest["pictures"][name]["axes"] = axes
    change(copies[0] / "manifest.json", **manifest)
    page = page_of(copies, tmp_path)
    assert "Walk" not in page.split("Reconstructions")[0]
    assert "Reconstructions" in page


# Pictures


def png_of(width, height):
    """A PNG that claims this size, and has no more than a few bytes."""
    chunks = b"\x89PNG\r\n\x1a\n"
    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    for kind, data in ((b"IHDR", size), (b"IDAT", zlib.compress(bytes(99))), (b"IEND", b"")):
        chunks += struct.pack(">I", len(data)) + kind + data
        chunks += struct.pack(">I", zlib.crc32(kind + data))
    return chunks


def content(frame, form, **options):
    written = io.BytesIO()
    frame.save(written, form, **options)
    return written.getvalue()


def film(count, size):
    return [Image.new("RGB", size, (i % 256, 0, 0)) for i in range(count)]


@pytest.mark.parametrize(
    ("name", "damaged"),
    [
        ("interpolation.gif", "cut"),
        ("interpolation.gif", "frames"),
        ("progress/000010.png", content(Image.new("L", (40_000, 2)), "PNG")),
        ("progress/000010.png", png_of(15_000, 12_000)),
        ("progress/000010.png", png_of(50_000, 50_000)),
        ("plane.webp", content(Image.new("RGB", (33 * 32, 33 * 32)), "EPS")),
        ("plane.webp", content(Image.new("RGB", (33 * 32, 33 * 32)), "PNG")),
    ],
    ids=["cut", "many frames", "wide", "large", "bomb", "program", "other format"],
)
def test_pictures_that_cannot_be_shown_are_named(copies, tmp_path, recwarn, name, damaged):
    path = copies[0] / name
    if damaged == "cut":  # within a later frame, which a look at the first does not tell
        damaged = path.read_bytes()[: -path.stat().st_size // 3]
    if damaged == "frames":
        first, *rest = film(1500, (2, 2))
        damaged = content(first, "GIF", save_all=True, append_images=rest)
    path.write_bytes(damaged)
    page = page_of(copies, tmp_path)
    assert f"{name} is damaged" in page
    assert "Reconstructions" in page
    assert not recwarn.list


def test_a_part_that_cannot_be_made_leaves_the_others(copies, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("encoding error 5")

    monkeypatch.setattr(sections.pictures, "film", fail)
    page = page_of(copies, tmp_path)
    assert "the progress of training cannot be shown" in page
    assert "A walk through the training images cannot be shown" in page
    assert "Reconstructions" in page


def test_damaged_panels_are_left_out_of_the_film(tmp_path):
    for i in range(1, 5):
        save_image(tmp_path / f"{i}.png", np.full([4, 4, 3], i))
    (tmp_path / "2.png").write_bytes(b"\x89PNG")
    save_image(tmp_path / "3.png", np.zeros([8, 8, 3]))
    assert list(figures.read_panels(tmp_path)) == [1, 4]


def test_a_checkpoint_of_which_a_piece_is_missing(copies):
    index = next((copies[0] / "checkpoints").glob("*-30.index"))
    index.write_bytes(index.read_bytes()[200:])
    with pytest.raises(RunError, match="damaged or of another shape"):
        GenNet.load(copies[0])


def test_a_run_that_diverged_has_no_posterior(copies, tools, capsys):
    model = GenNet.load(copies[0])
    with model.session.graph.as_default():
        (z,) = [v for v in tf.global_variables() if v.op.name == "chains/z"]
        z.load(np.full(z.shape, np.nan), model.session)
    model.save(copies[0] / "checkpoints" / "model", 30)  # with what learning takes
    assert "has diverged" in fails(capsys, tools["posterior"].main, posterior_flags(copies[0]))


# Names


ESCAPED = "\x1b[31mred\x07\u202e\udcff"


def test_what_is_shown_is_no_command_to_a_terminal():
    assert shown(ESCAPED) == "\\x1b[31mred\\x07\\u202e\\xff"
    assert shown(FileError("Löwe 🦁\n")) == "Löwe 🦁\\x0a"


def test_names_do_not_reach_the_terminal_raw(copies, tools, tmp_path, capsys, monkeypatch):
    folder = copies[0].rename(copies[0].with_name(ESCAPED))
    (folder / "metrics.json").unlink()
    page_of([folder], tmp_path)
    assert "\\x1b[31mred" in capsys.readouterr().out
    for main, arguments in (
        (report.main, [str(tmp_path / ESCAPED)]),
        (report.main, [f"--{ESCAPED}"]),
        (tools["sample"].main, [str(tmp_path / ESCAPED)]),
        (tools["posterior"].main, [f"--output_dir={tmp_path}", f"--category={ESCAPED}"]),
    ):
        sentence = fails(capsys, main, arguments)
        assert "\\x1b[31mred\\x07" in sentence
        assert "\x1b" not in sentence


def test_files_that_are_skipped_do_not_reach_the_terminal_raw(
    name, pictures, mains, capsys, monkeypatch
):
    (pictures / "cats" / f"{ESCAPED}.jpg").write_bytes(b"\xff\xd8\xff")
    monkeypatch.setattr(command, "learn", lambda *_: None)
    mains[name].main(["--image_size=16", f"--data_path={pictures}", "--category=cats"])
    printed = capsys.readouterr().out
    assert "Skipped \\x1b[31mred" in printed
    assert "\x1b" not in printed


def test_a_name_is_no_formula(tools):
    quadrature = tools["posterior"].quadrature

    def decode(z):
        return z @ np.eye(2, 12)

    image = np.zeros(12)
    found = quadrature.posterior(decode, image, 0.3, np.zeros([1, 2]))
    panel = tools["posterior"].posterior_panel([found] * 2, {}, ["$\\frac$.png", ESCAPED])
    panel.savefig(io.BytesIO(), format="png")
    assert panel.axes[0].get_title("left") == "$\\frac$.png"
