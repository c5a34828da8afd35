"""Measure this project beside PyTorch on a GPU: the same Langevin steps, in alternating rounds.

What is timed, and how, is that of bench.py: 30 Langevin steps and one of Adam, of one batch and of
as many images as fill a GPU.  Chains compute in float32, in TF32 (float32 whose products round
their factors to 10 bits) or in bfloat16; the step of Adam then in TF32.  CUDA_VISIBLE_DEVICES
chooses among GPUs.  Writes results_gpu.json next to this file.

Example: python benchmarks/gpu.py --data_path ~/pictures --generator_category cats
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "GenNet")]

from bench import (  # noqa: E402
    SAME_STEPS,
    STEPS,
    alternate,
    apart,
    count_flop,
    data_parser,
    load_images,
    machine,
)

from common import session  # noqa: E402
from common.files import write_json  # noqa: E402
from common.session import tf  # noqa: E402

MANY = 256  # images that are also learned at once: those given, again and again

# The module, and options of its function `on_device`.
CONTENDERS: dict[str, tuple[str, dict]] = {
    "PyTorch, float32": ("peers", {"tf32": False, "channels_last": False}),
    "PyTorch, TF32": ("peers", {"tf32": True, "channels_last": False}),
    "PyTorch, TF32, channels last": ("peers", {"tf32": True, "channels_last": True}),
    "PyTorch, bfloat16": ("peers", {"tf32": True, "channels_last": False, "bfloat16": True}),
    "PyTorch, bfloat16, channels last": (
        "peers",
        {"tf32": True, "channels_last": True, "bfloat16": True},
    ),
    "ours, float32": ("ours", {"tf32": False, "precision": "float32"}),
    "ours, TF32": ("ours", {"tf32": True, "precision": "float32"}),
    "ours, bfloat16": ("ours", {"tf32": True, "precision": "bfloat16"}),
}


def measure(
    images: dict[str, np.ndarray], contenders: dict[str, tuple[str, dict]], device: str, rounds: int
) -> list[dict]:
    """Time an iteration of each model by each contender.

    Args:
        images: by model, [N, S, S, 3] in [0, 255].
        contenders: as CONTENDERS.
        device: gpu or cpu.
        rounds: in which they alternate.

    Returns:
        For each model: how many images, GFLOP, and by contender the seconds of an iteration,
        median, least and most, with GFLOP/s.
    """
    rows = []
    for model, batch in images.items():
        tasks = {}
        for name, (module, options) in contenders.items():
            arguments = {"model": model.lower(), "device": device, "images": batch, **options}
            if module == "ours":
                arguments |= SAME_STEPS[model]
            tasks[name] = (module, "on_device", arguments)
        flop = count_flop(model, batch)
        print(f"{model}: {len(batch)} images, {STEPS} Langevin steps and one of Adam")
        times = alternate(tasks, rounds)
        for name, row in times.items():
            row["gflop_per_second"] = flop / row["median"] / 1e9
            print(
                f"  {name:<34}{1000 * row['median']:8.2f} ms"
                f"  ({1000 * row['least']:.2f} to {1000 * row['most']:.2f})"
                f" {row['gflop_per_second']:8.0f} GFLOP/s"
            )
        rows.append({"model": model, "images": len(batch), "gflop": flop / 1e9, "times": times})
    return rows


def main(arguments: list[str] | None = None) -> None:
    """Measure, print and write; a mistake of the user's ends it with a sentence and exit code 2."""
    parser = data_parser("benchmarks/gpu.py", __doc__)
    args = parser.parse_args(arguments)
    if session.gpu_details("auto") is None:
        parser.exit(
            2,
            f"{parser.prog}: TensorFlow sees no GPU here; pip install 'tensorflow[and-cuda]' where"
            " there is one, or measure the processor by benchmarks/bench.py.\n",
        )
    batches = load_images(parser, args)
    if not apart("peers", "has_gpu"):
        parser.exit(2, f"{parser.prog}: PyTorch sees no GPU here; install its wheel for CUDA.\n")
    contenders = CONTENDERS
    if session.resolve_precision("auto", "gpu") != "bfloat16":  # an older GPU
        contenders = {k: v for k, v in CONTENDERS.items() if "bfloat16" not in k}
    about = machine() | {"gpu": session.describe("gpu"), **tf.sysconfig.get_build_info()}
    results: dict = {"machine": about, "steps": []}
    many = {name: np.resize(of, [MANY, *of.shape[1:]]) for name, of in batches.items()}
    for images in (batches, many):
        results["steps"] += measure(images, contenders, "gpu", args.rounds)
        write_json(HERE / "results_gpu.json", results)


if __name__ == "__main__":
    main()
