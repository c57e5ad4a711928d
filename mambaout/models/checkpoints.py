"""Load a checkpoint into a model: the authors' names or ours, everything or nothing.

The steps: read the file safely (`mambaout.models.reading`), drop the prefixes that wrappers leave,
let the family translate its authors' names (`checkpoint_filter_fn` in the module that defines the
model, as timm's families have it), compare names, shapes and values with the model, and only then
copy.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mambaout.catalogue.hashing import file_sha256
from mambaout.errors import CheckpointError
from mambaout.models.fingerprints import looks_like
from mambaout.models.reading import read_tensors, unwrap

_WRAPPER_PREFIXES = ("module.", "model.", "backbone.")
_NAMES_SHOWN = 12


@dataclass(frozen=True)
class LoadReport:
    """What was loaded. Loading is strict, so `matched` equals `total`; a user is shown both."""

    matched: int  # tensors of the file that were copied into the model
    total: int  # tensors the model has
    values: int  # numbers in them
    source: str  # path of the file, or "a dictionary"
    sha256: str | None  # of the file

    def __str__(self) -> str:
        return f"{self.matched} of {self.total} tensors ({self.values:,} values) from {self.source}"


class CheckpointMismatch(CheckpointError):
    """A checkpoint that does not fit the model; the complete lists behind the message.

    Attributes:
        missing: names the model has and the checkpoint lacks.
        unexpected: names the checkpoint has and the model lacks.
        misshapen: names whose shape or kind of number differs, with both, as text.
    """

    def __init__(
        self,
        headline: str,
        missing: tuple[str, ...],
        unexpected: tuple[str, ...],
        misshapen: tuple[str, ...],
        advice: str,
    ) -> None:
        self.missing, self.unexpected, self.misshapen = missing, unexpected, misshapen
        sections = [
            _section("missing", missing),
            _section("unexpected", unexpected),
            _section("wrong shape", misshapen),
        ]
        super().__init__("\n".join([headline, *filter(None, sections), advice]))


def load_checkpoint(model: nn.Module, checkpoint: str | Path | Mapping[str, Any]) -> LoadReport:
    """Copy a checkpoint into `model`, which stays as it was unless everything matches.

    Args:
        model: a model of one of our families or of timm's MambaOut.
        checkpoint: a `.safetensors` file, a file of `torch.save` (`.pth`, `.pt`, `.ckpt`, `.bin`,
            `.pth.tar`), or a dictionary as such a file holds. Names may be the authors' or ours.

    Raises:
        CheckpointError: the file is damaged, hostile, incomplete, made for another model, or has
            values that are not finite.
    """
    if any(tensor.is_meta for tensor in model.state_dict().values()):
        raise CheckpointError("The model is on the meta device and has no memory to load into.")
    tensors = matching_tensors(model, checkpoint)
    model.load_state_dict(tensors, strict=True)
    is_file = isinstance(checkpoint, (str, Path))
    return LoadReport(
        matched=len(tensors),
        total=len(model.state_dict()),
        values=sum(tensor.numel() for tensor in tensors.values()),
        source=str(checkpoint) if is_file else "a dictionary",
        sha256=file_sha256(Path(str(checkpoint))) if is_file else None,
    )


def matching_tensors(
    model: nn.Module, checkpoint: str | Path | Mapping[str, Any]
) -> dict[str, torch.Tensor]:
    """The checkpoint's tensors under the model's names, known to fit. The model may be on "meta".

    Raises:
        CheckpointError: as `load_checkpoint`.
    """
    if isinstance(checkpoint, (str, Path)):
        source = Path(checkpoint).name
        found = read_tensors(checkpoint)
    else:
        source = "The dictionary"
        found = unwrap(checkpoint, source)
    tensors = _translated(_without_wrappers(found, model, source), model, source)
    _check_names_and_shapes(tensors, model, source)
    _check_finite(tensors, source)
    return tensors


def _without_wrappers(
    tensors: Mapping[str, torch.Tensor], model: nn.Module, source: str
) -> dict[str, torch.Tensor]:
    """Drop the prefixes that data-parallel and detector wrappers add; the model's own ones stay."""
    own = list(model.state_dict())
    prefixes = tuple(p for p in _WRAPPER_PREFIXES if not any(name.startswith(p) for name in own))
    renamed: dict[str, torch.Tensor] = {}
    for name, tensor in tensors.items():
        short = name
        while prefix := next((p for p in prefixes if short.startswith(p)), ""):
            short = short.removeprefix(prefix)
        if short in renamed:
            raise CheckpointError(f"{source} has two tensors for {short}, with and without prefix.")
        renamed[short] = tensor
    return renamed


def _translated(
    tensors: dict[str, torch.Tensor], model: nn.Module, source: str
) -> dict[str, torch.Tensor]:
    translate = _family_filter(model)
    if translate is None:
        return tensors
    try:
        translated = dict(translate(dict(tensors), model))
    except CheckpointError:
        raise
    except (KeyError, IndexError, AttributeError, ValueError, RuntimeError) as error:
        # A family's translation may rely on names that a foreign file does not have.
        raise CheckpointError(
            f"{source} does not fit {type(model).__name__}: its names could not be translated "
            f"({type(error).__name__}: {error}).{_advice(tensors)}"
        ) from error
    # timm lets families interpolate positions to other picture sizes, but a file that needs it is
    # not this model's: Vim's long-sequence weights would pass for its ordinary ones.
    from_file = {tensor.data_ptr() for tensor in tensors.values()}
    stretched = {
        name: tensors[name]
        for name, tensor in translated.items()
        if tensor.data_ptr() not in from_file
        and name in tensors
        and tensor.numel() != tensors[name].numel()
    }
    return translated | stretched


def _family_filter(model: nn.Module) -> Callable[..., Mapping[str, torch.Tensor]] | None:
    for cls in type(model).__mro__:
        translate = getattr(sys.modules[cls.__module__], "checkpoint_filter_fn", None)
        if translate is not None:
            return translate  # type: ignore[no-any-return]
    return None


def _check_names_and_shapes(
    tensors: Mapping[str, torch.Tensor], model: nn.Module, source: str
) -> None:
    expected = model.state_dict()
    missing = tuple(name for name in expected if name not in tensors)
    unexpected = tuple(name for name in tensors if name not in expected)
    misshapen = tuple(
        f"{name}: {_form(tensors[name])} in the checkpoint, {_form(tensor)} in the model"
        for name, tensor in expected.items()
        if name in tensors and _form(tensors[name]) != _form(tensor)
    )
    if missing or unexpected or misshapen:
        fitting = len(expected) - len(missing) - len(misshapen)
        headline = (
            f"{source} does not fit {type(model).__name__}: "
            f"{fitting} of {len(expected)} tensors match. Nothing was loaded."
        )
        raise CheckpointMismatch(headline, missing, unexpected, misshapen, _advice(tensors).strip())


def _form(tensor: torch.Tensor) -> str:
    """Shape, and the kind of number unless it is a float: half precision may be widened."""
    kind = "" if tensor.is_floating_point() else f" {str(tensor.dtype).removeprefix('torch.')}"
    return f"{tuple(tensor.shape)}{kind}"


def _check_finite(tensors: Mapping[str, torch.Tensor], source: str) -> None:
    broken = tuple(
        name
        for name, tensor in tensors.items()
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all())
    )
    if broken:
        raise CheckpointError(
            f"{source} has values that are not finite (NaN or infinite); nothing was loaded.\n"
            + _section("not finite", broken)
        )


def _section(title: str, names: tuple[str, ...]) -> str:
    if not names:
        return ""
    shown = [f"    {name}" for name in names[:_NAMES_SHOWN]]
    if len(names) > _NAMES_SHOWN:
        shown.append(f"    and {len(names) - _NAMES_SHOWN} more")
    return "\n".join([f"  {title} ({len(names)}):", *shown])


def _advice(tensors: Mapping[str, torch.Tensor]) -> str:
    guess = looks_like(tensors)
    if guess is None:
        return " Its names belong to no family known here."
    return f" It looks like {guess}: build that model for it."
