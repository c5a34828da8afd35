"""One worker of `scaling.py`: `scaling_worker.py GenNet|DesNet FOLDER ITERATIONS TIMES CORE...`.

It learns from a folder of images on some cores alone, in a cluster if TF_CONFIG names one, by
batches that are so many times as large as by default.  The first worker prints, as JSON, the median
seconds of an iteration, how many images that has, and the seconds of a sum over all workers of as
many numbers as the network has, and of one number.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

name, folder, iterations, times, *cores = sys.argv[1:]
if hasattr(os, "sched_setaffinity"):  # before TensorFlow counts them
    os.sched_setaffinity(0, [int(core) for core in cores])
ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "GenNet"), str(ROOT / "DesNet")]

from common import datasets, shards  # noqa: E402
from common.cluster import Cluster, Membership  # noqa: E402
from common.model import Model  # noqa: E402
from common.session import tf  # noqa: E402
from descriptor_settings import Settings as DescriptorSettings  # noqa: E402
from DesNet import DesNet  # noqa: E402
from generator_settings import Settings as GeneratorSettings  # noqa: E402
from GenNet import GenNet  # noqa: E402

WARM_UP = 3  # iterations that are not timed
SUMS = 10  # of which the median is taken


def median(run: Callable[[], object], count: int) -> float:
    """Median seconds of a run, the first WARM_UP left out."""
    times = []
    for _ in range(WARM_UP + count):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return float(np.median(times[WARM_UP:]))


def seconds_of_sum(cluster: Cluster, size: int) -> float:
    """Seconds that a sum of so many numbers over all workers takes."""
    with tf.Graph().as_default() as graph, cluster.device():
        (summed,) = cluster.sum([tf.zeros([size])])
        config = cluster.configured(tf.ConfigProto())
        with tf.Session(cluster.target, graph, config) as session:
            return median(lambda: session.run(summed.op), SUMS)


def main(cluster: Cluster) -> None:
    """Learn, measure and print."""
    data, shard = shards.load(Path(folder), 64, "stretch", cluster, [], 0)
    images = data.images[: shard.count]
    of_model = GeneratorSettings if name == "GenNet" else DescriptorSettings
    batch_size = int(times) * (of_model().resolved(shard.total).batch_size or 1)
    settings: Any = of_model(batch_size=batch_size)
    if name == "GenNet":
        model: Model = GenNet(settings, shard.total, shard=shard)
    else:
        colours = cluster.gather(datasets.mean_colours(images))
        model = DesNet(settings, colours, shard=shard)
    model.build_model()
    records = model.train(images)  # type: ignore[attr-defined]

    def iterate() -> None:
        next(records)
        cluster.any(False)  # as a run asks whether to stop

    measured = {
        "seconds": median(iterate, int(iterations)),
        "images": model.settings.batch_size,
        "parameters": model.num_parameters,
        "sum": seconds_of_sum(cluster, model.num_parameters),
        "sum_of_one": seconds_of_sum(cluster, 1),
    }
    if cluster.rank == 0:
        print(json.dumps(measured), flush=True)


if __name__ == "__main__":
    with Membership() as member:
        main(member.join("auto"))
