"""What tests of the page share: a store of small untrained models, and a browser."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from app.store import DEFAULT_PAIR, ModelStore
from mambaout.catalogue.cards import ModelCard
from mambaout.catalogue.status import WeightsStatus
from mambaout.catalogue.vocabulary import Vocabulary
from tests.app.visitor import PATIENCE_SECONDS, Visit, serving

CLASSES = tuple(f"thing {letter}" for letter in "ABCDEFGHIJKLMNOPQRSTUVWX")
BUNDLED = WeightsStatus("bundled", "bundled with the project", 4_000_000, None)


# Chromium asks for updates, suggestions and time on its own account; the page does not.
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def chromium():
    """A running browser; where there is none the test fails, `-m "not browser"` leaves it out."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=1000 * PATIENCE_SECONDS)  # as patient as the page of a visit
    named = os.environ.get("CHROMIUM")
    names = [named] if named else ["chromium", "chromium-browser", "google-chrome"]
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.fail(f"no Chromium ({', '.join(names)}): install it, or name it in CHROMIUM")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """The address of `python app.py`, and the file with every address it asked for."""
    with serving(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def visit(chromium, server):
    """Opens the page as a new visitor; nothing may go wrong until the test ends.

    Neither on the page nor behind it: the server asks no other machine for anything.
    """
    visits = []

    def begin(**options):
        visits.append(Visit(chromium, server.address, **options))
        return visits[-1]

    yield begin
    for visited in visits:
        visited.close()
    assert not server.log.exists(), server.log.read_text()


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """Two pictures that no model can take for one another, and two files that are none."""
    folder = tmp_path_factory.mktemp("pictures")
    down, across = np.mgrid[:160, :220]
    sun = (down - 60) ** 2 + (across - 110) ** 2 < 2200
    orange = np.where(sun[..., None], (240, 130, 20), (40, 90, 160)).astype(np.uint8)
    Image.fromarray(orange).save(folder / "sun.png")
    stripes = np.where(((across // 10) % 2)[..., None], (20, 20, 20), (240, 240, 240))
    Image.fromarray(stripes.astype(np.uint8)).save(folder / "stripes.jpg", quality=95)
    (folder / "text.png").write_text("this is no picture")
    whole = (folder / "stripes.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 3])
    return folder


def card(name, family="MambaOut", *, has_scan=False, weights=BUNDLED):
    """A model card as the catalogue would make it."""
    return ModelCard(
        name=name,
        title={"vim_atto": "Vim-Atto", "mambaout_atto": "MambaOut-Atto"}.get(
            name.partition(".")[0], name
        ),
        family=family,
        mixer="selective scan, forward and backward" if has_scan else "gated CNN",
        has_scan=has_scan,
        top1=None,
        top1_source="",
        licence="apache-2.0",
        classes=24,
        data="24 classes of Tiny-ImageNet",
        input_size=(3, 64, 64),
        weights=weights,
        params=1000,
        macs=None,
        no_causal_form=None,
    )


def untrained(name, progress=None):
    """A model whose weights are drawn so that its mixers matter: as built, they hardly do."""
    torch.manual_seed(sum(map(ord, name)))
    model = timm.create_model(name.partition(".")[0], num_classes=24)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1 and parameter.std() < 0.1:
                parameter.normal_(std=0.1)
        model.get_classifier().weight.normal_()
    return model


class UntrainedStore(ModelStore):
    """The store of the page, over models that need no file."""

    def __init__(self, build=untrained, **options):
        super().__init__("cpu", build=build, **options)
        self.offer = [card(DEFAULT_PAIR[0]), card(DEFAULT_PAIR[1], "Vim", has_scan=True)]

    def cards(self):
        return self.offer

    def card(self, name):
        return {card.name: card for card in self.offer}.get(name) or super().card(name)

    def _load(self, name, progress):
        loaded = super()._load(name, progress)
        return replace(loaded, vocabulary=Vocabulary(CLASSES, CLASSES))


@pytest.fixture(scope="session")
def store():
    """One store for all tests that only ask: what it holds is frozen."""
    return UntrainedStore()


@pytest.fixture(scope="session")
def new_store():
    """The class, for tests that load and forget."""
    return UntrainedStore


@pytest.fixture
def build():
    """What makes the models of these stores."""
    return untrained


@pytest.fixture
def model_card():
    return card


@pytest.fixture(scope="session")
def picture():
    """Coloured noise in large blocks, wider than high."""
    blocks = np.random.default_rng(7).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize((180, 120), Image.Resampling.BILINEAR)
