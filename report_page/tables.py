"""Numbers of a run's JSON files: figures with a note each, and tables, by the paths to them."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from report_page.manifest import finite
from report_page.run_files import Run

ROWS = 55  # of a table, as many as there are images shown one by one
ANY = "*"  # in a path: every key of a dictionary, every place of a list


class AbsentError(Exception):
    """Numbers that a file does not hold."""


class Figure(NamedTuple):
    """A number as text, its name, and what it means."""

    name: str
    text: str
    note: str


class Table(NamedTuple):
    """Rows, each a name and a cell for each heading after the first."""

    headings: list[str]
    rows: list[tuple[str, list[str]]]
    total: int  # rows in the file, of which the first are shown


def number(value: float | None, unit: str = "") -> str:
    """Four significant digits, a dash for none; with the unit % of a share."""
    if value is None:
        return "–"
    if unit == "%":
        return f"{100 * value:.3g} %"
    # Thousands in full: 1.234e+05 reads badly beside its neighbours.
    text = f"{value:.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.4g}"
    return f"{text} {unit}".strip().replace("-", "−")


def figures(run: Run, section: dict[str, Any]) -> list[Figure]:
    """The figures of a section, a dash for one that is no finite number; none if no file is there.

    Raises:
        AbsentError: not one of them is in the file.
    """
    content = run.tables.get(section["file"])
    if content is None:
        return []
    told = section["figures"]
    if all(_at(content, figure["path"]) is None for figure in told):
        raise AbsentError
    return [
        Figure(figure["name"], number(finite(_at(content, figure["path"])), figure["unit"]), note)
        for figure in told
        for note in [figure["note"]]
    ]


def table(run: Run, section: dict[str, Any]) -> Table | None:
    """The table of a section; None if its file is not there.

    Raises:
        AbsentError: it has not one row.
    """
    content = run.tables.get(section["file"])
    if content is None:
        return None
    columns, names = section["columns"], section["rows"]
    found = list(_rows(content, columns[0]["path"]))
    if names is not None:
        found = [row for name in names for row in found if row[0] == name]
    if not found:
        raise AbsentError
    rows = []
    for keys in found[:ROWS]:
        values = (_at(content, _filled(column["path"], keys)) for column in columns)
        cells = [
            number(finite(value), column["unit"])
            for value, column in zip(values, columns, strict=True)
        ]
        name = str(keys[0]) if keys else ""
        rows.append((name if names is None else names[name], cells))
    headings = [section["row"], *(column["heading"] for column in columns)]
    return Table(headings, _grouped(rows), len(found))


def _grouped(rows: list[tuple[str, list[str]]]) -> list[tuple[str, list[str]]]:
    """The rows, of which those with the same name in turn are named once."""
    before = [None, *(name for name, _ in rows)]
    return [
        ("" if name == last else name, cells)
        for last, (name, cells) in zip(before, rows, strict=False)
    ]


def _at(content: Any, path: Sequence[str | int]) -> Any:
    """What a path leads to, None if nothing is there."""
    for step in path:
        is_place = isinstance(content, list) and isinstance(step, int) and step < len(content)
        if not is_place and not (isinstance(content, dict) and step in content):
            return None
        content = content[step]
    return content


def _rows(content: Any, path: list[str]) -> Iterator[tuple[str | int, ...]]:
    """What every ANY of a path may stand for, one after another, in the order of the file."""
    if ANY not in path:
        yield ()
        return
    at = path.index(ANY)
    inside = _at(content, path[:at])
    keys = inside if isinstance(inside, dict) else []
    places = range(len(inside)) if isinstance(inside, list) else []
    for key in [*keys, *places]:
        for rest in _rows(_at(inside, [key]), path[at + 1 :]):
            yield key, *rest


def _filled(path: list[str], keys: tuple[str | int, ...]) -> list[str | int]:
    """The path with each ANY replaced by its key."""
    left = iter(keys)
    return [next(left, "") if step == ANY else step for step in path]
