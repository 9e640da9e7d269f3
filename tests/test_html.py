"""Escaping, tables, and colours that read on white and on near-black."""

from html.parser import HTMLParser

import pytest

from rlkit.html import COLOURS, DASHES, GREY, escape, table
from rlkit.plots import TEXT

HOSTILE = (
    "<script>alert(1)</script>",
    "\"' onload='x' \"",
    "</td></table><img src=x onerror=y>",
    "&lt;b&gt;",
    "safe\u202eevil\u2066\u200b",
    "\x00\x1b[31mred\x7f",
    "\ud800",
    "a" * 10_000,
)


def contrast(colour: str, ground: str) -> float:
    """Contrast ratio of two #rrggbb colours, 1 to 21 (WCAG 2.2, relative luminance)."""

    def luminance(text):
        parts = [int(text[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(colour), luminance(ground)))
    return (high + 0.05) / (low + 0.05)


class Tags(HTMLParser):
    """The tags and the text that a browser would see."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.tags, self.text, self.attributes = [], "", []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.text += data


def test_contrast_of_known_pairs():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("ground", ["#ffffff", "#111111"])
def test_colours_keep_three_to_one_on_both_grounds(ground):
    assert {c: round(contrast(c, ground), 2) for c in (*COLOURS, GREY) if contrast(c, ground) < 3} == {}
    assert contrast(TEXT, ground) >= 4.2  # 4.34 is the most that one grey can have on both


def test_every_series_has_its_own_colour_and_its_own_dash():
    assert len(set(COLOURS)) == len(set(DASHES)) == len(COLOURS) == len(DASHES)


@pytest.mark.parametrize("text", HOSTILE)
def test_escape_gives_text_only_between_tags_and_in_attributes(text):
    page = Tags(f"<p title=\"{escape(text)}\" class='{escape(text)}'>{escape(text)}</p>")
    assert page.tags == ["p"]
    assert [name for name, _ in page.attributes] == ["title", "class"]
    assert page.text == page.attributes[0][1] == page.attributes[1][1]


def test_escape_shows_what_would_be_invisible_and_keeps_the_rest():
    assert escape("a\u202eb\u200bc\x00") == "a\\u202eb\\u200bc\\u0000"
    assert escape("é 日本 ε 😀\n\tx") == "é 日本 ε 😀\n\tx"
    assert escape(3.5) == "3.5" and escape(None) == "None"
    escape("\ud800").encode()  # a lone surrogate would break the file that it is written to


def test_table_escapes_every_cell_and_names_its_columns():
    page = Tags(table(HOSTILE, [HOSTILE, HOSTILE], caption="<script>"))
    assert page.tags.count("th") == len(HOSTILE) and page.tags.count("td") == 2 * len(HOSTILE)
    assert not {"script", "img"} & set(page.tags)
    assert page.attributes.count(("scope", "col")) == len(HOSTILE)
    assert "<script>alert(1)</script>" in page.text
    assert Tags(table(["a"], [])).tags.count("td") == 0
