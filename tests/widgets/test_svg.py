"""The drawing helpers: ticks, thinning, gaps, and charts that stay well-formed whatever they are given."""

import itertools
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from rlkit.html import COLOURS, DASHES
from rlkit.widgets import svg

HOSTILE = (
    "<script>alert(1)</script>",
    "\"' onload='x' \"",
    "</text></svg><img src=x>",
    "a\u202eb\x00",
    "\ud800",
    "W" * 10_000,
)
NAME = "{http://www.w3.org/2000/svg}"


def line(label="a", n=10, value=1.0, **more):
    return svg.Line(label, np.arange(n), np.full(n, value), **more)


def parse(picture):
    """The picture as a tree; fails where it is not well-formed XML."""
    tree = ET.fromstring(picture)
    assert tree.tag == NAME + "svg" and tree.get("role") == "img"
    assert tree.find(NAME + "title").text and tree.find(NAME + "desc").text
    return tree


def chart(*lines, **more):
    words = {"title": "t", "x_label": "step", "y_label": "reward", "description": "d"} | more
    return parse(svg.chart(list(lines), **words))


def words(tree):
    return [element.text for element in tree.iter(NAME + "text")]


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0, 1, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (0, 10_000, ["0", "2,000", "4,000", "6,000", "8,000", "10,000"]),
        (-0.03, 0.021, ["-0.02", "0.00", "0.02"]),
        (0.987, 0.9931, ["0.988", "0.990", "0.992"]),
        (5, 5, ["5"]),
        (0, 3e-7, ["0", "1e-07", "2e-07", "3e-07"]),
    ],
)
def test_ticks_are_round_and_inside(low, high, labels):
    made = svg.ticks(low, high)
    assert [name for _, name in made] == labels
    assert all(low - 1e-12 <= value <= high + 1e-12 for value, _ in made)


def test_ticks_of_steps_are_whole_numbers():
    assert [name for _, name in svg.ticks(0, 2, whole=True)] == ["0", "1", "2"]


@pytest.mark.parametrize("seed", range(20))
def test_ticks_at_random_ranges(seed):
    rng = np.random.default_rng(seed)
    low = rng.normal() * 10.0 ** rng.integers(-8, 9)
    high = low + abs(rng.normal()) * 10.0 ** rng.integers(-6, 9)
    made = svg.ticks(low, high)
    assert 1 <= len(made) <= 6 and len({name for _, name in made}) == len(made)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        *((0, "0"), (3.0, "3"), (1234567, "1,234,567"), (1234567.5, "1.235e+06"), (0.5, "0.5"), (1234.5678, "1,235")),
        *(
            (-0.01234, "-0.01234"),
            (1e-9, "1e-09"),
            (float("nan"), "–"),
            (float("inf"), "–"),
            (None, "–"),
            (1e15, "1e+15"),
        ),
        *((100.0, "100"), (0.1 + 0.2, "0.3"), (2.5e-4, "0.00025")),
    ],
)
def test_number(value, shown):
    assert svg.number(value) == shown


def test_short_is_one_line_and_marks_what_it_cut():
    assert svg.short("a\nb\tc") == "a b c"
    assert svg.short("x" * 10_000, 10) == "x" * 9 + "…"
    assert svg.short(ValueError("x")) == "x"


def test_thin_keeps_ends_and_extremes_and_the_limit():
    y = np.random.default_rng(0).normal(size=10_000)
    y[4321], y[8765] = 50.0, -50.0
    kept = svg.thin(y, 400)
    assert {0, 4321, 8765, 9999} <= set(kept.tolist())
    assert len(kept) <= 400 and (np.diff(kept) > 0).all()
    assert svg.thin(y[:400], 400).tolist() == list(range(400))
    edges = np.linspace(0, 10_000, 200).astype(int)
    assert all(y[kept][(kept >= a) & (kept < b)].max() == y[a:b].max() for a, b in itertools.pairwise(edges))


@pytest.mark.parametrize("n", [0, 1, 2, 61, 1001])
def test_thin_of_any_length_and_of_nothing_finite(n):
    kept = svg.thin(np.full(n, np.nan), 60)
    assert len(kept) <= 60 and (n == 0 or {0, n - 1} <= set(kept.tolist()))


def test_a_point_lands_where_the_axes_say():
    tree = chart(svg.Line("a", np.array([0, 10]), np.array([0.0, 1.0])))
    positions = {t.text: (float(t.get("x")), float(t.get("y"))) for t in tree.iter(NAME + "text")}
    path = next(p for p in tree.iter(NAME + "path") if p.get("stroke") == COLOURS[0] and p.get("d").count("L") == 1)
    start, end = (tuple(map(float, part.split())) for part in path.get("d")[1:].split("L"))
    assert start[0] == positions["0"][0] and end[0] == positions["10"][0]
    assert start[1] == pytest.approx(positions["0.0"][1] - 4, abs=0.11)
    assert end[1] == pytest.approx(positions["1.0"][1] - 4, abs=0.11)


def test_a_gap_breaks_the_line_and_its_band():
    y = np.array([0.0, 1.0, np.nan, 1.0, np.inf, 2.0])
    drawn = chart(svg.Line("a", np.arange(6), y, y - 1, y + 1))
    paths = [p.get("d") for p in drawn.iter(NAME + "path")]
    assert any(d.count("M") == 3 and "Z" not in d and "nan" not in d for d in paths)
    assert not any("nan" in d or "inf" in d for d in paths)


def test_series_differ_in_colour_dash_and_marker():
    picture = svg.chart([line(f"run {i}", value=i) for i in range(4)], "t", "x", "y", "d")
    for i in range(4):
        assert (
            COLOURS[i] in picture
            and svg.MARKERS[i] in picture
            and f'stroke-dasharray="{DASHES[i] or "none"}"' in picture
        )
    assert len({(i % len(DASHES), i % len(svg.MARKERS)) for i in range(56)}) == 56


def test_labels_of_lines_that_end_together_do_not_overlap():
    tree = chart(*(line(f"run {i}") for i in range(12)))
    heights = sorted(float(t.get("y")) for t in tree.iter(NAME + "text") if (t.text or "").startswith("run "))
    assert len(heights) == 12 and min(np.diff(heights)) >= 14
    assert 0 <= heights[0] and heights[-1] <= float(tree.get("viewBox").split()[3])


@pytest.mark.parametrize(
    "lines",
    [
        *([], [line(n=0)], [line(n=1)], [line(value=np.nan)], [line(value=1e305)], [line(value=1e-320)]),
        [line(value=-1e299), line(value=1e299)],
    ],
)
def test_extremes_give_a_well_formed_picture_without_warnings(lines, recwarn):
    tree = chart(*lines)
    drawable = any(np.isfinite(svg.finite(one.y)).any() for one in lines)
    assert ("no value to draw yet" in words(tree)) == (not drawable)
    assert not recwarn.list
    assert not any("nan" in (p.get("d") + p.get("transform", "")) for p in tree.iter(NAME + "path"))


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_words_stay_words(text):
    picture = svg.chart([line(text)], text, text, text, text)
    tree = ET.fromstring(picture)
    assert {e.tag.removeprefix(NAME) for e in tree.iter()} <= {"svg", "title", "desc", "path", "text"}
    assert not any(name.startswith("on") for e in tree.iter() for name in e.attrib)
    assert len(picture) < 20_000
    picture.encode()


def test_text_follows_the_page_and_the_ground_is_clear():
    tree = chart(line(), line("b"))
    assert {t.get("fill") for t in tree.iter(NAME + "text")} == {"currentColor"}
    assert not any(e.tag.endswith("rect") for e in tree.iter())


def test_a_long_smoothed_chart_is_small():
    y = np.random.default_rng(0).normal(size=10_000)
    kept = svg.thin(y, 400)
    one = svg.Line("a", kept, y[kept], y[kept] - 1, y[kept] + 1, (kept, y[kept]))
    assert len(svg.chart([one], "t", "x", "y", "d")) < 40_000
