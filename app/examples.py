"""Example pictures: photographs that packages this page runs on bring along.

They are found where those packages are installed, never copied into this project, and each is left
out where its package no longer has it.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from PIL import Image, ImageOps

from app.language import noted
from mambaout.pictures import open_picture

_THUMBNAIL = (200, 140)  # twice the size it is shown at [px]


@dataclass(frozen=True)
class Example:
    """One picture to try, with what a person sees on it."""

    label: str
    path: Path

    def open(self) -> Image.Image:
        """The picture, by way of the same gate as a visitor's own."""
        return open_picture(self.path)

    def thumbnail(self) -> str:
        """A small copy, as an address that holds the picture itself."""
        small = ImageOps.fit(self.open(), _THUMBNAIL, centering=(0.5, 0.4))
        data = io.BytesIO()
        small.save(data, "WEBP", quality=80)
        return f"data:image/webp;base64,{base64.b64encode(data.getvalue()).decode()}"


# What is on it, the package, the file in it. Lions are among the miniatures' classes, the others
# are not: what a model says that has no word for what it sees is worth a look too.
_KNOWN = (
    (noted("Lion"), "gradio", "media_assets/images/lion.jpg"),
    (noted("Cheetah"), "gradio", "media_assets/images/cheetah1.jpg"),
    (noted("Tower at night"), "gradio", "media_assets/images/tower.jpg"),
    (noted("Dahlia"), "sklearn", "datasets/images/flower.jpg"),
    (noted("Pagoda"), "sklearn", "datasets/images/china.jpg"),
    (noted("Cheetah cub"), "gradio", "test_data/cheetah2.jpg"),
)


def examples() -> list[Example]:
    """The pictures that are on this machine."""
    found = [
        Example(label, folder / file)
        for label, package, file in _KNOWN
        for folder in _folders(package)
    ]
    return [example for example in found if example.path.is_file()]


def _folders(package: str) -> list[Path]:
    """Where a package is installed; nowhere if it is not."""
    # find_spec, not importlib.resources.files: that would import scikit-learn to find a file.
    spec = find_spec(package)
    return [Path(folder) for folder in (spec and spec.submodule_search_locations) or ()]
