"""Training of the graph network with torch: hide outcomes, predict them from the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fusionfactory.routers.graph_network import (
    Graph,
    Near,
    initial_weights,
    paper_arms,
    paper_score,
    paper_weights,
    read_graph,
    score_arms,
)
from fusionfactory.routers.torch_training import BestWeights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fusionfactory.routers.graph_network import Array
    from fusionfactory.types import BoolArray, FloatArray, IntArray

__all__ = ["Settings", "nearest", "train_mended", "train_paper"]

_CHUNK = 512
_APART = -4.0
_HIDDEN_ARMS = 0.05
_MOST_TARGETS = 1024
_CONTRAST = 10.0
_CHECK_EVERY = 5
_PATIENCE = 6
_UNCHECKED_EPOCHS = 40

_PAPER_MASKS = 8


@dataclass(frozen=True)
class Settings:
    """How to train: see `GraphRouter`. The defaults are the paper's.

    Attributes:
        device: A torch device.
        seed: Of the weights, the masks and dropout.
    """

    device: Any
    seed: int
    mask: float
    dropout: float
    hidden: int = 8
    learning_rate: float = 1e-4
    weight_decay: float = 1e-4
    max_epochs: int = 70


def nearest(
    queries: FloatArray, bank: FloatArray, k: int, exclude: tuple[IntArray, IntArray] | None = None
) -> tuple[IntArray, FloatArray]:
    """Indices and cosines, (b, k) each, of the k most similar rows of the bank.

    Args:
        queries: (b, d) rows of length 1.
        bank: (n, d) rows of length 1.
        k: At most n.
        exclude: (b,) and (n,) groups; rows of the query's own group come last, far away.
    """
    index = np.zeros((len(queries), k), dtype=np.int64)
    cosine = np.zeros((len(queries), k), dtype=np.float32)
    for start in range(0, len(queries), _CHUNK):
        rows = slice(start, start + _CHUNK)
        similarity = queries[rows] @ bank.T
        if exclude is not None:
            similarity[exclude[0][rows, None] == exclude[1][None, :]] = _APART
        index[rows] = np.argpartition(-similarity, k - 1, axis=1)[:, :k]
        cosine[rows] = np.take_along_axis(similarity, index[rows], axis=1)
    return index, cosine


def train_mended(
    torch: Any,  # noqa: ANN401
    graph: Graph,
    attach: FloatArray,
    near: tuple[IntArray, FloatArray],
    held: BoolArray,
    settings: Settings,
) -> dict[str, np.ndarray]:
    """Learns expected quality: a hidden query's outcomes from those of the visible ones.

    In every epoch a share `mask` of the queries has all its outcomes hidden, as a new query's are,
    and now and then an arm has, as a new arm's are. The loss is over the hidden queries' known
    cells.

    Args:
        torch: The module.
        graph: NumPy arrays.
        attach: (n, t) predicted task probabilities, which is what a new query has.
        near: (n, k) indices and cosines of each query's neighbours.
        held: (n,) queries that decide when to stop; none trains for a fixed number of epochs.
        settings: See `Settings`.

    Returns:
        Weights as NumPy arrays.
    """

    def put(values: Array) -> Array:
        return torch.as_tensor(values, device=settings.device)

    start = initial_weights(
        np.random.default_rng(settings.seed),
        graph.features.shape[1],
        graph.arms.shape[1],
        graph.tasks.shape[1],
        settings.hidden,
    )
    weights = {name: put(value).requires_grad_() for name, value in start.items()}
    graph = graph.convert(put)
    attach, index, cosine = put(attach), put(near[0]), put(near[1])
    random = _Random(torch, settings)

    def loss(visible: Array, arms: Array, rows: Array, drop: Callable[[Array], Array]) -> Array:
        senders = visible.nonzero()[:, 0]
        part = graph.rows(senders)
        nodes = read_graph(torch, weights, part, (arms * 1.0).expand(part.seen.shape), drop)
        found = index[rows]
        heard = graph.seen[found] * visible[found][:, :, None] * arms
        around = Near(cosine[rows], graph.quality[found], heard)
        logits = score_arms(torch, weights, nodes, graph.features[rows], attach[rows], around, drop)
        return _loss(torch, logits, graph.quality[rows], graph.seen[rows])

    usable, known = put(~held), (graph.seen.sum(1) > 0)
    held_rows = put(np.nonzero(held)[0])
    every_arm = put(np.ones(graph.seen.shape[1], dtype=np.bool_))
    optimizer = torch.optim.AdamW(
        weights.values(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    best = BestWeights(_PATIENCE)
    for epoch in range(settings.max_epochs if held.any() else _UNCHECKED_EPOCHS):
        hidden = random.below(settings.mask, len(usable))
        arms = ~random.below(_HIDDEN_ARMS, graph.seen.shape[1])
        targets = (hidden & usable & known).nonzero()[:, 0]
        if not len(targets):
            continue
        if len(targets) > _MOST_TARGETS:
            targets = targets[random.order(len(targets))[:_MOST_TARGETS]]
        value = loss(usable & ~hidden, arms, targets, random.drop)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        if held.any() and epoch % _CHECK_EVERY == _CHECK_EVERY - 1:
            with torch.no_grad():
                best.check(float(loss(usable, every_arm, held_rows, _same)), weights.values())
            if best.exhausted:
                break
    return dict(zip(weights, _numpy(best.weights or weights.values()), strict=True))


def train_paper(
    torch: Any,  # noqa: ANN401
    graph: Graph,
    task_features: FloatArray,
    reward: FloatArray,
    held: BoolArray,
    settings: Settings,
) -> dict[str, np.ndarray]:
    """Learns which arm is the best candidate, with the paper's settings (arXiv 2507.10540).

    Args:
        torch: The module.
        graph: NumPy arrays.
        task_features: (n, d) features of the queries' tasks.
        reward: (n, m) under the policy; NaN where missing. The best candidate has the highest, the
            first column winning ties.
        held: (n,) queries whose mean reward selects the epoch (the published code: the test set).
        settings: All but `dropout` count.

    Returns:
        Weights as NumPy arrays.
    """

    def put(values: Array) -> Array:
        return torch.as_tensor(values, dtype=torch.float32, device=settings.device)

    edges = np.stack([np.nan_to_num(reward), graph.cost, graph.quality], axis=2)
    start = paper_weights(
        np.random.default_rng(settings.seed),
        graph.features.shape[1],
        graph.arms.shape[1],
        settings.hidden,
        edges.shape[2],
    )
    weights = {name: put(value).requires_grad_() for name, value in start.items()}
    known = ~np.isnan(reward)
    label = np.nan_to_num(reward, nan=-np.inf).argmax(axis=1)[:, None] == np.arange(reward.shape[1])
    cells, labels, edge, tasks = (
        put(known & ~held[:, None]),
        put(label),
        put(edges),
        put(task_features),
    )
    graph = graph.convert(put)
    random = _Random(torch, settings)
    optimizer = torch.optim.AdamW(
        weights.values(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )

    def scores(visible: Array) -> Array:
        arms = paper_arms(torch, weights, graph.features, tasks, graph.arms, edge, visible)
        return paper_score(torch, weights, graph.features, tasks, arms)

    best = BestWeights(settings.max_epochs)
    for _ in range(settings.max_epochs):
        optimizer.zero_grad()
        for _ in range(_PAPER_MASKS):
            hidden = random.below(settings.mask, *cells.shape) * cells
            score = scores(cells - hidden).clamp(1e-6, 1.0 - 1e-6)
            entropy = torch.nn.functional.binary_cross_entropy(score, labels, reduction="none")
            ((entropy * hidden).sum() / (hidden.sum() + 1e-6) / _PAPER_MASKS).backward()
        optimizer.step()
        if held.any():
            with torch.no_grad():
                chosen = scores(cells).argmax(1).cpu().numpy()
            gained = reward[np.arange(len(reward)), chosen][held]
            best.check(-float(np.nanmean(gained)), weights.values())
    return dict(zip(weights, _numpy(best.weights or weights.values()), strict=True))


class _Random:
    """Masks and dropout of one training, from a generator of its own on the CPU."""

    def __init__(self, torch: Any, settings: Settings) -> None:  # noqa: ANN401
        self.torch = torch
        self.dropout = settings.dropout
        self.device = settings.device
        self.generator = torch.Generator().manual_seed(settings.seed)

    def below(self, share: float, *shape: int) -> Array:
        """Booleans, each true with probability `share`."""
        return (self.torch.rand(shape, generator=self.generator) < share).to(self.device)

    def order(self, count: int) -> Array:
        """A permutation."""
        return self.torch.randperm(count, generator=self.generator).to(self.device)

    def drop(self, values: Array) -> Array:
        """The values, each 0 with probability `dropout`, of unchanged mean."""
        keep = ~self.below(self.dropout, *values.shape)
        return values * keep / (1.0 - self.dropout)


def _loss(torch: Any, logits: Array, quality: Array, seen: Array) -> Array:  # noqa: ANN401
    """Cross-entropy of the known cells, and squared error of the arms against their query's mean.

    The second part is what routing lives on: which arm is better, not how hard the query is.
    """
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(
        logits, quality, reduction="none"
    )
    cells = seen.sum() + 1e-6
    error = (torch.sigmoid(logits) - quality) * seen
    error = error - error.sum(1)[:, None] / (seen.sum(1)[:, None] + 1e-6) * seen
    return (entropy * seen).sum() / cells + _CONTRAST * (error**2).sum() / cells


def _same(values: Array) -> Array:
    return values


def _numpy(weights: Any) -> Iterator[np.ndarray]:  # noqa: ANN401  tensors
    for weight in weights:
        yield weight.detach().cpu().numpy()
