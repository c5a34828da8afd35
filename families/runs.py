"""Finished runs that are compared: one of each model on a category, with what it has written."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from common import likelihood
from common.command import ABILITIES
from common.endings import MistakeError
from common.files import FileError
from common.run_folder import FORMAT, Folder


class CompareError(MistakeError):
    """Runs that cannot be compared; the message is a sentence for the user."""


class Family(NamedTuple):
    """A run of a model."""

    model: str
    folder: Path
    config: dict[str, Any]
    manifest: dict[str, Any]
    metrics: dict[str, Any]
    arrays: dict[str, np.ndarray]  # by role, see `command.ROLES`
    likelihood: dict[str, Any]  # likelihood.json; empty without

    @property
    def category(self) -> str:
        """What it learned."""
        return str(self.config.get("category"))

    @property
    def is_split(self) -> bool:
        """Whether every fourth image was held out."""
        names = sorted(self.manifest["digests"])
        return sorted(self.config.get("holdout") or []) == names[3::4] != []


def read(folder: Path) -> Family:
    """A run, as far as it is compared.

    Raises:
        CompareError: it has not finished, or is of another version.
        MistakeError: it is damaged.
    """
    run = Folder(folder)
    if not (folder / "metrics.json").exists():
        raise CompareError(f"the run in {folder} has not finished: go on with --resume.")
    manifest = run.read_json("manifest.json")
    roles, abilities = manifest.get("roles"), manifest.get("abilities")
    if (
        manifest.get("format") != FORMAT
        or not isinstance(roles, dict)
        or not isinstance(abilities, list)
        or not set(abilities) <= set(ABILITIES)
        or not isinstance(manifest.get("digests"), dict)
    ):
        raise CompareError(f"the run in {folder} is of another version: make it again.")
    arrays = run.read_arrays("results.npz")
    try:
        told = run.read_json(likelihood.FILE)
    except MistakeError:
        told = {}
    return Family(
        str(manifest.get("model")),
        folder,
        run.read_json("config.json"),
        manifest,
        run.read_json("metrics.json"),
        {role: arrays[name] for role, name in roles.items() if name in arrays},
        told,
    )


def find(output: Path) -> Iterator[Path]:
    """The folders of the runs of all models below a folder."""
    for path in sorted(output.glob("*/*/manifest.json")):
        if not path.parent.name.startswith("."):
            yield path.parent


def choose(families: list[Family]) -> list[Family]:
    """Of each model one run, by name: of those with the split if there are such, the newest."""

    def preference(family: Family) -> tuple[bool, float]:
        return family.is_split, (family.folder / "metrics.json").stat().st_mtime

    best: dict[str, Family] = {}
    for family in families:
        before = best.get(family.model)
        if before is None or preference(family) > preference(before):
            best[family.model] = family
    return [best[model] for model in sorted(best, key=str.lower)]


def read_all(folders: list[Path], say: Any) -> list[Family]:
    """Those of the runs that can be read; what is wrong with the others is said."""
    families = []
    for folder in folders:
        try:
            families.append(read(folder))
        except (MistakeError, FileError) as error:
            say(f"Left out: {error}")
    return families
