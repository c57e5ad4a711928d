"""Epochs, averaged weights, validation."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from timm.data import Mixup
from timm.loss import SoftTargetCrossEntropy
from timm.optim import create_optimizer_v2
from timm.utils import ModelEmaV3
from torch import Tensor, nn

from mambaout.models.checkpoints import load_checkpoint
from mambaout.training.augment import augment, mixed, normalise, step_seed
from mambaout.training.config import Recipe, TrainingError
from mambaout.training.data import Dataset, Split
from mambaout.training.model import build, normalisation
from mambaout.training.processes import ALONE, Processes
from mambaout.training.state import RunState, load_state, save_state

REPORT_EVERY = 30.0
"""Seconds between two progress lines inside an epoch."""

Report = Callable[[str], None]


@dataclass(frozen=True)
class Score:
    """Right answers: whether the best guess is, picture by picture, and among the best five."""

    right: Tensor  # (pictures,) bool, on the CPU
    top5: int

    @property
    def top1(self) -> int:
        """How many best guesses are right."""
        return int(self.right.sum())

    @property
    def count(self) -> int:
        """How many pictures there were."""
        return len(self.right)


@dataclass(frozen=True)
class Result:
    """The weights of a run after ``len(history)`` epochs; ``model`` carries the averaged ones."""

    model: nn.Module
    history: list[dict[str, Any]]
    seconds: float


@torch.inference_mode()
def evaluate(model: nn.Module, split: Split, size: int, batch_size: int = 100) -> Score:
    """Count right answers on ``split`` at ``size`` pixels; the model's mode is put back after."""
    mean, std = normalisation(model, split.labels.device)
    was_training = model.training
    model.eval()
    right, top5 = [torch.zeros(0, dtype=torch.bool)], 0
    for start in range(0, len(split), batch_size):
        labels = split.labels[start : start + batch_size]
        logits = model(normalise(split.images[start : start + batch_size], size, mean, std))
        best = logits.topk(min(5, logits.shape[1]), dim=1).indices  # (b, 5)
        hits = best == labels[:, None]
        right.append(hits[:, 0].cpu())
        top5 += int(hits.sum())
    model.train(was_training)
    return Score(torch.cat(right), top5)


def train(
    recipe: Recipe,
    data: Dataset,
    out: Path,
    *,
    device: torch.device,
    start: Path | None = None,
    evaluate_every: int = 5,
    further: bool = True,
    processes: Processes = ALONE,
    report: Report,
) -> Result:
    """Train ``recipe`` on ``data``, going on from the run in ``out`` where there is one.

    Without a run in ``out``, training begins with the weights in ``start``, where that is given.
    The state in ``out`` is replaced after every epoch, so a killed run loses at most one. With
    ``further=False`` the result is what the run in ``out`` has reached.

    Several ``processes`` that see the same ``out`` share every batch: they take the steps that one
    would, but for the order of sums, and for stochastic depth, which each draws for itself.

    Raises:
        TrainingError: ``out`` holds another recipe, or nothing to stop at; there are fewer
            pictures than one batch, or too small ones for bfloat16 on a CPU; or the loss is no
            longer a number.
    """
    data = replace(data, train=data.train.to(device), val=data.val.to(device))
    trainee = Trainee(recipe, data, device, start, processes)
    state = load_state(out, recipe, data.digest)
    if state is not None:
        trainee.restore(state)
        report(f"{out} holds this run, after epoch {state.epoch} of {recipe.epochs}")
    elif not further:
        raise TrainingError(f"no run in {out} has finished an epoch")
    history = state.history if state else []
    seconds = state.seconds if state else 0.0
    started = time.monotonic() - seconds
    pace = Pace(recipe)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        for epoch in range(len(history), recipe.epochs if further else len(history)):
            began = time.monotonic()
            entry = trainee.epoch(epoch, report)
            pace.add(epoch, time.monotonic() - began)
            done = epoch + 1
            if done == recipe.epochs or done % evaluate_every == 0:
                entry |= trainee.shares()
            seconds = time.monotonic() - started
            history.append(entry | {"seconds": round(seconds, 1)})
            if processes.first:
                save_state(out, trainee.state(history, seconds), recipe, data.digest)
            report(_line(history[-1], recipe, pace))
    return Result(trainee.ema.module, history, seconds)


class Trainee:
    """A model in training: its weights, their moving average, and AdamW's moments."""

    def __init__(
        self,
        recipe: Recipe,
        data: Dataset,
        device: torch.device,
        start: Path | None = None,
        processes: Processes = ALONE,
    ) -> None:
        self.recipe, self.data, self.device, self.processes = recipe, data, device, processes
        self.share = processes.share(recipe.batch_size)
        self.steps = len(data.train) // recipe.batch_size
        if self.steps == 0:
            raise TrainingError(
                f"{len(data.train)} training pictures are less than one batch of "
                f"{recipe.batch_size}; choose a smaller --batch-size"
            )
        smallest = min(phase.size for phase in recipe.phases())
        if recipe.precision == "bfloat16" and device.type == "cpu" and smallest < 32:
            # torch 2.15 leaves weight gradients of a 3x3 convolution with stride 2 on a 1x1 map
            # partly unset in bfloat16 on CPUs; four-stage models have such maps below 32 pixels
            raise TrainingError(
                f"bfloat16 on a CPU needs pictures of at least 32 pixels, got {smallest}; "
                f"use --precision float32"
            )
        self.model = build(recipe, len(data.classes))
        if start is not None:
            load_checkpoint(self.model, start)
        self.model.to(device)
        self.ema = ModelEmaV3(self.model, decay=recipe.ema_decay, use_warmup=True)
        self.optimizer = create_optimizer_v2(
            self.model, opt="adamw", lr=recipe.lr, weight_decay=recipe.weight_decay, fused=True
        )
        self.mixup = Mixup(
            mixup_alpha=recipe.mixup,
            cutmix_alpha=recipe.cutmix,
            prob=recipe.mix_prob if recipe.mixup or recipe.cutmix else 0.0,
            label_smoothing=recipe.label_smoothing,
            num_classes=len(data.classes),
        )
        self.criterion = SoftTargetCrossEntropy()
        self.mean, self.std = normalisation(self.model, device)

    def restore(self, state: RunState) -> None:
        """Go back to the end of the epoch of ``state``."""
        self.model.load_state_dict(state.model)
        self.ema.module.load_state_dict(state.ema)
        self.optimizer.load_state_dict(state.optimizer)

    def state(self, history: list[dict[str, Any]], seconds: float) -> RunState:
        """What `restore` needs, after ``len(history)`` epochs."""
        return RunState(
            model=self.model.state_dict(),
            ema=self.ema.module.state_dict(),
            optimizer=self.optimizer.state_dict(),
            epoch=len(history),
            step=len(history) * self.steps,
            seconds=seconds,
            history=history,
        )

    def shares(self) -> dict[str, float]:
        """Shares of right answers on the validation set, of the last and the averaged weights."""
        found = {}
        split = self.data.val[self.processes.part(len(self.data.val))]
        for name, weights in (("raw", self.model), ("ema", self.ema.module)):
            score = evaluate(weights, split, self.recipe.final_size)
            right = torch.tensor([score.top1, score.top5], device=self.device)
            top1, top5 = self.processes.total(right).tolist()
            found[f"{name}_top1"] = top1 / len(self.data.val)
            found[f"{name}_top5"] = top5 / len(self.data.val)
        return found

    def epoch(self, epoch: int, report: Report) -> dict[str, Any]:
        """One pass over the training pictures; returns the epoch's entry of the log."""
        batch, size = self.recipe.batch_size, self.recipe.size_at(epoch)
        generator = torch.Generator().manual_seed(step_seed(self.recipe.seed, epoch))
        order = torch.randperm(len(self.data.train), generator=generator).to(self.device)
        self.model.train()
        total = torch.zeros((), device=self.device)
        started = reported = time.monotonic()
        for step in range(self.steps):
            total += self._step(epoch, step, order[step * batch : (step + 1) * batch])
            now = time.monotonic()
            if now - reported > REPORT_EVERY:
                reported = now
                report(
                    f"  epoch {epoch + 1} step {step + 1}/{self.steps}  {size} px  "
                    f"{(step + 1) * batch / (now - started):.0f} img/s  "
                    f"loss {float(total) / (step + 1):.3f}"
                )
        self.processes.same_buffers(self.model, self.ema.module)
        loss = float(self.processes.total(total)) / self.steps / self.processes.count
        if not math.isfinite(loss):
            raise TrainingError(
                f"the loss is {loss} in epoch {epoch + 1}; lower --lr (now {self.recipe.lr:g})"
            )
        return {
            "epoch": epoch + 1,
            "size": size,
            "loss": round(loss, 5),
            "lr": self.recipe.learning_rate((epoch + 1) * self.steps - 1, self.steps),
            "images_per_second": round(self.steps * batch / (time.monotonic() - started), 1),
        }

    def _step(self, epoch: int, step: int, chosen: torch.Tensor) -> torch.Tensor:
        """One optimiser step on the pictures ``chosen``; returns the loss."""
        recipe, split = self.recipe, self.data.train
        seed = step_seed(recipe.seed, epoch, step)
        # stochastic depth draws from torch's own generator
        torch.manual_seed(seed + self.processes.rank)
        draws = torch.Generator().manual_seed(seed)
        size = recipe.size_at(epoch)
        batch, chosen = len(chosen), chosen[self.share.to(chosen.device)]
        pictures = augment(
            split.images[chosen],
            recipe,
            size,
            self.mean,
            self.std,
            draws,
            share=self.share,
            batch=batch,
        )
        pictures, targets = mixed(self.mixup, pictures, split.labels[chosen], seed)
        done = epoch * self.steps + step
        for group in self.optimizer.param_groups:
            group["lr"] = recipe.learning_rate(done, self.steps)
        with self._precision():
            logits = self.model(pictures)
        loss: torch.Tensor = self.criterion(logits.float(), targets)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.processes.average_gradients(self.model)
        nn.utils.clip_grad_norm_(self.model.parameters(), recipe.clip_grad)
        self.optimizer.step()
        self.ema.update(self.model, step=done)
        return loss.detach()

    def _precision(self) -> contextlib.AbstractContextManager[Any]:
        if self.recipe.precision == "float32":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)


class Pace:
    """How long the epochs that are left will take, from those of this process."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.seconds = 0.0
        self.work = 0

    def add(self, epoch: int, seconds: float) -> None:
        """``epoch`` (0-based) took ``seconds``."""
        self.seconds += seconds
        self.work += self.recipe.size_at(epoch) ** 2

    def left(self, epoch: int) -> float:
        """Seconds from ``epoch`` (0-based) to the end; work is taken to grow with the pixels."""
        ahead = sum(self.recipe.size_at(e) ** 2 for e in range(epoch, self.recipe.epochs))
        return self.seconds * ahead / self.work


def _line(entry: dict[str, Any], recipe: Recipe, pace: Pace) -> str:
    line = (
        f"epoch {entry['epoch']}/{recipe.epochs}  {entry['size']} px  "
        f"{entry['images_per_second']:.0f} img/s  loss {entry['loss']:.3f}  lr {entry['lr']:.2e}  "
        f"{pace.left(entry['epoch']) / 60:.1f} min left"
    )
    if "ema_top1" in entry:
        line += f"  top-1 {entry['raw_top1']:.2%} raw, {entry['ema_top1']:.2%} averaged"
    return line
