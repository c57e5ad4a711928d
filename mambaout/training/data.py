"""Labelled pictures in folders or stored zips, decoded once to one array of bytes.

Three layouts are read:

* Tiny-ImageNet as published: ``train/<wnid>/images/*.JPEG``, ``val/images/*`` with
  ``val/val_annotations.txt``, names in ``words.txt``;
* one folder per class: ``train/<class>/*``, ``val/<class>/*``;
* the same inside zips: ``train*.zip``, ``val*.zip``, names in ``classes.tsv``.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import threading
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from mambaout.training.classes import ImageClass, choose_classes
from mambaout.training.config import Recipe, TrainingError

SUFFIXES = frozenset({".jpeg", ".jpg", ".png", ".webp", ".bmp"})


@dataclass(frozen=True)
class Picture:
    """Where one labelled picture lies: a file, or a member of a zip."""

    wnid: str
    container: Path
    member: str | None
    fingerprint: str

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.member or self.container.name).suffix.lower()


@dataclass(frozen=True)
class Split:
    """Pictures (n, 3, s, s) uint8 and their class indices (n,) int64."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

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
    found = {split: list(_pictures(folder, split)) for split in ("train", "val")}
    for split, pictures in found.items():
        if not pictures:
            raise TrainingError(
                f"no {split} pictures in {folder}: expected {split}/<class>/*.jpeg (or .png, "
                f".webp), or {split}*.zip with the same inside"
            )
    present = sorted({picture.wnid for picture in found["train"]})
    classes = choose_classes(recipe.classes, present, _names(folder))
    index = {wnid: i for i, (wnid, _) in enumerate(classes)}
    kept = {
        split: sorted(
            (p for p in pictures if p.wnid in index), key=lambda p: (index[p.wnid], p.fingerprint)
        )
        for split, pictures in found.items()
    }
    if not kept["val"]:
        raise TrainingError(f"none of the chosen classes has a validation picture in {folder}")
    kept["train"] = _limited(kept["train"], recipe.limit_train)
    splits, digests = {}, []
    for split, pictures in kept.items():
        digest = _digest(pictures, index, recipe.picture_size)
        digests.append(digest)
        path = cache / f"{split}-{recipe.picture_size}px-{digest[:16]}.npy"
        images = _decoded(pictures, recipe.picture_size, path, report)
        labels = torch.tensor([index[picture.wnid] for picture in pictures])
        splits[split] = Split(images, labels)
    return Dataset(
        name=folder.resolve().name,
        classes=classes,
        train=splits["train"],
        val=splits["val"],
        digest=hashlib.sha256("".join(digests).encode()).hexdigest(),
        lossy_webp=any(p.suffix == ".webp" for pictures in kept.values() for p in pictures),
    )


def _pictures(folder: Path, split: str) -> Iterator[Picture]:
    zips = sorted(folder.glob(f"{split}*.zip"))
    for path in zips:
        yield from _zip_pictures(path, split)
    root = folder / split
    if zips or not root.is_dir():
        return
    annotations = root / "val_annotations.txt"
    if annotations.is_file():
        for line in annotations.read_text(encoding="utf-8").splitlines():
            name, wnid = line.split("\t")[:2]
            yield _file_picture(root / "images" / name, wnid, folder)
        return
    for class_folder in sorted(path for path in root.iterdir() if path.is_dir()):
        nested = class_folder / "images"
        for path in sorted((nested if nested.is_dir() else class_folder).iterdir()):
            if path.suffix.lower() in SUFFIXES:
                yield _file_picture(path, class_folder.name, folder)


def _file_picture(path: Path, wnid: str, folder: Path) -> Picture:
    name = path.relative_to(folder).as_posix()
    return Picture(wnid, path, None, f"{name} {path.stat().st_size}")


def _zip_pictures(path: Path, split: str) -> Iterator[Picture]:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            parts = PurePosixPath(member.filename)
            if parts.suffix.lower() in SUFFIXES and parts.parts[0] == split:
                fingerprint = f"{member.filename} {member.file_size} {member.CRC:08x}"
                yield Picture(parts.parts[1], path, member.filename, fingerprint)


def _names(folder: Path) -> dict[str, str]:
    for table in (folder / "classes.tsv", folder / "words.txt"):
        if table.is_file():
            lines = table.read_text(encoding="utf-8").splitlines()
            return dict(line.split("\t", 1) for line in lines if "\t" in line)
    return {}


def _limited(pictures: list[Picture], limit: int) -> list[Picture]:
    """The first ``limit`` pictures when the classes take turns, in their old order."""
    if limit == 0 or limit >= len(pictures):
        return pictures
    by_class: dict[str, list[int]] = {}
    for i, picture in enumerate(pictures):
        by_class.setdefault(picture.wnid, []).append(i)
    turns = (i for turn in zip_longest(*by_class.values()) for i in turn if i is not None)
    return [pictures[i] for i in sorted(i for i, _ in zip(turns, range(limit), strict=False))]


def _digest(pictures: Sequence[Picture], index: dict[str, int], size: int) -> str:
    lines = "\n".join(f"{p.fingerprint} {index[p.wnid]}" for p in pictures)
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
            with _reader() as read, ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:

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


@contextlib.contextmanager
def _reader() -> Iterator[Callable[[Picture], bytes]]:
    """A function that reads a picture's bytes from any thread; each thread opens a zip once."""
    opened: dict[tuple[int, Path], zipfile.ZipFile] = {}

    def read(picture: Picture) -> bytes:
        if picture.member is None:
            return picture.container.read_bytes()
        key = threading.get_ident(), picture.container
        if key not in opened:
            opened[key] = zipfile.ZipFile(picture.container)
        return opened[key].read(picture.member)

    try:
        yield read
    finally:
        for archive in opened.values():
            archive.close()


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
