import re

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("torch")
from rlkit.rlhf import overoptimisation as over
from rlkit.widgets import ceiling_charts as charts


def table():
    rows, kl = [], np.array([0.0, 1.0, 2.0, 4.0, 9.0])
    for labels, capacity, accuracy in (("gold", "gold", np.nan), ("few", "bag", 0.6), ("many", "bag", 0.9)):
        gold = 1.2 + np.concatenate([[0.0], over.height(kl[1:], 0.5, 0.4 if labels == "many" else 0.1)])
        for seed in (0, 1):
            path = {"at": np.arange(5), "kl": kl, "gold": gold, "proxy": kl / 3, "accuracy": np.full(5, 0.7)}
            facts = {"labels": labels, "capacity": capacity, "seed": seed, "accuracy on the base": accuracy}
            rows.append(facts | path | {"end": gold[-1], "by_gold": gold.max()})
    return pd.DataFrame(rows).set_index(["labels", "capacity", "seed"]).sort_index()


def test_climbs_say_where_each_ends_in_the_order_of_arms():
    picture = charts.climbs(table(), "gold", "bag")
    ends = {labels: f"{labels}: {table().loc[(labels, c, 0), 'end']:.2f} after" for labels, c in WHO}
    assert [picture.index(ends[labels]) for labels in ends] == sorted(picture.index(ends[labels]) for labels in ends)
    assert "many" not in charts.climbs(table().drop("many"), "gold", "bag")
    assert "still at work" in charts.climbs(pd.DataFrame(), "gold", "bag")
    with pytest.raises(ValueError, match="what='speed'"):
        charts.climbs(table(), "speed", "bag")


WHO = (("gold", "gold"), ("many", "bag"), ("few", "bag"))


def test_two_forms_find_the_curve_that_made_the_data():
    picture = charts.two_forms(table(), "many", "bag")
    assert "d (α - β ln d): α 0.50, β 0.40, explains 1.00 of the variance" in picture
    assert "explains 1.00 of the variance; d (α - β d)" in picture
    starts = re.findall(r'<path d="M(62\.0) (\S+?)L', picture)
    assert len(starts) == 3 and len(set(starts)) == 1  # all three begin at the base: d = 0, no gain
    still = table()
    still["kl"] = still["kl"].map(np.zeros_like)
    assert "never left the base" in charts.two_forms(still, "many", "bag")
    assert "not in this run" in charts.two_forms(table(), "noisy", "bag")


def test_ranking_puts_accuracy_beside_gold():
    picture = charts.ranking(table(), "accuracy on the base", "end", "gold reward")
    few, many = (table().loc[(labels, "bag", 0), "end"] for labels in ("few", "many"))
    assert f"bag with labels few: accuracy 0.60, gold {few:.2f}; bag with labels many" in picture
    assert f"accuracy 0.90, gold {many:.2f}" in picture
    assert all(f">bag, {labels}<" in picture for labels in ("few", "many"))
