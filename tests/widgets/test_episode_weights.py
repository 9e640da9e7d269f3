"""The picture of weighted episodes says what the weights say."""

import re

import numpy as np
import pytest

pytest.importorskip("torch")

from rlkit.offline import mixed_data, transforms
from rlkit.widgets import episode_weights

DATA = mixed_data.mixed("dense", 0.1, seed=0, transitions=2_000)


def test_effective_number_of_equal_and_of_single_weights():
    assert episode_weights.effective_number(np.full(7, 0.2)) == pytest.approx(7)
    assert episode_weights.effective_number(np.eye(7)[0]) == 1
    with pytest.raises(ValueError, match="weights="):
        episode_weights.effective_number(np.array([-1.0, 1.0]))


def test_the_map_has_a_circle_for_each_episode_and_the_share_in_words():
    weights = np.ones(len(DATA.episode_ends))
    page = episode_weights.start_map(DATA, weights)
    assert page.count("<circle") == len(weights) + 1  # and the goal
    assert "Experts, 2 of 20 episodes, have 10% of the weight." in page
    assert "Effective number of episodes: 20.0 of 20." in page
    with pytest.raises(ValueError, match="one for each episode"):
        episode_weights.start_map(DATA, weights[1:])


def test_the_chart_has_two_bars_for_each_alpha_and_says_where_they_end():
    def weigh(data, alpha):
        return transforms.weight(data, "return", alpha=alpha).weights[data.episode_starts]

    page = episode_weights.alpha_chart(DATA, weigh, (0.001, 0.1, 1e6), "RW")
    assert "effective episodes, share of all from 9.8% to 100.0%" in page  # the two experts, all but equal
    assert "share of the weight from 100.0% to 10.0%" in page
    assert page.count("<rect") == 2 + 2 * 3 and ">0.1</text>" in page
    bars = [float(width) for width in re.findall(r'width="([\d.]+)" height="11"', page)]
    assert bars[0] == 380 and bars[2] == 38  # the whole, and the experts' tenth of the episodes
