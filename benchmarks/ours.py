"""What this project does, as the benchmark runs it: each function in a process of its own."""

import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "GenNet"), str(ROOT / "DesNet")]

from common import datasets, quality  # noqa: E402
from common.session import tf  # noqa: E402
from descriptor_settings import Settings as DescriptorSettings  # noqa: E402
from DesNet import DesNet  # noqa: E402
from generator_settings import Settings as GeneratorSettings  # noqa: E402
from GenNet import GenNet  # noqa: E402

FOREVER = 10**9  # epochs


def _gennet(images: np.ndarray, precision: str, **options: object) -> GenNet:
    settings = GeneratorSettings(image_size=images.shape[1], precision=precision, **options)
    model = GenNet(settings, len(images))
    model.build_model()
    return model


def gennet(images: np.ndarray, precision: str, **options: object) -> Callable[[], object]:
    """An iteration of GenNet on images [N, S, S, 3], with options of its settings."""
    model = _gennet(images, precision, **options)
    records = model.train(images, FOREVER)
    return lambda: next(records)


def desnet(images: np.ndarray, precision: str, **options: object) -> Callable[[], object]:
    """An iteration of DesNet on images [N, S, S, 3], with options of its settings."""
    settings = DescriptorSettings(image_size=images.shape[1], precision=precision, **options)
    model = DesNet(settings, datasets.mean_colours(images))
    model.build_model()
    records = model.train(images, FOREVER)
    return lambda: next(records)


def on_device(
    model: str, device: str, tf32: bool, images: np.ndarray, precision: str, **options: object
) -> Callable[[], object]:
    """An iteration of a model, "gennet" or "desnet", on a device, on all images at once.

    `tf32` is whether a GPU may round the factors of float32 products to 10 bits.
    """
    tf.config.experimental.enable_tensor_float_32_execution(tf32)
    options |= {"device": device, "batch_size": len(images)}
    return {"gennet": gennet, "desnet": desnet}[model](images, precision, **options)


def matrix_product(size: int, dtype: str) -> Callable[[], object]:
    """A product of two square matrices."""
    with tf.Graph().as_default():
        shape = [size, size]
        a, b = (tf.Variable(tf.cast(tf.random.normal(shape), dtype)) for _ in range(2))
        product = tf.reduce_sum(tf.matmul(a, b))
        session = tf.Session()
        session.run(tf.global_variables_initializer())
    return lambda: session.run(product)


def time_to_quality(images: np.ndarray, goals: list[float], limit: float, sampler: str) -> dict:
    """Learn until every goal (PSNR in dB) is reached, for `limit` seconds or to the end.

    Returns:
        By goal the seconds that it took, None where it was not reached; the best PSNR.
    """
    model = _gennet(images, "auto", sampler=sampler)
    seconds, best, iteration = 0.0, 0.0, 0
    reached: dict[float, float | None] = dict.fromkeys(goals)
    start = time.perf_counter()
    for iteration, _ in enumerate(model.train(images), 1):  # noqa: B007
        seconds += time.perf_counter() - start
        if iteration % 5 == 0:
            psnr, _ = quality.psnr_and_ssim(model.reconstruct(), images)
            best = max(best, float(psnr.mean()))
            for goal in goals:
                if best >= goal and reached[goal] is None:
                    reached[goal] = seconds
            if seconds > limit or all(reached.values()):
                break
        start = time.perf_counter()
    return {"reached": reached, "best": best, "iterations": iteration}


def growth(model: str, folder: str, image_size: int, iterations: int, **options: object) -> dict:
    """Learn from a folder of images for some iterations.

    Returns:
        Seconds an image, the median iteration's; and the peak memory of the process in MB.
    """
    images = datasets.load(Path(folder), image_size).images
    iterate = {"GenNet": gennet, "DesNet": desnet}[model](images, "auto", **options)
    times = []
    for _ in range(iterations):
        start = time.perf_counter()
        iterate()
        times.append(time.perf_counter() - start)
    batch = min({"GenNet": 11, "DesNet": 7}[model], len(images))
    # ru_maxrss is in kB on Linux, in bytes on macOS.
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return {
        "seconds": float(np.median(times[2:])) / batch,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit,
    }
