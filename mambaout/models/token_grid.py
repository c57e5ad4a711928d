"""Where a model keeps its tokens, so that a layer's output can be laid out as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import Literal

from torch import Tensor, nn

from mambaout.errors import Sentence

Layout = Literal["nhwc", "nchw", "tokens"]


@dataclass(frozen=True)
class TokenGrid:
    """How a family's layers lay out their tokens, and which layers a heat map may target."""

    layout: Layout  # (b, h, w, c), (b, c, h, w) or (b, l, c)
    targets: tuple[str, ...]  # names of the modules whose output a Grad-CAM may use, first to last
    titles: tuple[
        str, ...
    ]  # what each target is in words: "block 3 of 24", "stage 2, block 1 of 3"
    default_target: str
    grid: tuple[int, int] | None = (
        None  # (h, w) of a token sequence; maps carry theirs in the shape
    )
    class_token_index: int | None = None  # the row of a token sequence that is no patch

    def to_nchw(self, features: Tensor) -> Tensor:
        """A target's output as (b, c, h, w), the class token left out.

        Raises:
            ValueError: a token sequence whose length does not match the grid.
        """
        if self.layout == "nchw":
            return features
        if self.layout == "nhwc":
            return features.permute(0, 3, 1, 2)
        if self.grid is None:
            raise ValueError("a token sequence needs a grid to be laid out on")
        height, width = self.grid
        extra = self.class_token_index is not None
        if features.shape[1] != height * width + extra:
            raise ValueError(
                f"expected {height}x{width} patches{' and a class token' if extra else ''}, "
                f"got {features.shape[1]} tokens"
            )
        patches = without_token(features, self.class_token_index)
        return patches.mT.reshape(len(patches), -1, height, width)


def block_titles(count: int) -> tuple[str, ...]:
    """Titles of the blocks of a plain stack."""
    return tuple(f"block {i + 1} of {count}" for i in range(count))


def stage_titles(targets: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Titles of the targets of each stage: its blocks, or its output alone."""
    return tuple(
        f"stage {i + 1}" if len(stage) == 1 else f"stage {i + 1}, {block}"
        for i, stage in enumerate(targets)
        for block in block_titles(len(stage))
    )


def without_token(tokens: Tensor, index: int | None) -> Tensor:
    """A sequence (b, l, …) less the token at ``index``; the sequence itself if that is None."""
    if index is None:
        return tokens
    keep = [i for i in range(tokens.shape[1]) if i != index]
    return tokens[:, keep]


@singledispatch
def token_grid(model: nn.Module) -> TokenGrid:
    """Where ``model`` keeps its tokens; each family registers its own answer.

    Raises:
        TypeError: the family is unknown.
    """
    raise TypeError(
        Sentence("{model} has not said where it keeps its tokens", model=type(model).__name__)
    )
