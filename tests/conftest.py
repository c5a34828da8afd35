"""What the tests share: the modules of both folders, and small folders of images."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
# The twins are the same in both folders: whichever comes first serves.
sys.path[:0] = [str(ROOT / "GenNet"), str(ROOT / "DesNet"), str(ROOT)]

import console  # noqa: E402, F401  (first: it loads TensorFlow quietly)

SMALL = {
    "GenNet": ["--image_size=16", "--num_epochs=4", "--log_step=2", "--sample_steps=2"],
    "DesNet": ["--image_size=16", "--num_epochs=4", "--log_step=2", "--T=3"],
}

HOSTILE = {
    "GenNet": "<img src=x onerror=alert(1)>",
    "DesNet": "\"Löwe\" & 'Tiger' <script>alert(1) 🦁",
}


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
    return {name: load_file(ROOT / name / "main.py") for name in SMALL}


@pytest.fixture(params=list(SMALL))
def name(request: pytest.FixtureRequest) -> str:
    """Each of the two folders."""
    return request.param


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A data path whose category "cats" holds three images."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "data" / "cats"
    folder.mkdir(parents=True)
    for i in range(3):
        save_image(folder / f"{i}.png", rng.integers(0, 256, (20, 24, 3)))
    return folder.parent


def save_image(path: Path, pixels: np.ndarray) -> None:
    Image.fromarray(pixels.astype(np.uint8)).save(path)


def flags(name: str, data: Path, output: Path, *more: str) -> list[str]:
    """A short run on the category "cats"."""
    return [*SMALL[name], f"--data_path={data}", "--category=cats", f"--output_dir={output}", *more]


def results(folder: Path) -> dict[str, np.ndarray]:
    """The arrays of a run."""
    with np.load(folder / "results.npz") as arrays:
        return dict(arrays)


def command(script: Path, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess:
    """What a user sees of a command line."""
    return subprocess.run(
        [sys.executable, str(script), *arguments], capture_output=True, text=True, cwd=cwd
    )


@pytest.fixture(scope="session")
def finished(mains: dict[str, ModuleType], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The folders of a run of GenNet and one of DesNet, of categories with hostile names."""
    root = tmp_path_factory.mktemp("finished")
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
        mains[name].main(flags(name, data.parent, output, *more))
        folders.append(output / category)
    return folders
