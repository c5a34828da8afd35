"""What a manifest may ask of the page: models that it does not know, and nonsense."""

import json
import re
import shutil

import pytest
from conftest import change, report_of

from report_page import run_files, story


@pytest.fixture
def stranger(copies, tmp_path):
    """A run of a model that has no story, beside files that are nobody's."""
    folder = shutil.copytree(copies[1], tmp_path / "Baselines" / "x")
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["story"], manifest["command"]
    manifest |= {"model": "Baseline", "sections": manifest["sections"][1:]}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    for place in (folder, folder.parent):
        (place / "comparison.json").write_text("no JSON")
    return folder


def text_of(*folders):
    return " ".join(re.sub("<[^>]*>", "", report_of(*folders)).split())


def test_a_model_that_the_page_does_not_know_is_shown(stranger):
    assert run_files.find(stranger.parent) == [stranger]
    text = text_of(stranger)
    assert "Not all of this run" not in text
    assert "Baseline (1) Synthesis" in text
    assert "python Baseline/main.py" in text
    assert "What is asked" not in text
    assert "GenNet" not in text


TABLE = {
    "kind": "table",
    "title": "Mine",
    "caption": "",
    "file": "mine.json",
    "row": "who",
    "columns": [{"path": ["by", "*", "n"], "heading": "n"}],
}
FIGURES = {
    "kind": "figures",
    "title": "Mine",
    "caption": "",
    "file": "mine.json",
    "figures": [{"path": ["a"], "name": "first", "note": ""}],
}


@pytest.mark.parametrize(
    ("content", "section", "says"),
    [
        ({"by": {"<b>x": {"n": 1e999}, "y": {"n": 2}}}, TABLE, "<b>x – y 2"),
        ({"by": [{"n": 0.5}, {"m": 1}, 7]}, {**TABLE, "later": True}, "0 0.5 1 – 2 –"),
        ({"by": {}}, TABLE, "Mine cannot be shown: it is not in its file"),
        ({"by": 3}, TABLE, "Mine cannot be shown: it is not in its file"),
        ({"a": "text"}, FIGURES, "first –"),
        ({}, FIGURES, "Mine cannot be shown: it is not in its file"),
        (None, FIGURES, "mine.json is missing"),
        ([], FIGURES, "mine.json is damaged"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_tables_are_of_what_is_there(stranger, content, section, says):
    if content is not None:
        (stranger / "mine.json").write_text(json.dumps(content))
    change(stranger / "manifest.json", sections=[section])
    page = report_of(stranger)
    text = " ".join(re.sub("<[^>]*>", " ", page).replace("&lt;b&gt;", "<b>").split())
    assert says in text
    assert "<b>" not in page


def test_what_is_written_later_may_be_missing(stranger):
    picture = {"kind": "picture", "picture": "mine.png", "title": "Mine", "alt": "", "caption": ""}
    later = [{**section, "later": True} for section in (TABLE, FIGURES, picture)]
    change(stranger / "manifest.json", sections=later)
    assert "mine." not in text_of(stranger)
    assert "Mine" not in text_of(stranger)


@pytest.mark.parametrize(
    "values",
    [
        {"sections": [{**TABLE, "file": "../mine.json"}]},
        {"sections": [{**TABLE, "file": "mine.npz"}]},
        {"sections": [{**TABLE, "columns": []}]},
        {"sections": [{**TABLE, "columns": TABLE["columns"] * 100}]},
        {"sections": [{**TABLE, "rows": ["a"]}]},
        {"sections": [{**FIGURES, "figures": [{"path": "a", "name": "", "note": ""}]}]},
        {"sections": [{**FIGURES, "figures": [{"path": [[]], "name": "", "note": ""}]}]},
        {"sections": [{**FIGURES, "item": "1"}]},
        {"sections": [{**FIGURES, "title": "x" * 10**5}]},
        {
            "sections": [
                {"kind": "picture", "picture": "/a.png", "title": "", "alt": "", "caption": ""}
            ]
        },
        {"flags": ["--seed; rm"]},
        {"sittings": []},
        {"sittings": [{"start": 0}]},
        {"story": {"claim": "x"}},
        {"story": {"claim": "", "does": "", "asks": "", "equations": [], "items": [{"number": 0}]}},
    ],
    ids=lambda values: str(values)[:60],
)
def test_nonsense_is_damage(stranger, values):
    change(stranger / "manifest.json", **values)
    assert "manifest.json is damaged: " in text_of(stranger)


@pytest.mark.parametrize(
    "latex",
    [
        r"\href{javascript:alert(1)}{x}",
        r"\text{<script>alert(1)</script>}",
        r"\frac{",
        "{" * 1900,
        r"\color{red\" onload=alert(1)}x",
    ],
)
def test_a_formula_only_draws(latex):
    drawn = story.formula(latex)
    assert not re.search("<(a|script|maction|semantics)|(href|style|on[a-z]+)=", drawn)
    assert re.match("<(math|code)>", drawn)


def test_formulas_are_drawn_by_the_browser():
    drawn = story.formula(r"\frac{\delta^2}{2} \, Y")
    assert re.search("<mfrac>.*<msup><mi>δ</mi><mn>2</mn></msup>.*</mfrac>", drawn)
