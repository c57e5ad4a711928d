"""Labelled pictures on disk, in folders or stored zips, found without opening a picture.

Three layouts are read:

* Tiny-ImageNet as published: ``train/<wnid>/images/*.JPEG``, ``val/images/*`` with
  ``val/val_annotations.txt``, names in ``words.txt``;
* one folder per class: ``train/<class>/*``, ``val/<class>/*``, with folders in them or not;
* the same inside zips: ``train*.zip``, ``val*.zip``, names in ``classes.tsv``.
"""

from __future__ import annotations

import contextlib
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path, PurePosixPath

from mambaout.evaluation.errors import EvaluationError

SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)

UNREADABLE = (OSError, RuntimeError, KeyError, zipfile.BadZipFile, zlib.error)
"""What reading a file or a member of a zip may raise; RuntimeError: it is encrypted."""


@dataclass(frozen=True)
class Picture:
    """Where one labelled picture lies: a file, or a member of a zip.

    Attributes:
        classes: the folder it is sorted into; several where a list says what pictures show.
        name: path below the folder of the data set or inside the zip, with forward slashes.
        fingerprint: the name with the size, and in a zip the check sum, of the file.
    """

    classes: tuple[str, ...]
    container: Path
    member: str | None
    name: str
    fingerprint: str

    @property
    def label(self) -> str:
        """The class of a picture that has one."""
        return self.classes[0]

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.name).suffix.lower()


def split_pictures(folder: Path, split: str) -> Iterator[Picture]:
    """The pictures of one split ("train", "val") of a data set; none where there is no such split.

    Raises:
        EvaluationError: a zip or a list of annotations cannot be read.
    """
    zips = sorted(folder.glob(f"{split}*.zip"))
    for path in zips:
        yield from _zip_pictures(path, split)
    root = folder / split
    if not zips and root.is_dir():
        yield from folder_pictures(root, folder)


def folder_pictures(root: Path, folder: Path) -> Iterator[Picture]:
    """The pictures below ``root``: those that its annotations list, else one folder per class.

    Args:
        root: what holds the class folders.
        folder: what names are relative to.

    Raises:
        EvaluationError: the list of annotations makes no sense.
    """
    annotations = root / "val_annotations.txt"
    if annotations.is_file():
        for line in lines_of(annotations):
            fields = line.split("\t")
            if len(fields) < 2 or not is_plain_name(fields[0]):
                raise EvaluationError(
                    f"{annotations}: expected a file name, a tab and a class in every line, "
                    f"got {line[:60]!r}"
                )
            yield file_picture(root / "images" / fields[0], (fields[1],), folder)
        return
    for class_folder in sorted(path for path in root.iterdir() if path.is_dir()):
        if class_folder.name.startswith("."):
            continue
        for path in sorted(class_folder.rglob("*")):
            if path.suffix.lower() in SUFFIXES:
                yield file_picture(path, (class_folder.name,), folder)


def file_picture(path: Path, classes: tuple[str, ...], folder: Path) -> Picture:
    """The picture in a file, which may turn out to be missing when it is read."""
    name = path.relative_to(folder).as_posix()
    try:
        size = str(path.stat().st_size)
    except OSError:
        size = "missing"
    return Picture(classes, path, None, name, f"{name} {size}")


def _zip_pictures(path: Path, split: str) -> Iterator[Picture]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (OSError, zipfile.BadZipFile) as error:
        raise EvaluationError(
            f"{path} cannot be read as a zip ({error}); get the data set again"
        ) from error
    for member in members:
        parts = PurePosixPath(member.filename).parts
        is_picture = PurePosixPath(member.filename).suffix.lower() in SUFFIXES
        if is_picture and len(parts) > 2 and parts[0] == split:
            fingerprint = f"{member.filename} {member.file_size} {member.CRC:08x}"
            yield Picture((parts[1],), path, member.filename, member.filename, fingerprint)


def class_names(folder: Path) -> dict[str, str]:
    """Class -> "name, synonym, ..." from the table of the data set; empty where it has none."""
    for table in (folder / "classes.tsv", folder / "words.txt"):
        if table.is_file():
            return dict(line.split("\t", 1) for line in lines_of(table) if "\t" in line)
    return {}


def lines_of(path: Path) -> list[str]:
    """The lines of a text file.

    Raises:
        EvaluationError: it cannot be read, or is no text.
    """
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationError(f"{path} cannot be read as text ({error})") from error


def is_plain_name(name: str) -> bool:
    """Whether a list that names ``name`` means a file beside the others, and no way elsewhere."""
    return name not in {"", ".", ".."} and Path(name).name == name


def limited(pictures: list[Picture], limit: int) -> list[Picture]:
    """The first ``limit`` pictures (0: all) when the classes take turns, in their old order."""
    if limit == 0 or limit >= len(pictures):
        return pictures
    by_class: dict[str, list[int]] = {}
    for i, picture in enumerate(pictures):
        by_class.setdefault(picture.label, []).append(i)
    turns = (i for turn in zip_longest(*by_class.values()) for i in turn if i is not None)
    return [pictures[i] for i in sorted(i for i, _ in zip(turns, range(limit), strict=False))]


@contextlib.contextmanager
def picture_reader() -> Iterator[Callable[[Picture], bytes]]:
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
