"""Compare finished runs of all models on the same images, by one yardstick: a table and figures.

It reads only what the runs have written.  Of each model it takes the newest run, one that held out
every fourth image (--holdout fourth) if there is such.
Example: python compare.py --category lion_tiger digits
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
sys.path.append(str(ROOT / "GenNet"))

from common import endings  # noqa: E402

if __name__ == "__main__":
    endings.while_loading("compare.py")

import argparse  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402

from common.console import doing, say  # noqa: E402
from common.endings import shown  # noqa: E402
from common.experiment import ABILITIES  # noqa: E402
from common.files import check_writable, write_json, write_whole  # noqa: E402
from common.flags import Parser, folder_name  # noqa: E402
from common.run_folder import png  # noqa: E402
from families import measures, pictures, runs, table  # noqa: E402
from families.runs import CompareError, Family  # noqa: E402

JSON = "comparison.json"


def make_parser() -> Parser:
    """The command line."""
    parser = Parser("compare.py", __doc__ or "")
    parser.add_argument(
        "--category",
        nargs="+",
        type=folder_name,
        metavar="NAME",
        help="what the models have learned (by default every category that two have)",
    )
    parser.add_argument(
        "--output_dir",
        type=Path,
        default=ROOT / "output",
        help="where the runs are, as MODEL/NAME, and the comparison is written",
    )
    return parser


def by_category(families: list[Family], wanted: list[str] | None) -> dict[str, list[Family]]:
    """The runs that are compared, by category.

    Raises:
        CompareError: there are fewer than two models of a category that is wanted, or of any.
    """
    categories = wanted or sorted({family.category for family in families})
    chosen = {
        category: runs.choose([f for f in families if f.category == category])
        for category in categories
    }
    if wanted:
        for category, members in chosen.items():
            if len(members) < 2:
                raise CompareError(
                    f"{len(members)} models have finished runs of {category}: learn it with"
                    f" others, for example by Baselines/main.py vae --category {category}."
                )
        return chosen
    chosen = {category: members for category, members in chosen.items() if len(members) > 1}
    if not chosen:
        raise CompareError(
            "no two models have finished runs of the same category: `make baselines` makes such."
        )
    return chosen


def compare(members: list[Family]) -> dict[str, Any]:
    """The figures of all models of a category, and of the yardsticks for each size of images."""
    models = {family.model: measures.measure(family) for family in members}
    yardsticks: dict[str, Any] = {}
    for family in members:
        images = family.arrays["images"]
        side = str(images.shape[1])
        if side not in yardsticks or (family.is_split and not yardsticks[side]["split"]):
            none = np.empty((0, *images.shape[1:]))
            held_out = family.arrays.get("holdout", none)
            found = measures.yardsticks(images, held_out)
            yardsticks[side] = {"split": family.is_split, "by_name": found}
    return {"models": models, "yardsticks": {k: v["by_name"] for k, v in yardsticks.items()}}


def print_table(category: str, found: dict[str, Any]) -> None:
    """Print the figures of a category, and what the models can do."""
    models = found["models"]
    alone = [(name, table.cells(bits, table.CLOSENESS)) for name, bits in table.bits_alone(found)]
    for columns, more in ((table.CLOSENESS, alone), (table.SAMPLES, [])):
        rows = [(name, table.cells(figures, columns)) for name, figures in models.items()]
        say("")
        for line in table.lines([column.heading for column in columns], rows + more):
            say(line)
    say("")
    for line in table.lines(ABILITIES, [(name, table.can(f)) for name, f in models.items()]):
        say(line)


def use(args: argparse.Namespace) -> None:
    """Compare, print and write."""
    check_writable(args.output_dir / JSON)
    families = runs.read_all(list(runs.find(args.output_dir)), lambda text: say(shown(text)))
    chosen = by_category(families, args.category)
    content: dict[str, Any] = {}
    for category, members in chosen.items():
        with doing(f"Comparing {len(members)} models of {category}"):
            found = compare(members)
            arrays = {family.model: family.arrays for family in members}
            figures = {
                f"families_{category}.png": pictures.rows(arrays, category),
                f"comparison_{category}.png": pictures.bars(found["models"], category),
            }
        for name, figure in figures.items():
            write_whole(args.output_dir / name, png(figure).write)
        content[category] = found | {"pictures": list(figures)}
        print_table(category, found)
        say("")
    write_json(args.output_dir / JSON, content)
    say(shown(f"Written to {args.output_dir}: {JSON} families_*.png comparison_*.png"))


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; a mistake of the user's ends it with a sentence and exit code 2."""
    parser = make_parser()
    endings.end_in_a_sentence(
        parser.prog, lambda: use(parser.parse_args(arguments)), "stopped; run it again"
    )


if __name__ == "__main__":
    main()
