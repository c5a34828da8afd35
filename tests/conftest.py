"""What the tests share: the modules of both folders, small models and small folders of images."""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
CORES = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
if CORES and (worker := os.environ.get("PYTEST_XDIST_WORKER", "")):
    # On models so small, threads of several processes wait for each other longer than they compute:
    # each worker has a core of its own.
    os.sched_setaffinity(0, {sorted(CORES)[int(worker.removeprefix("gw")) % len(CORES)]})
# common/ is the same in both folders: whichever comes first serves.
sys.path[:0] = [str(ROOT / part) for part in ("GenNet", "DesNet", "Baselines", "")]

import report  # noqa: E402
from common import datasets, session  # noqa: E402
from descriptor_settings import Settings as DescriptorSettings  # noqa: E402
from DesNet import DesNet  # noqa: E402
from generator_settings import Settings as GeneratorSettings  # noqa: E402
from GenNet import GenNet  # noqa: E402
from report_page import run_files  # noqa: E402

SIDE = 16
IMAGES = np.random.default_rng(0).uniform(0, 255, (3, SIDE, SIDE, 3)).astype(np.float32)
UNIT = IMAGES.astype(np.float64) / 127.5 - 1  # as the generator sees them
CENTRED = IMAGES.astype(np.float64) - 127.5  # and the descriptor, about a mean of grey
COLOURS = datasets.mean_colours(IMAGES)
FLAT = datasets.flat_images(COLOURS, SIDE)

SMALL = {
    "GenNet": [
        "--image_size=16",
        "--num_epochs=4",
        "--log_step=2",
        "--sample_steps=2",
        "--width=8",
    ],
    # The quickest way to learn: the default's graph takes longer to build than all else of a run.
    "DesNet": [
        "--image_size=16",
        "--num_epochs=4",
        "--log_step=2",
        "--T=3",
        "--learning=short_run",
    ],
}

# Of the model that learns quickest, for what is the same of all.
QUICKEST = ["denoising", "--image_size=16", "--num_epochs=4", "--log_step=2", "--z_dim=16"]

HOSTILE = {
    "GenNet": "<img src=x onerror=alert(1)>",
    "DesNet": "\"Löwe\" & 'Tiger' <script>alert(1) 🦁",
}


def gennet(num_images=3, visible=None, num_cores=2, **options):
    """A small GenNet, described."""
    options = {"image_size": SIDE, "width": 4, "precision": "float32", **options}
    return GenNet(GeneratorSettings(**options), num_images, visible, num_cores)


def desnet(colours=COLOURS, num_cores=1, **options):
    """A small DesNet, described; by default of short runs on one core, which are quick to build."""
    usual = {"image_size": SIDE, "precision": "float32"}
    if (
        not {"network", "learning"} & options.keys()
        and options.get("sampler", "langevin") == "langevin"
    ):
        usual["learning"] = "short_run"
    options = usual | options
    return DesNet(DescriptorSettings(**options), colours, num_cores)


def built(model):
    model.build_model()
    return model


def load_file(path: Path) -> ModuleType:
    """The module in a file, under a name of its own."""
    spec = importlib.util.spec_from_file_location(f"{path.parent.name}_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def mains() -> dict[str, ModuleType]:
    return {name: load_file(ROOT / name / "main.py") for name in (*SMALL, "Baselines")}


@pytest.fixture(params=list(SMALL))
def name(request: pytest.FixtureRequest) -> str:
    """Each of the two folders."""
    return request.param


@pytest.fixture
def bfloat16() -> None:
    """For tests of models in bfloat16, which are skipped where none can be had."""
    if session.resolve_precision("auto", "auto") != "bfloat16":
        pytest.skip("this device does not multiply bfloat16 matrices")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A data path whose category "cats" holds three images."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "data" / "cats"
    folder.mkdir(parents=True)
    for i in range(3):
        save_image(folder / f"{i}.png", rng.integers(0, 256, (20, 24, 3)))
    return folder.parent


@pytest.fixture(scope="session")
def many(tmp_path_factory):
    """A data path whose category "cats" holds seven images."""
    rng = np.random.default_rng(1)
    folder = tmp_path_factory.mktemp("many") / "data" / "cats"
    folder.mkdir(parents=True)
    for i in range(7):
        pixels = np.full((16, 16, 3), rng.integers(40, 216, 3))
        pixels[4:12, 4:12] = rng.integers(40, 216, 3)
        save_image(folder / f"{i}.png", pixels)
    return folder.parent


def save_image(path: Path, pixels: np.ndarray) -> None:
    Image.fromarray(pixels.astype(np.uint8)).save(path)


def flags(name: str, data: Path, output: Path, *more: str) -> list[str]:
    """A short run on the category "cats" of a model of SMALL, or of that of QUICKEST."""
    words = SMALL.get(name, QUICKEST)
    return [*words, f"--data_path={data}", "--category=cats", f"--output_dir={output}", *more]


def results(folder: Path) -> dict[str, np.ndarray]:
    """The arrays of a run."""
    with np.load(folder / "results.npz") as arrays:
        return dict(arrays)


def assert_same_results(a: Path, b: Path) -> None:
    """That two runs have the same arrays, to the bit."""
    first, second = results(a), results(b)
    assert first.keys() == second.keys()
    for key in first:
        np.testing.assert_array_equal(first[key], second[key], err_msg=key)


def goes_on_to_the_same_bits(main: ModuleType, whole: Path, data: Path, to: Path) -> None:
    """Check that a run that was killed before its last checkpoint goes on to the bits of `whole`.

    Args:
        main: of its model.
        whole: the folder of the run, of the category "cats".
        data: the data path.
        to: where that which was killed is to be.
    """
    killed = shutil.copytree(whole, to / "cats")
    (killed / "results.npz").unlink()
    before, _ = sorted(int(p.stem[6:]) for p in (killed / "checkpoints").glob("model-*.index"))
    state = (
        f'model_checkpoint_path: "model-{before}"\nall_model_checkpoint_paths: "model-{before}"\n'
    )
    (killed / "checkpoints" / "checkpoint").write_text(state)
    main.main([f"--data_path={data}", "--category=cats", f"--output_dir={to}", "--resume"])
    assert_same_results(whole, killed)
    assert (killed / "history.csv").read_text() == (whole / "history.csv").read_text()


def fails(capsys: pytest.CaptureFixture, main: Callable, arguments: list[str]) -> str:
    """The sentence with which a command line fails, with exit code 2."""
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    return lines[0]


def command(script: Path, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess:
    """What a user sees of a command line."""
    words = [sys.executable, str(script), *arguments]
    done = {"capture_output": True, "text": True, "preexec_fn": on_all_cores}
    return subprocess.run(words, cwd=cwd, **done)


def change(path: Path, **values: object) -> None:
    """Change values of a JSON file."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def report_of(*folders: Path) -> str:
    """The page of these runs."""
    return report.render([run_files.read(folder) for folder in folders])


def heeding_ctrl_c() -> None:
    """For a process to start with: whoever runs the tests in the background ignores Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def on_all_cores() -> None:
    """For a process to start with that is to be like a user's; as heeding_ctrl_c."""
    heeding_ctrl_c()
    if CORES:
        os.sched_setaffinity(0, CORES)


def shared(
    factory: pytest.TempPathFactory, name: str, make: Callable[[Path], list[Path]]
) -> list[Path]:
    """Folders that all processes of the tests read, made by the first that needs them.

    Args:
        factory: pytest's.
        name: of what is made.
        make: it, below the folder that it is given.
    """
    base = factory.getbasetemp()
    root = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / name
    told = root.with_suffix(".json")
    with FileLock(root.with_suffix(".lock")):
        if not told.exists():
            told.write_text(json.dumps([str(folder) for folder in make(root)]))
        return [Path(folder) for folder in json.loads(told.read_text())]


@pytest.fixture(scope="session")
def finished(mains: dict[str, ModuleType], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The folders of a run of GenNet and one of DesNet, of categories with hostile names."""

    def make(root: Path) -> list[Path]:
        rng = np.random.default_rng(0)
        folders = []
        for name, category in HOSTILE.items():
            data = root / "data" / category
            data.mkdir(parents=True)
            for i in range(3):
                pixels = np.full((16, 16, 3), rng.integers(40, 216, 3))
                pixels[4:12, 4:12] = rng.integers(40, 216, 3)
                save_image(data / f"<b>{i}.png", pixels)
            output = root / "output" / name
            more = [f"--category={category}", "--num_epochs=30", "--log_step=10"]
            if name == "GenNet":
                more.append("--width=64")  # the default, whose plane is smooth
            mains[name].main(flags(name, data.parent, output, *more))
            folders.append(output / category)
        return folders

    return shared(tmp_path_factory, "finished", make)


@pytest.fixture(scope="session")
def ladder(mains: dict[str, ModuleType], many: Path, tmp_path_factory) -> Path:
    """The folder of a run of DesNet down a ladder of noise, two above which is "data".

    It holds another folder of images as well.
    """

    def make(root: Path) -> list[Path]:
        shutil.copytree(many, root / "data")
        (root / "data" / "other").mkdir()
        save_image(root / "data" / "other" / "grey.png", np.full([16, 16, 3], 128.0))
        words = flags("DesNet", root / "data", root / "output", "--T=32", "--seed=3")
        mains["DesNet"].main([*words, "--num_epochs=6", "--learning=score_matching"])
        return [root / "output" / "cats"]

    (folder,) = shared(tmp_path_factory, "ladder", make)
    return folder


@pytest.fixture
def copies(finished: list[Path], tmp_path: Path) -> list[Path]:
    """The folders of a run of GenNet and one of DesNet, to be damaged."""
    return [
        shutil.copytree(folder, tmp_path / "copies" / folder.parent.name / "cats")
        for folder in finished
    ]


@pytest.fixture(scope="session")
def tools() -> dict[str, ModuleType]:
    """The command lines that use runs."""
    return {
        "sample": load_file(ROOT / "GenNet" / "sample.py"),
        "synthesize": load_file(ROOT / "DesNet" / "synthesize.py"),
        "posterior": load_file(ROOT / "GenNet" / "posterior.py"),
    }


def posterior_flags(folder: Path) -> list[str]:
    """For posterior.py, of the run in `folder`."""
    return [f"--output_dir={folder.parent}", f"--category={folder.name}", "--draws=16"]


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium, for modules that import `browsing`."""
    import browsing

    with browsing.chromium() as browser:
        yield browser
