"""Make one page of finished runs: their pictures, figures and charts, and a plane to walk in.

It reads only the files that the runs have written, and needs no network to be looked at.
Example: python report.py output/GenNet/lion_tiger output/DesNet/egret
"""

import argparse
import base64
import hashlib
import os
from pathlib import Path
from typing import NoReturn

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from report_page import comparison, run_files, sections

ROOT = Path(__file__).resolve().parent
PAGE = ROOT / "report_page"
SCRIPTS = ("plane.js", "film.js", "chart.js")


class ReportError(Exception):
    """A report that cannot be made; the message is a sentence for the user."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one sentence."""

    def error(self, message: str) -> NoReturn:
        """Print the sentence and exit with code 2."""
        self.exit(2, f"{self.prog}: {message} (--help lists every flag)\n")


def make_parser() -> Parser:
    """The command line."""
    parser = Parser("report.py", description=(__doc__ or "").splitlines()[0], allow_abbrev=False)
    parser.add_argument(
        "runs",
        metavar="RUN",
        nargs="*",
        type=Path,
        help="folder of a run (default: every run under output/, those moved aside as well)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=ROOT / "output" / "report.html",
        help="the page (default: output/report.html)",
    )
    return parser


def render(runs: list[run_files.Run]) -> str:
    """The page of the given runs."""
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
    return environment.get_template("page.html.jinja").render(
        runs=runs,
        rows=comparison.rows(runs),
        metrics=list(comparison.METRICS.values()),
        number=comparison.number,
        sections=sections,
        style=(PAGE / "page.css").read_text(encoding="utf-8"),
        script=script,
        digest=digest,
    )


def write(path: Path, text: str) -> None:
    """Write the page whole or not at all.

    Raises:
        ReportError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # A file name that is no Unicode is shown with question marks.
        temporary.write_bytes(text.encode("utf-8", "replace"))
        os.replace(temporary, path)
    except OSError as error:
        raise ReportError(f"cannot write {path}: {error.strerror}.") from error
    finally:
        if temporary.parent.is_dir():
            temporary.unlink(missing_ok=True)


def report(folders: list[Path], output: Path) -> None:
    """Write the page of the runs in `folders`, or of all under output/ if none is given.

    Raises:
        ReportError: a folder is no run, there is none, or the page cannot be written.
    """
    for folder in folders:
        if not run_files.is_run(folder):
            raise ReportError(f"{folder} is not the folder of a run: none of its files is there.")
    folders = folders or run_files.find(ROOT / "output")
    if not folders:
        raise ReportError(f"there is no run under {ROOT / 'output'}: make one with `make run`.")
    runs = [run_files.read(folder.resolve()) for folder in folders]
    write(output, render(runs))
    for run in runs:
        for sentence in run.missing:
            print(f"{run.name}: {sentence}")
    size = output.stat().st_size / 1e6
    print(f"{len(runs)} {'run' if len(runs) == 1 else 'runs'} in {output}, {size:.1f} MB")


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; a mistake of the user's ends it with a sentence and exit code 2."""
    parser = make_parser()
    args = parser.parse_args(arguments)
    try:
        report(args.runs, args.output)
    except ReportError as mistake:
        parser.exit(2, f"{parser.prog}: {mistake}\n")


if __name__ == "__main__":
    main()
