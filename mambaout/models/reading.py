"""Read the tensors of a weight file without running anything that the file says.

Two kinds of file are read: safetensors, and the zip container that `torch.save` has written since
PyTorch 1.6 (`.pth`, `.pt`, `.ckpt`, `.bin`, `.pth.tar`). A pickle is only read by PyTorch's
restricted unpickler (`weights_only=True`) with a short list of harmless names beside the tensors;
what it refuses is refused here too, there is no second try.
"""

from __future__ import annotations

import argparse
import re
import threading
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from mambaout.errors import CheckpointError

_TORCH_SUFFIXES = (".pth", ".pt", ".ckpt", ".bin", ".tar")

# Where training scripts keep the weights inside what they save, in order of preference: the
# authors of Vim and VMamba evaluate `model`, and save an averaged `model_ema` beside it.
_WEIGHT_ENTRIES = ("model", "state_dict", "model_state_dict", "model_ema", "ema_model")

# Vim's files carry their command line. VMamba's trainer saves its configuration, a dictionary class
# of the yacs package: it is read as a plain dictionary, no code of that package is touched.
_HARMLESS_NAMES: tuple[Any, ...] = (
    argparse.Namespace,
    (OrderedDict, "yacs.config.CfgNode"),
)

# PyTorch keeps the names it accepts in one list for the whole process.
_names_lock = threading.Lock()


def read_tensors(path: str | Path) -> dict[str, torch.Tensor]:
    """The named tensors of a weight file, on the CPU, under the names the file uses.

    Raises:
        CheckpointError: the file is absent, damaged, of another kind, or holds more than tensors
            and plain values.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"There is no weight file at {path}.")
    _refuse_stand_ins(path)
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if path.suffix in _TORCH_SUFFIXES:
        return unwrap(_read_torch_zip(path), path.name)
    raise CheckpointError(
        f"{path.name}: expected a weight file ending in .safetensors, {', '.join(_TORCH_SUFFIXES)}."
    )


def unwrap(saved: object, source: str) -> dict[str, torch.Tensor]:
    """The dictionary of tensors inside what a training script saved.

    Args:
        saved: a dictionary of tensors, or a dictionary with one of them under `model`,
            `state_dict`, `model_state_dict`, `model_ema` or `ema_model` (the first is taken).
        source: what to call it in an error.

    Raises:
        CheckpointError: there is none.
    """
    if not isinstance(saved, Mapping):
        raise CheckpointError(
            f"{source}: expected a dictionary of tensors, found {type(saved).__name__}."
        )
    for candidate in (saved, *(saved.get(entry) for entry in _WEIGHT_ENTRIES)):
        if candidate is not None and _is_state_dict(candidate):
            return {name: _plain(name, tensor, source) for name, tensor in candidate.items()}
    entries = ", ".join(repr(key) for key in list(saved)[:8]) or "nothing"
    raise CheckpointError(
        f"{source}: no dictionary of tensors found, neither at the top nor under "
        f"{', '.join(_WEIGHT_ENTRIES)}. It holds {entries}."
    )


def _is_state_dict(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and len(value) > 0
        and all(isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in value.items())
    )


def _plain(name: str, tensor: torch.Tensor, source: str) -> torch.Tensor:
    """The tensor without its history; sparse, quantised and other special kinds are refused."""
    ordinary = (
        type(tensor) in (torch.Tensor, torch.nn.Parameter)
        and tensor.layout == torch.strided
        and not tensor.is_quantized
        and not tensor.is_meta
    )
    if not ordinary:
        raise CheckpointError(f"{source}: {name} is not an ordinary dense tensor with values.")
    return tensor.detach()


def _refuse_stand_ins(path: Path) -> None:
    """Name the files that are often found where a weight file should be."""
    with path.open("rb") as file:
        head = file.read(64)
    if not head:
        raise CheckpointError(f"{path.name} is empty: download it again.")
    if path.suffix == ".safetensors" and head[8:9] == b"{":
        return  # eight bytes of length come first, which may spell anything looked for below
    if head.startswith(b"version https://git-lfs"):
        raise CheckpointError(
            f"{path.name} is a Git LFS pointer, not the weights: run `git lfs pull`."
        )
    if head.lstrip().startswith(b"<"):
        raise CheckpointError(
            f"{path.name} is a web page, not a weight file: the download link led elsewhere."
        )
    if path.suffix == ".safetensors" and head.startswith((b"PK", b"\x80")):
        raise CheckpointError(
            f"{path.name} is a pickle with the ending .safetensors. It was not opened."
        )


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        tensors: dict[str, torch.Tensor] = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{path.name} is not a complete safetensors file ({error}): download it again."
        ) from error
    if not tensors:
        raise CheckpointError(f"{path.name} holds no tensors.")
    return tensors


def _read_torch_zip(path: Path) -> Any:
    _check_container(path)
    try:
        with _names_lock, _harmless_names_accepted():
            # Memory-mapped, because only the weights are needed of a file that is often three
            # parts optimiser state.
            saved = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # a hostile file can make the unpickler raise anything
        raise CheckpointError(_why_refused(path, error)) from error
    _refuse_overlaps(saved, path.name)
    return saved


def _check_container(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as container:
            compressed = any(i.compress_type != zipfile.ZIP_STORED for i in container.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        with path.open("rb") as file:
            started_well = file.read(2) == b"PK"
        reason = (
            "it is cut off or damaged: download it again"
            if started_well
            else "it is not what torch.save has written since PyTorch 1.6; it was not opened"
        )
        raise CheckpointError(f"{path.name} cannot be read: {reason}.") from error
    if compressed:
        # torch.save never compresses: small files that unfold to huge ones are made this way.
        raise CheckpointError(f"{path.name} was compressed after torch.save wrote it: unpack it.")


@contextmanager
def _harmless_names_accepted() -> Iterator[None]:
    already = torch.serialization.get_safe_globals()
    with torch.serialization.safe_globals([n for n in _HARMLESS_NAMES if n not in already]):
        yield


def _why_refused(path: Path, error: Exception) -> str:
    name = re.search(r"GLOBAL (\S+)", str(error))
    if name:
        return (
            f"{path.name} asks for {name[1]}, which is neither a tensor nor a plain value. It was "
            "refused, because such files can run any program. If you trust it, convert it to "
            "safetensors with the software that made it."
        )
    first_line = (str(error).splitlines() or [""])[0][:200]
    return f"{path.name} is damaged or no checkpoint ({type(error).__name__}: {first_line})."


def _refuse_overlaps(saved: Any, source: str) -> None:
    """Refuse tensors that claim more than they store, as a stride of 0 lets them."""
    pending, seen = [saved], set()
    while pending:
        value = pending.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Mapping):
            pending.extend(value.values())
        elif isinstance(value, (list, tuple)):
            pending.extend(value)
        elif isinstance(value, torch.Tensor) and value.layout == torch.strided:
            claimed = value.numel() * value.element_size()
            if not value.is_meta and claimed > value.untyped_storage().nbytes():
                raise CheckpointError(
                    f"{source}: a tensor of shape {tuple(value.shape)} claims {claimed:,} bytes "
                    f"and stores {value.untyped_storage().nbytes():,}."
                )
