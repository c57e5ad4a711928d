"""The paper's tables, as it reads them itself."""

from __future__ import annotations

import pytest

from mambaout.evaluation.published_tables import published_tables


def rows(number):
    table = published_tables()[number - 1]
    assert table.number == number
    return {(row["model"], row["macs"]): row for row in table.rows}


def one(number, model):
    [row] = [row for (name, _), row in rows(number).items() if name == model]
    return row


def test_every_row_is_whole_and_says_where_it_is_from():
    for table in published_tables():
        assert len(rows(table.number)) == len(table.rows)  # none twice
        for row in table.rows:
            assert row.keys() == {"model", "mixing", "source", *table.columns}
            assert row["source"] == f"arXiv 2405.07992v3, Table {table.number}"
            assert row["mixing"] in {"Conv", "Pool", "Attn", "Conv + Attn", "Conv + SSM"}
            numbers = [row[column] for column in table.columns]
            assert all(number is None or number > 0 for number in numbers)
            scores = numbers[2:]
            assert all(score is None or score < 100 for score in scores)


def test_what_the_text_of_the_paper_says_of_its_tables():
    small, local = one(1, "MambaOut-Small"), one(1, "LocalVMamba-S")
    assert small["top1"] - local["top1"] == pytest.approx(0.4)
    assert small["macs"] / local["macs"] == pytest.approx(0.79, abs=0.005)
    ours, theirs = one(2, "MambaOut-Tiny"), one(2, "VMamba-T")
    assert theirs["ap_box"] - ours["ap_box"] == pytest.approx(1.4)
    assert theirs["ap_mask"] - ours["ap_mask"] == pytest.approx(1.1)
    segmented, local = one(3, "MambaOut-Tiny"), one(3, "LocalVMamba-T")
    assert local["miou_ss"] - segmented["miou_ss"] == pytest.approx(0.5)
    others = [row["top1"] for row in rows(1).values() if row["mixing"] == "Conv + SSM"]
    assert one(1, "CAFormer-M36")["top1"] - max(others) > 1


@pytest.mark.parametrize(
    ("model", "params", "macs"), [("Femto", 7, 1.2), ("Tiny", 27, 4.5), ("Base", 85, 15.8)]
)
def test_the_sizes_of_the_appendix(model, params, macs):
    row = one(1, f"MambaOut-{model}")
    assert (row["params"], row["macs"]) == (params, macs)
