"""Flags at, inside and past their limits, and odd values, for every field of both models.

The rule: a value is taken, or refused in one sentence with exit code 2.  What is taken learns: exit
code 0 with finite numbers in results.npz and metrics.json, or 2 with a sentence; never a hang.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import math
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from PIL import Image

from attacks import children, victims
from attacks.children import Command
from attacks.harness import BrokenRuleError, Kind, Plan
from attacks.victims import CATEGORY, MODELS, KindOfRuns

SECONDS = 180.0  # that a command which learns may take
ODD = [
    *("nan", "inf", "-inf", "1e400", "-1e400", "1e-400", "-0", "0", "", " ", "  7 ", "1_0", "0x10"),
    *("١٢", "½", "\u202e7", "∞", "1e3", "1.", ".5", "+5", "--5", "- 5", "1,5", "1" * 5000),
    *("a" * 300, "a" * 5000, "x\ny", "\udcff", "Löwe 🦁", "..", ".", "/", "/dev/null", "~", "a/b"),
    *("None", "null", "true", "[]", "%s", "%(default)s", "{0}", "-1", "9" * 30, "$HOME", "*"),
]
# What more work is asked for by.  Learning takes them small, for large ones only take long.
COSTLY = {
    **{"image_size": ["16", "32"], "num_epochs": ["1", "2", "3"], "long_run": ["0", "1", "7"]},
    **{"sample_steps": ["1", "2", "3"], "T": ["1", "2", "3"]},
    **{"num_leapfrog": ["1", "2"], "width": ["1", "2", "5"], "z_dim": ["1", "2", "3", "7"]},
    **{"batch_size": ["1", "2", "3"], "log_step": ["1", "2", "1000000000"]},
}
PLACES = ("data_path", "output_dir", "category", "device")  # that learning is told apart


def limits(kind: Any) -> list[float]:
    """The least and the most of a kind of numbers, of which its words tell."""
    match = re.search(r"from (\S+) to (\S+)$", kind.what)
    return [float(match[1]), float(match[2])] if match else []


def values(field: dataclasses.Field, inside: bool) -> st.SearchStrategy[str]:
    """Texts for a flag, by its field: within its limits only, or any."""
    kind = field.metadata["kind"]
    if "choices" in kind.options:
        within: st.SearchStrategy[str] = st.sampled_from(kind.options["choices"])
    elif found := limits(kind):
        low, high = found
        whole = kind.parse is int
        if whole:
            at = [str(int(low)), str(int(high)), str(int(low) + 1), str(int(high) - 1)]
            within = st.sampled_from(at) | st.integers(int(low), int(high)).map(str)
            past = [str(int(low) - 1), str(int(high) + 1), str(-(10**30)), f"{low + 0.5}"]
        else:
            at = [repr(low), repr(high), repr(math.nextafter(low, high))]
            within = st.sampled_from(at) | st.floats(low, high).map(repr)
            past = [repr(math.nextafter(low, -math.inf)), repr(math.nextafter(high, math.inf))]
            past += ["-1e308", "1e308"]
    else:
        within = st.sampled_from(["1%", "99%", "50%", "1px", "16px", "17px", "999999px"])
    if inside:
        return within
    outside = past if limits(kind) else []
    odd = st.sampled_from(ODD) | st.text(max_size=8).filter(lambda text: "\0" not in text)
    return within | odd | (st.sampled_from(outside) if outside else odd)


class _OfSettings(Kind):
    """What both kinds share: the fields of the settings of a model."""

    inside: bool

    def __init__(self) -> None:
        super().__init__()
        self.classes = {
            model: children.module(f"{model}/main.py").Experiment.settings_class for model in MODELS
        }

    def plans(self) -> st.SearchStrategy[Plan]:
        """Some flags of a model and their values."""
        return st.sampled_from(MODELS).flatmap(self._plans_of)

    def _plans_of(self, model: str) -> st.SearchStrategy[Plan]:
        from common import flags

        fields = {flags.flag_of(f): f for f in dataclasses.fields(self.classes[model])}
        said = {name: self.texts(name, field) for name, field in fields.items()}
        chosen = {name: texts for name, texts in said.items() if texts is not None}

        def of(names: list[str]) -> st.SearchStrategy[list]:
            flag = [st.tuples(st.just(name), chosen[name]).map(list) for name in names]
            return st.tuples(*flag).map(list)

        names = st.lists(st.sampled_from(sorted(chosen)), min_size=1, max_size=4, unique=True)
        return st.fixed_dictionaries({"model": st.just(model), "flags": names.flatmap(of)})

    def texts(self, name: str, field: dataclasses.Field) -> st.SearchStrategy[str] | None:
        """Texts for a flag; None to leave it out."""
        raise NotImplementedError


def words(plan: Plan) -> list[str]:
    """The flags of a plan, as a command line has them."""
    line = []
    for name, text in plan["flags"]:
        if text in ("--yes", "--no"):
            line.append(f"--{name}" if text == "--yes" else f"--no-{name}")
        else:
            line.append(f"--{name}={text}")
    return line


SWITCH = st.sampled_from(["--yes", "--no"])


class Flags(_OfSettings):
    """Command lines that are parsed, and settings that are resolved."""

    name = "flags"
    count = 1500
    shrinks = True

    def __init__(self) -> None:
        super().__init__()
        self._worker = children.Worker(self._read)

    def texts(self, name: str, field: dataclasses.Field) -> st.SearchStrategy[str]:
        """Any."""
        if "action" in field.metadata["kind"].options:
            return SWITCH | st.sampled_from(ODD)
        return values(field, inside=False)

    def attempt(self, plan: Plan) -> None:
        """Read the flags as a command does, up to the model."""
        self.hits += self._worker.ask(plan)

    def close(self) -> None:
        """End the process that reads."""
        self._worker.close()

    def _read(self, plan: Plan) -> bool:
        """Whether the flags of a plan are refused; in a process of its own."""
        from common import command, datasets, endings

        settings_class = self.classes[plan["model"]]

        def read() -> None:
            line = ["--category=no such", *words(plan)]
            settings: Any = command.read_flags("GenNet/main.py", "x", settings_class, line)[0]
            json.dumps(settings.resolved(3).config(), default=str, allow_nan=False)
            with contextlib.suppress(datasets.DatasetError):
                datasets.load(settings.data_path / settings.category, 16)

        printed = io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace", write_through=True)
        try:
            with contextlib.redirect_stderr(printed):
                endings.end_in_a_sentence("GenNet/main.py", read, "stopped")
            return False
        except SystemExit as end:
            printed.seek(0)
            lines = printed.read().splitlines()
            if end.code != 2 or len(lines) != 1:
                raise BrokenRuleError("not one sentence", "\n".join(lines)[:500]) from end
            return True
        except Exception as error:
            raise BrokenRuleError(f"raises {type(error).__name__}", str(error)[:300]) from error


class Learning(_OfSettings, KindOfRuns):
    """Settings within their limits, which are learned with for a few iterations."""

    name = "learning"
    count = 40

    def texts(self, name: str, field: dataclasses.Field) -> st.SearchStrategy[str] | None:
        """Those within the limits, and where more is but more work, little."""
        if name in PLACES:
            return None
        if name in COSTLY:
            return st.sampled_from(COSTLY[name])
        if "action" in field.metadata["kind"].options:
            return SWITCH
        if name == "holdout":
            return st.sampled_from(["0.png", "1.png", "nobody.png", "", "../x", "\udcff"])
        return values(field, inside=True)

    def plans(self) -> st.SearchStrategy[Plan]:
        """Flags, and names of the category and of an image."""
        names = [
            CATEGORY,
            "Löwe 🦁",
            "a b",
            "-x",
            "$x",
            "a" * 250,
            "%s",
            "{}",
            "\udcff",
            "x\ny",
            "*",
        ]
        images = ["0.png", "Löwe 🦁.png", "\udcff.png", "x\ny.png", "$x^_.png", "-.png"]
        name = st.just(CATEGORY) | st.sampled_from(names)
        more = {"category": name, "image": st.just("0.png") | st.sampled_from(images)}
        return st.tuples(super().plans(), st.fixed_dictionaries(more)).map(lambda x: x[0] | x[1])

    def attempt(self, plan: Plan) -> None:
        """Learn, and look for numbers that are none."""
        root = self.victims.folder()
        try:
            self._learn(plan, root)
        finally:
            shutil.rmtree(root)

    def _learn(self, plan: Plan, root: Path) -> None:
        images = root / "data" / plan["category"]
        shutil.copytree(self.victims.data / CATEGORY, images)
        (images / "0.png").rename(images / plan["image"])
        (images / f"torn {plan['image']}").write_bytes(b"torn")
        Image.new("L", (9, 5), 3).save(images / "flat.png")
        small = ["--num_epochs=2", "--image_size=16", *victims.SMALL[plan["model"]]]
        where = [f"--data_path={root / 'data'}", f"--category={plan['category']}"]
        line = [*small, *where, f"--output_dir={root / 'out'}", *words(plan)]
        ended = children.run(Command(f"{plan['model']}/main.py", line), SECONDS)
        children.check(ended)
        if ended.code == 2:
            self.hits += 1
            return
        (run,) = (root / "out").glob("[!.]*")  # called as its images, or by --name
        for name, array in victims.arrays(run).items():
            if not np.isfinite(array).all():
                raise BrokenRuleError(f"no finite numbers in {name} of results.npz")
        json.loads((run / "metrics.json").read_text(), parse_constant=_no_number)
        report = [str(run), f"--output={root / 'report.html'}"]
        children.check(children.run(Command("report.py", report), SECONDS), (0,))


def _no_number(text: str) -> None:
    raise BrokenRuleError(f"{text} in metrics.json")
