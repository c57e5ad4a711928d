"""The tab "When does it pay?": what it says, and what it measures."""

from __future__ import annotations

import re

import pytest

from app.long import markup, request
from app.long.request import judge, operations
from mambaout.evaluation.growth import MODELS, Point
from mambaout.evaluation.published_tables import published_tables


@pytest.mark.parametrize(
    ("model", "size", "words"),
    [
        ("deit_small_patch16_224", (224, 224), "Short: X makes 196 tokens of 384 channels"),
        ("deit_small_patch16_224", (800, 1280), "1.74 times its τ of 2,304"),
        ("deit_base_patch16_224", (512, 2048), "Short: X makes 4,096 tokens"),
        # of a model with stages, the one on the paper's grid
        ("mambaout_femto", (512, 2048), "Long: X makes 4,096 tokens of 192 channels"),
    ],
)
def test_the_verdict_is_the_paper_s(model, size, words):
    assert words in markup.verdict("X", judge(model, *size))


def test_attention_passes_the_rest_of_its_block_at_the_threshold():
    curves = operations(196, 384)
    (x0, a0), (x1, a1) = curves["attention"]
    (_, r0), (_, r1) = curves["rest"]
    assert a0 < r0
    assert a1 > r1
    assert a0 / r0 == pytest.approx(x0 / 2304)
    assert a1 / r1 == pytest.approx(x1 / 2304)


def test_every_stage_has_a_row():
    table = markup.stage_table(judge("mambaout_femto", 800, 1280))
    assert len(re.findall('<th scope="row">', table)) == 4
    assert table.count("<td>long</td>") == 3  # 64,000, 16,000 and 4,000 tokens
    assert table.count("<td>short</td>") == 1


def test_points_are_drawn_and_listed_and_what_is_unknown_is_a_dash():
    points = [Point(MODELS[0], 224, 196, 0.05, 3_000_000), Point(MODELS[1], 224, 196, 0.2, None)]
    drawn = markup.growth_charts(points)
    assert drawn.count("<svg") == 2
    assert "<td>50 ms</td><td>3.0 MB</td><td>200 ms</td><td>–</td><td>…</td><td>…</td>" in drawn
    assert "<svg" not in markup.growth_charts([])


def test_a_measurement_that_is_closed_closes_what_measures(monkeypatch):
    closed = []

    def growth(models, sides, device):
        try:
            while True:
                yield None
        finally:
            closed.append(device)

    monkeypatch.setattr(request, "growth", growth)
    running = request.measured("cpu")
    assert [next(running), next(running)] == [([], False), ([], False)]
    running.close()
    assert closed == ["cpu"]


def test_tables_can_be_sorted_and_name_their_source():
    for table in published_tables():
        drawn = markup.published(table)
        assert drawn.count("<button") == len(table.columns) + 3
        assert drawn.count(f"arXiv 2405.07992v3, Table {table.number}") == len(table.rows)
        assert drawn.count('class="mo-ours"') == sum(
            row["model"].startswith("MambaOut") for row in table.rows
        )
