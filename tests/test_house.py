"""The house itself: what is shared, what stands once, and that importing does nothing."""

import ast
import subprocess
import sys

import pytest
import sentences
from conftest import ROOT

COMMON = ROOT / "GenNet" / "common"
SOURCES = [
    path
    for part in (
        *("GenNet", "DesNet", "Baselines", "families", "report_page"),
        *("benchmarks", "attacks", "data", "tests"),
    )
    for path in sorted((ROOT / part).rglob("*.py"))
    if "DesNet/common" not in path.as_posix()
] + [ROOT / "report.py", ROOT / "compare.py", ROOT / "cluster.py"]


def test_desnet_has_a_copy_of_what_is_shared():
    rooms = {path.name: path.read_bytes() for path in COMMON.glob("*.py")}
    copies = {path.name: path.read_bytes() for path in (ROOT / "DesNet" / "common").glob("*.py")}
    assert {"samplers.py", "streams.py"} <= rooms.keys()
    assert copies == rooms, "run `make common`"


def test_every_room_can_be_imported_first_and_does_nothing():
    names = sorted(path.stem for path in COMMON.glob("*.py"))
    rooms = ["common" if name == "__init__" else f"common.{name}" for name in names]
    code = f"""
import os, sys, traceback, warnings
import matplotlib.figure, numpy, PIL.Image, scipy.optimize  # once, for they take long
before = dict(os.environ), list(sys.path)
for room in {rooms}:
    if os.fork():
        assert os.wait()[1] == 0, room
        continue
    try:
        __import__(room)
        assert "tensorflow" not in sys.modules, "TensorFlow was loaded"
        assert (dict(os.environ), list(sys.path)) == before
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "GenNet", capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_tensorflow_is_loaded_without_keras_which_is_still_there():
    code = (
        "import sys\nfrom common.session import tf\ntf.constant(1.0)\n"
        "assert 'keras' not in sys.modules\nimport tensorflow\ntensorflow.keras.layers.Dense"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT / "GenNet", capture_output=True)
    assert done.returncode == 0, done.stderr


def test_no_file_stands_twice():
    contents = [path.read_bytes() for path in SOURCES]
    assert len(set(contents)) == len(contents)


def test_files_and_functions_are_short():
    for path in SOURCES:
        text = path.read_text()
        assert len(text.splitlines()) <= 450, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                lines = body[-1].end_lineno - body[0].lineno + 1 if body else 0
                assert lines <= 60, f"{path}: {node.name} has {lines} lines"


def test_the_list_of_sentences_is_whole():
    assert sentences.LIST.read_text(encoding="utf-8") == sentences.sentences(), (
        "run `make sentences`, and read what is new: what is wrong, where, and what to do?"
    )


@pytest.mark.parametrize("name", ["GenNet", "DesNet", "Baselines"])
def test_help_comes_without_tensorflow(name):
    code = (
        "import sys, main\n"
        "try:\n    main.main(['--help'])\n"
        "except SystemExit as end:\n    assert end.code == 0\n"
        "assert 'tensorflow' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT / name, capture_output=True)
    assert done.returncode == 0, done.stderr
