"""What is done with a trained model: load, sample, synthesize, reconstruct and export it."""

import functools
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT, built, command, fails, flags, load_file, results, save_image, shared
from PIL import Image

import DesNet
import GenNet
from common import run_folder
from common.run_folder import RunError

VARIANTS = {  # of DesNet
    "short_run": ["--precision=float32", "--start=mean+noise"],
    "convergent": ["--learning=convergent"],
}
EVERY = [*VARIANTS, "ladder"]
LOAD = {"GenNet": GenNet.load, "DesNet": DesNet.load}
FIRST = {"GenNet": "", "DesNet": "short_run"}

RUNS = [
    ("GenNet", "", []),
    *(("DesNet", *each) for each in VARIANTS.items()),
]


@pytest.fixture(scope="module")
def runs(mains, request, tmp_path_factory):
    """A run of each model by variant: folder, two above which is "data"."""

    def make(root):
        rng = np.random.default_rng(0)
        (root / "data" / "cats").mkdir(parents=True)
        for i in range(3):
            save_image(root / "data" / "cats" / f"{i}.png", rng.integers(0, 256, (16, 16, 3)))
        folders = []
        for name, variant, more in RUNS:
            output = root / f"{name} {variant}"
            mains[name].main(flags(name, root / "data", output, *more, "--seed=3"))
            folders.append(output / "cats")
        return folders

    folders = shared(tmp_path_factory, "runs", make)
    made = {
        (name, variant): folder for (name, variant, _), folder in zip(RUNS, folders, strict=True)
    }
    # Which another process may be making meanwhile.
    return made | {("DesNet", "ladder"): request.getfixturevalue("ladder")}


@pytest.fixture(scope="module")
def tools():
    made = {
        "GenNet": load_file(ROOT / "GenNet" / "sample.py"),
        "DesNet": load_file(ROOT / "DesNet" / "synthesize.py"),
    }
    for tool in made.values():
        tool.load = functools.cache(tool.load)  # the runs of this module stay as they are
    return made


def test_a_generator_that_is_loaded_gives_the_bits_of_its_run(runs):
    model, arrays = GenNet.load(runs["GenNet", ""]), results(runs["GenNet", ""])
    np.testing.assert_array_equal(model.reconstruct(), arrays["reconstructions"])
    np.testing.assert_array_equal(model.sample(64), arrays["samples"])
    np.testing.assert_array_equal(model.interpolate(), arrays["interpolation"])
    np.testing.assert_array_equal(model.latents(), arrays["z"])
    assert model.settings.seed == 3


@pytest.mark.parametrize("variant", EVERY)
def test_a_descriptor_that_is_loaded_gives_the_bits_of_its_run(runs, variant):
    model, arrays = DesNet.load(str(runs["DesNet", variant])), results(runs["DesNet", variant])
    np.testing.assert_array_equal(model.starts(), arrays["starts"])
    assert np.array_equal(model.mean_images(), arrays["starts"]) == (variant != "short_run")
    np.testing.assert_array_equal(model.synthesize(), arrays["synthesized"])
    assert model.convergent == (variant == "convergent")


def test_a_model_that_is_loaded_goes_on_learning_as_its_run_would(runs, tmp_path):
    for kind in (GenNet.GenNet, DesNet.DesNet):
        folder = runs[kind.__name__, FIRST[kind.__name__]]
        images = results(folder)["images"]
        learned = run_folder.read(folder, kind.__name__, kind.settings_class)
        whole = built(kind.remade(learned))
        learned.folder.restore(whole)
        expected = list(whole.train(images, 6))
        assert [record["iteration"] for record in expected] == [5, 6]
        copy = shutil.copytree(folder, tmp_path / kind.__name__)
        assert list(kind.load(copy).train(images, 6)) == expected
    # What learning takes is read when it begins.
    model = kind.load(copy)
    shutil.rmtree(copy)
    with pytest.raises(RunError, match="not any more what was loaded"):
        next(model.train(images, 6))


def show(tool, folder, *arguments):
    tool.main([str(folder), *map(str, arguments)])


def test_sampling_commands_write_what_the_run_holds(runs, tools, tmp_path):
    folder, arrays = runs["GenNet", ""], results(runs["GenNet", ""])
    show(tools["GenNet"], folder, "--count", 64, "--to", tmp_path / "new" / "a.npz")
    written = np.load(tmp_path / "new" / "a.npz")
    np.testing.assert_array_equal(written["images"], arrays["samples"])
    z = ",".join(str(float(x)) for x in arrays["z"][1].astype(np.float64))
    show(tools["GenNet"], folder, f"--z={z}", "--to", tmp_path / "b.png")
    single = np.asarray(Image.open(tmp_path / "b.png"), float)  # one image: pixel by pixel
    assert np.abs(single - np.clip(arrays["reconstructions"][1], 0, 255)).max() <= 0.51
    way = ["--between", "0.png", "2.png"]
    show(tools["GenNet"], folder, *way, "--steps", 5, "--to", tmp_path / "c")
    steps = [np.asarray(Image.open(path), float) for path in sorted((tmp_path / "c").iterdir())]
    assert [path.name for path in sorted((tmp_path / "c").iterdir())][-1] == "0005.png"
    for step, end in ((steps[0], 0), (steps[-1], 2)):
        expected = np.clip(arrays["reconstructions"][end], 0, 255)
        assert np.abs(step - expected).max() <= 0.51
    show(tools["GenNet"], folder, *way, "--to", tmp_path / "d.gif")
    assert Image.open(tmp_path / "d.gif").n_frames == 8
    show(tools["GenNet"], folder)
    assert Image.open(folder / "sample.png").size == (8 * 34 - 2, 8 * 34 - 2)


def test_pictures_are_reconstructed_by_inference(runs, tools, tmp_path):
    picture = runs["GenNet", ""].parents[1] / "data" / "cats" / "0.png"
    to = tmp_path / "r.npz"
    show(tools["GenNet"], runs["GenNet", ""], "--reconstruct", picture, "--to", to)
    written = np.load(to)
    np.testing.assert_array_equal(written["pictures"][0], np.asarray(Image.open(picture)))
    assert written["images"].shape == (1, 16, 16, 3)


@pytest.mark.parametrize("variant", EVERY)
def test_synthesis_commands_write_what_the_run_holds(runs, tools, tmp_path, variant):
    folder, arrays = runs["DesNet", variant], results(runs["DesNet", variant])
    show(tools["DesNet"], folder, "--to", tmp_path / "a.npz")
    written = np.load(tmp_path / "a.npz")
    np.testing.assert_array_equal(written["images"], arrays["synthesized"])
    np.testing.assert_array_equal(written["starts"], arrays["starts"])
    colours = ["--colour", "#ff8800", "white", "--count", 2]
    show(tools["DesNet"], folder, *colours, "--steps", 5, "--to", tmp_path / "b.npz")
    written = np.load(tmp_path / "b.npz")
    np.testing.assert_array_equal(written["starts"][:2, 0, 0], [[255, 136, 0]] * 2)
    assert written["images"].shape == (4, 16, 16, 3)
    assert (written["images"][0] != written["images"][1]).any()  # chains of their own


@pytest.mark.parametrize("variant", EVERY)
def test_chains_start_from_pictures_and_from_noise(runs, tools, tmp_path, variant):
    folder = runs["DesNet", variant]
    picture = tmp_path / "p.png"
    Image.fromarray(np.full((16, 16, 3), 90, np.uint8)).save(picture)
    show(tools["DesNet"], folder, "--from", picture, "--steps", 30, "--to", tmp_path / "c.gif")
    assert Image.open(tmp_path / "c.gif").n_frames > 5
    show(tools["DesNet"], folder, "--start", "noise", "--count", 5, "--to", tmp_path / "d.npz")
    written = np.load(tmp_path / "d.npz")
    assert written["images"].shape == (5, 16, 16, 3)
    assert written["starts"].std() > 30


def test_the_nearest_training_image_is_shown_below_each(runs, tools, tmp_path):
    folder = runs["DesNet", "short_run"]
    for to in ("e.npz", "e.png"):
        show(tools["DesNet"], folder, "--count", 5, "--nearest", "--to", tmp_path / to)
    written, images = np.load(tmp_path / "e.npz"), results(folder)["images"]
    away = np.square(written["images"][:, None] - images).sum((2, 3, 4))
    np.testing.assert_array_equal(written["nearest"], images[away.argmin(1)])
    show(tools["DesNet"], folder, "--count", 5, "--to", tmp_path / "f.png")
    heights = [Image.open(tmp_path / name).height for name in ("f.png", "e.png")]
    assert 1.9 < heights[1] / heights[0] < 2.1


@pytest.mark.parametrize("variant", ["short_run", "convergent", "ladder"])
def test_hidden_pixels_of_pictures_are_drawn_given_the_others(runs, tools, tmp_path, variant):
    folder = runs["DesNet", variant]
    picture = folder.parents[1] / "data" / "cats" / "0.png"
    asked = ["--from", picture, "--occlude", "40%", "--count", 2]
    show(tools["DesNet"], folder, *asked, "--to", tmp_path / "a.npz")
    written = np.load(tmp_path / "a.npz")
    seen = np.broadcast_to(written["visible"], written["images"].shape)
    assert round(seen.mean(), 2) == 0.6
    np.testing.assert_array_equal(written["visible"][0], written["visible"][1])
    assert (written["images"][0] != written["images"][1]).any()  # two draws given the same
    np.testing.assert_allclose(written["images"][seen], written["pictures"][seen], atol=1e-3)
    drawn = written["images"][~seen]
    assert (drawn != written["pictures"][~seen]).mean() > 0.99
    assert np.isfinite(drawn).all()


def test_a_saved_model_is_used_with_tensorflow_alone(runs, tools, tmp_path):
    for name in LOAD:
        show(tools[name], runs[name, FIRST[name]], "--export", tmp_path / name)
        np.savez(tmp_path / f"{name}.npz", **results(runs[name, FIRST[name]]))
    code = """
import numpy as np, tensorflow as tf
generate = tf.saved_model.load("GenNet").signatures["generate"]
arrays = np.load("GenNet.npz")
images = generate(z=tf.constant(arrays["z"]))["images"]
np.testing.assert_allclose(images, arrays["reconstructions"], atol=1e-2)
functions = tf.saved_model.load("DesNet").signatures
arrays = np.load("DesNet.npz")
images = functions["synthesize"](starts=tf.constant(arrays["starts"]))["images"]
np.testing.assert_allclose(images, arrays["synthesized"], atol=0.1)
assert functions["energy"](images=images)["energy"].shape == [3]
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    told = json.loads((tmp_path / "GenNet" / "signatures.json").read_text())
    assert told["generate"]["images"] == "float32 [n, 16, 16, 3], RGB in [0, 255]"
    assert "nats" in (tmp_path / "DesNet" / "signatures.json").read_text()


def damage(folder, name):
    """Damage a file of a run, or make it one of another version."""
    if name == "format":
        manifest = json.loads((folder / "manifest.json").read_text())
        (folder / "manifest.json").write_text(json.dumps({**manifest, "format": 99}))
    elif name == "range":
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "image_size": 17}))
    elif name == "manifest":
        (folder / "manifest.json").unlink()
    elif name == "checkpoint":
        for path in (folder / "checkpoints").glob("*.data*"):
            path.write_bytes(b"damaged")
    else:
        (folder / name).write_bytes(b"\\x00damaged")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("format", "format 99"),
        ("manifest", "make it again"),
        ("range", "multiple of"),
        ("config.json", "config.json"),
        ("constants.npz", "constants.npz"),
        ("checkpoint", "damaged or of another shape"),
    ],
)
def test_a_damaged_run_is_told_in_a_sentence(runs, tools, tmp_path, capsys, name, says):
    for model in LOAD:
        folder = shutil.copytree(runs[model, FIRST[model]], tmp_path / model / name)
        damage(folder, name)
        assert says in fails(capsys, tools[model].main, [str(folder)])
        with pytest.raises(RunError, match=says):
            LOAD[model](folder)


def test_a_run_of_the_other_model_is_told(runs, tools, capsys):
    for model, other in (("GenNet", "DesNet"), ("DesNet", "GenNet")):
        sentence = fails(capsys, tools[model].main, [str(runs[other, FIRST[other]])])
        assert f"is of {other}, not {model}" in sentence


@pytest.mark.parametrize(
    ("model", "arguments", "says"),
    [
        ("GenNet", ["--z=1,2,3"], "is 2 numbers"),
        ("GenNet", ["--z=1,nan"], "is 2 numbers"),
        ("GenNet", ["--z=a,b"], "is 2 numbers"),
        ("GenNet", ["--between", "0.png", "9.png"], "there are 0.png, 1.png, 2.png"),
        ("GenNet", ["--reconstruct", "{tmp}/no.png"], "no.png"),
        ("GenNet", ["--count=0"], "from 1 to"),
        ("GenNet", ["--count=1", "--z=0,0"], "not allowed with"),
        ("GenNet", ["--to={tmp}/a.tiff"], "its ending is to be"),
        ("GenNet", ["--to={tmp}/file/a.png"], "cannot write"),
        ("GenNet", ["--export={tmp}"], "is there already"),
        ("DesNet", ["--colour=nocolour"], "nocolour"),
        ("DesNet", ["--from", "{tmp}/no.png"], "no.png"),
        ("DesNet", ["--steps=0"], "from 1 to"),
        ("DesNet", ["--occlude=50%"], "name them with --from"),
        ("DesNet", ["--from", "{tmp}/file", "--occlude=half"], "a share from 1% to 99%"),
        ("DesNet", ["--export={tmp}/file/b"], "cannot write"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_mistakes_get_one_sentence(runs, tools, tmp_path, capsys, model, arguments, says):
    (tmp_path / "file").write_text("not a folder")
    given = [argument.format(tmp=tmp_path) for argument in arguments]
    assert says in fails(capsys, tools[model].main, [str(runs[model, FIRST[model]]), *given])
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_there_is_no_run(tools, tmp_path, capsys):
    for tool in tools.values():
        assert "there is no run" in fails(capsys, tool.main, [str(tmp_path)])


def test_commands_are_quiet_from_any_directory(runs, tmp_path):
    done = command(
        ROOT / "GenNet" / "sample.py", str(runs["GenNet", ""]), "--to=a.png", cwd=tmp_path
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "64 images in a.png\n"
    assert (tmp_path / "a.png").is_file()
