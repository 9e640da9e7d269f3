"""One plotly look for every figure that a reader explores: transparent, mid-grey text, our colours and dashes.

plotly draws outside the page's theme, so `currentColor` does not reach it. The grey here has a contrast of 4.3 to 1
on white and 4.4 on #111 (no grey has more on both), so one figure reads in the light and the dark theme.
"""

import plotly.graph_objects as go

from rlkit.html import COLOURS, DASHES, escape

TEXT = "#7A7A7A"
_GRID = "rgba(128,128,128,0.25)"
_CLEAR = "rgba(0,0,0,0)"


def label(text) -> str:
    """Text that plotly shows as it stands: its labels read a subset of HTML, so tags and entities are escaped.

    Quotes stay as they are, because plotly does not decode `&quot;`. Returns a string.
    """
    return escape(text).replace("&quot;", '"').replace("&#x27;", "'")


def line(index: int) -> dict:
    """The line style of series number index (0, 1, ...): `go.Scatter(line=line(0))`.

    Colour and dash both change from one series to the next, so that no fact is carried by colour alone. Returns a
    dict with color, dash and width in px.
    """
    dash = DASHES[index % len(DASHES)]
    return {
        "color": COLOURS[index % len(COLOURS)],
        "dash": dash.replace(" ", "px,") + "px" if dash else "solid",
        "width": 2,
    }


def template() -> go.layout.Template:
    """The template that `figure` applies; on an existing figure: `fig.update_layout(template=template())`."""
    axis = {"gridcolor": _GRID, "linecolor": TEXT, "zerolinecolor": _GRID, "ticks": "outside", "tickcolor": TEXT}
    axis |= {"showline": True, "automargin": True, "title": {"standoff": 8}}
    layout = {
        "paper_bgcolor": _CLEAR,
        "plot_bgcolor": _CLEAR,
        "font": {"color": TEXT, "size": 13},
        "title": {"x": 0, "xanchor": "left", "xref": "paper", "font": {"size": 15}},
        "colorway": list(COLOURS),
        "colorscale": {"sequential": "Cividis", "diverging": "RdBu"},
        "xaxis": axis,
        "yaxis": axis,
        "legend": {"bgcolor": _CLEAR},
        "margin": {"l": 60, "r": 20, "t": 50, "b": 50},
        "hovermode": "closest",
    }
    return go.layout.Template(layout=layout)


def figure(title, x, y) -> go.Figure:
    """An empty plotly figure with our template, 420 px high and as wide as its cell.

    title, x, y: plain text for the title and the two axes, units included (`"steps"`, `"regret (reward lost)"`); they
    are escaped. Add traces with `fig.add_scatter(x=..., y=..., name=label(name), line=line(i))`. Returns go.Figure.
    """
    fig = go.Figure()
    fig.update_layout(template=template(), height=420, title_text=label(title))
    fig.update_xaxes(title_text=label(x))
    fig.update_yaxes(title_text=label(y))
    return fig
