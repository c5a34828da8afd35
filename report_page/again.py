"""How a run is made again: command lines, in the words of a shell, and what to know of them."""

import shlex
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple

from report_page.run_files import Run

ROOT = Path(__file__).resolve().parent.parent
FOLDER = "FOLDER"  # stands for a folder that lies outside of the project
WHERE = ("category", "name", "data_path", "output_dir")  # flags that say which run is gone on with


class Again(NamedTuple):
    """Command lines that make a run again, one after another, and sentences about them."""

    commands: list[list[str]]
    notes: list[str]
    exact: bool  # whether they give the same numbers


def again(run: Run) -> Again:
    """How the run is made again, from the project's folder, as its manifest tells."""
    sittings, flags = run.manifest["sittings"], run.manifest["flags"]
    notes = []
    whole = all(
        before["iterations"] == after["start"]
        for before, after in zip(sittings[:-1], sittings[1:], strict=True)
    )
    if len(sittings) == 1:
        commands = [_words(run, flags, sittings[0])]
    elif whole:
        notes.append(f"It was learned in {len(sittings)} sittings: one command for each, in turn.")
        first = [flag for flag in flags if flag != "num_epochs"]
        commands = [_words(run, first, sittings[0], epochs=True)]
        where = [flag for flag in WHERE if flag in flags]
        commands += [_words(run, where, each, epochs=True, resume=True) for each in sittings[1:]]
    else:
        told = ", ".join(
            f"from iteration {each['start'] + 1} with --num_epochs {each['num_epochs']}"
            for each in sittings
        )
        notes.append(
            f"It was learned in {len(sittings)} sittings, of which one was stopped before its end"
            f" ({told}): no command gives the same numbers. This one learns in one sitting:"
        )
        commands = [_words(run, flags, sittings[-1])]
    done, total = run.figure("iterations"), sittings[-1]["iterations"]
    if done is not None and done < total:
        notes.append(
            f"It was stopped after {done:.0f} of {total} iterations: run to the end, the numbers"
            " are others."
        )
    if any(f"--data_path={FOLDER}" in words for words in commands):
        notes.append(f"{FOLDER} is the folder that holds {run.category}, the folder of images.")
    exact = (whole or len(sittings) == 1) and (done is None or done >= total)
    return Again(commands, notes, exact)


def _words(
    run: Run,
    flags: list[str],
    sitting: dict[str, int],
    epochs: bool = False,
    resume: bool = False,
) -> list[str]:
    """The words of the command line of a sitting.

    Args:
        run: whose flags have the values.
        flags: that are said, as far as config.json has them.
        sitting: of the manifest.
        epochs: whether it says those of the sitting.
        resume: whether it goes on.
    """
    words = ["python"]
    if sitting["workers"] > 1:
        words += ["cluster.py", "--workers", str(sitting["workers"])]
    words += run.manifest["command"]
    if resume:
        words.append("--resume")
    for flag, value in run.config.items():
        if flag in flags and not (flag == "output_dir" and _is_outside(value)):
            words += flag_words(flag, value)
    if epochs:
        words.append(f"--num_epochs={sitting['num_epochs']}")
    return [shlex.quote(word) for word in words]


def flag_words(flag: str, value: Any) -> list[str]:
    """What a command line says of a flag, in unquoted words: none of one that is not set."""
    if value is None or value == []:
        return []
    if isinstance(value, bool):
        return [f"--{flag}" if value else f"--no-{flag}"]
    if isinstance(value, list) and len(value) > 1:
        return [f"--{flag}", *map(str, value)]
    return [f"--{flag}={shown_flag(flag, value[0] if isinstance(value, list) else value)}"]


def _is_outside(value: object) -> bool:
    """Whether it is a path, and does not lead from this project's folder to somewhere inside."""
    return isinstance(value, str) and not Path(value).is_relative_to(ROOT)


def shown_flag(flag: str, value: Any) -> str:
    """A flag's value as text, of folders no more than what lies inside the project."""
    if not isinstance(value, str):
        return str(value)
    if flag in ("data_path", "output_dir") or _is_absolute(value):
        return FOLDER if _is_outside(value) else str(Path(value).relative_to(ROOT))
    return value


def _is_absolute(text: str) -> bool:
    """Whether it is a path from the root, here or on another machine."""
    return PurePosixPath(text).is_absolute() or PureWindowsPath(text).is_absolute()
