"""What a model costs, counted and not copied: parameters and multiply-adds."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import nn

from mambaout.explain.scan_mixers import run_mixers
from mambaout.ops import ScanInputs, selective_scan


@dataclass(frozen=True)
class Cost:
    """The cost of one picture."""

    params: int
    macs: int  # multiply-adds, those of the scans included
    scan_macs: int  # the scans' share of them
    how: str  # what was counted, in words to show beside the number


def cost(model: nn.Module, input_size: tuple[int, int, int]) -> Cost:
    """Count parameters, and the multiply-adds of one forward pass.

    Counted are linear layers, convolutions and matrix products, by `torch.utils.flop_counter`.
    Selective scans, which it cannot see, count 9·l·d·n operations a path, as in VMamba's counter:
    4.5·l·d·n multiply-adds. Norms, activations, gates and pooling are left out; counters that take
    them in (fvcore, hence timm's tables) give about one per cent more.

    Nothing is computed: a copy without weights runs on the meta device, and ``model`` stays as it
    was found.

    Args:
        model: any model that takes pictures.
        input_size: (c, H, W), as in timm.
    """
    from torch.utils.flop_counter import FlopCounterMode

    hollow = _without_weights(model)
    dtype = next(model.parameters()).dtype
    picture = torch.empty(1, *input_size, dtype=dtype, device="meta")
    with FlopCounterMode(display=False) as counter:
        calls = run_mixers(hollow, picture)
    operations = counter.get_total_flops()
    scan_operations = 0
    with torch.inference_mode():
        for call in calls:
            for inputs in call.scan_inputs():
                windows, d, length = inputs.u.shape
                scan_operations += 9 * windows * length * d * inputs.A.shape[1]
                # On the meta device a scan takes its plain form, of which the counter sees a part.
                with FlopCounterMode(display=False) as counter:
                    _one_step(inputs)
                operations -= length * counter.get_total_flops()
    scan_macs = scan_operations // 2
    how = "multiply-adds of linear layers, convolutions and matrix products"
    if calls:
        how += ", and 4.5·l·d·n for each selective scan"
    return Cost(
        params=sum(p.numel() for p in model.parameters()),
        macs=operations // 2 + scan_macs,
        scan_macs=scan_macs,
        how=f"{how}, for one picture of {'x'.join(map(str, input_size))}",
    )


def _one_step(inputs: ScanInputs) -> None:
    u, delta, B, C = (t[..., :1] for t in (inputs.u, inputs.delta, inputs.B, inputs.C))
    selective_scan(u, delta, inputs.A, B, C, inputs.D)


def _without_weights(model: nn.Module) -> nn.Module:
    """A copy of ``model`` whose parameters and buffers have a shape and nothing else."""
    memo: dict[int, object] = {
        id(p): nn.Parameter(torch.empty_like(p, device="meta"), requires_grad=False)
        for p in model.parameters()
    }
    memo |= {id(b): torch.empty_like(b, device="meta") for b in model.buffers()}
    return copy.deepcopy(model, memo).eval()
