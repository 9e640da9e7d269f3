"""The shared plotly look: readable in both themes, no colour-only facts, no tags from text."""

from rlkit.html import COLOURS
from rlkit.plots import figure, label, line


def test_figure_has_titles_axes_and_a_clear_ground():
    fig = figure("Regret", "steps", "regret (reward lost)")
    assert (fig.layout.title.text, fig.layout.xaxis.title.text) == ("Regret", "steps")
    assert fig.layout.yaxis.title.text == "regret (reward lost)"
    assert fig.layout.template.layout.paper_bgcolor == fig.layout.template.layout.plot_bgcolor == "rgba(0,0,0,0)"
    assert fig.layout.template.layout.colorway == COLOURS


def test_lines_differ_in_dash_and_plotly_accepts_them():
    styles = [line(i) for i in range(8)]
    assert len({style["dash"] for style in styles}) == len({style["color"] for style in styles}) == 8
    fig = figure("t", "x", "y")
    for i, style in enumerate(styles):
        fig.add_scatter(x=[0, 1], y=[i, i], line=style)
    assert [trace.line.dash for trace in fig.data] == [style["dash"] for style in styles]
    assert line(8) == line(0)


def test_label_leaves_no_tag_and_no_entity_that_plotly_cannot_read():
    shown = label("""<a href="javascript:x">A & B's</a>\u202e""")
    assert shown == """&lt;a href="javascript:x"&gt;A &amp; B's&lt;/a&gt;\\u202e"""
    assert figure("<b>x</b>", "<i>", "y").layout.title.text == "&lt;b&gt;x&lt;/b&gt;"
