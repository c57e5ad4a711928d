"""Labelled pictures in folders or stored zips, decoded once to one array of bytes.

The layouts are those of `mambaout.evaluation.picture_files`.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from mambaout.evaluation.picture_files import (
    Picture,
    class_names,
    limited,
    picture_reader,
    split_pictures,
)
from mambaout.training.classes import ImageClass, choose_classes
from mambaout.training.config import Recipe, TrainingError


@dataclass(frozen=True)
class Split:
    """Pictures (n, 3, s, s) uint8 and their class indices (n,) int64."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, part: slice) -> Split:
        return Split(self.images[part], self.labels[part])

    def to(self, device: torch.device) -> Split:
        return Split(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Dataset:
    """A training and a validation split of the same classes.

    Attributes:
        name: of the folder it was read from.
        digest: sha256 over names, sizes and labels of every picture, so that a run knows its data.
        lossy_webp: the pictures were read from WebP files.
    """

    name: str
    classes: tuple[ImageClass, ...]
    train: Split
    val: Split
    digest: str
    lossy_webp: bool


def load_dataset(
    folder: Path, recipe: Recipe, cache: Path, report: Callable[[str], None]
) -> Dataset:
    """Read ``folder`` for ``recipe``; decoded arrays are kept in ``cache`` and memory-mapped.

    Raises:
        TrainingError: ``folder`` has none of the known layouts, lacks a class or a split, or
            holds a file that is no picture.
    """
    found = {split: list(split_pictures(folder, split)) for split in ("train", "val")}
    for split, pictures in found.items():
        if not pictures:
            raise TrainingError(
                f"no {split} pictures in {folder}: expected {split}/<class>/*.jpeg (or .png, "
                f".webp), or {split}*.zip with the same inside"
            )
    present = sorted({picture.label for picture in found["train"]})
    classes = choose_classes(recipe.classes, present, class_names(folder))
    index = {wnid: i for i, (wnid, _) in enumerate(classes)}
    kept = {
        split: sorted(
            (p for p in pictures if p.label in index), key=lambda p: (index[p.label], p.fingerprint)
        )
        for split, pictures in found.items()
    }
    if not kept["val"]:
        raise TrainingError(f"none of the chosen classes has a validation picture in {folder}")
    kept["train"] = limited(kept["train"], recipe.limit_train)
    splits, digests = {}, []
    for split, pictures in kept.items():
        digest = _digest(pictures, index, recipe.picture_size)
        digests.append(digest)
        path = cache / f"{split}-{recipe.picture_size}px-{digest[:16]}.npy"
        images = _decoded(pictures, recipe.picture_size, path, report)
        labels = torch.tensor([index[picture.label] for picture in pictures])
        splits[split] = Split(images, labels)
    return Dataset(
        name=folder.resolve().name,
        classes=classes,
        train=splits["train"],
        val=splits["val"],
        digest=hashlib.sha256("".join(digests).encode()).hexdigest(),
        lossy_webp=any(p.suffix == ".webp" for pictures in kept.values() for p in pictures),
    )


def load_others(
    folder: Path,
    classes: Sequence[ImageClass],
    side: int,
    cache: Path,
    report: Callable[[str], None],
) -> Split | None:
    """Validation pictures of the classes in ``folder`` that are not among ``classes``.

    Their labels are -1. None where there are none. They are ``side`` pixels high and wide, and
    kept in ``cache``.
    """
    known = {wnid for wnid, _ in classes}
    pictures = sorted(
        (p for p in split_pictures(folder, "val") if p.label not in known),
        key=lambda p: p.fingerprint,
    )
    if not pictures:
        return None
    digest = _digest(pictures, dict.fromkeys((p.label for p in pictures), -1), side)
    images = _decoded(pictures, side, cache / f"others-{side}px-{digest[:16]}.npy", report)
    return Split(images, torch.full((len(pictures),), -1))


def _digest(pictures: Sequence[Picture], index: dict[str, int], size: int) -> str:
    lines = "\n".join(f"{p.fingerprint} {index[p.label]}" for p in pictures)
    return hashlib.sha256(f"{size}\n{lines}".encode()).hexdigest()


def _decoded(
    pictures: Sequence[Picture], size: int, path: Path, report: Callable[[str], None]
) -> Tensor:
    """(n, 3, size, size) uint8, from ``path`` if it is there, else decoded and left there."""
    if not path.is_file():
        report(f"decoding {len(pictures)} pictures to {path.name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
        shape = (len(pictures), 3, size, size)
        array = np.lib.format.open_memmap(partial, mode="w+", dtype=np.uint8, shape=shape)
        try:
            with picture_reader() as read, ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:

                def decode(i: int) -> None:
                    array[i] = _decode(pictures[i], read, size)

                for _ in pool.map(decode, range(len(pictures)), chunksize=64):
                    pass
            array.flush()
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    # copy-on-write: torch wants writable memory, and the file must never change
    return torch.from_numpy(np.load(path, mmap_mode="c"))


def _decode(where: Picture, read: Callable[[Picture], bytes], size: int) -> npt.NDArray[np.uint8]:
    """(3, size, size): the shorter side scaled to ``size``, the middle kept."""
    try:
        with Image.open(io.BytesIO(read(where))) as opened:
            picture = opened.convert("RGB")
    except OSError as error:
        raise TrainingError(
            f"{where.member or where.container.name} cannot be read as a picture ({error}); "
            f"remove it or get the data set again"
        ) from error
    if picture.size != (size, size):
        scale = size / min(picture.size)
        width, height = (max(size, round(side * scale)) for side in picture.size)
        picture = picture.resize((width, height), Image.Resampling.BICUBIC)
        left, top = (width - size) // 2, (height - size) // 2
        picture = picture.crop((left, top, left + size, top + size))
    pixels: npt.NDArray[np.uint8] = np.asarray(picture)  # (size, size, 3)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))
