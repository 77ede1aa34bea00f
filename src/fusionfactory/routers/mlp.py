"""Multi-layer perceptron: a small network from the embedding to the quality of every arm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.estimator import Estimator
from fusionfactory.routers.base import Recipe, Router
from fusionfactory.table import complete

if TYPE_CHECKING:
    from fusionfactory.encoders import Encoder
    from fusionfactory.policy import Policy
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import FloatArray

__all__ = ["MLPRouter", "Network"]


class Network(Estimator):
    """A fitted ReLU network with a linear output, as plain arrays.

    Args:
        hidden: Units of the hidden layers.
        alpha: L2 penalty.
        learning_rate: Of Adam.
        max_epochs: Passes over the data; a tenth of the rows decides when to stop before.
        seed: Of the initial weights, the batches and the held-out tenth.
    """

    weights_: list[FloatArray]
    biases_: list[FloatArray]
    mean_: FloatArray
    scale_: FloatArray

    def __init__(
        self,
        *,
        hidden: tuple[int, ...] = (64,),
        alpha: float = 1e-2,
        learning_rate: float = 1e-3,
        max_epochs: int = 100,
        seed: int = 0,
    ) -> None:
        self.hidden = hidden
        self.alpha = alpha
        self.learning_rate = learning_rate
        self.max_epochs = max_epochs
        self.seed = seed

    def fit(self, features: FloatArray, targets: FloatArray) -> Network:
        """Trains on (n, d) features and (n, k) complete targets."""
        import warnings

        from sklearn.exceptions import ConvergenceWarning
        from sklearn.neural_network import MLPRegressor

        self.reset()
        self.mean_ = features.mean(axis=0)
        self.scale_ = np.maximum(features.std(axis=0), 1e-6)
        model = MLPRegressor(
            hidden_layer_sizes=self.hidden,
            alpha=self.alpha,
            learning_rate_init=self.learning_rate,
            max_iter=self.max_epochs,
            early_stopping=len(features) >= 50,
            n_iter_no_change=8,
            random_state=self.seed,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit((features - self.mean_) / self.scale_, targets)
        self.weights_ = [np.asarray(w, dtype=np.float32) for w in model.coefs_]
        self.biases_ = [np.asarray(b, dtype=np.float32) for b in model.intercepts_]
        return self

    def predict(self, features: FloatArray) -> FloatArray:
        """(n, k) outputs."""
        layer = ((features - self.mean_) / self.scale_).astype(np.float32)
        for weight, bias in zip(self.weights_[:-1], self.biases_[:-1], strict=True):
            layer = np.maximum(layer @ weight + bias, 0.0)
        return np.asarray(layer @ self.weights_[-1] + self.biases_[-1])


class MLPRouter(Router):
    """Regression networks on the embedding (arXiv 2507.10540, RouterMLP).

    `mended`: one network for all arms, averaged over several seeds, on quality; a missing cell is
    filled by its query's and its arm's effect for training. `paper`: one network per arm on the
    policy's reward, learning rate 1e-3.

    Args:
        encoder: See `Router`.
        seed: Of the networks.
        hidden: Units of the hidden layers.
        alpha: L2 penalty.
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
        alpha: float = 1e-2,
        members: int = 3,
        recipe: Recipe = "mended",
    ) -> None:
        super().__init__(encoder=encoder, seed=seed)
        self.hidden = hidden
        self.alpha = alpha
        self.members = members
        self.recipe = recipe

    def _fit(self, features: FloatArray, table: OutcomeTable, policy: Policy | None) -> None:
        targets = self._targets(table, policy)
        if self.policy_bound:
            seen = ~np.isnan(targets)
            self.networks_ = [
                self._network(0).fit(features[seen[:, arm]], targets[seen[:, arm], arm])
                for arm in range(len(self.arms_))
            ]
            return
        filled = complete(targets)
        filled = filled[:, 0] if filled.shape[1] == 1 else filled
        self.networks_ = [self._network(i).fit(features, filled) for i in range(self.members)]

    def _network(self, member: int) -> Network:
        return Network(hidden=self.hidden, alpha=self.alpha, seed=self.seed + 1000 * member)

    def _estimate_quality(self, features: FloatArray) -> FloatArray:
        outputs = [network.predict(features) for network in self.networks_]
        if self.policy_bound:
            return np.concatenate(outputs, axis=1)
        return np.asarray(np.mean(outputs, axis=0))
