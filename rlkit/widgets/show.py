"""How a view reaches its reader: the live widget where there is a kernel, the static twin everywhere else."""

import ipywidgets as widgets

from rlkit.html import escape
from rlkit.live import answers_while_waiting

ROW = {"flex_flow": "row wrap", "align_items": "center", "width": "100%"}


def bundle(box: widgets.Widget, page: str, plain: str) -> dict:
    """What `_repr_mimebundle_` returns: the live widget `box`, its static twin `page` (HTML) and a `plain` text.

    A front end with the widget's model shows the widget; nbconvert, GitHub and readers without a kernel show the page.
    The same in ipywidgets 7 and 8, which display their own widgets by different methods.
    """
    view = {"version_major": 2, "version_minor": 0, "model_id": box.model_id}
    return {"text/plain": plain, "text/html": page, "application/vnd.jupyter.widget-view+json": view}


def row(*children: widgets.Widget) -> widgets.HBox:
    """Controls side by side, wrapping where the page is narrow."""
    return widgets.HBox(list(children), layout=widgets.Layout(**ROW))


def button(text: str, action, tooltip: str, style: str = "") -> widgets.Button:
    """A button with a CSS class of its own whose click calls `action()`."""
    made = widgets.Button(description=text, tooltip=tooltip, layout=widgets.Layout(width="auto", min_width="80px"))
    made.on_click(lambda _: action())
    if style:
        made.add_class(style)
    return answers_while_waiting(made)


def visible(widget: widgets.Widget, shown: bool) -> None:
    """Show a control, or take it out of the page and of the keyboard's tab order."""
    widget.layout.display = "" if shown else "none"


def labelled(kind, description: str, **traits) -> widgets.Widget:
    """A core control with its label in full. The description is HTML in ipywidgets 7: plain words only."""
    made = kind(description=description, style={"description_width": "initial"}, **traits)
    made.layout.margin = "2px 16px 2px 2px"
    return made


def note(text) -> str:
    """A small paragraph of plain text, escaped."""
    return f'<p style="margin:2px 0 4px;line-height:1.35;font-size:12px;opacity:0.85">{escape(text)}</p>'


def details(summary: str, body: str) -> str:
    """A part of a static page that opens on demand, by mouse or keyboard; body is HTML."""
    return f'<details style="margin:2px 0"><summary>{escape(summary)}</summary>{body}</details>'


def scroll(page: str, name: str) -> str:
    """HTML in a region of limited height that the keyboard reaches and scrolls."""
    style = "max-height:420px;overflow:auto"
    return f'<div role="region" tabindex="0" aria-label="{escape(name)}" style="{style}">{page}</div>'


def discard(box: widgets.Widget) -> None:
    """Close a widget and everything inside it, so that neither side keeps it."""
    for child in getattr(box, "children", ()):
        discard(child)
    box.close()
