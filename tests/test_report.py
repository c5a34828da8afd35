"""The report as a file: what it holds, how it treats hostile names and damage, how it fails."""

import base64
import html.parser
import io
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from conftest import HOSTILE, ROOT, change, results
from PIL import Image

import report
from report_page import pictures as pictures_
from report_page import run_files, tables


class Page(html.parser.HTMLParser):
    """The tags of a page with their attributes, and its text."""

    def __init__(self, source):
        super().__init__()
        self.source = source
        self.tags, self._texts, self._raw = [], [], False
        self.feed(self.source)
        self.text = " ".join(" ".join(self._texts).split())

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self._raw = tag in ("script", "style")

    def handle_endtag(self, tag):
        self._raw = False

    def handle_data(self, data):
        if not self._raw:
            self._texts.append(data)


def make(folders, tmp_path):
    page = tmp_path / "page" / "report.html"
    report.main([*map(str, folders), f"--output={page}"])
    assert [path.name for path in page.parent.iterdir()] == ["report.html"]
    return Page(page.read_text(encoding="utf-8"))


@pytest.fixture
def copies(finished, tmp_path):
    """Both runs, to be damaged."""
    return [
        shutil.copytree(folder, tmp_path / "copies" / folder.parent.name / folder.name)
        for folder in finished
    ]


def test_the_page_shows_both_runs_and_fetches_nothing(finished, tmp_path):
    page = make(finished, tmp_path)
    for words in (
        "Reconstructions",
        "Samples",
        "Interpolation",
        "Synthesis",
        "iterations of learning",
        "Loss",
    ):
        assert words in page.text
    assert "Not all of this run" not in page.text
    for _, attributes in page.tags:
        for name in {"src", "href"} & attributes.keys():
            assert re.match(r"data:|#", attributes[name]), attributes[name][:80]
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org/2000/svg)", page.source)
    assert all("alt" in attributes for tag, attributes in page.tags if tag == "img")
    assert len(page.source) < 6e6


def test_names_from_outside_are_text(finished, tmp_path):
    page = make(finished, tmp_path)
    for category in HOSTILE.values():
        assert category in page.text
    assert "<b>0.png" in page.text
    assert not [tag for tag, attributes in page.tags if "onerror" in attributes or tag == "b"]


@pytest.mark.parametrize("name", ["config.json", "metrics.json", "history.csv", "results.npz"])
@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "other"])
def test_a_damaged_file_is_named_and_the_rest_stands(copies, tmp_path, capsys, name, damage):
    for folder in copies:
        path = folder / name
        content = path.read_bytes()
        path.write_bytes({"empty": b"", "cut": content[: len(content) // 2]}.get(damage, b"[1]"))
        if damage == "missing":
            path.unlink()
    page = make(copies, tmp_path)
    assert page.text.count(f"{name} is {'missing' if damage == 'missing' else 'damaged'}") == 2
    assert f"{copies[0].parent.name}/{copies[0].name}: {name} is" in capsys.readouterr().out
    if name != "results.npz":
        assert "Reconstructions" in page.text
        assert "Synthesis" in page.text
    if name != "history.csv":
        assert "Score magnitude" in page.text


def test_damaged_pictures_are_named(copies, tmp_path):
    (copies[0] / "plane.webp").write_bytes(b"RIFF")
    (copies[0] / "interpolation.gif").write_bytes(b"GIF89a")
    (copies[1] / "chain.webp").unlink()
    (copies[1] / "progress" / "000010.png").write_bytes(b"\x89PNG")
    page = make(copies, tmp_path)
    for sentence in (
        "plane.webp is damaged",
        "interpolation.gif is damaged",
        "chain.webp is missing",
        "progress/000010.png is damaged",
    ):
        assert sentence in page.text
    assert "Over the iterations" in page.text


def test_metrics_that_are_no_numbers_are_dashes(copies, tmp_path):
    metrics = json.loads((copies[0] / "metrics.json").read_text())
    metrics |= {"psnr": "splendid", "psnr_by_image": 3, "versions": None, "seconds": True}
    (copies[0] / "metrics.json").write_text(json.dumps(metrics))
    page = make(copies, tmp_path)
    assert "Reconstructions" in page.text
    assert "splendid" not in page.text


def test_arrays_of_another_shape_are_damage(copies, tmp_path):
    arrays = results(copies[0])
    np.savez(copies[0] / "results.npz", **{**arrays, "z": arrays["z"][:2]})
    assert "results.npz is damaged: z are 2, not 3" in make(copies, tmp_path).text


def test_posterior_densities_are_shown_where_a_run_wrote_them(copies, tmp_path):
    assert "posterior densities" not in make(copies, tmp_path).text
    axis = np.linspace(-2.5, 2.5, 9)
    density = np.random.default_rng(0).random((3, 9, 9))
    np.savez(copies[0] / "posterior.npz", z_axis=axis, density=density)
    assert "posterior densities" in make(copies, tmp_path).text
    np.savez(copies[0] / "posterior.npz", z_axis=axis[1:], density=density)
    assert "posterior.npz is damaged" in make(copies, tmp_path).text


def test_every_item_is_found_by_its_number(finished, tmp_path):
    page = make(finished, tmp_path)
    ids = {attributes.get("id"): tag for tag, attributes in page.tags}
    links = [a["href"][1:] for tag, a in page.tags if tag == "a" and a.get("class") == "badge"]
    badges = [f"GenNet ({i})" for i in (1, 2, 3, 4)] + [f"DesNet ({i})" for i in (1, 2)]
    assert len(links) == 2 * len(badges)  # in the head, and in the story
    assert {ids[link] for link in links} == {"h3"}
    for badge in badges:
        heading = re.search(
            rf'id="run-\d-item-\d"><span class="badge">{re.escape(badge)}', page.source
        )
        assert heading, badge
    story = page.source[: page.source.index('id="comparison"')]
    assert story.count("<math>") == 8
    cut = [a for tag, a in Page(story).tags if tag == "img"]
    assert len(cut) == 2 + 4  # a picture in each head, and those of all items but the two losses
    assert story.count('<svg class="curve"') == 2


def test_the_first_screen_tells_the_figures_of_the_best_run(copies, tmp_path):
    worse = shutil.copytree(copies[0], copies[0].with_name("worse"))
    for folder, psnr in ((worse, 9.0), (copies[0], 33.0)):
        change(folder / "metrics.json", psnr=psnr, psnr_worst=psnr - 1, psnr_baseline=4.5)
    head = make([worse, *copies], tmp_path).text.split("What is asked")[0]
    assert "33.0 dB" in head
    assert "Worst image 32.0, without learning 4.5" in head
    assert "one has to look for differences" in head
    assert f"GenNet/{copies[0].name} , the best of 2 runs by PSNR" in head
    assert "9.0 dB" not in head


def test_a_page_without_scripts_has_pictures_and_says_so(finished, tmp_path):
    parts = re.findall("<noscript>(.*?)</noscript>", make(finished, tmp_path).source, re.DOTALL)
    assert any("Scripts are off" in part for part in parts)
    # The plane, the walk, the chains, and learning of both.
    assert sum('<img class="pixels" src="data:image/webp' in part for part in parts) == 5
    assert sum('<path d="M' in part for part in parts) == 2


def test_figures_and_pictures_that_a_run_writes_are_shown(finished, tmp_path):
    page = make(finished, tmp_path)
    for folder in finished:
        metrics = json.loads((folder / "metrics.json").read_text())
        assert metrics["psnr_worst"] == min(metrics["psnr_by_image"].values())
        for name in ("natural_tiles", "ghost_tiles", "copied_tiles"):
            assert f"{100 * metrics[name]:.3g} %" in page.text
        assert f"{metrics['patch_distance']:.4g}" in page.text
        assert f"PSNR, worst image {metrics['psnr_worst']:.1f} dB" in page.text
        if "moments" in metrics:
            layer = metrics["moments"]["layers"]["conv_2"]
            filter_ = metrics["moments"]["gabor"]["8 px, 45°"]
            for value in (layer["difference"], filter_["observed"], metrics["moments"]["colour"]):
                assert f"{value:.4g}" in page.text
        else:
            for name in ("r_hat_by_image", "effective_sample_size_by_image"):
                for value in metrics[name].values():
                    assert tables.number(value) in page.text
    assert 'alt="Differences of moments' in page.source
    assert page.text.count("roll-backs 0") == 2
    assert "The exact posterior" not in page.text


def test_a_picture_is_carried_as_it_is(finished):
    with Image.open(finished[1] / "moments.png") as picture:
        shown = pictures_.whole(picture.convert("RGB"))
    with Image.open(io.BytesIO(base64.b64decode(shown.uri.split(",")[1]))) as carried:
        difference = np.abs(np.asarray(picture.convert("RGB"), float) - np.asarray(carried))
    assert difference.max() == 0
    assert len(shown.uri) < (finished[1] / "moments.png").stat().st_size
    assert pictures_.whole(Image.new("RGB", (6000, 40))).width == 1500


def test_seeds_get_a_mean_and_a_spread(copies, tmp_path):
    folders = []
    for seed, psnr in ((1, 20.0), (2, 22.0), (3, 24.0)):
        folder = shutil.copytree(copies[0], copies[0].with_name(f"seed {seed}"))
        for name, value in (("config.json", {"seed": seed}), ("metrics.json", {"psnr": psnr})):
            content = json.loads((folder / name).read_text())
            (folder / name).write_text(json.dumps({**content, **value}))
        folders.append(folder)
    page = make([*folders, copies[1]], tmp_path)
    assert page.text.count("Mean ± spread of 3 seeds") == 1
    assert "22 ± 2" in page.text


def test_runs_that_differ_show_in_what(copies, tmp_path):
    other = shutil.copytree(copies[1], copies[1].with_name("other"))
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "T": 60, "seed": 5}))
    page = make([copies[1], other], tmp_path)
    assert "--T 3" in page.text
    assert "--T 60" in page.text
    assert "spread of" not in page.text


def test_every_run_is_found(copies):
    output = copies[0].parent.parent
    shutil.copytree(copies[0], copies[0].with_name("cats.1"))
    found = run_files.find(output)
    assert sorted(found) == sorted([*copies, copies[0].with_name("cats.1")])
    assert found[-1].parent.name == "DesNet"


def test_a_page_of_six_runs_is_small(copies, tmp_path):
    """Of runs whose pictures are as large and as busy as those of photographs at 64 x 64."""
    rng = np.random.default_rng(0)

    def busy(width, height):
        pixels = rng.integers(64, 192, (height // 3, width // 3, 3), np.uint8)
        return Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)

    folder = copies[0]
    busy(33 * 64, 33 * 64).save(folder / "plane.webp", quality=75)
    busy(25 * 32, 25 * 32).save(folder / "plane_wide.webp", quality=75)
    frames = [busy(128, 128) for _ in range(125)]
    frames[0].save(folder / "interpolation.gif", save_all=True, append_images=frames[1:])
    for panel in (folder / "progress").glob("*.png"):
        panel.unlink()
    for i in range(24):
        busy(11 * 130, 260).save(folder / "progress" / f"{i:06d}.png")
    small = [shutil.copytree(copies[1], copies[1].with_name(f"run {i}")) for i in range(6)]
    others = len(make(small, tmp_path).source)
    # A sixth of the page, beside runs that take next to nothing.
    share = len(make([folder, *small[1:]], tmp_path).source) - others * 5 / 6
    assert 1e6 < share < 12e6 / 6
    assert share < len(make([folder], tmp_path).source) < 6e6  # alone, it is shown better


def test_no_model_is_loaded():
    code = "import report, sys; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_a_run_of_one_iteration_and_z_of_many_dimensions(mains, pictures, tmp_path):
    common = ["--image_size=16", "--num_epochs=1", f"--data_path={pictures}", "--category=cats"]
    mains["GenNet"].main([*common, "--z_dim=5", "--width=8", f"--output_dir={tmp_path / 'GenNet'}"])
    quick = ["--learning=short_run", "--T=1"]
    mains["DesNet"].main([*common, *quick, f"--output_dir={tmp_path / 'DesNet'}"])
    page = make([tmp_path / name / "cats" for name in ("GenNet", "DesNet")], tmp_path)
    assert "Not all of this run" not in page.text
    assert "Walk in the plane" in page.text
    assert "along which the training images vary most" in page.text


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["{tmp}/nowhere"], "is not the folder of a run"),
        (["{tmp}"], "is not the folder of a run"),
        (["{run}", "--output={tmp}/file/report.html"], "cannot write"),
        (["{run}", "--output={tmp}"], "cannot write"),
        (["--no_such_flag"], "there is no flag --no_such_flag"),
    ],
)
def test_mistakes_get_one_sentence(finished, tmp_path, capsys, arguments, says):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(SystemExit) as exit_:
        report.main([a.format(tmp=tmp_path, run=finished[0]) for a in arguments])
    assert exit_.value.code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert says in lines[0]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_no_run_at_all_gets_one_sentence(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(report, "ROOT", tmp_path)
    with pytest.raises(SystemExit) as exit_:
        report.main([])
    assert exit_.value.code == 2
    assert "there is no run" in capsys.readouterr().err
