"""TensorFlow itself, loaded quietly when it is first used; and its device, precision and threads.

`from common.session import tf` is `tensorflow.compat.v1` without its two seconds of loading, which
come with the first `tf.` that is evaluated, and without what its C++ side then prints.
"""

from __future__ import annotations

import functools
import gc
import os
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from common.endings import MistakeError, silent_stderr

NO_BFLOAT16 = "the processor has no instructions for it"


class DeviceError(MistakeError):
    """A device or a precision that cannot be had; the message is a sentence for the user."""


@functools.cache
def _tensorflow() -> ModuleType:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # It loads Keras too, a third of the time it takes, for which there is no use here.  What is
    # None there cannot be imported, and without Keras it does as well.
    hidden = {} if "keras" in sys.modules else {"keras": None}
    sys.modules.update(hidden)  # type: ignore[arg-type]
    try:
        with silent_stderr():  # its C++ side greets there, whatever its log level says
            import tensorflow.compat.v1 as module
    finally:
        for name in hidden:
            del sys.modules[name]
    module.logging.set_verbosity(module.logging.ERROR)
    # Its quarter of a million objects stay: of the time in which graphs are built, a tenth went to
    # looking again and again whether they are still in use.
    gc.freeze()
    return module


class _TensorFlow:
    """`tensorflow.compat.v1`, imported at its first use."""

    def __getattr__(self, name: str) -> Any:
        return getattr(_tensorflow(), name)


tf: Any = _TensorFlow()


def reason(error: BaseException) -> str:
    """Why TensorFlow could not read or write a file, in a few words."""
    # Somewhere in its message of many lines stands "PATH; No space left on device".
    found = re.search(r"; (\w[\w ]+)$", str(error), re.MULTILINE)
    return found[1] if found else (str(error).strip() or type(error).__name__).splitlines()[0]


def configuration(device: str) -> tf.ConfigProto:
    """The session configuration that makes `device` the one that TensorFlow places operations on.

    Args:
        device: auto, cpu, gpu or gpu:N.

    Raises:
        DeviceError: there is no such device.
    """
    gpus = tf.config.list_physical_devices("GPU")
    config = tf.ConfigProto()
    config.gpu_options.allow_growth = True  # leave the rest of a shared GPU to the others
    kind, _, index = device.partition(":")
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


def resolve_precision(precision: str, device: str, objection: str = "") -> str:
    """The precision, float32 or bfloat16, that --precision asks for.

    Args:
        precision: the flag: "auto" takes bfloat16 where it is fast and there is no objection.
        device: as for `configuration`.
        objection: why the sampler cannot do with bfloat16, if so.

    Raises:
        DeviceError: bfloat16 is asked for and cannot be had, or there is no such device.
    """
    if not objection and not _multiplies_bfloat16(device):
        objection = NO_BFLOAT16
    if precision == "bfloat16" and objection:
        raise DeviceError(f"--precision bfloat16: {objection}; choose float32 or auto.")
    if precision == "auto":
        return "float32" if objection else "bfloat16"
    return precision


def at_hand(device: str, precision: str = "float32") -> dict[str, str]:
    """The "device" and the "precision" of a run, or what there is here in their place.

    Args:
        device: as for `configuration`.
        precision: float32 or bfloat16.
    """
    try:
        configuration(device)
    except DeviceError:
        device = "auto"
    if precision == "bfloat16" and not _multiplies_bfloat16(device):
        precision = "float32"
    return {"device": device, "precision": precision}


def _multiplies_bfloat16(device: str) -> bool:
    """Whether the device has instructions for products of bfloat16 matrices."""
    gpu = gpu_details(device)
    if gpu is not None:
        return bool(gpu.get("compute_capability", (0, 0)) >= (8, 0))
    if os.environ.get("TF_ENABLE_ONEDNN_OPTS") == "0":
        return False  # TensorFlow's own kernels widen every number
    return bool({"avx512_bf16", "amx_bf16"} & _instructions())


def _instructions() -> set[str]:
    """The processor's, by the names that Linux has for them; none where it is not Linux."""
    try:
        return set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return set()


def slowness(device: str) -> float:
    """Times as long as on cores that multiply bfloat16 matrices learning takes, roughly.

    By the processor's instructions and not by its clock: that the same flags mean the same epochs.
    """
    if _multiplies_bfloat16(device) or gpu_details(device) is not None:
        return 1.0
    return 1.5 if "avx512f" in _instructions() else 6.0


def gpu_details(device: str) -> dict | None:
    """What TensorFlow knows of the GPU that it computes on; None for the processor."""
    config = configuration(device)
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus or config.device_count.get("GPU", 1) == 0:
        return None
    index = int(config.gpu_options.visible_device_list or 0)
    return {"device_name": f"GPU {index}"} | tf.config.experimental.get_device_details(gpus[index])


def num_cores(device: str) -> int:
    """Cores of the processor that `device` is; 0 for a GPU."""
    if gpu_details(device) is not None:
        return 0
    if hasattr(os, "sched_getaffinity"):  # Linux, where a process may be given but some of them
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def describe(device: str) -> str:
    """The device, in words."""
    gpu = gpu_details(device)
    if gpu is not None:
        return str(gpu["device_name"])
    cores = num_cores(device)
    return f"CPU ({cores} core{'s' if cores > 1 else ''})"
