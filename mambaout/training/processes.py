"""Several processes, a device each, that train one model: what they share and who speaks.

Started by ``torchrun``, which sets RANK, WORLD_SIZE and LOCAL_RANK. Gradients are averaged by hand
and not by DistributedDataParallel: causal training leaves some parameters without a gradient, and
every process has to take the same optimiser step as a single one with the whole batch.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from mambaout.training.config import TrainingError


@dataclass(frozen=True)
class Processes:
    """This process among ``count``; alone, every method leaves things as they are."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes files and reports."""
        return self.rank == 0

    def share(self, batch: int) -> Tensor:
        """Positions in a batch that are this process's, int64 (batch / count,), ascending.

        They come in pairs i and batch - 1 - i, which mixup and cutmix mix with each other.

        Raises:
            TrainingError: the batch cannot be shared in pairs.
        """
        if batch % (2 * self.count):
            raise TrainingError(
                f"{self.count} processes share a batch in pairs of pictures: --batch-size must be "
                f"a multiple of {2 * self.count}, got {batch}"
            )
        half = batch // 2
        own = torch.arange(half * self.rank // self.count, half * (self.rank + 1) // self.count)
        return torch.cat([own, batch - 1 - own.flip(0)])

    def part(self, length: int) -> slice:
        """This process's part of a sequence that may be shared unevenly."""
        ends = [length * rank // self.count for rank in (self.rank, self.rank + 1)]
        return slice(*ends)

    def average_gradients(self, model: nn.Module) -> None:
        """The mean over the processes, in place, in one message."""
        if self.count == 1:
            return
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        flat /= self.count
        parts = flat.split([gradient.numel() for gradient in gradients])
        for gradient, mean in zip(gradients, parts, strict=True):
            gradient.copy_(mean.view_as(gradient))

    def total(self, values: Tensor) -> Tensor:
        """The sum over the processes, the same in each."""
        if self.count > 1:
            dist.all_reduce(values)
        return values

    def same_buffers(self, *models: nn.Module) -> None:
        """What is no parameter (statistics of a batch norm) as the first process has it."""
        if self.count > 1:
            for model in models:
                for buffer in model.buffers():
                    dist.broadcast(buffer, src=0)

    def wait(self) -> None:
        """Until every process is here."""
        if self.count > 1:
            dist.barrier()

    @contextlib.contextmanager
    def first_goes_ahead(self) -> Iterator[None]:
        """Let the first process do it, then the others, who find what it has left on the disk."""
        if not self.first:
            self.wait()
        yield
        if self.first:
            self.wait()


ALONE = Processes()


@contextlib.contextmanager
def joined(device: torch.device) -> Iterator[tuple[Processes, torch.device]]:
    """Join the processes that ``torchrun`` started; alone where it started none.

    Yields:
        This process among them, and its device: of several GPUs the one with its local number.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield ALONE, device
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Processes(dist.get_rank(), count), device
    finally:
        dist.destroy_process_group()
