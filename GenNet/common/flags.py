"""Settings that are said once: fields of a dataclass, of which a command line's flags are made.

A field is declared by `setting`: its default, the kind of its values (type and range), and the help
of its flag, which says the unit.  The parser, the constructor of a model, config.json, --resume and
`load` all read the same fields.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import difflib
import math
import re
import reprlib
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from common import session
from common.endings import MistakeError, shown

PROJECT = Path(__file__).resolve().parents[2]
BUDGET = 540.0  # seconds of learning that a default run may take: it ends within ten minutes
FOURTH = "fourth"  # of --holdout, in place of names: every fourth image
RUN = "data and run"  # the group of the flags that every command line that learns has

AnySettings = TypeVar("AnySettings", bound="Settings")


class SettingsError(MistakeError, ValueError):
    """A setting that cannot be; the message is a sentence for the user."""


# Kinds of values


@dataclasses.dataclass(frozen=True, eq=False)  # hashable, as argparse wants it
class Kind:
    """The values that a setting may have.  Called with a flag's text, it returns the value.

    Attributes:
        what: in words, after "is not".
        parse: a text -> a value; ValueError if it is none.
        accepts: whether a value is of this kind.
        options: for argparse: nargs, metavar, action.
        known: those of its values that have names.
    """

    what: str
    parse: Callable[[str], Any]
    accepts: Callable[[Any], bool]
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    known: Sequence[str] = ()

    def __call__(self, text: str) -> Any:
        """The value that a flag's text means, for argparse."""
        with contextlib.suppress(ValueError):
            value = self.parse(text)
            if self.accepts(value):
                return value
        raise argparse.ArgumentTypeError(f"{text!r} is not {self.what}{meant(text, self.known)}")


def meant(text: str, known: Sequence[str]) -> str:
    """What may have been meant, as the end of a sentence; "" if nothing known is near."""
    near = difflib.get_close_matches(text, known, 1)
    return f": did you mean {near[0]}?" if near else ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def whole(low: int, high: int, multiple: int = 1) -> Kind:
    """Whole numbers in [low, high], if need be multiples of another."""
    what = f"multiple of {multiple}" if multiple > 1 else "whole number"
    return Kind(
        f"a {what} from {low} to {high}",
        int,
        lambda value: (
            _is_number(value)
            and isinstance(value, int)
            and low <= value <= high
            and value % multiple == 0
        ),
    )


def number(low: float, high: float) -> Kind:
    """Finite numbers in [low, high]."""
    return Kind(
        f"a number from {low:g} to {high:g}",
        float,
        lambda value: _is_number(value) and low <= value <= high,
    )


def choice(names: Sequence[str]) -> Kind:
    """One of some names."""
    listed = ", ".join(names)
    options = {"metavar": f"{{{','.join(names)}}}"}
    return Kind(f"one of {listed}", str, lambda value: value in names, options, names)


def text(pattern: str, what: str, **options: Any) -> Kind:
    """Texts that match a regular expression as a whole."""
    return Kind(
        what,
        str,
        lambda value: isinstance(value, str) and bool(re.fullmatch(pattern, value, re.ASCII)),
        options,
    )


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and value not in ("", ".", "..") and Path(value).name == value


folder_name = Kind(
    "the name of a folder; its parent folder goes to --data_path or --output_dir", str, _is_name
)
path = Kind("a path", Path, lambda value: isinstance(value, Path))
switch = Kind(
    "true or false",
    bool,
    lambda value: isinstance(value, bool),
    {"action": argparse.BooleanOptionalAction},
)
names = Kind(
    "a list of file names",
    str,
    lambda value: (
        isinstance(value, str)
        or (isinstance(value, list) and all(isinstance(name, str) for name in value))
    ),
    {"nargs": "+", "metavar": "NAME"},
)
device = text(r"auto|cpu|gpu(:\d+)?", "auto, cpu, gpu or gpu:N", metavar="DEVICE")
DEVICE_HELP = "auto, cpu, gpu, or gpu:N for the N-th, counted from 0"


# Settings


def setting(
    default: Any, kind: Kind, help: str, *, group: str, flag: str = "", free: bool = False
) -> Any:
    """A field of a Settings class.

    Args:
        default: its value if nothing is said; None if `resolved` chooses it.
        kind: the values that it may have besides.
        help: of its flag, with its unit; the default is added.
        group: of flags, in the help.
        flag: the flag's name, where it is not that of the field.
        free: whether it may be another one when a run goes on.
    """
    told = {"kind": kind, "help": help, "group": group, "flag": flag, "free": free}
    return dataclasses.field(default=default, metadata=told)


def category(default: str) -> Any:
    """The field `category` of a model whose images are these by default."""
    return setting(default, folder_name, "folder of images in --data_path", group=RUN)


def output_dir(model: str) -> Any:
    """The field `output_dir` of a model with this name."""
    return setting(
        PROJECT / "output" / model,
        path,
        "the run is written to OUTPUT_DIR/NAME; one that is there is moved aside",
        group=RUN,
        free=True,
    )


def precision() -> Any:
    """The field `precision` of a model with a sampler that may compute in less than float32."""
    help = (
        "of the network inside the sampler while it learns; auto takes bfloat16 where the"
        " processor multiplies it and the sampler bears it"
    )
    return setting("auto", choice(["auto", "float32", "bfloat16"]), help, group=RUN)


def holdout(use: str) -> Any:
    """The field `holdout` of a model that uses images that it does not learn as these words say."""
    help = (
        f"file names of images that are left out of learning, and {use}; {FOURTH}: every fourth, as"
        " compare.py compares models on"
    )
    return setting(None, names, help, group="what learning does not see")


def num_epochs(default: str, time: str = "about 10 minutes") -> Any:
    """The field `num_epochs` of a model that chooses as these words say, and ends in that time."""
    help = f"passes over the images (default: {default}, or fewer of many images: {time})"
    return setting(None, whole(1, 10**9), help, group="learning", free=True)


def batch_size(default: str) -> Any:
    """The field `batch_size` of a model that takes at most so many images."""
    help = f"images in an iteration (default: all, or even batches of at most {default})"
    return setting(None, whole(1, 10**6), help, group="learning")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """What every model that is learned from a folder of images is told.

    Raises:
        SettingsError: a value is out of its range.
    """

    image_size: int = setting(64, whole(1, 512), "side S, in pixels", group="model")
    num_epochs: int | None = num_epochs("as many as fit")
    batch_size: int | None = batch_size("1")
    data_path: Path = setting(
        PROJECT / "data", path, "folder that holds the categories", group=RUN, free=True
    )
    category: str = category("images")
    name: str | None = setting(
        None, folder_name, "of the run's folder (default: the category)", group=RUN, free=True
    )
    output_dir: Path = output_dir("runs")
    fit: str = setting(
        "stretch",
        choice(["stretch", "crop"]),
        "how a picture that is not square becomes one: resized whole, or its centre cut out",
        group=RUN,
    )
    log_step: int = setting(
        50,
        whole(1, 10**9),
        "iterations from one progress panel and checkpoint to the next",
        group=RUN,
        free=True,
    )
    seed: int = setting(0, whole(0, 2**31 - 1), "of every random number of the run", group=RUN)
    device: str = setting("auto", device, DEVICE_HELP, group=RUN, free=True)

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value, kind = getattr(self, field.name), field.metadata["kind"]
            if not (kind.accepts(value) or (value is None and field.default is None)):
                raise SettingsError(f"{field.name} is {kind.what}, not {reprlib.repr(value)}")

    @property
    def folder(self) -> Path:
        """Where the run is written."""
        return self.output_dir / (self.name or self.category)

    def config(self) -> dict[str, Any]:
        """The settings by their flags, as config.json holds them."""
        return {flag_of(field): getattr(self, field.name) for field in dataclasses.fields(self)}

    def told(self) -> dict[str, Any]:
        """The settings by their flags for a log: as numbers and texts, without where things lie."""
        told = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is not None and field.metadata["kind"] is not path:
                told[flag_of(field)] = (
                    value if isinstance(value, bool | int | float) else str(value)
                )
        return told

    def iteration_seconds(self, batch: float) -> float:
        """What an iteration of so many images takes on two fast cores, roughly."""
        raise NotImplementedError

    def epoch_seconds(self, num_images: int, batch: int) -> float:
        """What an epoch of so many images in even batches takes on two cores, roughly."""
        batches = math.ceil(num_images / batch)
        seconds = batches * self.iteration_seconds(num_images / batches)
        return seconds * session.slowness(self.device)

    def seconds(self, num_images: int) -> float:
        """What learning takes on two cores, roughly, by settings that are resolved."""
        return (self.num_epochs or 0) * self.epoch_seconds(num_images, self.batch_size or 1)

    def epochs_of(self, num_images: int, most: int, batch: int, budget: float = BUDGET) -> int:
        """The epochs that were asked for, or else `most`, or as many as fit into a budget.

        Args:
            num_images: in an epoch.
            most: epochs, where images are few.
            batch: images in an iteration.
            budget: seconds of learning.
        """
        fit = int(budget / self.epoch_seconds(num_images, batch))
        return self.num_epochs or max(1, min(most, fit))

    def batch_size_of(self, num_images: int, most: int) -> int:
        """The batch size that was asked for, or else one of even batches, of at most `most`.

        A last batch of few images would be a step of its own for them.

        Raises:
            SettingsError: there are fewer images than were asked for in a batch.
        """
        if self.batch_size is None:
            return math.ceil(num_images / math.ceil(num_images / most))
        if self.batch_size > num_images:
            raise SettingsError(
                f"--batch_size {self.batch_size} is more than the {num_images} images there are:"
                f" choose 1 to {num_images}, or leave it out"
            )
        return self.batch_size


def flag_of(field: dataclasses.Field) -> str:
    """The flag of a field, without its dashes."""
    return field.metadata["flag"] or field.name


def from_config(settings_class: type[AnySettings], config: Any) -> AnySettings:
    """The settings that config.json holds, each checked as a flag would be.

    Raises:
        SettingsError: one is missing or out of its range; the sentence names it.
    """
    if not isinstance(config, dict):
        raise SettingsError("it holds no flags")
    values = {}
    for field in dataclasses.fields(settings_class):
        flag = flag_of(field)
        if flag not in config:
            raise SettingsError(f"--{flag} is missing, as in runs of other versions")
        value = config[flag]
        if field.metadata["kind"] is path and isinstance(value, str):
            value = Path(value)
        values[field.name] = value
    return settings_class(**values)


# Command lines


class _Formatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows every default but None, for which the help has words, and splits no word."""

    def _split_lines(self, text: str, width: int) -> list[str]:
        text = " ".join(text.split())
        return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if isinstance(action.default, list):
            return f"{action.help} (default: {' '.join(map(str, action.default))})"
        return action.help if action.default is None else super()._get_help_string(action)


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one sentence, and whose help shows every default."""

    def __init__(self, prog: str, description: str) -> None:
        summary = description.splitlines()[0]
        super().__init__(prog, None, summary, formatter_class=_Formatter, allow_abbrev=False)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As of argparse, but that a flag which there is not is answered by one that there is."""
        parsed, unknown = self.parse_known_args(args, namespace)
        flags = [word.split("=")[0] for word in unknown if word.startswith("-")]
        known = [flag for action in self._actions for flag in action.option_strings]
        if flags:
            self.error(f"there is no flag {flags[0]}{meant(flags[0], known)}")
        if unknown:
            self.error(f"there is no use for {' '.join(unknown)}")
        return parsed

    def error(self, message: str) -> NoReturn:
        """Print the sentence and exit with code 2."""
        self.exit(2, f"{self.prog}: {shown(message)} (--help lists every flag)\n")


def add_settings(
    parser: Parser, settings_class: type[Settings], only_said: bool = False
) -> dict[str, Any]:
    """Add a flag for every field; a model's own come before those that all models have.

    Args:
        parser: of the command line.
        settings_class: of the model.
        only_said: whether flags that a command line does not mention are left out of what the
            parser returns, instead of having their defaults.

    Returns:
        The groups of the flags, by title.
    """
    shared = {field.name for field in dataclasses.fields(Settings)}
    fields = sorted(
        dataclasses.fields(settings_class),
        key=lambda field: (field.metadata["group"] == RUN, field.name in shared),
    )
    groups: dict[str, Any] = {}
    for field in fields:
        group, kind = field.metadata["group"], field.metadata["kind"]
        if group not in groups:
            groups[group] = parser.add_argument_group(group)
        flag = flag_of(field)
        options = {"type": kind, "metavar": flag.upper(), **kind.options}
        for meaningless in ("type", "metavar") if "action" in options else ():
            del options[meaningless]  # a switch takes no value
        groups[group].add_argument(
            f"--{flag}",
            dest=field.name,
            default=argparse.SUPPRESS if only_said else field.default,
            help=field.metadata["help"],
            **options,
        )
    return groups


def to_say(sittings: Sequence[Any], num_images: int) -> list[str]:
    """The flags that a command line has to say so that a model has these settings again.

    Left out is what is a default, and what the model chooses by itself as it is.

    Args:
        sittings: settings, resolved; those of each sitting of a run.
        num_images: that are learned.
    """
    said = list(sittings)
    for field in dataclasses.fields(sittings[0]):
        without = [dataclasses.replace(each, **{field.name: field.default}) for each in said]
        # The precision that is chosen differs from machine to machine.
        if field.name != "precision" and _resolve(without, num_images) == list(sittings):
            said = without
    return [
        flag_of(field)
        for field in dataclasses.fields(sittings[0])
        if any(getattr(each, field.name) != field.default for each in said)
    ]


def _resolve(sittings: Sequence[Any], num_images: int) -> list[Any]:
    with contextlib.suppress(MistakeError):
        return [settings.resolved(num_images) for settings in sittings]
    return []


def read_settings(args: argparse.Namespace, settings_class: type[AnySettings]) -> AnySettings:
    """The settings that a parsed command line asks for."""
    fields = dataclasses.fields(settings_class)
    return settings_class(**{field.name: getattr(args, field.name) for field in fields})
