"""Multi-layer perceptron: a small network from the embedding to the quality of every arm."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.estimator import Estimator
from fusionfactory.missing import complete
from fusionfactory.routers.base import Recipe, Router

if TYPE_CHECKING:
    from fusionfactory.encoders import Encoder
    from fusionfactory.policy import Policy
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import FloatArray

__all__ = ["MLPRouter", "Network"]

_PAPER_ALPHA = 1e-4


class Network(Estimator):
    """A fitted ReLU network with a linear output, as plain arrays.

    Args:
        hidden: Units of the hidden layers.
        alpha: L2 penalty, divided by the number of rows.
        epochs: Passes over the data, by Adam with learning rate 1e-3.
        seed: Of the initial weights and the batches.
    """

    weights_: list[FloatArray]
    biases_: list[FloatArray]

    def __init__(
        self,
        *,
        hidden: tuple[int, ...] = (64,),
        alpha: float = 3.0,
        epochs: int = 15,
        seed: int = 0,
    ) -> None:
        self.hidden = hidden
        self.alpha = alpha
        self.epochs = epochs
        self.seed = seed

    def fit(self, features: FloatArray, targets: FloatArray) -> Network:
        """Trains on (n, d) features and (n,) or (n, k) complete targets."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.neural_network import MLPRegressor

        self.reset()
        model = MLPRegressor(
            hidden_layer_sizes=self.hidden,
            alpha=self.alpha,
            max_iter=self.epochs,
            random_state=self.seed,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(features, targets)
        self.weights_ = [np.asarray(w, dtype=np.float32) for w in model.coefs_]
        self.biases_ = [np.asarray(b, dtype=np.float32) for b in model.intercepts_]
        return self

    def predict(self, features: FloatArray) -> FloatArray:
        """(n, k) outputs."""
        layer = np.asarray(features, dtype=np.float32)
        for weight, bias in zip(self.weights_[:-1], self.biases_[:-1], strict=True):
            layer = np.maximum(layer @ weight + bias, 0.0)
        return np.asarray(layer @ self.weights_[-1] + self.biases_[-1])


class MLPRouter(Router):
    """Regression networks on the embedding (arXiv 2507.10540, RouterMLP).

    `mended`: one network for all arms, averaged over several seeds, on quality; a missing cell is
    filled by its query's and its arm's effect for training. `paper`: one network per arm on the
    policy's reward, with scikit-learn's penalty.

    Args:
        encoder: See `Router`.
        seed: Of the networks.
        hidden: Units of the hidden layers.
        alpha: L2 penalty (`mended`).
        epochs: Passes over the data.
        members: Networks to average (`mended`).
        recipe: `mended` or `paper`.
    """

    name = "mlp"

    networks_: list[Network]

    def __init__(
        self,
        *,
        encoder: str | Encoder = "text",
        seed: int = 0,
        hidden: tuple[int, ...] = (64,),
        alpha: float = 3.0,
        epochs: int = 15,
        members: int = 5,
        recipe: Recipe = "mended",
    ) -> None:
        super().__init__(encoder=encoder, seed=seed)
        self.hidden = hidden
        self.alpha = alpha
        self.epochs = epochs
        self.members = members
        self.recipe = recipe

    def _fit(self, features: FloatArray, table: OutcomeTable, policy: Policy | None) -> None:
        targets = self._targets(table, policy)
        features = self.views_.linear(features)
        if self.policy_bound:
            seen = ~np.isnan(targets)
            self.networks_ = [
                self._network(0, _PAPER_ALPHA).fit(features[rows], targets[rows, arm])
                for arm, rows in enumerate(seen.T)
            ]
            return
        filled = complete(targets)
        filled = filled[:, 0] if filled.shape[1] == 1 else filled
        members = range(self.members)
        self.networks_ = [self._network(i, self.alpha).fit(features, filled) for i in members]

    def _network(self, member: int, alpha: float) -> Network:
        seed = self.seed + 1000 * member
        return Network(hidden=self.hidden, alpha=alpha, epochs=self.epochs, seed=seed)

    def _estimate_quality(self, features: FloatArray) -> FloatArray:
        features = self.views_.linear(features)
        outputs = [network.predict(features) for network in self.networks_]
        if self.policy_bound:
            return np.concatenate(outputs, axis=1)
        return np.asarray(np.mean(outputs, axis=0))
