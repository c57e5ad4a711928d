"""What the tab shows, computed: arithmetic, and points as they are measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mambaout.evaluation.growth import MODELS, SIDES, Point, growth
from mambaout.evaluation.sequence import depthwise, scan, threshold, transformer_block
from mambaout.evaluation.stages import Stage, stages

LEAST_SIDE, MOST_SIDE = 16, 8192  # of a picture whose tokens are counted [px]
TASKS = {"imagenet": (224, 224), "coco": (800, 1280), "ade20k": (512, 2048)}
PAPER_STRIDE = 16  # the grid that the paper counts on [px]

Curve = list[tuple[float, float]]


@dataclass(frozen=True)
class Judged:
    """A picture's tokens in every stage of a model, and the stage that the chart is for."""

    stages: tuple[Stage, ...]
    lengths: tuple[int, ...]
    chosen: int

    @property
    def length(self) -> int:
        return self.lengths[self.chosen]

    @property
    def channels(self) -> int:
        return self.stages[self.chosen].channels


def judge(model: str, height: int, width: int) -> Judged:
    """Count the tokens; the chart is for the stage whose grid is nearest to the paper's."""
    found = stages(model)
    lengths = tuple(stage.tokens(height, width) for stage in found)
    distances = [abs(stage.stride - PAPER_STRIDE) for stage in found]
    return Judged(found, lengths, distances.index(min(distances)))


def operations(length: int, channels: int) -> dict[str, Curve]:
    """Operations of one block, from 16 tokens to well beyond what is asked about."""
    end = 4 * max(length, threshold(channels))
    lengths = [16, end]  # straight lines on logarithmic axes
    blocks = [transformer_block(n, channels) for n in lengths]
    return {
        "attention": [(n, b.quadratic) for n, b in zip(lengths, blocks, strict=True)],
        "rest": [(n, b.linear) for n, b in zip(lengths, blocks, strict=True)],
        "scan": [(n, scan(n, channels)) for n in lengths],
        "conv": [(n, depthwise(n, channels)) for n in lengths],
    }


def measured(device: str) -> Iterator[tuple[list[Point], bool]]:
    """All points so far, several times a second; and whether one has just come."""
    points: list[Point] = []
    yield points, False
    for point in growth(MODELS, SIDES, device):
        if point is not None:
            points.append(point)
        yield points, point is not None
