"""Small pieces of HTML and SVG that every view shares: escaping, tables, colours.

Nothing here knows a theme. Text and axes are drawn in `currentColor` on a transparent ground, and the series
colours keep a contrast of at least 3 to 1 on white as well as on #111, so one picture reads in light and dark.
"""

import html
import unicodedata

# Okabe-Ito, darkened or lightened until each keeps 3:1 on white and on #111 (tests/test_html.py measures it).
COLOURS = ("#0B78B8", "#D55E00", "#0A8F6A", "#B8629C", "#8A7A00", "#7A6FD0", "#C0504D", "#5B8A8A")
# The second carrier beside colour: a stroke pattern per series.
DASHES = ("", "7 3", "2 3", "9 3 2 3", "4 2", "12 4", "1 2", "6 2 1 2 1 2")
GREY = "#808080"


def escape(text) -> str:
    """Text that is safe between tags and inside quoted attributes, with nothing in it left invisible.

    `& < > " '` become entities. Control characters (except newline and tab) and format characters, such as the
    bidirectional overrides that can make a completion read differently from what it is, become a visible `\\u202e`.
    """
    shown = []
    for character in str(text):
        hidden = unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
        shown.append(f"\\u{ord(character):04x}" if hidden and character not in "\n\t" else character)
    return html.escape("".join(shown), quote=True)


UNITS = {"GB": 1e9, "MB": 1e6, "kB": 1e3, "B": 1.0}


def unit(count: float) -> str:
    """The unit in which a number of bytes is said: GB (10^9), MB, kB or B."""
    return next((name for name, factor in UNITS.items() if abs(count) >= 0.9995 * factor), "B")


def size(count: float) -> str:
    """Bytes for people: 1.23 GB, 45.6 MB, 7.8 kB, 12 B."""
    name = unit(count)
    return f"{count / UNITS[name]:,.{ {'GB': 2, 'B': 0}.get(name, 1) }f} {name}"


_CELL = "text-align:left;padding:2px 10px 2px 0"


def _cell(value) -> str:
    text = escape(value)
    keep = ";white-space:nowrap" if len(text) <= 20 else ""  # a key or a number is not broken over two lines
    return f'<td style="{_CELL}{keep}">{text}</td>'


def table(columns, rows, caption="") -> str:
    """An HTML table with a caption and header cells; every cell is escaped.

    columns: names, one per column. rows: sequences of the same length. Returns HTML.
    """
    head = "".join(f'<th scope="col" style="{_CELL}">{escape(name)}</th>' for name in columns)
    body = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in rows)
    title = f'<caption style="text-align:left;font-weight:600">{escape(caption)}</caption>' if caption else ""
    style = "border-collapse:collapse;line-height:1.4;margin:0 0 8px;color:inherit"
    return f'<table style="{style}">{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
