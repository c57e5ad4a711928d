"""Which modules of a model mix its tokens, and each as a function from tokens to tokens.

A mixer is what stands between a block's norm and its residual sum: it takes normed tokens, and what
it gives is added to the stream. Taken so, the mixers of all families answer the same question,
which a block as a whole does not: a residual path hands every token on to itself, an MLP turns it.
Learned scales behind a mixer are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import torch
from timm.layers import Attention
from timm.models.efficientvim import HSMSSD
from timm.models.mambaout import GatedConvBlock
from torch import Tensor, nn

from mambaout.errors import ExplanationError, Sentence, said_by
from mambaout.explain.base import find_tokens
from mambaout.explain.scan_mixers import ScanMixer, scans
from mambaout.models import TokenGrid, share_weights
from mambaout.models.efficient_vmamba import AtrousScan, InvertedResidual
from mambaout.models.mamba_vision_blocks import ConvBlock, WindowBlocks
from mambaout.ops import ScanInputs, scan_order


@dataclass(frozen=True)
class MixerForm:
    """How a module mixes tokens, told apart from what else it does."""

    kind: str  # what mixes, in words
    mix: Callable[..., Tensor]  # normed tokens and whatever else the module takes → tokens
    norm: Callable[[Tensor], Tensor] | None = None  # what the module does to its input before
    channels_first: bool = False  # maps are (b, c, h, w), not (b, h, w, c)
    reach: int | None = None  # rows and columns within which it reads; None: everywhere
    caveat: str = ""


@singledispatch
def mixer_form(module: nn.Module) -> MixerForm | None:
    """How ``module`` mixes tokens; None if it does not. Kinds of mixers register here."""
    return MixerForm("selective scan", module) if scans(module) else None


@mixer_form.register
def _(module: Attention) -> MixerForm:
    return MixerForm("self-attention", module)


@mixer_form.register
def _(block: GatedConvBlock) -> MixerForm:
    branch = share_weights(block)
    branch.norm, branch.ls = nn.Identity(), nn.Identity()
    height, width = block.conv.kernel_size
    kind = f"gated {height}x{width} depthwise convolution"
    reach = max(height, width) // 2
    return MixerForm(kind, lambda x: branch(x) - x, norm=block.norm, reach=reach)


@mixer_form.register
def _(mixer: AtrousScan) -> MixerForm:
    return MixerForm(
        "selective scan",
        mixer,
        caveat=Sentence("The convolution beside the scan and the channel gate after are left out."),
    )


@mixer_form.register
def _(mixer: HSMSSD) -> MixerForm:
    return MixerForm(
        "weighted sums over all tokens",
        lambda x: mixer(x)[0],
        channels_first=True,
        caveat=Sentence("The block's two depthwise convolutions are left out."),
    )


_NOT_NORMED = Sentence(
    "This block has no norm in front: its changes are those of the stream itself."
)


@mixer_form.register
def _(block: ConvBlock) -> MixerForm:
    reach = max(block.conv1.kernel_size) // 2 + max(block.conv2.kernel_size) // 2
    return MixerForm(
        "two convolutions",
        lambda x: block(x) - x,
        channels_first=True,
        reach=reach,
        caveat=_NOT_NORMED,
    )


@mixer_form.register
def _(block: InvertedResidual) -> MixerForm:
    return MixerForm(
        "depthwise convolution and channel gate",
        lambda x: block(x) - x,
        channels_first=True,
        caveat=_NOT_NORMED,
    )


def mixer_names(model: nn.Module) -> tuple[str, ...]:
    """The names of the modules of ``model`` that mix tokens, first to last."""
    return tuple(name for name, module in model.named_modules() if _mixes(module))


def _mixes(module: nn.Module) -> bool:
    registered = mixer_form.dispatch(type(module)) is not mixer_form.dispatch(object)
    return registered or scans(module)


def find_mixer(model: nn.Module, layer: str | None) -> str:
    """The name of the mixer that ``layer`` means.

    Args:
        model: any model of a family that has said where it keeps its tokens.
        layer: one of `mixer_names`; or one of ``token_grid(model).targets``, which stands for the
            last mixer inside it or, where it has none, beside it; None for the default target.

    Raises:
        ExplanationError: there is no such layer; the text names those there are.
    """
    tokens = find_tokens(model)
    names = mixer_names(model)
    layer = tokens.default_target if layer is None else layer
    if layer in names:
        return layer
    around = layer if layer in tokens.targets else ""
    while around:
        inside = [name for name in names if name.startswith(f"{around}.")]
        if inside:
            return inside[-1]
        around = around.rpartition(".")[0]
    raise ExplanationError(
        f"layer must be a mixer ({', '.join(names) or 'there is none'}) or one of "
        f"{', '.join(tokens.targets)}, got {layer!r}"
    )


@dataclass(frozen=True, eq=False)
class MixerRun:
    """What a mixer was given on one picture, as sequences of tokens that do not see each other.

    There is one sequence, with all tokens, but where a mixer works window by window.
    """

    name: str  # of the module
    module: nn.Module  # of a view of the model, hooked as it may be
    form: MixerForm
    tokens: Tensor  # (b, l, c), normed
    map_size: tuple[int, int] | None  # (h, w) if the mixer takes maps
    rest: tuple[Any, ...]  # its further arguments
    options: dict[str, Any]
    positions: Tensor  # (b, l) int64: where on the token axis each token stands; n_tokens: nowhere
    grid: tuple[int, int]  # (h, w) of the patches
    class_token_index: int | None

    @property
    def n_tokens(self) -> int:
        return self.grid[0] * self.grid[1] + (self.class_token_index is not None)

    def mix(self, tokens: Tensor) -> Tensor:
        """What the mixer gives for ``tokens`` (k·b, l, c): k versions of its sequences."""
        y = self.form.mix(self.laid_out(tokens), *self.rest, **self.options)
        return _as_sequence(y, self.form.channels_first)

    def scan_inputs(self) -> list[ScanInputs]:
        """What the mixer's scans are given; none if it has none."""
        if not isinstance(self.module, ScanMixer):
            return []
        inputs: list[ScanInputs] = self.module.scan_inputs(self.laid_out(self.tokens), *self.rest)
        return inputs

    def laid_out(self, tokens: Tensor) -> Tensor:
        """Sequences (b, l, c) as the module takes them: as maps, where it takes maps."""
        if self.map_size is None:
            return tokens
        x = tokens.reshape(len(tokens), *self.map_size, -1)
        return x.permute(0, 3, 1, 2) if self.form.channels_first else x


def _as_sequence(x: Tensor, channels_first: bool) -> Tensor:
    if x.ndim == 4:
        x = x.flatten(2).mT if channels_first else x.flatten(1, 2)
    return x


def run_mixer(model: nn.Module, image: Tensor, name: str) -> MixerRun:
    """Run ``model`` on one picture, and keep what the mixer ``name`` was given: `run_several`."""
    (run,) = run_several(model, image, [name])
    return run


def run_several(model: nn.Module, image: Tensor, names: Sequence[str]) -> list[MixerRun]:
    """Run ``model`` as a view on one picture, and keep what some of its mixers were given.

    ``model`` is left as it was found.

    Raises:
        ExplanationError: a mixer's tokens are not those of the grid that the model has told.
    """
    view = share_weights(model).eval()
    given: dict[nn.Module, _Given] = {}

    def note(module: nn.Module, args: tuple[Any, ...], options: dict[str, Any]) -> None:
        given[module] = args, options

    modules = {name: view.get_submodule(name) for name in names}
    around = {name: _windows_around(view, name) for name in names}
    for watched in {*modules.values(), *filter(None, around.values())}:
        watched.register_forward_pre_hook(note, with_kwargs=True)
    with torch.inference_mode(False), torch.no_grad():
        view(image)
        where = find_tokens(view)
        return [_run(name, modules[name], around[name], given, where) for name in names]


_Given = tuple[tuple[Any, ...], dict[str, Any]]  # a module's arguments and named arguments


def _windows_around(view: nn.Module, name: str) -> WindowBlocks | None:
    """The module that cuts the picture into windows before the mixer ``name``."""
    parents = [view.get_submodule(name[:i]) for i, c in enumerate(name) if c == "."]
    return next((parent for parent in parents if isinstance(parent, WindowBlocks)), None)


def _run(
    name: str,
    module: nn.Module,
    windows: WindowBlocks | None,
    given: dict[nn.Module, _Given],
    where: TokenGrid,
) -> MixerRun:
    form = mixer_form(module)
    if form is None:
        raise ExplanationError(Sentence("{layer} does not mix tokens", layer=name))
    (x, *rest), options = given[module]
    tokens = _as_sequence(x if form.norm is None else form.norm(x), form.channels_first)
    class_token_index = None
    map_size = None
    if windows is not None:
        height, width = given[windows][0][0].shape[2:]
        # The zeros that fill up windows have the position after the last.
        positions = scan_order(f"w{windows.side}", height, width).order.view(tokens.shape[:2])
        grid = height, width
    else:
        positions = torch.arange(tokens.shape[1])[None]
        if x.ndim == 4:
            grid = map_size = tuple(x.shape[2:] if form.channels_first else x.shape[1:3])
        else:
            class_token_index = where.class_token_index
            grid = _grid_of(tokens, where)
    return MixerRun(
        name,
        module,
        form,
        tokens,
        map_size,
        tuple(rest),
        options,
        positions,
        grid,
        class_token_index,
    )


def _grid_of(tokens: Tensor, where: TokenGrid) -> tuple[int, int]:
    try:
        height, width = where.to_nchw(tokens).shape[2:]
    except ValueError as error:
        raise ExplanationError(said_by(error)) from error
    return height, width


def steps_at(positions: Tensor, tokens: Tensor) -> Tensor:
    """The steps (k,) at which some of the sequences, (b, l) positions, are at one of ``tokens``."""
    return torch.isin(positions, tokens).any(0).nonzero()[:, 0]


def by_token(weights: Tensor, readers: Tensor, read: Tensor, rows: Tensor, n_tokens: int) -> Tensor:
    """Weights between the steps of sequences as weights between tokens.

    Args:
        weights: (b, k, l), what the k reading steps of each sequence read at its l steps.
        readers: (b, k), the tokens at the reading steps.
        read: (b, l), the tokens at all steps; ``n_tokens`` at a step that is at no token.
        rows: the reading tokens that are asked for, (rows,).
        n_tokens: how many there are.

    Returns:
        (rows, n_tokens) on the CPU; zero where no sequence holds both tokens.
    """
    row_of = rows.new_full((n_tokens + 1,), len(rows))
    row_of[rows] = torch.arange(len(rows))
    # One more row and column take what was not asked for or is at no token: they are cut off.
    matrix = torch.zeros(len(rows) + 1, n_tokens + 1, dtype=weights.dtype)
    for of_sequence, reading, other in zip(weights.cpu(), readers, read, strict=True):
        matrix[row_of[reading][:, None], other] = of_sequence
    return matrix[:-1, :-1]
