"""Graph questions: answers against an independent search, balanced answers, evidence that is right; hacks."""

import re
from collections import Counter

import numpy as np
import pytest

from rlkit.lm import tasks
from rlkit.lm.tasks.graphs import KINDS, problem

EDGES = [[1, 2], [2, 3], [3, 5], [4, 6]]
DEGREE = problem("degree", 6, EDGES, [2])
DISTANCE = problem("distance", 6, EDGES, [5, 1])
CONNECTED = problem("connected", 6, EDGES, [1, 4])
TASKS = {kind: tasks.graphs(kind, 6) for kind in KINDS}


def verify(of, completion):
    parts = TASKS[of.facts["kind"]].verify(of, completion)
    return parts["format"], parts["correct"], parts["evidence"]


def levels(prompt):
    """node -> distance from the first node asked about, by a plain search over the edges in the prompt's text."""
    listed, asked = prompt.removeprefix("graph ").removesuffix(" :").split(" : ")
    edges = [tuple(map(int, edge.split(" - "))) for edge in listed.split(" , ")]
    about = [int(n) for n in re.findall(r"\d+", asked)]
    seen, frontier, step = {about[0]: 0}, {about[0]}, 0
    while frontier:
        step += 1
        frontier = {b for u, v in edges for a, b in ((u, v), (v, u)) if a in frontier and b not in seen}
        seen |= dict.fromkeys(frontier, step)
    return about, seen


def test_the_prompts_and_demonstrations_read_as_the_docstring_says():
    rng = np.random.default_rng(0)
    listed = "graph 1 - 2 , 2 - 3 , 3 - 5 , 4 - 6 :"
    assert DEGREE.prompt == f"{listed} degree of 2 :"
    assert TASKS["degree"].demonstrate(DEGREE, rng) == "neighbours 1 3 ; answer 2"
    assert DISTANCE.prompt == f"{listed} distance from 1 to 5 :"
    assert TASKS["distance"].demonstrate(DISTANCE, rng) == "path 1 - 2 - 3 - 5 ; answer 3"
    assert CONNECTED.prompt == f"{listed} connected 1 4 :"
    assert TASKS["connected"].demonstrate(CONNECTED, rng) == "reach 1 2 3 5 ; answer no"
    assert TASKS["connected"].demonstrate(CONNECTED, rng, style="direct") == "answer no"
    lonely = problem("degree", 7, EDGES, [7])
    assert TASKS["degree"].demonstrate(lonely, rng) == "neighbours ; answer 0"
    assert verify(lonely, "neighbours ; answer 0") == (1, 1, 1)


def test_the_same_graph_written_otherwise_is_the_same_problem():
    assert problem("distance", 6, [[6, 4], [5, 3], [2, 1], [3, 2]], [1, 5]) == DISTANCE


@pytest.mark.parametrize("nodes", [5, 9])
def test_the_answers_are_those_of_a_plain_search(nodes):
    for kind in KINDS:
        for drawn in tasks.graphs(kind, nodes).problems(60, seed=0):
            about, distance = levels(drawn.prompt)
            if kind == "degree":
                assert drawn.facts["answer"] == str(sum(steps == 1 for steps in distance.values()))
            elif kind == "distance":
                assert drawn.facts["answer"] == str(distance[about[1]])
            else:
                assert drawn.facts["answer"] == ("yes" if about[1] in distance else "no")


@pytest.mark.parametrize("kind", KINDS)
def test_evidence_is_recognised_and_direct_answers_have_none(kind):
    task, rng = tasks.graphs(kind, 8), np.random.default_rng(0)
    for drawn in task.problems(60, seed=1):
        for style, evidence in (("evidence", 1), ("direct", 0)):
            parts = task.verify(drawn, task.demonstrate(drawn, rng, style=style))
            assert parts == {"format": 1, "correct": 1, "evidence": evidence}


def test_each_shortest_path_is_shown_and_accepted():
    square = problem("distance", 4, [[1, 2], [2, 4], [1, 3], [3, 4]], [1, 4])
    rng = np.random.default_rng(0)
    shown = Counter(TASKS["distance"].demonstrate(square, rng) for _ in range(200))
    assert set(shown) == {"path 1 - 2 - 4 ; answer 2", "path 1 - 3 - 4 ; answer 2"}
    assert min(shown.values()) > 60
    assert all(verify(square, path) == (1, 1, 1) for path in shown)


def test_no_constant_answer_pays():
    share = Counter(p.facts["answer"] for p in tasks.graphs("connected", 8).problems(600, seed=0))
    assert 0.4 < share["yes"] / 600 < 0.6
    for kind in ("degree", "distance"):
        most = Counter(p.facts["answer"] for p in tasks.graphs(kind, 8).problems(600, seed=0)).most_common(1)[0][1]
        assert most / 600 < 0.5


def test_a_distance_needs_a_path():
    with pytest.raises(ValueError, match=r"about=\[1, 4\]: must be two nodes with a path between them"):
        problem("distance", 6, EDGES, [1, 4])


@pytest.mark.parametrize(
    ("of", "completion", "parts"),
    [
        (DEGREE, "answer 2", (1, 1, 0)),
        (DEGREE, "neighbours 1 3 4 ; answer 2", (1, 1, 0)),
        (DEGREE, "neighbours 3 1 ; answer 2", (1, 1, 0)),  # evidence has one order
        (DEGREE, "neighbours 1 3 ; answer 3", (1, 0, 0)),
        (DEGREE, "answer 1 answer 2", (0, 0, 0)),
        (DEGREE, "answer 0 1 2 3", (0, 0, 0)),
        (DEGREE, "answer 2 ; yes", (0, 0, 0)),
        (DEGREE, "answer two", (0, 0, 0)),
        (DEGREE, "answer yes", (0, 0, 0)),
        (DISTANCE, "path 1 - 2 - 3 - 5 ; answer 3", (1, 1, 1)),
        (DISTANCE, "path 1 - 5 ; answer 3", (1, 1, 0)),  # no such edge
        (DISTANCE, "path 1 - 2 - 4 - 5 ; answer 3", (1, 1, 0)),
        (DISTANCE, "path 5 - 3 - 2 - 1 ; answer 3", (1, 1, 0)),  # from the wrong end
        (DISTANCE, "path 1 - 2 - 1 - 2 - 3 - 5 ; answer 3", (1, 1, 0)),  # longer than the answer
        (DISTANCE, "path 1 - 2 - 3 - 5 ; answer 4", (1, 0, 0)),
        (DISTANCE, "path 1 , 2 , 3 , 5 ; answer 3", (1, 1, 0)),
        (DISTANCE, "path 1 - 2 - 3 - 5 - ; answer 3", (1, 1, 0)),
        (DISTANCE, "path ; answer 3", (1, 1, 0)),
        (DISTANCE, "; answer 3", (1, 1, 0)),
        (DISTANCE, "path 1 - x - 3 - 5 ; answer 3", (1, 1, 0)),
        (DISTANCE, "answer 3 = 3", (0, 0, 0)),
        (CONNECTED, "answer yes", (1, 0, 0)),
        (CONNECTED, "answer yes answer no", (0, 0, 0)),
        (CONNECTED, "answer yes no", (0, 0, 0)),
        (CONNECTED, "answer NO", (0, 0, 0)),
        (CONNECTED, "answer 0", (0, 0, 0)),
        (CONNECTED, CONNECTED.prompt, (0, 0, 0)),
    ],
)
def test_hacks_do_not_pay(of, completion, parts):
    assert verify(of, completion) == parts
