"""What MambaVision is made of: the scan's token mixer, its blocks, windows and convolutions."""

from __future__ import annotations

import math
from typing import Any, cast

import torch
import torch.nn.functional as F
from timm.layers import DropPath, Mlp
from timm.models._manipulate import checkpoint_seq
from torch import Tensor, nn

from mambaout.catalogue.mixing import Mixing
from mambaout.models.initial import init_linear, log_rates, step_projection
from mambaout.models.mixing import set_mixing
from mambaout.models.scan_projection import ScanProjection
from mambaout.ops import ScanInputs, path_scan, raster_causal_mask


class MambaVisionMixer(ScanProjection):
    """The scan's token mixer: half of the channels are scanned, half only convolved.

    Arxiv:2407.08083, equation 6. There is one scan, forward; in "causal" mixing the convolutions
    lose the tap that looks one token ahead.

    Args:
        dim: width of the tokens.
        mixing: whether the convolutions may look ahead.
    """

    def __init__(self, dim: int, mixing: Mixing = "bidirectional") -> None:
        super().__init__()
        inner = dim // 2
        self.d_state = 8
        self.dt_rank = math.ceil(dim / 16)
        self.mixing: Mixing = mixing
        self.in_proj = nn.Linear(dim, dim, bias=False)
        self.conv1d_x = nn.Conv1d(inner, inner, 3, padding=1, groups=inner, bias=False)
        self.conv1d_z = nn.Conv1d(inner, inner, 3, padding=1, groups=inner, bias=False)
        self.x_proj = nn.Linear(inner, self.dt_rank + 2 * self.d_state, bias=False)
        self.dt_proj = step_projection(self.dt_rank, inner)
        self.A_log = log_rates(inner, self.d_state)
        self.D = nn.Parameter(torch.ones(inner))
        self.out_proj = nn.Linear(dim, dim, bias=False)
        for layer in (self.in_proj, self.x_proj, self.out_proj):
            init_linear(layer)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (b, l, dim) in the order of the scan → (b, l, dim)."""
        beside, scan = self._projected_to_scan(x)
        y = path_scan(**scan)[0]
        return self.out_proj(torch.cat([y, beside], dim=-1))  # type: ignore[no-any-return]

    def scan_inputs(self, x: Tensor) -> list[ScanInputs]:
        """What the scan is given for the tokens of square windows, ``x`` (b, l, dim)."""
        side = math.isqrt(x.shape[1])
        _, scan = self._projected_to_look_at(x)
        delta = F.softplus(scan["delta"].float() + scan["delta_bias"].float())
        return [
            ScanInputs(
                path="forward",
                order=torch.arange(x.shape[1], device=x.device),
                u=scan["u"][0].mT,
                delta=delta[0].mT,
                A=scan["A"][0],
                B=scan["B"][0].mT,
                C=scan["C"][0].mT,
                D=scan["D"][0],
                grid=(side, side),
            )
        ]

    def _project(self, x: Tensor, *_: Any) -> tuple[Tensor, dict[str, Any]]:
        """What stands beside the scan's result, (b, l, d), and the arguments of `path_scan`."""
        scanned, beside = self.in_proj(x).chunk(2, dim=-1)
        u = self._convolved(scanned, self.conv1d_x)
        step, B, C = self.x_proj(u).split([self.dt_rank, self.d_state, self.d_state], dim=-1)
        return self._convolved(beside, self.conv1d_z), {
            "u": u[None],
            "delta": F.linear(step, self.dt_proj.weight)[None],
            "A": -torch.exp(self.A_log.float())[None],
            "B": B[None],
            "C": C[None],
            "D": self.D[None],
            # Twice, as the authors' code adds it: the weights were trained so.
            "delta_bias": 2 * self.dt_proj.bias[None],
            "reverse": (False,),
        }

    def _convolved(self, x: Tensor, conv: nn.Conv1d) -> Tensor:
        weight = conv.weight
        if self.mixing == "causal":
            weight = weight * raster_causal_mask(1, weight.shape[-1]).to(weight)
        y = F.conv1d(x.mT, weight, padding=conv.padding, groups=conv.groups)
        return F.silu(y).mT

    def extra_repr(self) -> str:
        return f"mixing={self.mixing!r}"


@set_mixing.register
def _(mixer: MambaVisionMixer, mixing: Mixing) -> bool:
    mixer.mixing = mixing
    return True


class MambaVisionBlock(nn.Module):
    """Norm, mixer, residual; norm, MLP, residual: on tokens (b, l, dim) of one window."""

    def __init__(
        self,
        dim: int,
        mixer: nn.Module,
        mlp_ratio: float,
        layer_scale: float | None,
        drop_path: float,
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.mixer = mixer
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, int(dim * mlp_ratio))
        for layer in (self.mlp.fc1, self.mlp.fc2):
            init_linear(cast("nn.Linear", layer))
        self.drop_path = DropPath(drop_path) if drop_path > 0 else nn.Identity()
        self.gamma_1: nn.Parameter | None
        self.gamma_2: nn.Parameter | None
        for name in ("gamma_1", "gamma_2"):
            gamma = None if layer_scale is None else nn.Parameter(torch.full((dim,), layer_scale))
            self.register_parameter(name, gamma)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(_scaled(self.mixer(self.norm1(x)), self.gamma_1))
        return x + self.drop_path(_scaled(self.mlp(self.norm2(x)), self.gamma_2))  # type: ignore[no-any-return]


class ConvBlock(nn.Module):
    """Two convolutions and a residual on a map, (b, c, h, w)."""

    def __init__(self, dim: int, drop_path: float) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(dim, dim, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(dim)
        self.conv2 = nn.Conv2d(dim, dim, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(dim)
        self.drop_path = DropPath(drop_path) if drop_path > 0 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = F.gelu(self.norm1(self.conv1(x)), approximate="tanh")
        return x + self.drop_path(self.norm2(self.conv2(y)))  # type: ignore[no-any-return]


class WindowBlocks(nn.Sequential):
    """Blocks that see the tokens of one window of a map each; a map in, (b, c, h, w), a map out.

    A map that the windows do not cover is filled up with zeros below and to the right; these tokens
    take part like all others, and are cut off at the end.

    Args:
        *blocks: what runs on tokens (b · windows, side², c), by rows inside a window.
        side: height and width of a window [tokens].
    """

    def __init__(self, *blocks: nn.Module, side: int) -> None:
        super().__init__(*blocks)
        self.side = side
        self.grad_checkpointing = False

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        x = F.pad(x, (0, -width % self.side, 0, -height % self.side))
        down, across = (size // self.side for size in x.shape[-2:])
        # (b, c, h, w) -> (b, c, down, side, across, side) -> (b·down·across, side², c)
        x = x.unflatten(3, (across, self.side)).unflatten(2, (down, self.side))
        tokens = x.permute(0, 2, 4, 3, 5, 1).flatten(3, 4).flatten(0, 2)
        if self.grad_checkpointing and torch.is_grad_enabled():
            tokens = checkpoint_seq(list(self), tokens)
        else:
            for block in self:
                tokens = block(tokens)
        x = tokens.unflatten(1, (self.side, self.side)).unflatten(0, (-1, down, across))
        x = x.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)
        return x[..., :height, :width].contiguous()

    def extra_repr(self) -> str:
        return f"side={self.side}"


class Stem(nn.Module):
    """Two strided convolutions: pictures (b, c, H, W) → a map (b, dim, H/4, W/4)."""

    def __init__(self, in_chans: int, in_dim: int, dim: int) -> None:
        super().__init__()
        self.conv_down = nn.Sequential(
            nn.Conv2d(in_chans, in_dim, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(in_dim, eps=1e-4),
            nn.ReLU(),
            nn.Conv2d(in_dim, dim, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(dim, eps=1e-4),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_down(x)  # type: ignore[no-any-return]


class Downsample(nn.Module):
    """Half the height and width, twice the channels: (b, c, h, w) → (b, 2c, h/2, w/2)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.reduction = nn.Sequential(nn.Conv2d(dim, 2 * dim, 3, stride=2, padding=1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return self.reduction(x)  # type: ignore[no-any-return]


class Level(nn.Module):
    """Blocks at one resolution, then the way to the next: a map in, a map out."""

    def __init__(self, blocks: nn.Sequential, downsample: nn.Module) -> None:
        super().__init__()
        self.blocks = blocks
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        return self.downsample(self.blocks(x))  # type: ignore[no-any-return]


def _scaled(x: Tensor, gamma: Tensor | None) -> Tensor:
    return x if gamma is None else gamma * x
