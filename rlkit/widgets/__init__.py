"""Views of a Run, of the papers and of a verdict: core ipywidgets and inline SVG, each with a static twin."""

from rlkit.widgets.curves import RewardCurves

__all__ = ["RewardCurves"]
