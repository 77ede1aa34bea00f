"""Plain scikit-learn on the job of `peers.py`: one multi-output regressor, then argmax."""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.cluster import KMeans
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge
from sklearn.multioutput import MultiOutputRegressor
from sklearn.neighbors import KNeighborsRegressor
from sklearn.svm import LinearSVR


class ClusterMeans:
    """Mean quality of the arms in each k-means cluster."""

    def __init__(self, seed: int) -> None:
        self.clusters = KMeans(n_clusters=32, n_init=10, random_state=seed)

    def fit(self, rows: np.ndarray, quality: np.ndarray) -> None:
        """Clusters the rows."""
        labels = self.clusters.fit_predict(rows)
        self.means = np.stack([quality[labels == label].mean(axis=0) for label in range(32)])

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """(n, m) mean quality in each row's cluster."""
        return np.asarray(self.means[self.clusters.predict(rows)])


def main() -> None:
    """Fits, chooses and writes the choices."""
    warnings.simplefilter("ignore", ConvergenceWarning)
    folder = Path(sys.argv[1])
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    data = np.load(folder / "data.npz")
    train, test, cost = data["train"], data["test"], data["cost"]
    quality = np.where(np.isnan(data["quality"]), np.nanmean(data["quality"], 0), data["quality"])
    seed = job["seed"]
    models: dict[str, Any] = {
        "KNeighborsRegressor": KNeighborsRegressor(n_neighbors=50, metric="cosine"),
        "Ridge": Ridge(),
        "LinearSVR": MultiOutputRegressor(LinearSVR(random_state=seed)),
        "ExtraTreesRegressor": ExtraTreesRegressor(
            200, min_samples_leaf=4, max_features=0.3, random_state=seed
        ),
        "KMeans": ClusterMeans(seed),
    }
    order = np.argsort(cost, kind="stable")
    result = {}
    for name, model in models.items():
        start = time.perf_counter()
        model.fit(train, quality)
        fit_s = time.perf_counter() - start
        start = time.perf_counter()
        # The first of equal values is the cheapest arm's.
        picks = order[model.predict(test)[:, order].argmax(axis=1)]
        route_s = time.perf_counter() - start
        result[name] = {"picks": picks.tolist(), "fit_s": fit_s, "route_s": route_s}
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main()
