"""The command line of any model: its flags, learning with everything that a run writes, failing.

A model brings an `Experiment`; `main` does the rest.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys

import numpy as np
from matplotlib.figure import Figure
from tqdm import tqdm

from common import charts, datasets, endings, figures, flags, history, session, shards
from common.cluster import Cluster, Membership, PeerError, versions
from common.console import say
from common.endings import Stop, shown
from common.experiment import EVALUATED, Chart, Experiment
from common.flags import Settings, SettingsError
from common.guard import Notice
from common.ownership import owned
from common.run import Run, settings_to_resume
from common.run_folder import ANEW, Folder, Picture, RunError, png


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
    if experiment.cluster.rank:
        return assist(experiment, resume)
    about = {"model": experiment.name, "images": experiment.names, "digests": digests}
    run = Run(experiment.learner, about, experiment.constants)
    with contextlib.ExitStack() as owning:

        def open_run() -> None:
            owning.enter_context(owned(run.folder))
            if resume:
                drawn = (*experiment.losses, *experiment.diagnostics)
                run.go_on({"loss", *(chart.column for chart in drawn)})
            else:
                run.begin()

        experiment.cluster.attempt(open_run)
        _learn(experiment, run)
    return run.stop.signal


def _learn(experiment: Experiment, run: Run) -> None:
    """Learn, and write a run that is open."""
    settings, cluster = experiment.model.settings, experiment.cluster
    total = experiment.learner.shard.iterations(settings)
    workers = "" if cluster.size == 1 else f"{cluster.size} workers, each "
    say(
        f"{experiment.name}: {len(experiment.names)} images of {shown(settings.category)} at"
        f" {experiment.images.shape[1]} x {experiment.images.shape[2]},"
        f" {workers}{session.describe(settings.device)}, {experiment.describe()}"
    )
    left = total - len(run.history)
    if left > 0 and cluster.size == 1 and session.num_cores(settings.device):
        seconds = settings.seconds(len(experiment.names)) * left / total
        say(f"{left:,} iterations, {duration(seconds)} of learning on 2 cores")
    run.tell(
        sentence=experiment.sentence(),
        charts=[chart._asdict() for chart in (*experiment.losses, *experiment.diagnostics)],
        progress={"scale": figures.SCALE},
        command=experiment.command_line,
        abilities=experiment.abilities,
        roles=experiment.roles,
        **{"baseline": "", "sections": [], "pictures": {}},  # until there are results
    )
    agree(experiment, len(run.history))
    say_if_it_went_back = Notice()
    with cluster.watch():
        for record in run.follow(experiment.train(), total):
            say_if_it_went_back(record)
            experiment.note(record)
            if is_logged(int(record["iteration"]), settings):
                save_progress(experiment, run)
        if run.history and not is_logged(len(run.history), settings):
            save_progress(experiment, run)  # films end where learning does
        else:
            save_checkpoint(experiment, run)
        left = leaves(cluster, run.stop)
    if left:
        run.report({}, total)
        return
    headline = save_results(experiment, run)
    experiment.finish(run)
    run.report(headline, total)


def duration(seconds: float) -> str:
    """A time that is known roughly, in words."""
    if seconds < 60:
        return "less than a minute"
    if seconds < 5400:
        return f"about {seconds / 60:.0f} minutes" if seconds >= 90 else "about a minute"
    return f"about {seconds / 3600:.0f} hours" if seconds < 172_800 else "days"


def is_logged(iteration: int, settings: Settings) -> bool:
    """Whether a panel and a checkpoint are written after an iteration: films begin at the first."""
    return iteration == 1 or iteration % settings.log_step == 0


def save_progress(experiment: Experiment, run: Run) -> None:
    """Write a panel and a checkpoint; the panel first, so that a resumed run lacks none."""
    shows_checkpoint = experiment.model is not experiment.learner
    if shows_checkpoint:
        save_checkpoint(experiment, run)
    panel, side = experiment.progress(), experiment.model.settings.image_size
    name = history.panel(len(run.history))
    run.save(name, lambda file: figures.write_panel(panel, file, side))
    if not shows_checkpoint:
        save_checkpoint(experiment, run)


def save_checkpoint(experiment: Experiment, run: Run) -> None:
    """Write a checkpoint, and show from now on what it holds."""
    run.save_checkpoint()
    if experiment.model is not experiment.learner:
        run.restore(experiment.model)


def assist(experiment: Experiment, resume: bool) -> int | None:
    """What any but the first worker does of `learn`: it learns, and writes what only it has."""
    learner, cluster = experiment.learner, experiment.cluster
    folder, stop = Folder(learner.settings.folder, ANEW), Stop(say)
    done = cluster.attempt(lambda: folder.restore(learner) if resume else 0)
    agree(experiment, done)
    with cluster.watch():
        for record in history.until_stopped(experiment.train(), stop, cluster):
            done = int(record["iteration"])
            if is_logged(done, learner.settings):
                learner.save(folder.checkpoint, done)
        learner.save(folder.checkpoint, done)
        leaves(cluster, stop)
    return stop.signal


def leaves(cluster: Cluster, stop: Stop) -> bool:
    """Whether this worker leaves, its checkpoint written, because a signal told one of several to.

    What ends a worker by a signal, as schedulers do, starts it again elsewhere: all others are to
    leave at once, to be there anew.  Ctrl-C is of somebody who wants to see the results.

    Raises:
        PeerError: another one was told to, and this one was not.
    """
    told = endings.orderly_exit_code(stop.signal) != 0
    if cluster.size == 1 or not cluster.any(told):
        return False
    if not told:
        raise PeerError(
            "another worker was told to stop: start all again with --resume, which goes on from"
            " the checkpoint that they have written."
        )
    return True


def agree(experiment: Experiment, done: int) -> None:
    """Check that all workers go on from the same iteration, with the same settings.

    Raises:
        ClusterError: they do not.
    """
    settings = experiment.learner.settings
    experiment.cluster.compare({"flags": _config(settings), "checkpoints": str(done)})


def _config(settings: Settings) -> str:
    """The settings that workers share; where things lie may differ from machine to machine."""
    own = {"data_path", "output_dir", "device"}
    return str({flag: value for flag, value in settings.config().items() if flag not in own})


def save_results(experiment: Experiment, run: Run) -> dict[str, float]:
    """Write the pictures, arrays and figures of a run, and say in its manifest what they are.

    Returns:
        The figures for the console.
    """
    learning_seconds = round(run.seconds, 1)
    results = experiment.results(run)
    pictures = results.pictures | {
        "loss.png": png(draw_charts(experiment.losses, run)),
        "diagnostics.png": png(draw_charts(experiment.diagnostics, run, "Diagnostics of learning")),
    }
    panels = figures.read_panels(run.folder / "progress")
    if panels:
        words = [f"iteration {iteration:,}" for iteration in panels]
        frames = figures.numbered(list(panels.values()), words)
        pictures["training.gif"] = Picture(
            lambda file: figures.write_gif(file, frames, 400, hold=1500),
            {"unit": "iteration", "frames": list(panels)},
        )
    with tqdm(pictures.items(), "Writing", unit="file", dynamic_ncols=True) as bar:
        for name, picture in bar:
            bar.set_postfix_str(name)
            run.save(name, picture.write)
    loss = np.array(run.column("loss"))
    run.save_arrays("results.npz", **results.arrays, loss=loss)
    evaluated = len(results.arrays["images"])
    run.save_metrics(
        {
            **results.figures,
            "images": len(experiment.names),
            "evaluated": evaluated,
            "parameters": experiment.model.num_parameters,
            "learning_seconds": learning_seconds,
            "loss": run.history[-1]["loss"],
        }
    )
    run.tell(
        baseline=experiment.baseline,
        story=experiment.story,
        sections=results.sections,
        pictures={name: picture.about for name, picture in pictures.items()},
    )
    return results.headline


def draw_charts(drawn: list[Chart], run: Run, title: str = "") -> Figure:
    """Charts of the history of a run."""
    return charts.draw(
        [
            charts.Series(chart.title, run.column(chart.column), chart.label, chart.log)
            for chart in drawn
        ],
        title,
    )


# Command lines


def make_parser(
    prog: str, description: str, settings_class: type[Settings], only_said: bool = False
) -> flags.Parser:
    """The flags of a model, each with its default and unit; see `flags.add_settings`."""
    parser = flags.Parser(prog, description)
    groups = flags.add_settings(parser, settings_class, only_said)
    when = flags.choice(["always", "auto"])
    groups[flags.RUN].add_argument(
        "--resume",
        nargs="?",
        const="always",
        type=when,
        **when.options,
        help="go on with the run in OUTPUT_DIR/NAME; auto: if one is there with a checkpoint,"
        " or else begin, for machines that start a command again",
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
        DatasetError: there are no images to hold out.
    """
    args = make_parser(prog, description, settings_class).parse_args(arguments)
    given = _named(flags.read_settings(args, settings_class))
    try:
        str(given.folder).encode()
    except UnicodeEncodeError as error:
        raise SettingsError(
            f"TensorFlow cannot write to {given.folder}, whose name is no UTF-8: choose --name and"
            " --output_dir"
        ) from error
    if not args.resume or (args.resume == "auto" and not Folder(given.folder).checkpoints()):
        return given, False
    parser = make_parser(prog, description, settings_class, only_said=True)
    said = vars(parser.parse_args(arguments)).keys()
    if not os.path.isfile(given.folder / "config.json"):
        raise RunError(f"there is no run to go on with in {given.folder}: leave out --resume.")
    before = Folder(given.folder, ANEW).settings(settings_class)
    return settings_to_resume(given, before, set(said)), True


def _named(settings: Settings) -> Settings:
    """These settings with the names of the images that `--holdout fourth` means."""
    if getattr(settings, "holdout", None) != [flags.FOURTH]:
        return settings
    names = datasets.every_fourth(settings.data_path / settings.category)
    return dataclasses.replace(settings, holdout=names)  # type: ignore[call-arg]


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
        cluster = member.join(settings.device, experiment.threads(settings))
        if cluster.size > 1:
            cluster.compare({"flags": f"{resume} {_config(settings)}", **versions()})
        folder, apart = settings.data_path / settings.category, experiment.held_out(settings)
        data, shard = shards.load(
            *(folder, settings.image_size, settings.fit, cluster), *(apart, EVALUATED)
        )
        for reason in data.skipped:
            say(shown(f"Skipped {reason}"))
        digests = shards.digests(data, shard, apart)
        if resume:
            cluster.attempt(lambda: Folder(settings.folder, ANEW).check_images(digests))
        built = cluster.attempt(lambda: experiment(settings, data, shard))
        if code := endings.orderly_exit_code(learn(built, digests, resume)):
            sys.exit(code)

    with Membership() as member:
        endings.end_in_a_sentence(prog, run, "stopped; --resume goes on from the last checkpoint")
