"""An episode's charts draw every policy, name target, limits and meals, and say the returns."""

import numpy as np
import pytest

from rlkit import envs
from rlkit.widgets import svg
from rlkit.widgets.episode_charts import episode_page

ORDER = ("random", "medium", "expert")


def played(name, *qualities):
    world = envs.simulator(name)
    made = {q: envs.rollout(world, envs.behaviour(world, q), np.random.default_rng(1), 2) for q in qualities}
    return world, made


@pytest.mark.parametrize(
    ("name", "charts", "words"),
    [
        ("delay-pipe", 2, ("level of the tank", "target", "pump")),
        ("glucose", 2, ("upper end", "Meals: ", " g at step ")),
        ("rocket", 3, ("height, m", "speed of descent", "thrust")),
        ("safe-cart", 2, ("limit", "push")),
    ],
)
def test_each_world_has_its_charts_and_words(name, charts, words):
    world, made = played(name, "medium", "expert")
    page = episode_page(world, made, 1, ORDER)
    assert page.count("<svg xmlns") == charts and all(word in page for word in words)
    assert f"expert {made['expert'].rewards[1].sum():.1f}" in page


def test_what_follows_an_episodes_end_is_not_drawn():
    world, made = played("safe-cart", "random")
    made["random"].rewards[0, made["random"].lengths[0] :] = np.nan  # would show in the return if it were drawn
    made["random"].states[0, made["random"].lengths[0] + 1 :] = 1e6
    assert made["random"].lengths[0] < world.horizon
    drawn = {"random": made["random"]._replace(rewards=np.nan_to_num(made["random"].rewards))}
    page = episode_page(world, drawn, 0, ORDER)
    assert "1,000,000" not in page and "1000000" not in page


def test_another_world_or_episode_is_refused():
    world, made = played("safe-cart", "expert")
    with pytest.raises(ValueError, match="episode=2: must be 0 to 1"):
        episode_page(world, made, 2, ORDER)
    with pytest.raises(ValueError, match="arm='expert': must be one of"):
        episode_page(world, made, 0, ["random"])
    with pytest.raises(ValueError, match="simulator='pendulum': must be one of"):
        episode_page(envs.simulator("pendulum"), made, 0, ORDER)


def test_an_arm_keeps_the_stroke_and_mark_of_its_place():
    world, made = played("safe-cart", "expert", "medium")
    page = episode_page(world, made, 0, ORDER)
    for name, place in (("expert", 2), ("medium", 1), ("limit", 3)):
        end = page[: page.index(f">{name}</text>")]  # the key of a line stands before its name
        assert end[end.rindex("<path d=") :].startswith(svg.marker(place, 0, 0).split("translate")[0])
        assert svg.stroke(place) in end[end.rindex('h24"') :]
    assert svg.stroke(0) not in page and page.count(svg.stroke(3)) == 2  # the limit and its key, in one of two charts
