"""What every baseline has: a run, going on with it, loading it, sampling from it, its page."""

import importlib
import json

import numpy as np
import pytest
from conftest import ROOT, command, fails, load_file, report_of, results, save_image

import models
from common.run_folder import FORMAT

SMALL = {  # flags of a short run, by word
    "vae": ["--width=8"],
    "rbm": ["--hidden=3", "--annealing_steps=5", "--annealing_chains=4"],
    "autoencoder": ["--width=8"],
    "denoising": ["--z_dim=16", "--patch_size=6"],
    "gan": ["--width=8"],
    "pixelcnn": ["--width=4", "--num_layers=1"],
    "pixelrnn": ["--width=4", "--num_layers=1"],
}
EPOCHS = 4


@pytest.fixture(scope="module")
def main():
    return load_file(ROOT / "Baselines" / "main.py").main


@pytest.fixture(scope="module")
def sample():
    return load_file(ROOT / "Baselines" / "sample.py").main


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A data path whose category "cats" holds five images."""
    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("baselines") / "data" / "cats"
    folder.mkdir(parents=True)
    for i in range(5):
        pixels = np.full((16, 16, 3), rng.integers(40, 216, 3))
        pixels[4:12, 4:12] = rng.integers(40, 216, 3)
        save_image(folder / f"{i}.png", pixels)
    return folder.parent


def words(word, data, output, *more):
    flags = [f"--data_path={data}", "--category=cats", f"--output_dir={output}", "--image_size=8"]
    return [word, *flags, f"--num_epochs={EPOCHS}", "--log_step=2", *SMALL[word], *more]


@pytest.fixture(scope="module", params=list(SMALL))
def run(request, main, data, tmp_path_factory):
    """A finished run of each model, which held out an image: its word and folder."""
    output = tmp_path_factory.mktemp(request.param)
    main(words(request.param, data, output, "--holdout", "fourth", "--seed=3"))
    return request.param, output / "cats"


def load(word, folder):
    return __import__(word).load(folder)


def test_every_model_is_tested():
    with_images = {word for word in models.MODELS if word != "boltzmann"}
    assert set(SMALL) == with_images


def test_a_run_says_what_it_is(run):
    word, folder = run
    manifest = json.loads((folder / "manifest.json").read_text())
    config = json.loads((folder / "config.json").read_text())
    metrics = json.loads((folder / "metrics.json").read_text())
    assert manifest["model"] == models.MODELS[word].name
    assert manifest["command"] == ["Baselines/main.py", word]
    assert (manifest["format"], manifest["images"]) == (FORMAT, [f"{i}.png" for i in (0, 1, 2, 4)])
    assert config["holdout"] == ["3.png"]
    assert metrics["parameters"] > 0
    assert metrics["iterations"] == len((folder / "history.csv").read_text().splitlines()) - 1
    arrays = results(folder)
    for ability, name in (
        ("reconstruct", "reconstructions"),
        ("sample", "samples"),
        ("interpolate", "interpolation"),
    ):
        assert (ability in manifest["abilities"]) == (name in arrays)
    assert all(np.isfinite(array).all() for array in arrays.values())


def test_a_model_that_is_loaded_gives_the_bits_of_its_run(run):
    word, folder = run
    arrays, model = results(folder), load(word, folder)
    if "samples" in arrays:
        np.testing.assert_array_equal(model.sample(len(arrays["samples"])), arrays["samples"])
    if "reconstructions" in arrays:
        made = model.reconstruct(arrays["images"])
        np.testing.assert_array_equal(made, arrays["reconstructions"])


def test_a_run_that_was_stopped_goes_on_to_the_same_bits(run, tmp_path):
    word, folder = run
    images = results(folder)["images"]
    one, other = (load(word, folder) for _ in range(2))
    settings, total = one.settings, EPOCHS + 4
    first = list(one.train(images, total))
    half = other.train(images, total)
    second = [next(half) for _ in range(2)]
    other.save(tmp_path / "model", int(second[-1]["iteration"]))
    again = type(one)(settings, len(images))
    again.build_model()
    with again.session.graph.as_default():
        again.saver.restore(again.session, str(tmp_path / f"model-{int(second[-1]['iteration'])}"))
    second += list(again.train(images, total))
    assert first == second
    values, resumed = one.learned_values(), again.learned_values()
    for name, value in values.items():
        np.testing.assert_array_equal(value, resumed[name], err_msg=name)


def test_the_page_shows_it(run):
    word, folder = run
    page = report_of(folder)
    assert "Not all of this run" not in page
    assert f"<span>Baselines/main.py</span> <span>{word}</span>" in page


def test_its_likelihood_is_told_in_bits(run):
    word, folder = run
    abilities = json.loads((folder / "manifest.json").read_text())["abilities"]
    path = folder / "likelihood.json"
    if path.exists():
        told = json.loads(path.read_text())
        assert told["learned"]["images"] == 4
        assert list(told["held_out"]["by_image"]) == ["3.png"]
        assert 0 < told["learned"]["bits_per_dim"] < 1000
    else:
        assert "score" not in abilities


def test_it_is_sampled_and_exported(run, sample, tmp_path, capsys):
    word, folder = run
    arrays = results(folder)
    if "samples" in arrays:
        sample([str(folder), "--count=2", "--to", str(tmp_path / "a.npz")])
        made = np.load(tmp_path / "a.npz")["images"]
        np.testing.assert_allclose(made, arrays["samples"][:2], atol=1e-3)
    sample([str(folder), "--export", str(tmp_path / "exported")])
    told = json.loads((tmp_path / "exported" / "signatures.json").read_text())
    assert told and all(told.values())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["vea"], "did you mean vae?"),
        (["vae", "--no_such"], "there is no flag --no_such"),
        (["vae", "--category=dogs"], "no image folder"),
        (["vae", "--holdout", "7.png"], "no such image"),
        (["vae", "--resume"], "there is no run to go on with"),
    ],
)
def test_mistakes_get_one_sentence(main, data, tmp_path, capsys, arguments, says):
    more = [f"--data_path={data}", f"--output_dir={tmp_path}"]
    if "--category=dogs" not in arguments:
        more.append("--category=cats")
    assert says in fails(capsys, main, [*arguments, *(more if len(arguments) > 1 else [])])


def test_three_images_have_no_fourth(main, pictures, tmp_path, capsys):
    arguments = [f"--data_path={pictures}", "--category=cats", f"--output_dir={tmp_path}"]
    sentence = fails(capsys, main, ["vae", *arguments, "--holdout", "fourth"])
    assert "there are but 3 images" in sentence


def test_a_folder_that_is_no_run_of_a_baseline(sample, tmp_path, finished, capsys):
    assert "there is no run in" in fails(capsys, sample, [str(tmp_path)])
    assert "is of GenNet, which is none of" in fails(capsys, sample, [str(finished[0])])


def test_help_names_the_models():
    done = command(ROOT / "Baselines" / "main.py", "--help")
    assert done.returncode == 0
    assert all(word in done.stdout for word in models.MODELS)
    assert command(ROOT / "Baselines" / "main.py").stdout == done.stdout


@pytest.mark.parametrize("word", list(SMALL))
def test_a_default_run_fits_its_budget(word):
    name = models.MODELS[word].name
    settings_class = getattr(importlib.import_module(word), name).settings_class
    for count in (1, 11, 64, 1348):
        settings = settings_class().resolved(count)
        assert settings.num_epochs == 1 or 0 < settings.seconds(count) <= 90
    assert settings.num_epochs < settings_class().resolved(1).num_epochs
