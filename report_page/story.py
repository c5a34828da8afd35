"""The head of the page: each model in a card, and what is asked of it beside the answers.

What is asked stands in the manifest; the pictures are cut from the best run of the model.
"""

import string
from collections.abc import Sequence
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np
from latex2mathml.converter import convert
from markupsafe import Markup, escape
from PIL import Image

from common import fitting
from report_page import pictures
from report_page.pictures import Picture
from report_page.run_files import Run
from report_page.sections import Chart, Part, Shown

COLUMNS = 6  # images in a row of a thumbnail, and
SIDE = 64  # pixels of each; of a sheet, half of it
CURVE = (240, 96)  # size of a curve, in the units of its drawing
POINTS = 120  # of it
# Of MathML: what is drawn, and nothing that leads anywhere.
TAGS = {
    *("math", "mrow", "mi", "mo", "mn", "mtext", "mspace", "mfrac", "msqrt", "mroot", "mstyle"),
    *("msub", "msup", "msubsup", "munder", "mover", "munderover"),
}
ATTRIBUTES = {"stretchy", "accent", "fence", "form", "width", "mathvariant"}
SIMPLE = {*string.ascii_letters, *string.digits, *".-"}


class Item(NamedTuple):
    """Something that is asked, and where the answer is."""

    badge: str  # GenNet (1)
    link: str  # id of the answer, "" if it is not on the page
    asks: str
    look: str
    wrong: str
    picture: Picture | None
    curve: str  # the path of a drawing, or ""


class Card(NamedTuple):
    """A model: what it does, how well its best run does it, and what is asked of it."""

    model: str
    claim: str
    does: str
    asks: str
    equations: list[tuple[str, Markup]]  # what each says, and the formula
    items: list[Item]
    run: Run  # the best by PSNR
    link: str  # id of its section
    picture: Picture | None
    others: int  # runs of the model besides


def cards(runs: Sequence[Run], made: Sequence[Shown]) -> list[Card]:
    """A card for each model, in the order of their first runs."""
    by_model: dict[str, list[int]] = {}
    for i, run in enumerate(runs):
        if run.model:
            by_model.setdefault(run.model, []).append(i)
    return [_card(runs, made, members) for members in by_model.values()]


def _card(runs: Sequence[Run], made: Sequence[Shown], members: list[int]) -> Card:
    best = max(members, key=lambda i: _or_least(runs[i].figure("psnr")))
    run, shown, link = runs[best], made[best], f"run-{best + 1}"
    story = run.manifest["story"]
    items = [_item(run, shown, link, told) for told in story.get("items", [])]
    parts = _flat(shown.parts)
    thumbs = [item.picture for item in items] + [_thumb(run, part) for part in parts[:3]]
    return Card(
        run.model,
        story.get("claim", run.model),
        story.get("does", f"{run.manifest['sentence']}."),
        story.get("asks", ""),
        [(told["says"], formula(told["latex"])) for told in story.get("equations", [])],
        items,
        run,
        link,
        next((thumb for thumb in thumbs if thumb), None),
        len(members) - 1,
    )


def _or_least(value: float | None) -> float:
    return float("-inf") if value is None else value


def _flat(parts: Sequence[Part]) -> list[Part]:
    """The parts, of which sheets in a row are one."""
    return [each for part in parts for each in (part.shown if part.kind == "sheets" else [part])]


def _item(run: Run, shown: Shown, link: str, told: dict[str, Any]) -> Item:
    number = int(told["number"])
    answers = [part for part in _flat(shown.parts) if part.told.get("item") == number]
    curves = [chart for chart in shown.charts if chart.item == number]
    return Item(
        f"{run.model} ({number})",
        f"{link}-item-{number}" if answers or curves else "",
        *(told["asks"], told["look"], told["wrong"]),
        _thumb(run, answers[0]) if answers else None,
        curve(curves[0]) if curves and not answers else "",
    )


def _thumb(run: Run, part: Part) -> Picture | None:
    """A few of the images of a part."""
    told = part.told
    if part.kind == "tiles":
        rows = [run.arrays[name][:COLUMNS] for name in told["arrays"]]
        return _grid([_tile(pictures.as_picture(i)) for row in rows for i in row], len(rows[0]))
    if part.kind == "sheet":
        images = run.arrays[told["array"]][:64]
        return _grid([_tile(pictures.as_picture(image), SIDE // 2) for image in images], 8)
    if part.kind == "sprite":
        sheet, count = run.pictures[told["picture"]][0], len(run.about(told["picture"])["frames"])
        side = sheet.height // count
        places = fitting.evenly(count, COLUMNS)
        frames = [sheet.crop((0, i * side, side, (i + 1) * side)) for i in places]
        return _grid([_tile(frame) for frame in frames], len(frames))
    if part.kind == "picture":
        picture = run.pictures[told["picture"]][0].copy()
        picture.thumbnail((COLUMNS * SIDE, 4 * SIDE))
        return pictures.embed(picture)
    return None


def _tile(picture: Image.Image, side: int = SIDE) -> Image.Image:
    """A square picture at this size; a smaller one keeps crisp pixels."""
    larger = picture.width > side
    method = Image.Resampling.LANCZOS if larger else Image.Resampling.NEAREST
    return picture.resize((side, side), method)


def _grid(tiles: Sequence[Image.Image], columns: int) -> Picture:
    return pictures.embed(pictures.joined(tiles, columns, "white"))


def curve(chart: Chart) -> str:
    """The path of a chart's drawing, of CURVE's size, which needs no script."""
    every = chart.data["values"]
    places = fitting.evenly(len(every), POINTS)
    values = np.array([np.nan if every[i] is None else every[i] for i in places], float)
    if chart.data["log"] and np.nanmin(values, initial=np.inf) > 0:
        values = np.log(values)
    there = np.isfinite(values)
    if not there.any():
        return ""
    low, high = values[there].min(), values[there].max()
    across = np.linspace(2, CURVE[0] - 2, len(values))
    down = CURVE[1] - 4 - (CURVE[1] - 8) * (values - low) / max(high - low, 1e-300)
    pens = ["L" if i and there[i - 1] else "M" for i in range(len(values))]
    return "".join(
        f"{pen}{x:.1f} {y:.1f}"
        for pen, x, y, is_there in zip(pens, across, down, there, strict=True)
        if is_there
    )


def formula(latex: str) -> Markup:
    """A formula in MathML; as it is written, if it cannot be one."""
    try:
        return _drawn(ElementTree.fromstring(convert(latex)))
    except Exception:  # of hostile LaTeX the library raises anything
        return Markup("<code>{}</code>").format(latex)


def _drawn(element: ElementTree.Element) -> Markup:
    """An element of MathML with what is inside, each of TAGS and with ATTRIBUTES alone."""
    name = element.tag.rsplit("}")[-1]
    if name not in TAGS:
        raise ValueError(name)
    told = "".join(
        f' {key}="{value}"'
        for key, value in element.attrib.items()
        if key in ATTRIBUTES and set(value) <= SIMPLE
    )
    inside = escape(element.text or "") + Markup("").join(_drawn(child) for child in element)
    return Markup(f"<{name}{told}>") + inside + Markup(f"</{name}>")  # noqa: S704
