from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mambaout.training.config import Recipe

COLOURS = {"amber": (230, 160, 20), "blue": (30, 60, 220), "green": (40, 190, 70)}


def write_pictures(folder: Path, counts: dict[str, int], suffix: str = ".png") -> Path:
    """One folder per class under ``folder``: noisy squares of the class's colour, 32 pixels."""
    random = np.random.default_rng(7)
    for split, count in counts.items():
        for name, colour in COLOURS.items():
            where = folder / split / name
            where.mkdir(parents=True)
            for i in range(count):
                noise = random.normal(0, 25, (32, 32, 3))
                pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(where / f"{i}{suffix}")
    return folder


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """Three colours, 16 training and 6 validation pictures of each; not to be changed."""
    return write_pictures(tmp_path_factory.mktemp("data") / "colours", {"train": 16, "val": 6})


@pytest.fixture
def recipe():
    """Seconds on one thread, and enough to tell colours apart."""
    return Recipe(
        model="test_mambaout",
        classes="all",
        epochs=6,
        batch_size=12,
        lr=2e-3,
        warmup_epochs=1,
        drop_path_rate=0.1,
        sizes="16:0.5,32:0.5",
        mix_prob=0.3,
    )
