"""Questions about a small undirected graph, one kind per task; networkx knows the answers.

    degree     graph 1 - 2 , 2 - 3 , 3 - 5 : degree of 2 :              neighbours 1 3 ; answer 2
    distance   graph 1 - 2 , 2 - 3 , 3 - 5 : distance from 1 to 5 :     path 1 - 2 - 3 - 5 ; answer 3
    connected  graph 1 - 2 , 2 - 3 , 4 - 5 : connected 1 5 :            reach 1 2 3 ; answer no

Nodes are 1 to n; a node without an edge is not listed. The style "evidence" shows first what the answer rests on (the
neighbours, a shortest path, all that the first node reaches, in increasing order); "direct" answers at once.
"""

import itertools

import networkx
import numpy as np

from rlkit import checks
from rlkit.lm.tasks.task import Problem, Task, number, words

KINDS = ("degree", "distance", "connected")
STYLES = ("evidence", "direct")


def graphs(kind: str = "distance", nodes: int = 7) -> Task:
    """The task with questions of one kind about graphs of `nodes` nodes (4 to 30), with half to 3/2 as many edges.

    Connected or not is a fair coin, and each distance that occurs in a graph is as likely as the others, so that
    no constant answer pays. Parts: `format` (ends in the one `answer X`, X of the right kind), `correct`, `evidence`
    (the completion is word for word right evidence with the right answer; a shortest path may be any of them).
    demonstrate(problem, rng, style="evidence") takes one of the shortest paths at random. Raises ValueError.
    """
    checks.one_of("kind", kind, KINDS)
    checks.one_of("nodes", nodes, tuple(range(4, 31)))
    pairs = [[u, v] for u in range(1, nodes + 1) for v in range(u + 1, nodes + 1)]
    most = min(len(pairs), nodes if kind == "connected" else nodes * 3 // 2)

    def draw(rng) -> Problem:
        linked = bool(rng.integers(2))
        while True:
            chosen = rng.choice(len(pairs), size=rng.integers(nodes // 2, most + 1), replace=False)
            edges = [pairs[i] for i in np.sort(chosen)]
            about = _question(rng, _graph(nodes, edges), kind, linked)
            if about:
                return problem(kind, nodes, edges, about)

    return Task(
        name=f"graphs(kind={kind!r}, nodes={nodes})",
        weights={"correct": 1.0, "format": 0.0, "evidence": 0.0},
        max_new_tokens=2 * nodes + 4,
        draw=draw,
        parts=_parts,
        demonstrate=_demonstrate,
    )


def problem(kind: str, nodes: int, edges, about) -> Problem:
    """The problem about one node (degree) or two (distance, connected). A distance without a path: ValueError."""
    graph = _graph(nodes, edges)
    about = sorted(int(node) for node in about)
    edges = sorted(sorted((int(u), int(v))) for u, v in edges)
    if kind == "degree":
        answer, asked = str(graph.degree(about[0])), "degree of {}"
    elif kind == "connected":
        answer, asked = "yes" if networkx.has_path(graph, *about) else "no", "connected {} {}"
    else:
        if not networkx.has_path(graph, *about):
            raise ValueError(f"about={about}: must be two nodes with a path between them")
        answer, asked = str(networkx.shortest_path_length(graph, *about)), "distance from {} to {}"
    text = f"graph {' , '.join(f'{u} - {v}' for u, v in edges)} : {asked.format(*about)}"
    facts = {"kind": kind, "nodes": nodes, "edges": edges, "about": about, "answer": answer}
    return Problem(text, f"{text} :", facts)


def _graph(nodes: int, edges) -> networkx.Graph:
    graph = networkx.Graph()
    graph.add_nodes_from(range(1, nodes + 1))
    graph.add_edges_from(edges)
    return graph


def _question(rng, graph, kind: str, linked: bool) -> list | None:
    """The nodes that the question is about; None if this graph has no such question."""
    node = int(rng.integers(1, len(graph) + 1))
    if kind == "degree":
        return [node]
    distance = networkx.single_source_shortest_path_length(graph, node)
    if kind == "connected":
        others = [other for other in graph if other != node and (other in distance) == linked]
    else:
        wanted = rng.integers(1, max(distance.values()) + 1) if len(distance) > 1 else None
        others = [other for other, steps in distance.items() if steps == wanted]
    return [node, others[rng.integers(len(others))]] if others else None


def _demonstrate(problem: Problem, rng, style: str = "evidence") -> str:
    checks.one_of("style", style, STYLES)
    facts = problem.facts
    answer = f"answer {facts['answer']}"
    if style == "direct":
        return answer
    graph, about = _graph(facts["nodes"], facts["edges"]), facts["about"]
    if facts["kind"] == "distance":
        paths = list(networkx.all_shortest_paths(graph, *about))
        return f"path {' - '.join(map(str, paths[rng.integers(len(paths))]))} ; {answer}"
    return f"{_set_evidence(facts, graph)} ; {answer}"


def _set_evidence(facts: dict, graph) -> str:
    """The one right evidence of a degree or connected question."""
    node = facts["about"][0]
    if facts["kind"] == "degree":
        return " ".join(["neighbours", *map(str, sorted(graph[node]))])
    return " ".join(["reach", *map(str, sorted(networkx.node_connected_component(graph, node)))])


def _parts(problem: Problem, completion: str) -> dict:
    facts, found = problem.facts, words(completion)
    given = found[-1] if found and found[-2:-1] == ["answer"] and found.count("answer") == 1 else None
    well = given in ("yes", "no") if facts["kind"] == "connected" else given is not None and number(given) is not None
    correct = well and given == facts["answer"]
    return {"format": float(well), "correct": float(correct), "evidence": float(correct and _evident(facts, found))}


def _evident(facts: dict, found: list) -> bool:
    if found[-3:-2] != [";"]:
        return False
    if facts["kind"] != "distance":
        return " ".join(found[:-3]) == _set_evidence(facts, _graph(facts["nodes"], facts["edges"]))
    path = [number(word) for word in found[1:-3:2]]
    walks = found[:1] == ["path"] and set(found[2:-3:2]) <= {"-"} and len(found[1:-3]) == 2 * len(path) - 1
    steps = [sorted(step) for step in itertools.pairwise(path)] if None not in path else []
    ends = walks and path[:1] + path[-1:] == facts["about"] and len(steps) == int(facts["answer"])
    return ends and all(step in facts["edges"] for step in steps)
