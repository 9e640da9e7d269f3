"""Views of a Run, of the papers and of a verdict: core ipywidgets and inline SVG, each with a static twin."""

from rlkit.widgets.arm_curves import arm_curves
from rlkit.widgets.cards import VerdictCard
from rlkit.widgets.chance_dots import chance_dots
from rlkit.widgets.curves import RewardCurves
from rlkit.widgets.dataset_explorer import DatasetExplorer
from rlkit.widgets.dream_explorer import DreamExplorer
from rlkit.widgets.error_map import error_map
from rlkit.widgets.explorer import Explorer
from rlkit.widgets.gauges import Gauges
from rlkit.widgets.inspector import SampleInspector
from rlkit.widgets.live_view import LiveView
from rlkit.widgets.loss_explorer import LossExplorer
from rlkit.widgets.memory_gauge import MemoryGauge
from rlkit.widgets.one_log import one_log
from rlkit.widgets.pass_at_k import PassAtK
from rlkit.widgets.playground import BanditPlayground
from rlkit.widgets.preference_labeller import PreferenceLabeller
from rlkit.widgets.rates import rate_panels, rates
from rlkit.widgets.tables import PapersTable, RunTable
from rlkit.widgets.value_divergence import value_divergence
from rlkit.widgets.value_map import value_map, value_maps, value_points
from rlkit.widgets.what_if import WhatIf

__all__ = [
    "BanditPlayground",
    "DatasetExplorer",
    "DreamExplorer",
    "Explorer",
    "Gauges",
    "LiveView",
    "LossExplorer",
    "MemoryGauge",
    "PapersTable",
    "PassAtK",
    "PreferenceLabeller",
    "RewardCurves",
    "RunTable",
    "SampleInspector",
    "VerdictCard",
    "WhatIf",
    "arm_curves",
    "chance_dots",
    "error_map",
    "one_log",
    "rate_panels",
    "rates",
    "value_divergence",
    "value_map",
    "value_maps",
    "value_points",
]
