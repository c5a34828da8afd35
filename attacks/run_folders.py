"""Finished runs with damage, used by every command that reads them.

The rule: exit code 0, or 2 and one sentence; no file of the run that the command has no business
with is changed, and what --resume refuses is left as it was.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from attacks import children, victims
from attacks.children import Command
from attacks.harness import BrokenRuleError, Plan
from attacks.images import edited
from attacks.victims import CATEGORY, EPOCHS, MODELS, KindOfRuns

SECONDS = 90.0  # that a command may take
POSTERIOR = ("posterior.json", "posterior.npz", "posterior.png")
PLACE = st.integers(0, 2**20) | st.integers(0, 96)
ODD = st.recursive(
    st.sampled_from(
        [None, True, 0, -1, 1.5, 10**400, 1e308, float("nan"), float("inf"), "", "x", "../..", "\0"]
    )
    | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=4,
)
ARRAYS = (
    *("gone", "nan", "object", "huge", "empty", "text", "complex", "scalar", "negative"),
    *("longer", "shorter", "flat", "bool", "int64", "inf", "damaged"),
)


class RunFolders(KindOfRuns):
    """Damaged runs."""

    name = "run_folders"
    count = 160

    def plans(self) -> st.SearchStrategy[Plan]:
        """A file of a run, its damage, and the command that meets it."""
        return st.one_of([self._plans_of(model) for model in MODELS])

    def _plans_of(self, model: str) -> st.SearchStrategy[Plan]:
        whole = self.victims.runs[model]
        names = {victims.shown(p.relative_to(whole).as_posix()): p for p in whole.rglob("*")}
        pictures = {name for name, p in names.items() if p.suffix in (".png", ".gif", ".webp")}
        weighty = sorted(names.keys() - pictures)
        read = ["resume", "use", "report", "longer", "export"]
        commands = [*read, "posterior"] if model == "GenNet" else read

        def of(name: str) -> st.SearchStrategy[Plan]:
            plan = {"model": st.just(model), "file": st.just(name), "damage": _damage(name)}
            return st.fixed_dictionaries(plan | {"command": st.sampled_from(commands)})

        # Half are of the files that every command reads.
        said = sorted(name for name in weighty if name.endswith((".json", ".npz", "checkpoint")))
        name = st.sampled_from(said) | st.sampled_from([*weighty, *sorted(pictures)])
        return name.flatmap(of)

    def attempt(self, plan: Plan) -> None:
        """Damage a copy of the run, and run the command."""
        output = self.victims.folder()
        folder = output / CATEGORY
        try:
            shutil.copytree(self.victims.runs[plan["model"]], folder)
            name = plan["file"]
            if name == "log/events":
                name = f"log/{next((folder / 'log').iterdir()).name}"
            damage(folder, name, plan["damage"])
            before = victims.fingerprint(folder)
            ended = children.run(self._command(plan, output), SECONDS)
            children.check(ended)
            self.hits += ended.code == 2
            if plan["command"] not in ("resume", "longer"):
                written = POSTERIOR if plan["command"] == "posterior" else ()
                victims.expect_unchanged(before, folder, written)
            elif ended.code == 2:
                victims.expect_unchanged(before, folder)
            elif ended.code == 0:
                self._check_resumed(plan, folder)
        finally:
            shutil.rmtree(output)

    def _command(self, plan: Plan, output: Path) -> Command:
        model, folder = plan["model"], output / CATEGORY
        if plan["command"] == "report":
            return Command("report.py", [str(folder), f"--output={output / 'report.html'}"])
        if plan["command"] == "resume":
            return self.victims.main(model, output, "--resume")
        if plan["command"] == "longer":
            return self.victims.main(model, output, "--resume", f"--num_epochs={EPOCHS + 1}")
        if plan["command"] == "posterior":
            where = [f"--output_dir={output}", f"--category={CATEGORY}"]
            return Command("GenNet/posterior.py", [*where, "--draws=16", "--samplers", "mala"])
        script = "GenNet/sample.py" if model == "GenNet" else "DesNet/synthesize.py"
        to = "--export" if plan["command"] == "export" else "--to"
        made = output / ("model" if plan["command"] == "export" else "images.npz")
        return Command(script, [str(folder), "--count=2", to, str(made)])

    def _check_resumed(self, plan: Plan, folder: Path) -> None:
        """That what went on has ended: all files can be read, and there are no NaN."""
        config, metrics = (
            json.loads((folder / name).read_text()) for name in ("config.json", "metrics.json")
        )
        length = len(victims.arrays(folder)["loss"])
        if not config["num_epochs"] == metrics["iterations"] == length:
            raise BrokenRuleError("files of a resumed run do not agree", f"{length} iterations")
        bad = [k for k, value in victims.arrays(folder).items() if not np.isfinite(value).all()]
        if bad:
            raise BrokenRuleError(f"a resumed run has no finite numbers in {bad[0]}")


def _damage(name: str) -> st.SearchStrategy[list]:
    """What is done to a file of this name."""
    simple = ["remove", "empty", "directory", "fifo", "loop", "nowhere", "link", "socket"]
    edits = st.one_of(
        st.tuples(st.just("flip"), PLACE, st.integers(1, 255)),
        st.tuples(st.just("cut"), PLACE),
        st.tuples(st.just("drop"), PLACE, st.integers(1, 64)),
        st.tuples(st.just("insert"), PLACE, st.binary(min_size=1, max_size=8).map(bytes.hex)),
        st.tuples(st.just("insert"), PLACE, st.sampled_from(["22", "0a", "2c", "00", "ff", "7b"])),
    )
    damages: list[st.SearchStrategy[list]] = [
        st.sampled_from(simple).map(lambda what: [what]),
        st.tuples(st.just("bytes"), st.lists(edits.map(list), min_size=1, max_size=2)).map(list),
        st.tuples(st.just("fill"), st.sampled_from(["7b7d", "5b5d", "6e756c6c", "31"])).map(list),
        st.tuples(st.just("nest"), st.sampled_from([10**3, 10**5])).map(list),
    ]
    if name.endswith(".json"):
        damages += [
            st.tuples(st.just("value"), st.lists(PLACE, max_size=3), ODD).map(list),
            st.tuples(st.just("value"), st.lists(PLACE, min_size=1, max_size=1), ODD).map(list),
        ] * 2
    if name.endswith(".npz"):
        array = st.tuples(st.just("array"), PLACE, st.sampled_from(ARRAYS)).map(list)
        damages += [array] * 4
    return st.one_of(damages)


def damage(folder: Path, name: str, how: list) -> None:
    """Damage a file of a run, as a plan says."""
    path, (what, *by) = folder / name, how
    if what == "value":
        value = json.loads(path.read_text())
        path.write_text(json.dumps(_set(value, *by)))
        return
    if what == "array":
        _damage_array(path, *by)
        return
    content = b"" if path.is_dir() else path.read_bytes()
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    if what == "directory":
        path.mkdir()
    elif what == "fifo":
        os.mkfifo(path)
    elif what == "socket":
        os.mknod(path, 0o140600)
    elif what == "loop":
        path.symlink_to(path.name)
    elif what == "nowhere":
        path.symlink_to("nowhere")
    elif what == "link":
        (folder.parent / "elsewhere").write_bytes(content)
        path.symlink_to(folder.parent / "elsewhere")
    elif what == "fill":
        path.write_bytes(bytes.fromhex(by[0]))
    elif what == "nest":
        path.write_bytes(b"[" * by[0])
    elif what == "bytes":
        path.write_bytes(edited(content, by[0]))
    elif what == "empty":
        path.write_bytes(b"")


def _set(value: Any, where: list[int], odd: Any) -> Any:
    """A value of JSON, of which the one at a path is another."""
    if not where or not isinstance(value, dict | list) or not value:
        return odd
    key = sorted(value)[where[0] % len(value)] if isinstance(value, dict) else where[0] % len(value)
    value[key] = _set(value[key], where[1:], odd)
    return value


def _damage_array(path: Path, which: int, how: str) -> None:
    """Make an array of an npz another."""
    with np.load(path) as file:
        arrays: dict[str, Any] = dict(file)
    name = sorted(arrays)[which % len(arrays)]
    array = arrays.pop(name)
    raw = None
    if how == "huge":
        file = io.BytesIO()
        header = {"descr": "<f4", "fortran_order": False, "shape": (10**6, 10**6)}
        np.lib.format.write_array_header_1_0(file, header)
        raw = file.getvalue() + bytes(64)
    elif how == "damaged":
        raw = b"\x93NUMPY\x01\0garbage"
    elif how != "gone":
        arrays[name] = _odd_array(array, how)
    np.savez_compressed(path, **arrays)
    if raw is not None:
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(f"{name}.npy", raw)


def _odd_array(array: np.ndarray, how: str) -> Any:
    whole = array.reshape(1) if array.ndim == 0 else array
    return {
        "nan": lambda: np.full(array.shape, np.nan),
        "inf": lambda: np.full(array.shape, np.inf),
        "object": lambda: np.array([{"a": 1}], object),
        "empty": lambda: whole[:0],
        "text": lambda: np.full(array.shape, "text"),
        "complex": lambda: array.astype(complex),
        "scalar": lambda: np.float32(1),
        "negative": lambda: -whole.astype(float) - 1,
        "longer": lambda: np.concatenate([whole, whole]),
        "shorter": lambda: whole[:-1] if len(whole) > 1 else whole[:0],
        "flat": lambda: whole.reshape(-1),
        "bool": lambda: array.astype(bool),
        "int64": lambda: np.full(array.shape, 2**62),
    }[how]()
