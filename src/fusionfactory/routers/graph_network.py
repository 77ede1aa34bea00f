"""The graph network of GraphRouter: written once for NumPy (routing) and torch (training).

Nodes are tasks, queries and arms. An edge joins a query to its task, and a query to an arm where
the outcome was seen; it carries performance and cost. Every function takes the module that computes
(`numpy` or `torch`) as `xp` and arrays of that module.

`mended`, two layers of messages: (1) tasks and arms read the visible queries, arms weighing them by
how much better than usual they answered; (2) arms read the tasks, queries their probable tasks. An
arm is judged on a new query by three paths - its outcomes overall, on the query's tasks, and on the
most similar visible queries - and by the product of the two nodes.

`paper` (arXiv 2507.10540): arms read visible queries by two mean convolutions, messages the sum of
a query part and an edge part; the score is sigmoid(mean(query * arm)).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "Graph",
    "Near",
    "Nodes",
    "Weights",
    "initial_weights",
    "paper_arms",
    "paper_score",
    "paper_weights",
    "read_graph",
    "score_arms",
]

Array: TypeAlias = Any
"""A NumPy array or a torch tensor."""
Weights: TypeAlias = dict[str, Array]

_PRIOR_CELLS = 2.0
_ARM_CELLS = 10.0
_GAIN = 4.0
_LOGIT_LIMIT = 0.01
_LEAK = 0.01
_NORM_FLOOR = 1e-5


@dataclass(frozen=True)
class Graph:
    """What the router knows, as arrays of one module.

    Attributes:
        features: (n, d) scaled query features.
        tasks: (n, t) membership of the queries in tasks.
        arms: (m, k) arm features.
        quality: (n, m), 0 where missing.
        cost: (n, m) scaled log cost, 0 where missing.
        seen: (n, m) 1 where the quality is known, else 0.
    """

    features: Array
    tasks: Array
    arms: Array
    quality: Array
    cost: Array
    seen: Array

    def convert(self, to: Callable[[Array], Array]) -> Self:
        """The same graph with every array converted."""
        return type(self)(*(to(getattr(self, field.name)) for field in fields(self)))

    def rows(self, index: Array) -> Self:
        """The graph of these queries."""
        return type(self)(
            features=self.features[index],
            tasks=self.tasks[index],
            arms=self.arms,
            quality=self.quality[index],
            cost=self.cost[index],
            seen=self.seen[index],
        )


@dataclass(frozen=True)
class Near:
    """The k most similar training queries of each of b queries.

    Attributes:
        similarity: (b, k) cosines.
        quality: (b, k, m), 0 where missing.
        seen: (b, k, m) 1 where the outcome is visible, else 0.
    """

    similarity: Array
    quality: Array
    seen: Array


@dataclass(frozen=True)
class Nodes:
    """Tasks and arms after the messages.

    Attributes:
        arm_quality: (m,) mean visible quality.
        task_quality: (t, m) mean visible quality, drawn to the arm's.
        tasks: (t, h).
        arms: (m, h).
    """

    arm_quality: Array
    task_quality: Array
    tasks: Array
    arms: Array


def initial_weights(
    rng: np.random.Generator, features: int, arms: int, tasks: int, hidden: int
) -> dict[str, np.ndarray]:
    """Random weights of the mended network, float32.

    Args:
        rng: Of the weights.
        features: Columns of the query features.
        arms: Columns of the arm features.
        tasks: Number of tasks.
        hidden: Units of every node.
    """
    shapes = {
        "query_in": (features, hidden, features**-0.5 if features else 0.0),
        "arm_in": (arms, hidden, 1.0),
        "arm_quality": (hidden, hidden, hidden**-0.5),
        "arm_cost": (hidden, hidden, hidden**-0.5),
        "arm_tasks": (hidden, hidden, (hidden * tasks) ** -0.5),
        "query_self": (hidden, hidden, hidden**-0.5),
        "query_tasks": (hidden, hidden, hidden**-0.5),
        "query_out": (hidden, hidden, hidden**-0.5),
        "arm_out": (hidden, hidden, hidden**-0.5),
        "query_level": (hidden, 1, hidden**-0.5),
        "arm_level": (hidden, 1, 0.1 * hidden**-0.5),
    }
    weights = {name: rng.normal(0.0, 1.0, (a, b)) * scale for name, (a, b, scale) in shapes.items()}
    for name in ("query_bias", "arm_bias", "state_bias"):
        weights[name] = np.zeros(hidden)
    weights["level"] = np.zeros(1)
    weights["paths"] = np.ones(3)
    weights["log_sharpness"] = np.ones(1)  # of the task probabilities
    weights["log_closeness"] = np.full(1, 2.5)  # how fast a less similar neighbour counts less
    weights["log_task_cells"] = np.ones(1)  # weight of the arm's mean against a task's
    weights["log_near_cells"] = np.zeros(1)  # weight of the task's mean against the neighbours'
    return {name: value.astype(np.float32) for name, value in weights.items()}


def _same(values: Array) -> Array:
    return values


def _relu(values: Array) -> Array:
    return values * (values > 0)


def read_graph(
    xp: Any,  # noqa: ANN401
    weights: Weights,
    graph: Graph,
    visible: Array,
    drop: Callable[[Array], Array] = _same,
) -> Nodes:
    """Passes the visible outcomes' messages to tasks and arms.

    Args:
        xp: `numpy` or `torch`.
        weights: Of `initial_weights`.
        graph: The training queries.
        visible: (n, m) 1 where an outcome may be used; a query with none sends nothing.
        drop: Dropout in training.
    """
    seen = graph.seen * visible
    quality = graph.quality * seen
    overall = (quality.sum() + 0.5) / (seen.sum() + 1.0)
    arm_quality = (quality.sum(0) + _PRIOR_CELLS * overall) / (seen.sum(0) + _PRIOR_CELLS)
    cells = xp.exp(weights["log_task_cells"])
    task_quality = (graph.tasks.T @ quality + cells * arm_quality) / (graph.tasks.T @ seen + cells)

    states = _relu(drop(graph.features) @ weights["query_in"] + weights["query_bias"])
    members = graph.tasks * (seen.sum(1) > 0)[:, None]
    tasks = (members.T @ states) / (members.sum(0) + 1.0)[:, None]
    degree = (seen.sum(0) + _ARM_CELLS)[:, None]
    better = ((quality - arm_quality * seen).T @ states) / degree
    dearer = ((graph.cost * seen).T @ states) / degree
    arms = _relu(
        graph.arms @ weights["arm_in"]
        + _GAIN * better @ weights["arm_quality"]
        + dearer @ weights["arm_cost"]
        + _GAIN * (task_quality - arm_quality).T @ (tasks @ weights["arm_tasks"])
        + weights["arm_bias"]
    )
    return Nodes(arm_quality, task_quality, tasks, arms)


def score_arms(
    xp: Any,  # noqa: ANN401
    weights: Weights,
    nodes: Nodes,
    features: Array,
    tasks: Array,
    near: Near,
    drop: Callable[[Array], Array] = _same,
) -> Array:
    """(b, m) logits of the expected quality of b queries that have no outcomes.

    Args:
        xp: `numpy` or `torch`.
        weights: Of `initial_weights`.
        nodes: Of `read_graph`.
        features: (b, d) scaled query features.
        tasks: (b, t) probabilities of the tasks, all above 0.
        near: The most similar visible queries.
        drop: Dropout in training.
    """
    attach = tasks ** xp.exp(weights["log_sharpness"])
    attach = attach / attach.sum(1)[:, None]
    by_task = attach @ nodes.task_quality
    closeness = xp.exp(xp.exp(weights["log_closeness"]) * (near.similarity - 1.0))
    counted = near.seen * closeness[:, :, None]
    cells = xp.exp(weights["log_near_cells"])
    by_near = (counted * near.quality).sum(1) + cells * by_task
    by_near = by_near / (counted.sum(1) + cells)

    states = _relu(drop(features) @ weights["query_in"] + weights["query_bias"])
    states = _relu(
        states @ weights["query_self"]
        + (attach @ nodes.tasks) @ weights["query_tasks"]
        + weights["state_bias"]
    )
    states = drop(states)
    hidden = weights["query_out"].shape[1]
    product = (states @ weights["query_out"]) @ (nodes.arms @ weights["arm_out"]).T / hidden
    prior = xp.clip(nodes.arm_quality, _LOGIT_LIMIT, 1.0 - _LOGIT_LIMIT)
    paths = weights["paths"]
    return (
        paths[0] * xp.log(prior / (1.0 - prior))
        + _GAIN * paths[1] * (by_task - nodes.arm_quality)
        + _GAIN * paths[2] * (by_near - by_task)
        + product
        + states @ weights["query_level"]
        + (nodes.arms @ weights["arm_level"]).T
        + weights["level"]
    )


def paper_weights(
    rng: np.random.Generator, features: int, arms: int, hidden: int, edge: int
) -> dict[str, np.ndarray]:
    """Random weights of the paper's network, float32, uniform as torch's linear layers.

    Args:
        rng: Of the weights.
        features: Columns of the query and task features.
        arms: Columns of the arm features.
        hidden: The embedding size; nodes have twice as many units.
        edge: Columns of the edge features.
    """
    wide = 2 * hidden
    shapes = {"task_in": (features, hidden), "query_in": (features, hidden), "arm_in": (arms, wide)}
    shapes["edge_in"] = (edge, edge)
    for layer in "12":
        shapes |= {f"message_{layer}": (wide, wide), f"self_{layer}": (wide, wide)}
        shapes[f"edge_{layer}"] = (edge, wide)
    weights: dict[str, np.ndarray] = {}
    for name, (a, b) in shapes.items():
        bound = max(a, 1) ** -0.5
        weights[name] = rng.uniform(-bound, bound, (a, b)).astype(np.float32)
        weights[f"{name}_bias"] = rng.uniform(-bound, bound, b).astype(np.float32)
    for layer in "12":
        weights[f"gain_{layer}"] = np.ones(wide, dtype=np.float32)
        weights[f"shift_{layer}"] = np.zeros(wide, dtype=np.float32)
    return weights


def _linear(weights: Weights, name: str, values: Array) -> Array:
    return values @ weights[name] + weights[f"{name}_bias"]


def _leaky(values: Array) -> Array:
    return values * (values > 0) + _LEAK * values * (values <= 0)


def _paper_queries(xp: Any, weights: Weights, features: Array, tasks: Array) -> Array:  # noqa: ANN401
    parts = [_linear(weights, "task_in", tasks), _linear(weights, "query_in", features)]
    return xp.concatenate(parts, 1)


def paper_arms(
    xp: Any,  # noqa: ANN401
    weights: Weights,
    features: Array,
    tasks: Array,
    arms: Array,
    edges: Array,
    visible: Array,
) -> Array:
    """(m, 2h) arms after two convolutions over the visible edges.

    Each convolution adds a node's own part and the sum of its messages, and is normalised over all
    nodes of the graph, as published; queries get no messages.

    Args:
        xp: `numpy` or `torch`.
        weights: Of `paper_weights`.
        features: (n, d) training queries.
        tasks: (n, d) features of their tasks.
        arms: (m, k) arm features.
        edges: (n, m, e) edge features.
        visible: (n, m) 1 where the edge may be used, else 0.
    """
    queries = _paper_queries(xp, weights, features, tasks)
    nodes = _linear(weights, "arm_in", arms)
    edge = (_leaky(_linear(weights, "edge_in", edges)) * visible[:, :, None]).sum(0)
    degree = visible.sum(0)[:, None]
    for layer in "12":
        heard = (visible.T @ queries) @ weights[f"message_{layer}"]
        heard = heard + degree * weights[f"message_{layer}_bias"]
        heard = heard + edge @ weights[f"edge_{layer}"] + degree * weights[f"edge_{layer}_bias"]
        both = xp.concatenate([queries, nodes], 0)
        both = _linear(weights, f"self_{layer}", both)
        queries, nodes = both[: len(queries)], both[len(queries) :] + heard
        both = xp.concatenate([queries, nodes], 0)
        center = both.mean(0)
        spread = (((both - center) ** 2).mean(0) + _NORM_FLOOR) ** 0.5
        both = (both - center) / spread * weights[f"gain_{layer}"] + weights[f"shift_{layer}"]
        both = _leaky(both) if layer == "1" else both
        queries, nodes = both[: len(queries)], both[len(queries) :]
    return nodes


def paper_score(
    xp: Any,  # noqa: ANN401
    weights: Weights,
    features: Array,
    tasks: Array,
    arms: Array,
) -> Array:
    """(b, m) sigmoid(mean(query * arm)) of b queries and the arms of `paper_arms`."""
    queries = _paper_queries(xp, weights, features, tasks)
    return 1.0 / (1.0 + xp.exp(-(queries @ arms.T) / arms.shape[1]))
