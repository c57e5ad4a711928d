"""What the networks of one width share: patches, a stack of blocks, a norm, a classifier.

A family says how it makes tokens, how it runs a block and what it calls its final norm; timm's
interface is here, once. `staged.StagedModel` does the same for networks that narrow their grid.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from timm.models._features import feature_take_indices
from timm.models._manipulate import checkpoint
from torch import Tensor, nn

from mambaout.models.initial import classifier
from mambaout.models.pooling import checked_pool
from mambaout.models.position import Place, class_token_index
from mambaout.models.token_grid import without_token

Grid = tuple[int, int]


class TokenStack(nn.Module, ABC):
    """A plain stack of blocks with the interface of timm's models.

    A family builds ``layers``, the norm called `norm_name`, ``head_drop``, ``head`` and
    ``pos_embed``, under the names its authors gave the rest.

    Args:
        embed_dim: width of the tokens.
        in_chans: channels of a picture.
        num_classes: width of the classifier; 0 for none.
    """

    norm_name: ClassVar[str]
    # Parameters whose last name begins like one of these do not decay.
    undecayed: ClassVar[tuple[str, ...]]
    # What `forward_intermediates` calls the blocks' own layout.
    native_fmt: ClassVar[str]

    layers: nn.ModuleList
    head: nn.Module
    head_drop: nn.Module
    pos_embed: nn.Parameter
    global_pool: str

    def __init__(self, embed_dim: int, in_chans: int, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.in_chans = in_chans
        self.num_features = self.head_hidden_size = self.embed_dim = embed_dim
        self.grad_checkpointing = False

    def _add_head(self, norm: nn.Module, drop_rate: float, reduction: int) -> None:
        """What comes after the blocks; ``reduction`` is the distance between tokens [px]."""
        self.add_module(self.norm_name, norm)
        self.head_drop = nn.Dropout(drop_rate)
        self.head = classifier(self.embed_dim, self.num_classes)
        self.feature_info = [
            {"module": f"layers.{i}", "num_chs": self.embed_dim, "reduction": reduction}
            for i in range(len(self.layers))
        ]

    @abstractmethod
    def _tokens(self, x: Tensor) -> tuple[Tensor, Grid]:
        """A picture's tokens with their positions, and the grid (h, w) of its patches."""

    @abstractmethod
    def _maps(self, tokens: Tensor, grid: Grid) -> Tensor:
        """Tokens as maps of the patches, (b, d, h, w)."""

    @abstractmethod
    def _pooled(self, tokens: Tensor) -> Tensor:
        """Normed tokens as the classifier reads them, (b, d) unless ``global_pool`` is ""."""

    @abstractmethod
    def _pools(self) -> tuple[str, ...]:
        """What ``global_pool`` may be beside "", the default first."""

    def _block_arguments(self, x: Tensor, grid: Grid) -> tuple[Any, ...]:  # noqa: ARG002 - of others
        """What a block is called with, for tokens ``x`` on ``grid``."""
        return (x,)

    def _checked_pool(self, global_pool: str | None) -> str:
        choices = self._pools()
        return choices[0] if global_pool is None else checked_pool(global_pool, *choices)

    def no_weight_decay(self) -> set[str]:
        names = (name for name, _ in self.named_parameters())
        return {name for name in names if name.rsplit(".", 1)[-1].startswith(self.undecayed)}

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:  # noqa: ARG002 - timm's
        return {
            "stem": r"^cls_token|pos_embed|patch_embed",
            "blocks": [(r"^layers\.(\d+)", None), (rf"^{self.norm_name}", (99999,))],
        }

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        self.grad_checkpointing = enable

    def get_classifier(self) -> nn.Module:
        return self.head

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        self.num_classes = num_classes
        if global_pool is not None:
            self.global_pool = self._checked_pool(global_pool)
        self.head = classifier(self.embed_dim, num_classes).to(self.pos_embed)

    def _normed(self, x: Tensor) -> Tensor:
        norm: nn.Module = getattr(self, self.norm_name)
        return norm(x)  # type: ignore[no-any-return]

    def _run(self, block: nn.Module, x: Tensor, grid: Grid) -> Tensor:
        arguments = self._block_arguments(x, grid)
        if self.grad_checkpointing and torch.is_grad_enabled():
            return checkpoint(block, *arguments)  # type: ignore[no-any-return]
        return block(*arguments)  # type: ignore[no-any-return]

    def forward_features(self, x: Tensor) -> Tensor:
        """Pictures (b, c, H, W) → normed tokens, in the family's own layout."""
        x, grid = self._tokens(x)
        for block in self.layers:
            x = self._run(block, x, grid)
        return self._normed(x)

    def forward_intermediates(
        self,
        x: Tensor,
        indices: int | list[int] | None = None,
        norm: bool = False,
        stop_early: bool = False,
        output_fmt: str = "NCHW",
        intermediates_only: bool = False,
    ) -> list[Tensor] | tuple[Tensor, list[Tensor]]:
        """The outputs of chosen blocks, and the final tokens unless ``intermediates_only``.

        Args:
            x: pictures, (b, c, H, W).
            indices: the last n blocks if an int, these blocks if a sequence, all if None.
            norm: pass each through the final norm.
            stop_early: do not run the blocks after the last one asked for.
            output_fmt: "NCHW" for maps of the patches (b, d, h, w), or the blocks' own layout:
                "NLC" for (b, l, d), a class token among them, "NHWC" for (b, h, w, d).
            intermediates_only: leave out the final tokens.

        Raises:
            ValueError: an unknown ``output_fmt``.
        """
        if output_fmt not in {"NCHW", self.native_fmt}:
            raise ValueError(
                f'output_fmt must be "NCHW" or "{self.native_fmt}", got {output_fmt!r}'
            )
        take, last = feature_take_indices(len(self.layers), indices)
        x, grid = self._tokens(x)
        intermediates = []
        for i, block in enumerate(self.layers[: last + 1] if stop_early else self.layers):
            x = self._run(block, x, grid)
            if i in take:
                kept = self._normed(x) if norm else x
                if output_fmt == "NCHW":
                    kept = self._maps(kept, grid).contiguous()
                intermediates.append(kept)
        if intermediates_only:
            return intermediates
        return self._normed(x), intermediates

    def prune_intermediate_layers(
        self,
        indices: int | list[int] = 1,
        prune_norm: bool = False,
        prune_head: bool = True,
    ) -> list[int]:
        """Drop the layers that `forward_intermediates` does not need for ``indices``."""
        take, last = feature_take_indices(len(self.layers), indices)
        self.layers = self.layers[: last + 1]
        if prune_norm:
            setattr(self, self.norm_name, nn.Identity())
        if prune_head:
            self.reset_classifier(0)
        return take

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Normed tokens → logits, or the pooled (b, d) if ``pre_logits``."""
        x = self.head_drop(self._pooled(x))
        return x if pre_logits else self.head(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))


class SequenceStack(TokenStack):
    """A `TokenStack` on a sequence (b, l, d), with a class token somewhere in it or without one."""

    native_fmt = "NLC"

    cls_token: nn.Parameter | None
    class_token_place: Place | None
    grid: Grid  # of the picture size that the position embeddings are for

    @property
    def class_token_index(self) -> int | None:
        """Where the class token stands in the token sequence, None if there is none."""
        return self._class_row(math.prod(self.grid))

    @abstractmethod
    def resized_position(self, position: Tensor, old: Grid, new: Grid) -> Tensor:
        """Position embeddings (1, l, d) of an ``old`` grid (h, w) for a ``new`` one."""

    def _pools(self) -> tuple[str, ...]:
        return ("avg",) if self.class_token_place is None else ("token", "avg")

    def _class_row(self, patches: int) -> int | None:
        place = self.class_token_place
        return None if place is None else class_token_index(patches, place)

    def _placed(self, patches: Tensor, grid: Grid) -> Tensor:
        """Embedded patches (b, h·w, d), the class token among them, with their positions."""
        tokens = patches
        if self.cls_token is not None:
            row = self._class_row(patches.shape[1])
            class_token = self.cls_token.expand(patches.shape[0], -1, -1)
            tokens = torch.cat([patches[:, :row], class_token, patches[:, row:]], dim=1)
        position: Tensor = self.pos_embed
        if grid != self.grid:
            position = self.resized_position(position, self.grid, grid)
        placed: Tensor = tokens + position
        return placed

    def _maps(self, tokens: Tensor, grid: Grid) -> Tensor:
        patches = without_token(tokens, self._class_row(math.prod(grid)))
        maps: Tensor = patches.mT.unflatten(2, grid)
        return maps

    def _pooled(self, tokens: Tensor) -> Tensor:
        row = self._class_row(tokens.shape[1] - 1)
        if self.global_pool == "token":
            return tokens[:, row]
        if self.global_pool == "avg":
            return without_token(tokens, row).mean(1)
        return tokens
