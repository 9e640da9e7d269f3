"""The bandit playground: the game's numbers, the beliefs, the race, and the extremes."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest
from scipy import stats

from rlkit import bandits
from rlkit.widgets import BanditPlayground
from rlkit.widgets.playground import MOST, RUNS, Game, belief


def test_a_game_is_its_seed():
    one, two, other = Game(4, 1), Game(4, 1), Game(4, 2)
    for game in (one, two, other):
        for arm in (0, 1, 2, 3, 1, 1):
            game.pull(arm, 5)
    assert (one.p == two.p).all() and (one.wins == two.wins).all() and one.regret == two.regret
    assert all((np.array(one.races[name]) == np.array(two.races[name])).all() for name in one.races)
    assert (one.p != other.p).all()


def test_ten_pulls_at_once_are_ten_pulls_one_by_one():
    one, ten = Game(3, 0), Game(3, 0)
    for _ in range(10):
        one.pull(2, 1)
    ten.pull(2, 10)
    assert (one.wins == ten.wins).all() and one.regret == pytest.approx(ten.regret) and len(ten.races["UCB1"]) == 10


def test_regret_and_beliefs_are_counted():
    game = Game(3, 5)
    wins = game.pull(0, 8) + game.pull(1, 2)
    gap = game.p.max() - game.p
    assert game.regret[-1] == pytest.approx(8 * gap[0] + 2 * gap[1]) and game.regret[0] == pytest.approx(gap[0])
    assert game.wins.sum() == wins and game.pulls.tolist() == [8, 2, 0]
    a, b = game.beliefs()
    assert (a + b - 2).tolist() == [8, 2, 0] and (a[2], b[2]) == (1, 1)


def test_rewards_come_with_the_arms_probability():
    game = Game(2, 3)
    game.pull(0, 1000)
    game.pull(1, 1000)
    sd = np.sqrt(game.p * (1 - game.p) / 1000)
    assert (np.abs(game.wins / 1000 - game.p) < 4 * sd).all()


def test_the_race_is_play_on_the_same_arms():
    game = Game(3, 2)
    game.pull(1, 20)
    pulls = bandits.play(bandits.ucb1(), bandits.bernoulli(game.p), MOST, RUNS, 2)
    regret = sum(next(pulls).regret for _ in range(20))
    assert game.races["UCB1"][-1] == pytest.approx(regret) and game.races["UCB1"][-1].shape == (RUNS,)


@pytest.mark.parametrize(("a", "b"), [(1, 1), (1, 500), (500, 1), (3, 5), (700, 1300)])
def test_a_belief_shows_the_posteriors_mean_and_interval(a, b):
    tree = ET.fromstring(belief(0, a, b))
    words = " ".join(element.text for element in tree.iter("{http://www.w3.org/2000/svg}text"))
    low, high = stats.beta.interval(0.95, a, b)
    assert f"mean {a / (a + b):.2f}, 95 % {low:.2f} to {high:.2f}" in words
    assert "true" not in words and f"{a - 1:,} of {a + b - 2:,} pulls paid" in words
    assert "true 0.25" in belief(0, a, b, 0.25)
    assert "nan" not in belief(0, a, b)


def test_the_drawn_density_peaks_at_the_mode():
    tree = ET.fromstring(belief(0, 8, 4))
    outline = next(p.get("d") for p in tree.iter("{http://www.w3.org/2000/svg}path") if p.get("d").count("L") > 50)
    points = [tuple(map(float, point.split())) for point in outline.replace("M", "").replace("Z", "").split("L")]
    x = min(points, key=lambda point: point[1])[0]
    assert (x - 12) / 280 == pytest.approx(7 / 10, abs=0.02)  # mode (a - 1) / (a + b - 2)


def test_clicks_change_what_is_shown():
    play = BanditPlayground(arms=3, seed=0)
    assert "0 pulls, reward 0, regret 0.00" in play.status.value and "0 of 0 pulls paid" in play.belief[0].value
    play.pull[1].click()
    assert "Arm 2 paid" in play.status.value and "of 1 pulls paid" in play.belief[1].value
    play.step.value = 10
    play.pull[0].click()
    assert "of 10 pulls" in play.status.value and "11 pulls" in play.status.value
    assert "after 11 pulls" in play.picture.value


def test_truth_and_race_are_hidden_until_asked_for():
    play = BanditPlayground(arms=2, seed=0)
    play.pull[0].click()
    play.numbers.value = True
    assert "true" not in play.belief[0].value and "hidden" in play.twin.value
    assert "Thompson" not in play.picture.value + play.twin.value
    play.truth.value = play.race.value = True
    assert f"true {play.game.p[0]:.2f}" in play.belief[0].value and "hidden" not in play.twin.value
    for name in ("you", "epsilon-greedy 0.1", "UCB1", "Thompson sampling"):
        assert f">{name}</text>" in play.picture.value and f">{name}</td>" in play.twin.value


def test_another_seed_and_start_again():
    play = BanditPlayground(arms=2, seed=0)
    before = play.game.p
    play.pull[0].click()
    play.reset.click()
    assert len(play.game.regret) == 0 and (play.game.p == before).all()
    play.pull[0].click()
    play.seed.value = 7
    assert len(play.game.regret) == 0 and (play.game.p != before).all()


def test_no_pulls_and_all_pulls():
    play = BanditPlayground(arms=2, seed=0)
    play.race.value = play.numbers.value = True
    assert "no value to draw yet" in play.picture.value and "nan" not in play.to_html()
    play.step.value = 100
    for _ in range(MOST // 100 + 1):
        play.pull[0].click()
    assert len(play.game.regret) == MOST and "the last of 2,000 pulls" in play.status.value
    assert all(button.disabled for button in play.pull) and len(play.picture.value) < 60_000
    play.reset.click()
    assert not any(button.disabled for button in play.pull)


def test_the_static_twin_and_the_labels():
    play = BanditPlayground(arms=8, seed=1)
    play.pull[3].click()
    bundle = play._repr_mimebundle_()
    assert bundle["text/html"] == play.to_html() and bundle["text/html"].count('role="img"') == 9
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == play.box.model_id
    controls = [play.step, play.seed, play.truth, play.race, play.numbers, play.reset, *play.pull]
    assert all(control.description for control in controls)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        *(({"arms": 1}, "arms=1: must be one of 2"), ({"arms": 9}, "arms=9")),
        *(({"seed": -1}, "seed=-1: must be"), ({"seed": 1.5}, "seed=1.5: must be")),
    ],
)
def test_bad_arguments_are_one_line(arguments, message):
    with pytest.raises(ValueError, match=message) as caught:
        BanditPlayground(**arguments)
    assert "\n" not in str(caught.value)
