"""The same work in PyTorch, eager: what a user would write instead of this project.

Both networks are those of ours.py, layer by layer; Langevin is what the assignment prints.
"""

import itertools
import time
import warnings
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

warnings.filterwarnings("ignore", "Using padding='same'")  # a speed hint, which is measured here
SIGMA, DELTA, STEPS = 0.3, 0.3, 30  # of the assignment


def _layout(channels_last: bool) -> torch.memory_format:
    return torch.channels_last if channels_last else torch.contiguous_format


def _to_tensor(images: np.ndarray, layout: torch.memory_format) -> torch.Tensor:
    """Images [N, S, S, 3] as [N, 3, S, S]."""
    return (
        torch.from_numpy(images.astype(np.float32))
        .permute(0, 3, 1, 2)
        .contiguous(memory_format=layout)
        .to(torch.get_default_device())
    )


class Generator(nn.Module):
    """z [B, 2] -> images [B, 3, 64, 64] in [-1, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(2, 4 * 4 * 512)
        self.layers = nn.Sequential(
            nn.LeakyReLU(0.2),
            nn.ConvTranspose2d(512, 256, 5, 2, 2, 1),  # [B, 256, 8, 8]
            nn.LeakyReLU(0.2),
            nn.ConvTranspose2d(256, 128, 5, 2, 2, 1),
            nn.LeakyReLU(0.2),
            nn.ConvTranspose2d(128, 64, 5, 2, 2, 1),
            nn.LeakyReLU(0.2),
            nn.ConvTranspose2d(64, 3, 5, 2, 2, 1),  # [B, 3, 64, 64]
            nn.Tanh(),
        )

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """f(z)."""
        return self.layers(self.project(z).reshape(-1, 512, 4, 4))


class Descriptor(nn.Module):
    """Images [B, 3, 64, 64] -> scores [B], by the assignment's network."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 64, 4, 2, 1),  # [B, 64, 32, 32]
            nn.LeakyReLU(0.2),
            nn.Conv2d(64, 128, 2, 1, "same"),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            nn.Linear(32 * 32 * 128, 1),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The scores."""
        return self.layers(images)[:, 0]


def _langevin(
    log_prob: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, delta: float, bfloat16: bool
) -> torch.Tensor:
    """STEPS steps of x + (delta^2 / 2) d log p / dx + delta U, log p summed over the chains."""
    for _ in range(STEPS):
        x = x.detach().requires_grad_()
        with torch.autocast(x.device.type, torch.bfloat16, enabled=bfloat16):
            total = log_prob(x)
        (score,) = torch.autograd.grad(total, x)
        x = x + delta**2 / 2 * score + delta * torch.randn_like(x)
    return x.detach()


class Alternating:
    """Alternating back-propagation as it is commonly written.

    Attributes:
        z: [N, 2], the inferred latent vectors.
    """

    def __init__(
        self, images: np.ndarray, channels_last: bool, averaged: bool, bfloat16: bool = False
    ) -> None:
        """Take the images [N, 64, 64, 3] in [0, 255].

        Args:
            images: what is learned, in one batch.
            channels_last: the layout of the network and the images.
            averaged: divide the log likelihood by the number of images and pixels, as published
                solutions do.
            bfloat16: autocast the chains to it, not the learning step.
        """
        torch.manual_seed(0)
        layout = _layout(channels_last)
        self._images = _to_tensor(images / 127.5 - 1, layout)
        self._network = Generator().to(memory_format=layout)
        self._adam = torch.optim.Adam(self._network.parameters(), 1e-3, betas=(0.5, 0.999))
        self._bfloat16 = bfloat16
        self._weight = 1 / self._images.numel() if averaged else 1.0
        self.z = torch.randn(len(images), 2)

    def _log_prob(self, z: torch.Tensor) -> torch.Tensor:
        error = (self._images - self._network(z)).square().sum()
        return -self._weight * error / (2 * SIGMA**2) - z.square().sum() / 2

    def iterate(self) -> None:
        """Infer z, then take a step of the weights."""
        # Unstable on the summed likelihood, and a timing is none if everything is NaN.
        delta = DELTA if self._weight < 1 else 1e-3
        self.z = _langevin(self._log_prob, self.z, delta, self._bfloat16)
        self._adam.zero_grad()
        error = (self._images - self._network(self.z)).square().sum()
        (error / len(self.z) / (2 * SIGMA**2)).backward()
        self._adam.step()

    def psnr(self) -> float:
        """Of the reconstructions, in dB, mean over the images."""
        with torch.no_grad():
            error = (127.5 * (self._images - self._network(self.z))).square().mean((1, 2, 3))
        return float((10 * torch.log10(255**2 / error)).mean())


def gennet(images: np.ndarray, channels_last: bool, bfloat16: bool = False) -> Callable[[], None]:
    """An iteration of the generator: 30 Langevin steps and one of Adam."""
    return Alternating(images, channels_last, False, bfloat16).iterate


def desnet(images: np.ndarray, channels_last: bool, bfloat16: bool = False) -> Callable[[], None]:
    """An iteration of the descriptor: 30 Langevin steps from mean images and one of Adam."""
    torch.manual_seed(0)
    layout = _layout(channels_last)
    observed = _to_tensor(images - images.mean((0, 1, 2)), layout)
    starts = (
        observed.mean((2, 3), keepdim=True).expand_as(observed).contiguous(memory_format=layout)
    )
    network = Descriptor().to(memory_format=layout)
    adam = torch.optim.Adam(network.parameters(), 0.01, betas=(0.5, 0.999))

    def log_prob(x: torch.Tensor) -> torch.Tensor:
        return network(x).sum() - x.square().sum() / (2 * 50.0**2)

    def iterate() -> None:
        synthesized = _langevin(log_prob, starts, DELTA, bfloat16)
        adam.zero_grad()
        (network(synthesized).mean() - network(observed).mean()).backward()
        adam.step()

    return iterate


def has_gpu() -> bool:
    """Whether PyTorch sees a GPU."""
    return torch.cuda.is_available()


def on_device(model: str, device: str, tf32: bool, **arguments: object) -> Callable[[], None]:
    """An iteration of a model, "gennet" or "desnet", on a device: "gpu" or "cpu".

    It returns when the device has done all of it, as a run of a TensorFlow session does, and takes
    the fastest algorithms, as TensorFlow does; for the rest see ours.py.
    """
    torch.set_default_device("cuda" if device == "gpu" else device)
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = tf32
    iterate = {"gennet": gennet, "desnet": desnet}[model](**arguments)

    def run() -> None:
        iterate()
        if device == "gpu":
            torch.cuda.synchronize()

    return run


def time_to_quality(images: np.ndarray, goals: list[float], limit: float) -> dict:
    """Learn until every goal (PSNR in dB) is reached, or for `limit` seconds.

    Returns:
        By goal the seconds that it took, None where it was not reached; the best PSNR.
    """
    learner = Alternating(images, channels_last=False, averaged=True)
    seconds, best, reached = 0.0, 0.0, dict.fromkeys(goals)
    for iteration in itertools.count(1):
        start = time.perf_counter()
        learner.iterate()
        seconds += time.perf_counter() - start
        if iteration % 5 == 0:
            best = max(best, learner.psnr())
            for goal in goals:
                if best >= goal and reached[goal] is None:
                    reached[goal] = seconds
            if seconds > limit or all(reached.values()):
                return {"reached": reached, "best": best, "iterations": iteration}
    raise AssertionError("the loop above returns")
