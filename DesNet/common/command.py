"""The command line of any model: its flags, learning with everything that a run writes, failing.

A model brings an `Experiment`; `main` does the rest.
"""

from __future__ import annotations

import os
import signal
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from common import datasets, endings, figures, flags, session
from common.datasets import Dataset
from common.endings import shown
from common.flags import Settings, SettingsError
from common.model import Model, Record
from common.ownership import owned
from common.run import Run, settings_to_resume
from common.run_folder import ANEW, Folder, Picture, RunError, png

EVALUATED = 256  # images that pictures, arrays and figures are of


class Chart(NamedTuple):
    """A number of the history, as it is drawn by iteration."""

    column: str
    title: str
    label: str  # of its axis, with the unit
    log: bool = False  # whether that is logarithmic
    advice: str = ""  # what to look for, in the report; without it, it is drawn in the folder only


class Results(NamedTuple):
    """What a run shows when learning has ended."""

    pictures: dict[str, Picture]  # by file name
    arrays: dict[str, np.ndarray]  # of results.npz
    figures: dict[str, Any]  # of metrics.json
    headline: dict[str, float]  # those that the console shows
    sections: list[dict[str, Any]]  # of the report, in order: what manifest.json says of each
    baseline: str  # what psnr_baseline is of: what there is without learning, in words


class Experiment(ABC):
    """A model, the images that it learns, and what is shown of both.

    Attributes:
        name: of the model.
        settings_class: its settings.
        losses: charts of loss.png.
        diagnostics: charts of diagnostics.png.
        model: built.
        images: those that are learned, [N, S, S, 3] in [0, 255].
        names: of these.
        constants: what the model is made of besides its settings, for `load`.
    """

    name: ClassVar[str]
    settings_class: ClassVar[type[Settings]]
    losses: ClassVar[list[Chart]]
    diagnostics: ClassVar[list[Chart]]
    model: Model
    images: np.ndarray
    names: list[str]
    constants: dict[str, Any]

    @abstractmethod
    def __init__(self, settings: Settings, data: Dataset) -> None:
        """Build the model for a category of images."""

    @abstractmethod
    def describe(self) -> str:
        """The model in a few words, for the console."""

    @abstractmethod
    def sentence(self) -> str:
        """What was done, for the report; how many iterations it took is added."""

    @abstractmethod
    def train(self) -> Iterator[Record]:
        """The iterations of learning."""

    def note(self, record: Record) -> None:  # noqa: B027  (most have nothing to say)
        """Say on the console what is out of the ordinary in an iteration."""

    @abstractmethod
    def progress(self) -> Figure:
        """A panel of what the model has learned so far."""

    @abstractmethod
    def results(self, run: Run) -> Results:
        """What the run shows, as the model stands."""

    def finish(self, run: Run) -> None:  # noqa: B027  (most have nothing more to do)
        """What is done when the results are written."""


def learn(experiment: Experiment, digests: dict[str, str], resume: bool) -> int | None:
    """Learn, and write a run.

    Args:
        experiment: built.
        digests: of the images of the category, see `datasets.digests`.
        resume: whether to go on with the run that is there.

    Returns:
        The signal that told it to stop, if one did.

    Raises:
        MistakeError: of any kind.
    """
    about = {"model": experiment.name, "images": experiment.names, "digests": digests}
    run = Run(experiment.model, about, experiment.constants)
    with owned(run.folder):
        if resume:
            charts = (*experiment.losses, *experiment.diagnostics)
            run.go_on({"loss", *(chart.column for chart in charts)})
        else:
            run.begin()
        _learn(experiment, run)
    return run.stop.signal


def _learn(experiment: Experiment, run: Run) -> None:
    """Learn, and write a run that is open."""
    settings = experiment.model.settings
    total = datasets.iterations(settings, len(experiment.images))
    print(
        f"{experiment.name}: {len(experiment.images)} images of {shown(settings.category)} at"
        f" {experiment.images.shape[1]} x {experiment.images.shape[2]},"
        f" {session.describe(settings.device)}, {experiment.describe()}"
    )
    run.tell(
        sentence=experiment.sentence(),
        charts=[chart._asdict() for chart in (*experiment.losses, *experiment.diagnostics)],
        progress={"scale": figures.SCALE},
        **{"baseline": "", "sections": [], "pictures": {}},  # until there are results
    )
    for record in run.follow(experiment.train(), total):
        experiment.note(record)
        iteration = int(record["iteration"])
        if iteration % settings.log_step == 0:
            run.save_figure(f"progress/{iteration:06d}.png", experiment.progress())
            run.save_checkpoint()
    run.save_checkpoint()
    headline = save_results(experiment, run)
    experiment.finish(run)
    run.report(headline, total)


def save_results(experiment: Experiment, run: Run) -> dict[str, float]:
    """Write the pictures, arrays and figures of a run, and say in its manifest what they are.

    Returns:
        The figures for the console.
    """
    results = experiment.results(run)
    pictures = results.pictures | {
        "loss.png": png(draw_charts(experiment.losses, run)),
        "diagnostics.png": png(draw_charts(experiment.diagnostics, run)),
    }
    panels = figures.read_panels(run.folder / "progress")
    if panels:
        frames = list(panels.values())
        pictures["training.gif"] = Picture(
            lambda file: figures.write_gif(file, frames, 400, hold=1500),
            {"unit": "iteration", "frames": list(panels)},
        )
    for name, picture in pictures.items():
        run.save(name, picture.write)
    loss = np.array(run.column("loss"))
    run.save_arrays("results.npz", **results.arrays, loss=loss)
    evaluated = len(results.arrays["images"])
    run.save_metrics(
        {
            **results.figures,
            "images": len(experiment.images),
            "evaluated": evaluated,
            "loss": run.history[-1]["loss"],
        }
    )
    run.tell(
        baseline=results.baseline,
        sections=results.sections,
        pictures={name: picture.about for name, picture in pictures.items()},
    )
    return results.headline


def draw_charts(charts: list[Chart], run: Run) -> Figure:
    """Charts of the history of a run."""
    return figures.charts(
        {chart.title: (run.column(chart.column), chart.label) for chart in charts},
        log=[chart.title for chart in charts if chart.log],
    )


# Command lines


def make_parser(
    prog: str, description: str, settings_class: type[Settings], only_said: bool = False
) -> flags.Parser:
    """The flags of a model, each with its default and unit; see `flags.add_settings`."""
    parser = flags.Parser(prog, description)
    groups = flags.add_settings(parser, settings_class, only_said)
    groups[flags.RUN].add_argument(
        "--resume", action="store_true", help="go on with the run in OUTPUT_DIR/NAME"
    )
    return parser


def read_flags(
    prog: str, description: str, settings_class: type[Settings], arguments: list[str] | None
) -> tuple[Settings, bool]:
    """The settings that a command line asks for, and whether a run is gone on with.

    With --resume, flags that are not given are those of the run.

    Raises:
        SettingsError: the run's folder cannot be written by TensorFlow.
        RunError: there is no run to go on with, or a flag contradicts it.
    """
    args = make_parser(prog, description, settings_class).parse_args(arguments)
    given = flags.read_settings(args, settings_class)
    try:
        str(given.folder).encode()
    except UnicodeEncodeError as error:
        raise SettingsError(
            f"TensorFlow cannot write to {given.folder}, whose name is no UTF-8: choose --name and"
            " --output_dir"
        ) from error
    if not args.resume:
        return given, False
    parser = make_parser(prog, description, settings_class, only_said=True)
    said = vars(parser.parse_args(arguments)).keys()
    if not os.path.isfile(given.folder / "config.json"):
        raise RunError(f"there is no run to go on with in {given.folder}: leave out --resume.")
    before = Folder(given.folder, ANEW).settings(settings_class)
    return settings_to_resume(given, before, set(said)), True


def main(
    prog: str, description: str, experiment: type[Experiment], arguments: list[str] | None = None
) -> None:
    """Run the command line of a model.

    Args:
        prog: the command.
        description: what it does; its first line is shown.
        experiment: what it learns and shows.
        arguments: by default those of the process.
    """

    def run() -> None:
        settings, resume = read_flags(prog, description, experiment.settings_class, arguments)
        folder = settings.data_path / settings.category
        data = datasets.load(folder, settings.image_size, settings.fit)
        for reason in data.skipped:
            print(shown(f"Skipped {reason}"))
        digests = datasets.digests(data)
        if resume:
            Folder(settings.folder, ANEW).check_images(digests)
        stopped_by = learn(experiment(settings, data), digests, resume)
        if stopped_by not in (None, signal.SIGINT):
            sys.exit(endings.exit_code(stopped_by))

    endings.end_in_a_sentence(prog, run, "stopped; --resume goes on from the last checkpoint")
