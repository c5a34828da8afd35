"""What the README and docs/ say: from docs/figures.json alone, with pictures of the same runs."""

import json
import re

import pytest
from conftest import ROOT, load_file
from PIL import Image

make = load_file(ROOT / "docs" / "make.py")
FIGURES = json.loads(make.FIGURES.read_text())
# What is measured has a unit; what is chosen, such as a share of the run, is said in the list.
MEASURED = re.compile(r"[\d.]+ (?:dB|%|s|ms|MB|nats|bits)\b|\b0\.\d{3}\b")
CHOSEN = {"40 %", "70 %"}
# Of others, as they were found: the best published solution, PyTorch in other processes.
QUOTED = {"15.6 dB", "0.34 s"}


@pytest.mark.parametrize("name", make.PAGES)
def test_a_page_says_what_the_figures_are(name):
    assert make.PAGES[name].read_text(encoding="utf-8") == make.rendered(FIGURES)[name]


@pytest.mark.parametrize("name", make.PAGES)
def test_no_figure_is_typed(name):
    text = (make.TEMPLATES / f"{name}.jinja").read_text(encoding="utf-8")
    text = re.sub(r"\{\{.*?\}\}|\{%.*?%\}|`.*?`|```.*?```", "", text, flags=re.DOTALL)
    assert set(MEASURED.findall(text)) <= CHOSEN | QUOTED


def test_every_picture_is_of_a_run_whose_figures_are_told():
    ids = {run["id"] for run in FIGURES["drawn"].values()}
    assert {*make.PICTURES, "report.png"} == FIGURES["pictures"].keys()
    for name, told in FIGURES["pictures"].items():
        with Image.open(make.DOCS / name) as picture:
            assert picture.info[make.RUN_ID] == told
        assert set(told.split()) <= ids


def test_figures_are_of_the_runs_that_are_listed():
    for half, runs in make.RUNS.items():
        told = {name: run["command"] for name, run in FIGURES[half].items()}
        assert told == {name: f"python {command}" for name, command in runs.items()}
        for run in FIGURES[half].values():
            assert re.fullmatch("[0-9a-f]{7,}", run["commit"])


def test_links_lead_somewhere_and_the_readme_is_one_page():
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 145


def test_the_notebook_walks_through_a_run(finished):
    run = next(folder for folder in finished if "GenNet" in str(folder))
    outputs = [each for cell in make.walk(run).cells for each in cell.get("outputs", [])]
    pictures = [each for each in outputs if "image/png" in each.get("data", {})]
    assert len(pictures) == 4
    assert not [each for each in outputs if each.output_type in ("error", "stream")]
