import numpy as np
import pytest

from rlkit.rlvr import looks
from rlkit.runs import Run


def filled(tmp_path, rows):
    run = Run.create("looks", root=tmp_path)
    for step, row in enumerate(rows):
        run.log_rollouts(step, [row])
    return run


def row(arm, seed, at, q, **more):
    numbers = {"at": at, "kl": at / 10, "entropy": 1.0, "q": q}
    return {"kind": "look", "part": "test", "arm": arm, "seed": seed} | numbers | more


def test_looks_are_read_back_in_order_and_only_those_asked_for(tmp_path):
    rows = [row("a", s, at, [at / 10, s / 10], **({"cold": [0.5, 0.6]} if at else {})) for s in (1, 0) for at in (2, 0)]
    run = filled(tmp_path, [*rows, row("a", 2, 0, [0, 0]) | {"part": "scan"}, {"kind": "sample", "arm": "a"}])
    paths = looks.followed(run, part="test")
    assert list(paths) == ["a"] and paths["a"]["at"].tolist() == [[0, 2], [0, 2]]
    assert paths["a"]["q"].tolist() == [[[0, 0], [0.2, 0]], [[0, 0.1], [0.2, 0.1]]]
    assert paths["a"]["cold"].shape == (2, 1, 2)  # measured at the last look only
    assert looks.progress(paths["a"], "pass@1")[1].tolist() == pytest.approx([0.05, 0.15])
    with pytest.raises(ValueError, match="by='length'"):
        looks.progress(paths["a"], "length")


def test_gains_of_every_path_by_hand(tmp_path):
    pytest.importorskip("torch")
    paths = {("nsr", 1, 3): ([0.0, 0.5], [0.5, 0.5]), ("psr", 0, 2): ([0.5, 0.5], [0.5, 1.0])}
    rows = [
        row(a, s, at, q, regime=r) for (a, s, r), looks in paths.items() for at, q in ((9, looks[1]), (0, looks[0]))
    ]
    found = looks.gained(filled(tmp_path, [{"kind": "sample"}, *rows]), [1, 2], ("regime", "arm", "seed"), part="test")
    assert found.index.tolist() == [(3, "nsr", 1), (2, "psr", 0)] and found.columns.tolist() == [1, 2]
    np.testing.assert_allclose(found.to_numpy(), [[0.25, 0.375], [0.25, 0.125]])


def test_a_run_without_looks_and_seeds_that_differ(tmp_path):
    assert looks.followed(filled(tmp_path, [{"kind": "sample", "arm": "a"}]), part="test") == {}
    with pytest.raises(ValueError, match="equally many"):
        looks.followed(filled(tmp_path, [row("a", 0, 0, [0]), row("a", 0, 1, [0]), row("a", 1, 0, [0])]))


def test_equal_progress_by_hand():
    fast = {"at": np.array([[0, 1, 2]]), "kl": np.array([[0, 2.0, 4.0]]), "q": np.array([[[0.0], [0.4], [0.8]]])}
    slow = {"at": np.array([[0, 1, 2]]), "kl": np.array([[0, 0.5, 1.0]]), "q": np.array([[[0.0], [0.1], [0.2]]])}
    values = {"fast": np.array([[[1.0, 10], [3, 30], [5, 50]]]), "slow": np.array([[[1.0, 10], [2, 20], [3, 30]]])}
    paths = {"fast": fast, "slow": slow}
    at_pass = looks.equal(paths, "pass@1", values)  # the slow arm ends at 0.2, half-way to the fast arm's second look
    assert at_pass["slow"].tolist() == [[3, 30]] and at_pass["fast"].tolist() == [[2, 20]]
    assert looks.equal(paths, "KL", values)["fast"].tolist() == [[2, 20]]
    assert looks.equal(paths, "updates", values)["fast"].tolist() == [[5, 50]]


@pytest.fixture
def three():
    """A base that stands still, and two arms of which one is slow."""
    q = {"base": [[0.25]], "fast": [[0.25], [0.5], [0.75]], "slow": [[0.25], [0.25], [0.5]]}
    kl = {"base": [0.0], "fast": [0.0, 2.0, 3.0], "slow": [0.0, 0.5, 1.0]}
    entropy = {"base": [1.0], "fast": [1.0, 0.8, 0.6], "slow": [1.0, 0.9, 0.7]}
    arrays = {"kl": kl, "entropy": entropy, "q": q}
    return {a: {"at": np.arange(len(q[a]))[None]} | {x: np.array([v[a]]) for x, v in arrays.items()} for a in q}


def test_three_comparisons_beside_a_base_that_stands_still(three):
    pytest.importorskip("torch")
    found = looks.compared(three, [1, 2])
    assert list(found) == ["equal updates", "equal pass@1", "equal KL"]
    fast = [[0.75, 0.9375], [0.5, 0.75], [0.375, 0.59375]]  # at its end; as far as slow came; half-way to its 2nd look
    for way, expected in zip(found.values(), fast, strict=True):
        np.testing.assert_allclose(way["fast"], [[expected]])
        np.testing.assert_allclose(way["slow"], [[[0.5, 0.75]]])  # the slow arm's end sets the target
        np.testing.assert_allclose(way["base"], [[[0.25, 0.4375]]])
    with pytest.raises(ValueError, match="base='start'"):
        looks.compared(three, [1, 2], base="start")


def test_the_table_of_the_three_comparisons(three):
    pytest.importorskip("torch")
    table = looks.at_equal(three, [1, 2], {"base": "the base"})
    assert table.columns.tolist() == ["pass@1 - base", "pass@2 - base", "entropy", "KL"] and len(table) == 7
    assert table.loc["start", "the base"].tolist() == [0, 0, 1, 0]
    np.testing.assert_allclose(table.loc["equal updates", "fast"], [0.5, 0.5, 0.6, 3])
    np.testing.assert_allclose(table.loc["equal pass@1", "fast"], [0.25, 0.3125, 0.8, 2])
    np.testing.assert_allclose(table.loc["equal KL", "fast"], [0.125, 0.15625, 0.9, 1])
    np.testing.assert_allclose(table.loc["equal KL", "slow"], [0.25, 0.3125, 0.7, 1])


def test_mean_ranks_by_hand():
    ranks = looks.mean_ranks({"a": np.array([[3.0, 1], [1, 1]]), "b": np.array([[2.0, 2], [1, 1]])})
    assert ranks["a"].tolist() == [1.5, 1.5] and ranks["b"].tolist() == [1.5, 1.5]
    assert looks.mean_ranks({"a": np.array([9.0, 9]), "b": np.array([1.0, 2]), "c": np.array([2.0, 1])})["a"] == 1
    values = {"a": np.array([[9.0, 9], [1, 2]]), "b": np.array([[1.0, 2], [9, 9]]), "c": np.array([[2.0, 3], [0, 0]])}
    assert looks.lead(values, "a").tolist() == [1.0, -1.0] and looks.lead(values, "c").tolist() == [-1.0, -2.0]


def test_a_look_at_the_base_sees_no_distance():
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from rlkit import lm

    task = lm.tasks.countdown(numbers=4)
    problems, (base, tokenizer) = task.problems(6, 3, "validation"), lm.load("s-countdown")
    settings = {"q": {}, "cold": {"temperature": 0.6, "top_p": 0.95}}
    found = looks.look(base, base, tokenizer, task, problems, settings=settings, seed=1)
    assert abs(found["kl"]) < 1e-9 and 0.3 < found["entropy"] < 1.5
    assert len(found["q"]) == len(found["cold"]) == 6 and found["q"] != found["cold"]
    other, _ = lm.load("xs-countdown" if "xs-countdown" in lm.names() else "s-countdown")
    for parameter in other.parameters():
        parameter.data *= 1.02
    assert looks.look(other, base, tokenizer, task, problems, seed=1)["kl"] > 1e-4
