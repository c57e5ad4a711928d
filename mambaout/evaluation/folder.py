"""A folder of labelled pictures, whatever its layout, in an order that never changes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mambaout.evaluation.errors import EvaluationError
from mambaout.evaluation.picture_files import (
    Picture,
    class_names,
    folder_pictures,
    split_pictures,
)
from mambaout.evaluation.voc import voc_pictures, voc_root, voc_wordnet_numbers


@dataclass(frozen=True)
class LabelledFolder:
    """Pictures and the classes they belong to.

    Attributes:
        name: of the folder.
        layout: which of the known layouts it has, in words.
        pictures: sorted by class and name.
        classes: what the pictures are labelled with, sorted: mostly names of folders.
        names: class -> "name, synonym, ...", from the data set's table or ImageNet-1k's.
        wordnet_numbers: class -> the ImageNet classes it means, where the layout says so.
        digest: sha256 over the names, sizes and classes of all pictures.
    """

    name: str
    layout: str
    pictures: tuple[Picture, ...]
    classes: tuple[str, ...]
    names: Mapping[str, str]
    wordnet_numbers: Mapping[str, frozenset[str]]
    digest: str


def read_folder(folder: Path) -> LabelledFolder:
    """What ``folder`` holds: Pascal VOC, a validation split, or one folder per class.

    Taken is the first that is there: ``JPEGImages`` with ``ImageSets`` (see `voc`); ``val*.zip`` or
    ``val/`` (ImageNet, Tiny-ImageNet; see `picture_files`); a list of annotations; folders of
    pictures.

    Raises:
        EvaluationError: there is no such folder, it has none of the layouts, or it is damaged.
    """
    if not folder.is_dir():
        raise EvaluationError(f"there is no folder {folder}: --data names a folder of pictures")
    root = voc_root(folder)
    wordnet_numbers: Mapping[str, frozenset[str]] = {}
    if root is not None:
        layout, pictures = "Pascal VOC, val", list(voc_pictures(root))
        wordnet_numbers = voc_wordnet_numbers()
    elif (folder / "val").is_dir() or any(folder.glob("val*.zip")):
        layout, pictures = "validation split", list(split_pictures(folder, "val"))
    else:
        layout, pictures = "one folder per class", list(folder_pictures(folder, folder))
    if not pictures:
        raise EvaluationError(
            f"no labelled pictures in {folder}: expected val/<class>/*.jpeg (or .png, .webp, ...), "
            f"val*.zip with the same inside, <class>/*.jpeg, or Pascal VOC's JPEGImages and "
            f"ImageSets/Main"
        )
    pictures.sort(key=lambda picture: (picture.classes, picture.name))
    lines = "\n".join(f"{p.fingerprint} {' '.join(p.classes)}" for p in pictures)
    classes = sorted({name for picture in pictures for name in picture.classes})
    return LabelledFolder(
        name=(root or folder).resolve().name,
        layout=layout,
        pictures=tuple(pictures),
        classes=tuple(classes),
        names=_imagenet_names(classes) | class_names(folder),
        wordnet_numbers=wordnet_numbers,
        digest=hashlib.sha256(lines.encode()).hexdigest(),
    )


def _imagenet_names(classes: Sequence[str]) -> dict[str, str]:
    """Names of the classes that are WordNet numbers of ImageNet-1k."""
    from timm.data import ImageNetInfo

    info = ImageNetInfo("imagenet-1k")
    known = set(info.label_names())
    return {name: info.label_name_to_description(name) for name in classes if name in known}
