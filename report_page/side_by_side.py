"""The families side by side: what compare.py found, for the report.  It may come from anywhere."""

import os
from pathlib import Path
from typing import Any, NamedTuple

from common.experiment import ABILITIES
from common.files import DamagedError, FileError, read_json
from families import table
from families.table import Column
from report_page import run_files
from report_page.manifest import finite, is_own
from report_page.pictures import Picture, whole

FILE = "comparison.json"  # beside the folders of the models
MANY = 50  # models of a category, and categories, at most


class Category(NamedTuple):
    """The models of a category."""

    name: str
    tables: list[tuple[list[Column], list[tuple[str, list[str]]]]]  # columns and rows of each
    abilities: list[tuple[str, list[str]]]
    pictures: list[tuple[str, Picture]]  # with the text in place of each


def read(output: Path) -> tuple[list[Category], str]:
    """What was compared, by category, and what is wrong with it in a few words, or "".

    Args:
        output: the folder where comparison.json and its pictures lie.
    """
    path = output / FILE
    if not os.path.isfile(path):
        return [], ""
    try:
        content = read_json(path)
        if len(content) > MANY:
            raise DamagedError("it has too many categories")
        return [_category(output, name, found) for name, found in content.items()], ""
    except FileError as error:
        return [], str(error).replace(str(path), FILE).removesuffix(".")
    except DamagedError as error:
        return [], f"{FILE} is damaged: {error}"


def _category(output: Path, name: str, found: Any) -> Category:
    models = _dictionary(_dictionary(found).get("models"))
    if not models or len(models) > MANY:
        raise DamagedError(f"it has no models of {name}")
    figures = {model: _figures(values) for model, values in models.items()}
    bounds = {m: {"bounds": _dictionary(_dictionary(v).get("bounds"))} for m, v in models.items()}
    yardsticks = _dictionary(found.get("yardsticks"))
    own = {"models": bounds, "yardsticks": {k: _dictionary(v) for k, v in yardsticks.items()}}
    alone = [
        (what, table.cells(_figures(bits), table.CLOSENESS)) for what, bits in table.bits_alone(own)
    ]
    tables = [
        (columns, [(model, table.cells(values, columns)) for model, values in figures.items()])
        for columns in (table.CLOSENESS, table.SAMPLES)
    ]
    tables[0][1].extend(alone[:MANY])
    abilities = [(model, table.can(values)) for model, values in figures.items()]
    shown = [
        (f"{what} of {name}", _picture(output / f"{file}_{name}.png"))
        for file, what in (("families", "Samples of every model"), ("comparison", "Figures"))
        if is_own(f"{file}_{name}.png")
    ]
    return Category(name, tables, abilities, [(alt, made) for alt, made in shown if made])


def _dictionary(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _figures(values: Any) -> dict[str, Any]:
    """Those of a model that are finite numbers, and what it can do."""
    values = _dictionary(values)
    numbers: dict[str, Any] = {name: finite(value) for name, value in values.items()}
    for name in ("modes_hit", "images"):  # which are counted
        if numbers.get(name) is not None:
            numbers[name] = round(numbers[name])
    if None in (numbers.get("expected_coverage"), numbers.get("images")):
        numbers |= {"coverage": None, "modes_hit": None}
    numbers["how"] = str(values.get("how"))
    can = values.get("abilities")
    return numbers | {"abilities": [a for a in ABILITIES if isinstance(can, list) and a in can]}


def _picture(path: Path) -> Picture | None:
    if not os.path.isfile(path):
        return None
    try:
        return whole(run_files.frames(path)[0])
    except Exception:  # libraries raise anything of hostile bytes, and the rest is to be shown
        return None
