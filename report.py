"""Make one page of finished runs: their pictures, figures and charts, and a plane to walk in.

It reads only the files that the runs have written, and needs no network to be looked at.
Example: python report.py output/GenNet/lion_tiger output/DesNet/egret
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
sys.path.append(str(ROOT / "GenNet"))

from common import endings  # noqa: E402

if __name__ == "__main__":
    endings.while_loading("report.py")

import base64  # noqa: E402
import hashlib  # noqa: E402
from collections.abc import Sequence  # noqa: E402

from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: E402

from common.command import ABILITIES  # noqa: E402
from common.endings import MistakeError, shown  # noqa: E402
from common.files import check_writable, write_whole  # noqa: E402
from common.flags import Parser  # noqa: E402
from report_page import again, comparison, run_files, sections, side_by_side, story, tables  # noqa: E402

PAGE = ROOT / "report_page"
PAGE_BYTES = 12e6  # that a page of two to six runs should take at most: it opens at once
SCRIPTS = ("axes.js", "plane.js", "film.js", "chart.js", "curves.js")


class ReportError(MistakeError):
    """A report that cannot be made; the message is a sentence for the user."""


def make_parser() -> Parser:
    """The command line."""
    parser = Parser("report.py", __doc__)
    parser.add_argument(
        "runs",
        metavar="RUN",
        nargs="*",
        type=Path,
        help="folder of a run (by default every run under output/, those moved aside as well)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=ROOT / "output" / "report.html",
        help="the page",
    )
    return parser


def render(runs: list[run_files.Run], families: Sequence[side_by_side.Category] = ()) -> str:
    """The page of the given runs, and of what compare.py has found."""
    environment = Environment(
        loader=FileSystemLoader(PAGE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = "\n".join((PAGE / name).read_text(encoding="utf-8") for name in SCRIPTS)
    # Only this very script runs, whatever else might find its way into the page.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    made = [sections.show(run) for run in runs]  # before the page says what it lacks
    return environment.get_template("page.html.jinja").render(
        made=made,
        cards=story.cards(runs, made),
        runs=runs,
        rows=comparison.rows(runs),
        families=families,
        abilities=[(ability, "") for ability in ABILITIES],
        headings=list(comparison.headings(runs).values()),
        remarks=comparison.remarks(runs),
        number=tables.number,
        sections=sections,
        curve=story.curve,
        shown_flag=again.shown_flag,
        style=(PAGE / "page.css").read_text(encoding="utf-8"),
        script=script,
        digest=digest,
    )


def report(folders: list[Path], output: Path) -> None:
    """Write the page of the runs in `folders`, or of all under output/ if none is given.

    Raises:
        ReportError: a folder is no run, there is none, or the page cannot be written.
    """
    for folder in folders:
        if not run_files.is_run(folder):
            raise ReportError(f"{folder} is not the folder of a run: none of its files is there.")
    families, wrong = ([], "") if folders else side_by_side.read(ROOT / "output")
    folders = folders or run_files.find(ROOT / "output")
    if not folders:
        raise ReportError(f"there is no run under {ROOT / 'output'}: make one with `make run`.")
    check_writable(output)
    runs = [run_files.read(folder.resolve()) for folder in folders]
    for run in runs:
        run.room = PAGE_BYTES / min(max(len(runs), 2), 6)
    page = render(runs, families).encode(
        "utf-8", "backslashreplace"
    )  # of names that are no Unicode
    write_whole(output, lambda file: file.write(page))
    if wrong:
        print(shown(f"The families side by side are left out: {wrong}"))
    for run in runs:
        for sentence in run.missing:
            print(shown(f"{run.name}: {sentence}"))
    size = output.stat().st_size / 1e6
    print(shown(f"{len(runs)} {'run' if len(runs) == 1 else 'runs'} in {output}, {size:.1f} MB"))


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; a mistake of the user's ends it with a sentence and exit code 2."""
    parser = make_parser()

    def run() -> None:
        args = parser.parse_args(arguments)
        report(args.runs, args.output)

    endings.end_in_a_sentence(parser.prog, run, "stopped; nothing was written")


if __name__ == "__main__":
    main()
