"""GraphRouter: a graph of tasks, queries and arms, on which a new query or arm needs no refit."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from fusionfactory.errors import PolicyError, TableError, UnsupportedError
from fusionfactory.routers.base import Recipe, Router
from fusionfactory.routers.graph_network import (
    Graph,
    Near,
    Nodes,
    paper_arms,
    paper_score,
    read_graph,
    score_arms,
)
from fusionfactory.routers.graph_training import Settings, nearest, train_mended, train_paper
from fusionfactory.routers.linear import unit_rows
from fusionfactory.routers.torch_training import arm_text, hold_out, import_torch, pick_device
from fusionfactory.table import OutcomeTable

if TYPE_CHECKING:
    from fusionfactory.encoders import Encoder
    from fusionfactory.policy import Policy
    from fusionfactory.types import Arm, FloatArray

__all__ = ["GraphRouter"]

_CHUNK = 256
_SAME = 1e-6
_LEAST_USD = 1e-12
_LEAST_SPREAD = 1e-6
_FARTHEST = 5.0
_HELD_OUT = 0.15
_MENDED: dict[str, Any] = {
    "hidden": 64,
    "learning_rate": 3e-3,
    "weight_decay": 1e-2,
    "max_epochs": 100,
}


class GraphRouter(Router):
    """Message passing between tasks, queries and arms (arXiv 2410.03834, 2507.10540).

    A new query has no outcomes: it joins the graph by its features, its probable tasks and the most
    similar training queries. An arm is known by its description and by its outcomes, so that
    `add_arm` needs no refit. Training needs torch; routing is NumPy alone.

    `mended` predicts the quality of queries whose outcomes are all hidden in training, averages
    several networks, and stops by held-out training queries. `paper` scores which arm is the best
    candidate under the policy, with the paper's sizes and rates; the epoch is selected on held-out
    training queries rather than, as published, on the test set.

    Args:
        encoder: See `Router`; it encodes the arms' descriptions too.
        seed: Of everything random.
        hidden: Units of a node; None is 64, or the paper's 8 for each half of it.
        learning_rate: Of AdamW; None is 3e-3, or the paper's 1e-4.
        weight_decay: Of AdamW; None is 1e-2, or the paper's 1e-4.
        max_epochs: Steps of one network; None is 100, or the paper's 70.
        mask: Share of the outcomes hidden in each epoch.
        dropout: Of features and states (`mended`).
        members: Networks to average (`mended`).
        neighbours: Similar training queries that a query listens to (`mended`).
        device: `auto` for a GPU if there is one, or a torch device's name.
        recipe: `mended` or `paper`.
    """

    name = "graph"

    bank_: FloatArray
    inputs_: FloatArray
    membership_: FloatArray
    values_: FloatArray
    edge_costs_: FloatArray
    log_cost_: FloatArray
    center_: FloatArray
    scale_: FloatArray
    arm_features_: FloatArray
    task_features_: FloatArray
    weights_: list[dict[str, np.ndarray]]
    nodes_: list[dict[str, np.ndarray]]

    def __init__(
        self,
        *,
        encoder: str | Encoder = "text",
        seed: int = 0,
        hidden: int | None = None,
        learning_rate: float | None = None,
        weight_decay: float | None = None,
        max_epochs: int | None = None,
        mask: float = 0.5,
        dropout: float = 0.5,
        members: int = 3,
        neighbours: int = 50,
        device: str = "auto",
        recipe: Recipe = "mended",
    ) -> None:
        super().__init__(encoder=encoder, seed=seed)
        self.hidden = hidden
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.max_epochs = max_epochs
        self.mask = mask
        self.dropout = dropout
        self.members = members
        self.neighbours = neighbours
        self.device = device
        self.recipe = recipe

    # Fitting

    def fit(self, table: OutcomeTable, policy: Policy | None = None) -> Self:
        """As `Router.fit`.

        Raises:
            MissingExtraError: torch is not installed.
            ConfigError: torch cannot use the device.
        """
        pick_device(import_torch("The graph router"), self.device)
        return super().fit(table, policy)

    def _fit(self, features: FloatArray, table: OutcomeTable, policy: Policy | None) -> None:
        self.bank_ = unit_rows(self.views_.metric(features))
        self.values_ = table.quality.astype(np.float32)
        self.log_cost_ = _log_cost_scale(table.cost_usd)
        self.edge_costs_ = self._edge_costs(table.cost_usd)
        self.membership_ = self.normaliser_.one_hot(table.tasks).astype(np.float32)
        self.arm_features_ = self._describe(table.arms)
        if policy is not None and self.policy_bound:
            self._fit_paper(features, table, policy)
            return
        self.center_ = features.mean(axis=0)
        spread = features.std(axis=0)
        self.scale_ = np.where(spread > _LEAST_SPREAD, spread, 1.0)
        self.inputs_ = self._inputs(features)
        torch = import_torch("The graph router")
        graph, groups = self._graph(), table.groups()
        near = nearest(self.bank_, self.bank_, self._k(), (groups, groups))
        attach = self._task_weights(features).astype(np.float32)
        self.weights_ = []
        for member in range(self.members):
            seed = self.seed + 1000 * member
            held = hold_out(table, _HELD_OUT, seed)
            settings = self._settings(torch, seed)
            self.weights_.append(train_mended(torch, graph, attach, near, held, settings))
        self._read()

    def _fit_paper(self, features: FloatArray, table: OutcomeTable, policy: Policy) -> None:
        torch = import_torch("The graph router")
        reward = self._targets(table, policy)
        if np.isnan(reward).all():
            msg = f"policy {policy.name!r} weighs cost, but no arm's cost is known"
            raise PolicyError(msg)
        share = self.membership_ / np.maximum(self.membership_.sum(axis=0), 1.0)
        self.inputs_ = self._inputs(features)
        self.task_features_ = share.T @ self.inputs_
        graph = self._graph()
        tasks = self.membership_ @ self.task_features_
        held = hold_out(table, _HELD_OUT, self.seed) & ~np.isnan(reward).any(axis=1)
        settings = self._settings(torch, self.seed)
        weights = train_paper(torch, graph, tasks, reward, held, settings)
        edges = np.stack([np.nan_to_num(reward), graph.cost, graph.quality], axis=2)
        visible = (~np.isnan(reward)).astype(np.float32)
        arms = paper_arms(
            np, weights, graph.features, tasks, graph.arms, edges.astype(np.float32), visible
        )
        self.weights_, self.nodes_ = [weights], [{"arms": arms}]

    def _settings(self, torch: object, seed: int) -> Settings:
        settings = Settings(pick_device(torch, self.device), seed, self.mask, self.dropout)
        chosen = {} if self.policy_bound else dict(_MENDED)
        for name in _MENDED:
            value = getattr(self, name)
            if value is not None:
                chosen[name] = value
        return replace(settings, **chosen)

    def _graph(self) -> Graph:
        return Graph(
            features=self.inputs_,
            tasks=self.membership_,
            arms=self.arm_features_,
            quality=np.nan_to_num(self.values_),
            cost=np.where(np.isnan(self.values_), 0.0, self.edge_costs_).astype(np.float32),
            seen=(~np.isnan(self.values_)).astype(np.float32),
        )

    def _read(self) -> None:
        graph = self._graph()
        nodes = [read_graph(np, w, graph, np.ones_like(graph.seen)) for w in self.weights_]
        self.nodes_ = [
            {name: np.asarray(array, dtype=np.float32) for name, array in vars(node).items()}
            for node in nodes
        ]

    def _inputs(self, features: FloatArray) -> FloatArray:
        """(n, d) float32 for the query nodes: scaled columns; in the paper's recipe unit rows."""
        if self.policy_bound:
            return unit_rows(features)
        scaled = np.clip((features - self.center_) / self.scale_, -_FARTHEST, _FARTHEST)
        return np.asarray(scaled, dtype=np.float32)

    def _k(self) -> int:
        return min(self.neighbours, len(self.bank_))

    def _edge_costs(self, cost_usd: FloatArray) -> FloatArray:
        """(n, m) scaled log cost, 0 where unknown."""
        logs = np.log(np.maximum(cost_usd, _LEAST_USD))
        scaled = np.nan_to_num((logs - self.log_cost_[0]) / self.log_cost_[1])
        return np.asarray(scaled, dtype=np.float32)

    def _describe(self, arms: tuple[Arm, ...]) -> FloatArray:
        """(m, k) features of the arms' descriptions, or of their names and prices."""
        return unit_rows(self.encoder_.encode([arm_text(arm) for arm in arms]))

    # Estimating

    def _estimate_quality(self, features: FloatArray) -> FloatArray:
        tasks = self._task_weights(features).astype(np.float32)
        inputs = self._inputs(features)
        out = np.zeros((len(inputs), len(self.arms_)))
        if self.policy_bound:
            arms = self.nodes_[0]["arms"]
            out[:] = paper_score(np, self.weights_[0], inputs, tasks @ self.task_features_, arms)
            return out
        queries = unit_rows(self.views_.metric(features))
        for start in range(0, len(inputs), _CHUNK):
            rows = slice(start, start + _CHUNK)
            out[rows] = self._chunk(queries[rows], inputs[rows], tasks[rows])
        return out

    def _chunk(self, queries: FloatArray, inputs: FloatArray, tasks: FloatArray) -> FloatArray:
        index, cosine = nearest(queries, self.bank_, self._k())
        values = self.values_[index]
        near = Near(cosine, np.nan_to_num(values), (~np.isnan(values)).astype(np.float32))
        total = np.zeros((len(queries), len(self.arms_)))
        for weights, nodes in zip(self.weights_, self.nodes_, strict=True):
            logits = score_arms(np, weights, Nodes(**nodes), inputs, tasks, near)
            total += 1.0 / (1.0 + np.exp(-logits.astype(np.float64)))
        return total / len(self.weights_)

    # Changing without a refit

    def add_arm(self, arm: Arm, outcomes: OutcomeTable | None = None) -> Self:
        """Adds an arm by its description, and by its outcomes where there are any.

        Without outcomes its quality is a guess from the description and its cost, where its prices
        and other arms' are known, theirs in proportion.

        Args:
            arm: The new arm.
            outcomes: Its outcomes on some queries, old or new.

        Raises:
            TableError: The arm is known already, or none of its outcomes is scored.
            UnsupportedError: Outcomes under the paper's recipe, which adds by description alone.
        """
        self.check_fitted()
        if arm.name in {known.name for known in self.arms_}:
            msg = f"the router already knows {arm.name!r}"
            raise TableError(msg, field="arms")
        if self.policy_bound and outcomes is not None:
            msg = "the paper's recipe adds an arm by its description alone: give no outcomes"
            raise UnsupportedError(msg)
        column = None if outcomes is None else _scored(arm, outcomes)
        described = self._describe((arm,))
        self.arm_features_ = np.concatenate([self.arm_features_, described])
        if self.policy_bound:
            self._add_paper_node(described)
        self.values_ = np.pad(self.values_, ((0, 0), (0, 1)), constant_values=np.nan)
        self.edge_costs_ = np.pad(self.edge_costs_, ((0, 0), (0, 1)))
        if column is None:
            self._add_cost(arm)
        else:
            features = self.encode(column.texts)
            self._add_outcomes(features, column)
            self.cost_.add_arm(features, column)
        self.arms_ = (*self.arms_, arm)
        if not self.policy_bound:
            self._read()
        return self

    def _add_outcomes(self, features: FloatArray, column: OutcomeTable) -> None:
        unit = unit_rows(self.views_.metric(features))
        index, cosine = nearest(unit, self.bank_, 1)
        known = cosine[:, 0] > 1.0 - _SAME
        costs = self._edge_costs(column.cost_usd)
        self.values_[index[known, 0], -1] = column.quality[known, 0]
        self.edge_costs_[index[known, 0], -1] = costs[known, 0]
        fresh = ~known
        values = np.full((int(fresh.sum()), self.values_.shape[1]), np.nan, dtype=np.float32)
        values[:, -1] = column.quality[fresh, 0]
        edge_costs = np.zeros_like(values)
        edge_costs[:, -1] = costs[fresh, 0]
        tasks = self._task_weights(features[fresh]).astype(np.float32)
        self.values_ = np.concatenate([self.values_, values])
        self.edge_costs_ = np.concatenate([self.edge_costs_, edge_costs])
        self.bank_ = np.concatenate([self.bank_, unit[fresh]])
        self.inputs_ = np.concatenate([self.inputs_, self._inputs(features[fresh])])
        self.membership_ = np.concatenate([self.membership_, tasks])

    def _add_paper_node(self, described: FloatArray) -> None:
        nothing = np.zeros((1, self.inputs_.shape[1]), dtype=np.float32)
        edges = np.zeros((1, 1, 3), dtype=np.float32)
        visible = np.zeros((1, 1), dtype=np.float32)
        node = paper_arms(np, self.weights_[0], nothing, nothing, described, edges, visible)
        self.nodes_ = [{"arms": np.concatenate([self.nodes_[0]["arms"], node])}]

    def _add_cost(self, arm: Arm) -> None:
        nothing = np.zeros((1, self.task_coef_.shape[0]), dtype=np.float32)
        prices = np.array([(old.input_price, old.output_price) for old in self.arms_], dtype=float)
        new = (arm.input_price or 0.0) + (arm.output_price or 0.0)
        ratio = self.cost_.predict(nothing)[0] * new / prices.sum(axis=1)
        usable = np.isfinite(ratio) & (ratio > 0)
        cost = float(ratio[usable].mean()) if usable.any() else np.nan
        self.cost_.add_arm(nothing, _one_cell(arm, cost))


def _scored(arm: Arm, outcomes: OutcomeTable) -> OutcomeTable:
    column = outcomes.select_arms([arm.name])
    scored = column.observed()[:, 0]
    if not scored.any():
        msg = f"no outcome of {arm.name!r} is scored"
        raise TableError(msg, field="performance")
    return column.rows(scored)


def _log_cost_scale(cost_usd: FloatArray) -> FloatArray:
    """(2,) mean and standard deviation of the known log costs."""
    known = np.log(np.maximum(cost_usd[~np.isnan(cost_usd)], _LEAST_USD))
    return np.array([known.mean(), known.std() or 1.0]) if known.size else np.array([0.0, 1.0])


def _one_cell(arm: Arm, cost_usd: float) -> OutcomeTable:
    import polars as pl

    from fusionfactory.table import CELLS, QUERY_COLUMNS

    row = dict.fromkeys(QUERY_COLUMNS, "")
    cells: dict[str, Any] = {name: np.full((1, 1), np.nan) for name in CELLS}
    cells["cost_usd"][:] = cost_usd
    return OutcomeTable(queries=pl.DataFrame([row]), arms=(arm,), **cells)
