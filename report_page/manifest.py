"""What the manifest of a run says of its page, checked: it may come from anywhere.

`sections`, in order.  Each has a `kind`, and may have `item`, the number in the story that it
answers.  What a kind needs besides:

    plane    picture, z, walk: a sprite over the latent plane; arrays of places in it
    tiles    title, caption, arrays: each array's images one below another, with what each shows
    sheet    title, caption, array, alt: an array of images in 8 columns
    gif      title, caption, picture, label, alt: a film
    sprite   the same, of a sprite whose rows are frames
    picture  title, caption, picture, alt: a picture as it is
    figures  title, caption, file, figures: numbers of a JSON file, each with a name and a note
    table    title, caption, file, row, columns: likewise; rows are what `*` stands for in a path

`file` is a JSON file of the run, `path` leads to a number in it.  Of a table `rows` may choose and
name the rows, and `fold` names it while it is folded.  With the unit `%` a number is a share.  A
section that is `later` is of files that another command may write.

`story`, if the model has one: claim, does, asks; equations, each with what it says, in LaTeX;
items, each with its number, what it asks, what to look for, and what would look wrong.
"""

import math
import re
import reprlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from common.files import DamagedError, read_json
from common.run_folder import FORMAT, is_sitting

FORMATS = {".png": "PNG", ".gif": "GIF", ".webp": "WEBP"}  # as Pillow calls what a name promises
FRAMES = 1000  # of a picture
PLANES = 6  # of a latent space: all pairs of four axes
TEXT = 2000  # characters of a text at most
MANY = 50  # of columns, figures, equations and items at most
DEEP = 10  # steps of a path at most


def finite(value: object) -> float | None:
    """The value if it is a finite number, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:  # an integer of hundreds of digits
        return None
    return number if math.isfinite(number) else None


def is_whole(value: object) -> bool:
    """Whether it is a whole number that a page can do something with."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= 10**6


def read(path: Path) -> dict[str, Any]:
    """The manifest, all of whose parts are as the page needs them.

    Raises:
        FileError: it cannot be read.
        DamagedError: it asks for something that the page does not know.
    """
    manifest = read_json(path)
    if manifest.get("format") != FORMAT:
        raise DamagedError(f"its format is {reprlib.repr(manifest.get('format'))}, not {FORMAT}")
    if not _has_texts(manifest, "model", "sentence", "baseline"):
        raise DamagedError("it has no model, sentence or baseline")
    if not re.fullmatch(r"\w+", manifest["model"]):  # it becomes part of a command line
        raise DamagedError("its model has no name")
    if not is_whole(_dictionary(manifest.get("progress")).get("scale")):
        raise DamagedError("it has no scale of the panels of progress")
    for section in _list_of_dictionaries(manifest, "sections"):
        if not _is_section(section, _dictionary(manifest.get("pictures"))):
            raise DamagedError(
                f"it has a section that the page does not know: {reprlib.repr(section)}"
            )
    for chart in _list_of_dictionaries(manifest, "charts"):
        known = _has_texts(chart, "column", "title", "label", "advice") and _has_item(chart)
        if not known:
            raise DamagedError(f"it has a chart that the page does not know: {reprlib.repr(chart)}")
    _check_origin(manifest)
    if not _is_story(manifest.setdefault("story", {})):
        raise DamagedError("it has a story that the page does not know")
    return manifest


def _check_origin(manifest: dict[str, Any]) -> None:
    """See that it says how the run was made."""
    said = manifest.get("flags")
    if not isinstance(said, list) or not all(
        isinstance(flag, str) and re.fullmatch(r"\w+", flag, re.ASCII) for flag in said
    ):
        raise DamagedError("flags is no list of flags")
    command = manifest.setdefault("command", [f"{manifest['model']}/main.py"])
    if not isinstance(command, list) or not all(
        isinstance(word, str) and re.fullmatch(r"\w[\w/.-]*", word, re.ASCII) for word in command
    ):
        raise DamagedError("command is no list of words")
    sittings = manifest.get("sittings")
    if not isinstance(sittings, list) or not sittings or not all(map(is_sitting, sittings)):
        raise DamagedError("it has no sittings")


def _dictionary(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list_of_dictionaries(manifest: dict[str, Any], name: str) -> list[dict[str, Any]]:
    values = manifest.get(name)
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise DamagedError(f"{name} is no list")
    return values


def _has_texts(value: dict[str, Any], *names: str) -> bool:
    return all(isinstance(value.get(k), str) and len(value[k]) <= TEXT for k in names)


def _has_item(value: dict[str, Any]) -> bool:
    item = value.setdefault("item", 0)
    return isinstance(item, int) and not isinstance(item, bool) and 0 <= item < MANY


def _few(values: object, is_known: Callable[[dict[str, Any]], bool]) -> bool:
    """Whether it is a list of a few dictionaries, all of them known."""
    return (
        isinstance(values, list)
        and len(values) <= MANY
        and all(isinstance(value, dict) and is_known(value) for value in values)
    )


def _is_section(section: dict[str, Any], pictures: dict[str, Any]) -> bool:
    """Whether the page knows such a section, and the manifest says all that it needs."""
    name = section.get("kind")
    kind = KINDS.get(name) if isinstance(name, str) else None
    return (
        kind is not None
        and _has_texts(section, *kind.texts)
        and _has_item(section)
        and 0 < (finite(section.get("zoom", 1)) or 0) <= 100
        and kind.is_known(section, pictures)
    )


def _about(section: dict[str, Any], pictures: dict[str, Any]) -> dict[str, Any]:
    return _dictionary(pictures.get(section["picture"]))


def is_own(name: str, *suffixes: str) -> bool:
    """Whether a file lies in the folder of the run itself; by default a picture."""
    return Path(name).name == name and Path(name).suffix in (suffixes or FORMATS)


def _is_plane(section: dict[str, Any], pictures: dict[str, Any]) -> bool:
    told = [(section[key], _dictionary(pictures.get(section[key]))) for key in ("picture", "wide")]
    return all(
        is_own(name)
        and is_whole(about.get("side"))
        and 0 < (finite(about.get("reach")) or 0) <= 1000
        and _are_planes(about.get("axes"))
        for name, about in told
    )


def _are_planes(axes: object) -> bool:
    """Whether these are a few pairs of different axes, counted from 0; or one alone, of a line."""
    if axes == [[0]]:
        return True
    return (
        isinstance(axes, list)
        and 0 < len(axes) <= PLANES
        and all(isinstance(pair, list) and len(pair) == 2 for pair in axes)
        and all(type(axis) is int and 0 <= axis <= 10**6 for pair in axes for axis in pair)
        and all(first != second for first, second in axes)
    )


def _is_gif(section: dict[str, Any], pictures: dict[str, Any]) -> bool:
    about = _about(section, pictures)
    return is_own(section["picture"]) and all(
        is_whole(about.get(key)) for key in ("scale", "milliseconds")
    )


def _is_sprite(section: dict[str, Any], pictures: dict[str, Any]) -> bool:
    about = _about(section, pictures)
    frames = about.get("frames")
    return (
        is_own(section["picture"])
        and is_whole(about.get("milliseconds"))
        and isinstance(frames, list)
        and 0 < len(frames) <= FRAMES
    )


def _is_path(value: object) -> bool:
    return (
        isinstance(value, list)
        and 0 < len(value) <= DEEP
        and all(isinstance(step, str) for step in value)
    )


def _are_figures(section: dict[str, Any]) -> bool:
    return is_own(section["file"], ".json") and _few(
        section.get("figures"),
        lambda figure: (
            _has_texts(figure, "name", "note") and _has_unit(figure) and _is_path(figure["path"])
        ),
    )


def _has_unit(value: dict[str, Any]) -> bool:
    value.setdefault("unit", "")
    return _has_texts(value, "unit") and "path" in value


def _is_table(section: dict[str, Any]) -> bool:
    columns, rows = section.get("columns"), section.setdefault("rows", None)
    section.setdefault("fold", "")
    return (
        is_own(section["file"], ".json")
        and _has_texts(section, "fold")
        and (rows is None or (isinstance(rows, dict) and _has_texts(rows, *rows)))
        and bool(columns)
        and _few(
            columns,
            lambda column: (
                _has_texts(column, "heading") and _has_unit(column) and _is_path(column["path"])
            ),
        )
    )


class Kind(NamedTuple):
    """What a kind of section needs."""

    texts: set[str]  # their names
    is_known: Callable[[dict[str, Any], dict[str, Any]], bool]  # of it and all pictures: the rest


KINDS = {
    "plane": Kind({"picture", "wide", "z", "walk"}, _is_plane),
    "tiles": Kind(
        {"title", "caption"},
        lambda section, _: "images" in _dictionary(section.get("arrays")),
    ),
    "sheet": Kind({"title", "alt", "caption", "array"}, lambda section, _: True),
    "gif": Kind({"title", "label", "alt", "caption", "picture"}, _is_gif),
    "sprite": Kind({"title", "label", "alt", "caption", "picture"}, _is_sprite),
    "picture": Kind(
        {"title", "alt", "caption", "picture"},
        lambda section, _: is_own(section["picture"]),
    ),
    "figures": Kind({"title", "caption", "file"}, lambda section, _: _are_figures(section)),
    "table": Kind({"title", "caption", "file", "row"}, lambda section, _: _is_table(section)),
}


def _is_story(story: object) -> bool:
    return story == {} or (
        isinstance(story, dict)
        and _has_texts(story, "claim", "does", "asks")
        and _few(story.get("equations"), lambda equation: _has_texts(equation, "says", "latex"))
        and _few(
            story.get("items"),
            lambda item: (
                _has_texts(item, "asks", "look", "wrong")
                and 0 < (finite(item.get("number")) or 0) < MANY
                and _has_item({"item": item["number"]})
            ),
        )
    )
