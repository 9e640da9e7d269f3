"""Filter charts: shares, coins and looks that stay with their arm; dreams that end leave their band."""

import numpy as np

from rlkit.widgets.filter_charts import dream_lines, filter_page

ARMS = ("MOPO", "near", "MOREC", "no stop")
FOUND = {
    "fridge": {
        "error, MOPO": np.array([1.0, 3.0]),
        "error, near": np.array([1.0, 1.0]),
        "error, MOREC": np.array([2.0, 2.0]),
        "auc, r^D": np.array([0.6, 0.8]),
    }
    | {f"{arm}, score": np.array([0.2, 0.4]) for arm in ARMS}
}


def test_errors_are_shares_and_an_arm_may_share_anothers():
    page = filter_page(FOUND, ARMS, {"MOREC": "auc, r^D"}, {"no stop": "MOREC"})
    errors, ranks, scores = page.split("<svg")[1:]
    assert "near: fridge 0.5" in errors and "MOREC: fridge 1 " in errors and "no stop: fridge 1 " in errors
    assert "MOPO: fridge –" in ranks and "line: coin: fridge 0.5" in ranks
    assert "MOREC: fridge 0.7" in ranks and "near" not in ranks
    assert scores.count("fridge 0.3") >= 4
    assert filter_page({}, ARMS, {}) == "The first world is at work."


def test_dreams_are_a_band_and_their_ends_are_counted():
    went = np.array([[9.0, 8.0, 7.0], [9.0, 8.0, np.nan], [9.0, np.nan, np.nan], [9.0, np.nan, np.nan]])
    page = dream_lines({"MOREC": went}, np.array([9.0, 8.2, 7.1]), (5, 6), ARMS)
    assert "MOREC: 25% of the dreams last" in page
    assert all(name in page for name in ("truth", "lower edge of hole", "upper edge of hole"))
    gone = np.array([[9.0, np.nan, np.nan]] * 3)  # all end at once
    assert "0% of the dreams last" in dream_lines({"MOPO": gone}, np.array([9.0, 8.0, 7.0]), (5, 6), ARMS)
