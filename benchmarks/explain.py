"""Explanations in units of the forward passes they explain."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from functools import partial
from statistics import median
from typing import Any

import torch
from PIL import Image
from torch import nn

from app.compare.request import compare
from app.compare.result import Comparison
from app.results import Results
from app.store import ModelStore
from benchmarks.models import MAMBAOUT, VIM, build, forward, picture
from benchmarks.report import Goal, Result, milliseconds
from benchmarks.timing import Effort, interleaved, ratio
from mambaout.explain import grad_cam, scan_trace

GROUP = "explanations"
COMPARISON, TRACE = Goal("at most", 5), Goal("at most", 2)
VIM_SMALL = "vim_small_patch16_224"
OFFICIAL = ("mambaout_tiny.in1k", "vim_tiny_patch16_224.hustvl_in1k")


def measure(effort: Effort) -> Iterator[Result]:
    """Single explanations, then what the page computes for one picture and two models."""
    image = picture(224)
    for name in (MAMBAOUT, VIM, VIM_SMALL):
        model = build(name)
        runs = {
            "forward": partial(forward, model, image),
            "grad_cam": partial(grad_cam, model, image, 0),
        }
        if name != MAMBAOUT:
            runs["scan_trace"] = partial(scan_trace, model, image)
        times = interleaved(runs, effort)
        bare = times.pop("forward")
        for what, seconds in times.items():
            note = milliseconds(median(seconds), median(bare))
            case = f"{what} / forward of {name}"
            goal = TRACE if what == "scan_trace" else None
            yield Result.of(GROUP, case, ratio(seconds, bare), goal, note)
    for names, store in _pairs():
        yield _comparison(names, store, effort)


def _pairs() -> Iterator[tuple[tuple[str, str], ModelStore]]:
    """The page's own two miniatures, and two models of 224 pixels with random weights."""
    bundled = ModelStore("cpu", offline=True)
    yield bundled.default_pair, bundled
    yield OFFICIAL, ModelStore("cpu", build=lambda name, _progress: build(name))


def _comparison(names: tuple[str, str], store: ModelStore, effort: Effort) -> Result:
    photo = _photo()
    store.results = Results(capacity=0)  # a page asked again answers from what it has kept
    ask = partial(compare, store, photo, names, "causal")
    [result] = deque(ask(), maxlen=1)
    _expect_complete(result[0])
    loaded = [store.get(name) for name in names]
    pairs = [(model.model, model.input_of(photo)) for model in loaded]
    runs = {"comparison": lambda: deque(ask(), maxlen=0), "forwards": partial(_forwards, pairs)}
    times = interleaved(runs, effort)
    return Result.of(
        GROUP,
        f"comparison in both mixings / forwards of {names[0]} and {names[1]}",
        ratio(times["comparison"], times["forwards"]),
        COMPARISON,
        milliseconds(median(times["comparison"]), median(times["forwards"])),
    )


def _forwards(pairs: list[tuple[nn.Module, torch.Tensor]]) -> Any:
    for model, image in pairs:
        forward(model, image)


def _photo() -> Image.Image:
    noise = torch.rand(3, 12, 16, generator=torch.Generator().manual_seed(0))
    smooth = Image.fromarray((255 * noise.permute(1, 2, 0)).byte().numpy())
    return smooth.resize((640, 480), Image.Resampling.BICUBIC)


def _expect_complete(result: Comparison) -> None:
    """Raise RuntimeError if a part of the comparison failed: its time would be a wrong one."""
    for side in result.sides:
        if side.answer is None or side.heat is None:
            raise RuntimeError(
                f"no complete comparison of {side.title}: {side.error}{side.no_heat}"
            )
    if result.sides[1].trace is None:
        raise RuntimeError(f"no scan trace of {result.sides[1].title}: {result.sides[1].no_trace}")
