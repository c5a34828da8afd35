"""What both command lines share: flags and their ranges, the device, and failing in a sentence."""

import argparse
import contextlib
import math
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn


@contextlib.contextmanager
def _silent_stderr() -> Iterator[None]:
    # TensorFlow's C++ side greets on stderr while it loads, whatever its log level says.
    sys.stderr.flush()
    saved = os.dup(2)
    with open(os.devnull, "wb") as null:
        os.dup2(null.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
with _silent_stderr():
    import tensorflow.compat.v1 as tf

tf.logging.set_verbosity(tf.logging.ERROR)
tf.disable_eager_execution()

PROJECT = Path(__file__).resolve().parent.parent


class _Formatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows every default but None, for which the help has words."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default is None else super()._get_help_string(action)


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one sentence, and whose help shows every default."""

    def __init__(self, prog: str, description: str) -> None:
        super().__init__(prog, None, description, formatter_class=_Formatter, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Print the sentence and exit with code 2."""
        self.exit(2, f"{self.prog}: {message} (--help lists every flag)\n")


class DeviceError(Exception):
    """A device or a precision that cannot be had; the message is a sentence for the user."""


def integer(low: int, high: int, multiple: int = 1) -> Callable[[str], int]:
    """A flag's type: a whole number in [low, high], if need be a multiple of another."""
    what = f"multiple of {multiple}" if multiple > 1 else "whole number"

    def parse(text: str) -> int:
        with contextlib.suppress(ValueError):
            if low <= int(text) <= high and int(text) % multiple == 0:
                return int(text)
        raise argparse.ArgumentTypeError(f"{text!r} is not a {what} from {low} to {high}")

    return parse


def number(low: float, high: float) -> Callable[[str], float]:
    """A flag's type: a finite number in [low, high]."""

    def parse(text: str) -> float:
        with contextlib.suppress(ValueError):
            if low <= float(text) <= high and math.isfinite(float(text)):
                return float(text)
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from {low:g} to {high:g}")

    return parse


def name(text: str) -> str:
    """A flag's type: the name of a folder, not a path."""
    if text in ("", ".", "..") or Path(text).name != text:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not the name of a folder; its parent folder goes to --data_path"
        )
    return text


def add_run_flags(parser: argparse.ArgumentParser, category: str, output: str) -> None:
    """Add the flags that say what to read, where to write and how to run."""
    group = parser.add_argument_group("data and run")
    group.add_argument(
        "--data_path", type=Path, default=PROJECT / "data", help="folder that holds the categories"
    )
    group.add_argument(
        "--category", type=name, default=category, help="folder of images in --data_path"
    )
    group.add_argument(
        "--output_dir",
        type=Path,
        default=PROJECT / "output" / output,
        help="the run is written to OUTPUT_DIR/CATEGORY; a finished run there is moved aside",
    )
    group.add_argument(
        "--fit",
        choices=["stretch", "crop"],
        default="stretch",
        help="how a picture that is not square becomes one: resized whole, or its centre cut out",
    )
    group.add_argument(
        "--log_step",
        type=integer(1, 10**9),
        default=50,
        help="iterations from one progress panel and checkpoint to the next",
    )
    group.add_argument(
        "--seed", type=integer(0, 2**31 - 1), default=0, help="of every random number of the run"
    )
    group.add_argument(
        "--device", default="auto", help="auto, cpu, gpu, or gpu:N for the N-th, counted from 0"
    )
    group.add_argument(
        "--precision",
        choices=["auto", "float32", "bfloat16"],
        default="auto",
        help="of the network inside the sampler while it learns; auto takes bfloat16 where the"
        " processor multiplies it and the sampler bears it",
    )
    group.add_argument(
        "--resume", action="store_true", help="go on with the run in OUTPUT_DIR/CATEGORY"
    )


def session_config(device: str) -> tf.ConfigProto:
    """The session configuration that makes `device` the one that TensorFlow places operations on.

    Raises:
        DeviceError: there is no such device.
    """
    gpus = tf.config.list_physical_devices("GPU")
    config = tf.ConfigProto()
    config.gpu_options.allow_growth = True  # leave the rest of a shared GPU to the others
    kind, _, index = device.partition(":")
    if kind not in ("auto", "cpu", "gpu") or (index and (kind != "gpu" or not index.isdecimal())):
        raise DeviceError(f"--device {device}: it is auto, cpu, gpu or gpu:N.")
    if kind == "cpu":
        config.device_count["GPU"] = 0
    elif kind == "gpu":
        if int(index or 0) >= len(gpus):
            raise DeviceError(
                f"--device {device}: TensorFlow sees {len(gpus) or 'no'} GPU here;"
                " choose another, or --device auto."
            )
        config.gpu_options.visible_device_list = index or "0"
    return config


def resolve_precision(precision: str, config: tf.ConfigProto, objection: str = "") -> str:
    """The precision, float32 or bfloat16, that --precision asks for.

    Args:
        precision: the flag: "auto" takes bfloat16 where it is fast and there is no objection.
        config: of the session.
        objection: why the sampler cannot do with bfloat16, if so.

    Raises:
        DeviceError: bfloat16 is asked for and cannot be had.
    """
    if not objection and not _multiplies_bfloat16(config):
        objection = "the processor has no instructions for it"
    if precision == "bfloat16" and objection:
        raise DeviceError(f"--precision bfloat16: {objection}; choose float32 or auto.")
    if precision == "auto":
        return "float32" if objection else "bfloat16"
    return precision


def _multiplies_bfloat16(config: tf.ConfigProto) -> bool:
    """Whether the device of the session has instructions for products of bfloat16 matrices."""
    gpu = gpu_details(config)
    if gpu is not None:
        return bool(gpu.get("compute_capability", (0, 0)) >= (8, 0))
    if os.environ.get("TF_ENABLE_ONEDNN_OPTS") == "0":
        return False  # TensorFlow's own kernels widen every number
    try:
        return bool({"avx512_bf16", "amx_bf16"} & set(Path("/proc/cpuinfo").read_text().split()))
    except OSError:
        return False  # not Linux


def gpu_details(config: tf.ConfigProto) -> dict | None:
    """What TensorFlow knows of the GPU that a session with this configuration computes on."""
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus or config.device_count.get("GPU", 1) == 0:
        return None
    index = int(config.gpu_options.visible_device_list or 0)
    return {"device_name": f"GPU {index}"} | tf.config.experimental.get_device_details(gpus[index])


def num_cores(config: tf.ConfigProto) -> int:
    """Cores of the processor that a session with this configuration computes on; 0 for a GPU."""
    if gpu_details(config) is not None:
        return 0
    if hasattr(os, "sched_getaffinity"):  # Linux, where a process may be given but some of them
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def describe_device(config: tf.ConfigProto) -> str:
    """The device that a session with this configuration computes on, in words."""
    gpu = gpu_details(config)
    if gpu is not None:
        return str(gpu["device_name"])
    cores = num_cores(config)
    return f"CPU ({cores} core{'s' if cores > 1 else ''})"
