"""The paper's arithmetic gives the paper's numbers, and our own counter the same operations."""

from __future__ import annotations

import pytest
import timm
import torch
from torch.utils.flop_counter import FlopCounterMode

from mambaout.evaluation.counting import cost
from mambaout.evaluation.sequence import (
    depthwise,
    is_long,
    scan,
    threshold,
    tokens,
    transformer_block,
)
from mambaout.evaluation.stages import Stage, stages

IMAGENET, COCO, ADE20K = (224, 224), (800, 1280), (512, 2048)


@pytest.mark.parametrize(
    ("size", "length", "small", "base"),
    [(IMAGENET, 196, 0.085, 0.043), (COCO, 4000, 1.74, 0.87), (ADE20K, 4096, 1.78, 0.89)],
)
def test_the_tasks_of_the_paper(size, length, small, base):
    assert tokens(*size, 16) == length
    for channels, ratio in ((384, small), (768, base)):
        assert transformer_block(length, channels).ratio == pytest.approx(ratio, abs=0.005)
        assert length / threshold(channels) == transformer_block(length, channels).ratio
        assert is_long(length, channels) == (ratio > 1)


def test_the_thresholds_of_the_paper():
    assert (threshold(384), threshold(768)) == (2304, 4608)
    assert not is_long(2304, 384)
    assert is_long(2305, 384)


def test_a_block_of_timm_takes_the_operations_of_equation_6():
    """Counted by torch in a Transformer block: what the equation leaves out is not counted."""
    length, channels = 50, 64
    block = timm.models.vision_transformer.Block(channels, num_heads=4)
    block.attn.fused_attn = False
    with FlopCounterMode(display=False) as counter:
        block(torch.randn(1, length, channels))
    assert counter.get_total_flops() == sum(transformer_block(length, channels))


def test_a_scan_takes_what_the_counter_of_models_says():
    """Vim's scans, one class token beside the patches."""
    model = timm.create_model(
        "vim_tiny_patch16_224", img_size=64, embed_dim=32, depth=3, num_classes=5
    )
    length = tokens(64, 64, 16) + 1
    assert 2 * cost(model, (3, 64, 64)).scan_macs == 3 * scan(length, 32)


def test_a_convolution_takes_what_torch_counts():
    conv = torch.nn.Conv2d(24, 24, 7, padding=3, groups=24, bias=False)
    with FlopCounterMode(display=False) as counter:
        conv(torch.randn(1, 24, 6, 9))
    assert counter.get_total_flops() == depthwise(6 * 9, 24)


@pytest.mark.parametrize(
    ("height", "width", "patch", "stride", "count"),
    [
        (224, 224, 16, 8, 27 * 27),  # Vim with overlapping patches
        (225, 224, 16, None, 15 * 14),  # a patch that is cut off counts
        (8, 8, 16, None, 1),
        (800, 1280, 32, None, 25 * 40),
    ],
)
def test_tokens_are_counted_on_the_grid(height, width, patch, stride, count):
    assert tokens(height, width, patch, stride) == count


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("deit_small_patch16_224", (Stage(384, 16, 16),)),
        ("vim_tiny_patch16_stride8_224", (Stage(192, 8, 16),)),
        (
            "mambaout_femto",
            (Stage(48, 4, 4), Stage(96, 8, 8), Stage(192, 16, 16), Stage(288, 32, 32)),
        ),
    ],
)
def test_stages_are_those_of_the_model(name, expected):
    assert stages(name) == expected


def test_a_model_makes_as_many_tokens_as_its_stages_say():
    model = timm.create_model("vim_tiny_patch16_stride8_224", depth=1, num_classes=2)
    [stage] = stages("vim_tiny_patch16_stride8_224")
    with torch.inference_mode():
        sequence = model.forward_features(torch.zeros(1, 3, 224, 224))
    assert sequence.shape[1] == stage.tokens(224, 224) + 1  # its class token
