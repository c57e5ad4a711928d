"""Charts whose lines lie where their numbers say."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from app.chart import Line, Mark, chart
from app.numbers import number


def drawn(*lines, marks=()):
    svg, _, names = chart(lines, "tokens", "cost", "a chart", number, marks).partition("</svg>")
    assert all(line.name in names for line in lines)
    return ET.fromstring(f"{svg}</svg>")


def points(svg):
    return [
        [tuple(map(float, pair.split(","))) for pair in line.get("points").split()]
        for line in svg.iter("polyline")
    ]


def test_a_power_law_is_a_straight_line():
    [line] = points(drawn(Line("square", [(x, x**2) for x in (1, 10, 100)], "left")))
    (x0, y0), (x1, y1), (x2, y2) = line
    assert x1 - x0 == x2 - x1
    assert abs((y0 - y1) - (y1 - y2)) < 0.2
    assert y0 > y1 > y2  # up is down in SVG


def test_every_line_and_mark_is_named_and_lies_inside():
    marks = [Mark(500, "far"), Mark(2, "near")]
    lines = [Line("one", [(1, 5.0), (10, 50.0)], "left", dots=True), Line("two", [(3, 7)], "right")]
    svg = drawn(*lines, marks=marks)
    words = {text.text for text in svg.iter("text")}
    assert {"far", "near", "tokens", "cost"} <= words
    assert len(list(svg.iter("circle"))) == 2
    right = max(float(line.get("x2")) for line in svg.iter("line"))
    inside = [x for line in points(svg) for x, _ in line]
    assert min(inside) > 0
    assert max(inside) <= right <= 440


def test_it_says_in_words_what_it_shows_and_escapes_them():
    svg = chart([Line("<b>", [(1, 2)], "left")], "tokens", "", 'x"<y', number, [Mark(3, "${z}")])
    assert 'aria-label="x&quot;&lt;y"' in svg
    assert "<b>" not in svg
    assert "${" not in svg
    assert re.search(r'role="img"', svg)


def test_nothing_to_draw_is_no_chart():
    assert chart([Line("empty", [], "left")], "x", "y", "words", number) == ""
