"""What VMamba, LocalVMamba and EfficientVMamba share: stages on ever coarser grids, as in Swin.

Everything between modules is a map of tokens (b, h, w, c), channels last.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import chain
from typing import Any, cast

import torch
import torch.nn.functional as F
from timm.models._features import feature_take_indices
from timm.models._manipulate import checkpoint_seq
from torch import Tensor, nn

from mambaout.models.initial import classifier, init_linear
from mambaout.models.pooling import checked_pool
from mambaout.models.token_grid import TokenGrid, stage_titles, token_grid


class Permute(nn.Module):
    """`torch.permute` as a module, so that a sequence can change its layout on the way."""

    def __init__(self, *dims: int) -> None:
        super().__init__()
        self.dims = dims

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(self.dims)

    def extra_repr(self) -> str:
        return str(self.dims)


def to_nchw() -> Permute:
    return Permute(0, 3, 1, 2)


def to_nhwc() -> Permute:
    return Permute(0, 2, 3, 1)


def patch_stem(in_chans: int, dim: int) -> nn.Sequential:
    """Patches of 4 x 4 pixels, side by side, normed: (b, c, H, W) → (b, H/4, W/4, dim)."""
    return nn.Sequential(nn.Conv2d(in_chans, dim, 4, 4), to_nhwc(), nn.LayerNorm(dim))


class PatchMerging(nn.Module):
    """Four neighbours become one token: (b, h, w, dim) → (b, ⌈h/2⌉, ⌈w/2⌉, out_dim), as in Swin."""

    def __init__(self, dim: int, out_dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * dim)
        self.reduction = nn.Linear(4 * dim, out_dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        _, height, width, _ = x.shape
        x = F.pad(x, (0, 0, 0, width % 2, 0, height % 2))
        # Swin's order of the four, which the pretrained weights expect: down the columns first.
        corners = [x[:, i::2, j::2] for j in (0, 1) for i in (0, 1)]
        return self.reduction(self.norm(torch.cat(corners, dim=-1)))  # type: ignore[no-any-return]


class Stage(nn.Module, ABC):
    """Blocks on one grid, and the way to the next, coarser one."""

    output: str  # the submodule that puts out what `run_blocks` returns
    earlier_blocks: tuple[str, ...] = ()  # those before it that put out maps of the same kind

    def __init__(self) -> None:
        super().__init__()
        self.grad_checkpointing = False

    @abstractmethod
    def run_blocks(self, x: Tensor) -> Tensor:
        """A map (b, h, w, c) → the stage's features, (b, h, w, c)."""

    @abstractmethod
    def shrink(self, x: Tensor) -> Tensor:
        """The stage's features → the next stage's input; themselves after the last stage."""

    def forward(self, x: Tensor) -> Tensor:
        return self.shrink(self.run_blocks(x))

    def _checkpoints(self) -> bool:
        return self.grad_checkpointing and torch.is_grad_enabled() and not torch.jit.is_scripting()


class BlockStage(Stage):
    """A stage of blocks that take and give (b, h, w, c)."""

    output = "blocks"

    def __init__(self, blocks: Sequence[nn.Module], downsample: nn.Module) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*blocks)
        self.earlier_blocks = tuple(f"blocks.{i}" for i in range(len(blocks) - 1))
        self.downsample = downsample

    def run_blocks(self, x: Tensor) -> Tensor:
        if self._checkpoints():
            return checkpoint_seq(self.blocks, x)  # type: ignore[no-any-return]
        return self.blocks(x)  # type: ignore[no-any-return]

    def shrink(self, x: Tensor) -> Tensor:
        return self.downsample(x)  # type: ignore[no-any-return]


class Classifier(nn.Module):
    """The last norm and the classifier; in this order, with the mean over the map in between."""

    def __init__(self, dim: int, num_classes: int, drop_rate: float) -> None:
        super().__init__()
        self.norm: nn.Module = nn.LayerNorm(dim)
        self.drop = nn.Dropout(drop_rate)
        self.head = classifier(dim, num_classes)


class StagedModel(nn.Module):
    """A stem, stages and a classifier, with the interface of timm's models.

    Args:
        patch_embed: the stem, (b, c, H, W) → (b, H/4, W/4, dims[0]).
        stages: one per width.
        dims: widths of the stages.
        in_chans: channels of a picture.
        num_classes: width of the classifier; 0 for none.
        global_pool: "avg" for the mean over the last map, "" to leave it as it is.
        drop_rate: dropout before the classifier.
    """

    output_fmt = "NHWC"

    def __init__(
        self,
        patch_embed: nn.Module,
        stages: Sequence[Stage],
        dims: Sequence[int],
        *,
        in_chans: int,
        num_classes: int,
        global_pool: str,
        drop_rate: float,
    ) -> None:
        super().__init__()
        self.num_classes, self.in_chans = num_classes, in_chans
        self.num_features = self.head_hidden_size = dims[-1]
        self.global_pool = checked_pool(global_pool, "avg")
        self.patch_embed = patch_embed
        self.layers = nn.ModuleList(stages)
        self.classifier = Classifier(dims[-1], num_classes, drop_rate)
        self.feature_info = [
            {"module": f"layers.{i}.{stage.output}", "num_chs": dim, "reduction": 4 * 2**i}
            for i, (stage, dim) in enumerate(zip(stages, dims, strict=True))
        ]
        for module in self.modules():
            if isinstance(module, nn.Linear):
                init_linear(module)

    def no_weight_decay(self) -> set[str]:
        kept = ("A_logs", "Ds", "dt_projs_bias")
        return {name for name, _ in self.named_parameters() if name.rsplit(".")[-1] in kept}

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        norm = (r"^classifier\.norm", (99999,))
        if coarse:
            return {"stem": r"^patch_embed", "blocks": [(r"^layers\.(\d+)", None), norm]}
        return {
            "stem": r"^patch_embed",
            "blocks": [
                (r"^layers\.(\d+)\.downsample", (99999,)),
                (r"^layers\.(\d+)\.(?:blocks\.)?(\d+)", None),
                norm,
            ],
        }

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        for stage in self._stages:
            stage.grad_checkpointing = enable

    def get_classifier(self) -> nn.Module:
        return self.classifier.head

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        self.num_classes = num_classes
        if global_pool is not None:
            self.global_pool = checked_pool(global_pool, "avg")
        head = classifier(self.num_features, num_classes)
        self.classifier.head = head.to(next(self.parameters()))

    def forward_features(self, x: Tensor) -> Tensor:
        """Pictures (b, c, H, W) → the last stage's normed map (b, h, w, c)."""
        x = self.patch_embed(x)
        for stage in self._stages:
            x = stage(x)
        return self.classifier.norm(x)  # type: ignore[no-any-return]

    def forward_intermediates(
        self,
        x: Tensor,
        indices: int | list[int] | None = None,
        norm: bool = False,
        stop_early: bool = False,
        output_fmt: str = "NCHW",
        intermediates_only: bool = False,
    ) -> list[Tensor] | tuple[Tensor, list[Tensor]]:
        """The features of chosen stages, and the final map.

        Args:
            x: pictures, (b, c, H, W).
            indices: the last n stages if an int, these stages if a sequence, all if None.
            norm: pass the last stage's through the final norm, which has its width alone.
            stop_early: do not run the stages after the last one asked for. The final map is then
                the output of that stage, not normed.
            output_fmt: "NCHW" for (b, c, h, w), "NHWC" for (b, h, w, c).
            intermediates_only: leave out the final map.

        Raises:
            ValueError: an unknown ``output_fmt``.
        """
        if output_fmt not in {"NCHW", "NHWC"}:
            raise ValueError(f'output_fmt must be "NCHW" or "NHWC", got {output_fmt!r}')
        take, last = feature_take_indices(len(self.layers), indices)
        stages = self._stages[: last + 1] if stop_early else self._stages
        x = self.patch_embed(x)
        intermediates = []
        for i, stage in enumerate(stages):
            if i > 0:
                x = stages[i - 1].shrink(x)
            x = stage.run_blocks(x)
            if i in take:
                kept = self.classifier.norm(x) if norm and i == len(self.layers) - 1 else x
                nchw = output_fmt == "NCHW"
                intermediates.append(kept.permute(0, 3, 1, 2).contiguous() if nchw else kept)
        if intermediates_only:
            return intermediates
        if len(stages) == len(self.layers):
            x = self.classifier.norm(x)
        return x, intermediates

    def prune_intermediate_layers(
        self,
        indices: int | list[int] = 1,
        prune_norm: bool = False,
        prune_head: bool = True,
    ) -> list[int]:
        """Drop the stages that `forward_intermediates` does not need for ``indices``."""
        take, last = feature_take_indices(len(self.layers), indices)
        if prune_norm or last < len(self.layers) - 1:
            self.classifier.norm = nn.Identity()  # it has the width of the last stage
        self.layers = self.layers[: last + 1]
        self.num_features = self.head_hidden_size = cast("int", self.feature_info[last]["num_chs"])
        if prune_head:
            self.reset_classifier(0, "")
        return take

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """The normed map (b, h, w, c) → logits, or the pooled (b, c) if ``pre_logits``."""
        if self.global_pool == "avg":
            x = x.mean((1, 2))
        x = self.classifier.drop(x)
        return x if pre_logits else self.classifier.head(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))

    @property
    def _stages(self) -> list[Stage]:
        return cast("list[Stage]", list(self.layers))


@token_grid.register
def _(model: StagedModel) -> TokenGrid:
    targets = [
        [f"layers.{i}.{name}" for name in (*stage.earlier_blocks, stage.output)]
        for i, stage in enumerate(cast("list[Stage]", list(model.layers)))
    ]
    # The second last stage: the last has 7 x 7 tokens at 224 pixels, too coarse to point at things.
    return TokenGrid(
        layout="nhwc",
        targets=tuple(chain(*targets)),
        titles=stage_titles(targets),
        default_target=targets[-2:][0][-1],
    )


def stage_widths(dims: int | Sequence[int], n_stages: int) -> tuple[int, ...]:
    """The widths of the stages; a single number is the first of them, and they double.

    Raises:
        ValueError: there are more or fewer widths than stages.
    """
    if isinstance(dims, int):
        return tuple(dims * 2**i for i in range(n_stages))
    if len(dims) != n_stages:
        raise ValueError(f"dims must have one width per stage (={n_stages}), got {tuple(dims)}")
    return tuple(dims)


def drop_path_rates(rate: float, depths: Sequence[int]) -> list[list[float]]:
    """Rates of stochastic depth for the blocks of each stage, growing linearly with the depth."""
    total = sum(depths)
    rates = iter([rate * i / max(total - 1, 1) for i in range(total)])
    return [[next(rates) for _ in range(depth)] for depth in depths]
