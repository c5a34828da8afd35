"""A worker that shows no results: `cluster_worker.py GenNet|DesNet noise|still DUMPS FLAGS...`.

"still", its chains go straight up the score, so that what any number of workers learn can be
compared.  At every checkpoint it writes what it has learned to DUMPS/RANK-ITERATION.npz.
"""

import sys
from pathlib import Path

import numpy as np

name, noise, dumps, *arguments = sys.argv[1:]
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / name))

import main  # noqa: E402
from common import command, samplers  # noqa: E402
from common.model import Model  # noqa: E402
from common.session import tf  # noqa: E402

save = Model.save


def dump_and_save(model: Model, prefix: Path, iteration: int) -> None:
    save(model, prefix, iteration)
    path = Path(dumps) / f"{model.cluster.rank}-{iteration}.npz"
    np.savez(path, **model.learned_values())


def without_noise(shape: tf.Tensor, key: tf.Tensor, dtype: str = "float32") -> tf.Tensor:
    return tf.zeros(shape, dtype)


if noise == "still":
    samplers.standard_normal = without_noise
Model.save = dump_and_save  # type: ignore[method-assign]
command.save_results = lambda *_: {}  # type: ignore[assignment]
main.Experiment.progress = command.Figure
main.Experiment.finish = lambda *_: None
main.main(arguments)
