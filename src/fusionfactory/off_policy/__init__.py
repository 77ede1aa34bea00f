"""What another router would have earned on the queries of a log, from what the logged one did.

Every row of the log holds the arm that was chosen, the probability with which it was, and the
reward of that arm alone. Three estimates of the mean reward of a target, another way to choose:

- `ips`: rewards weighted by target probability / logged probability (Horvitz and Thompson, 1952).
- `snips`: the same over the sum of the weights (Swaminathan and Joachims, NIPS 2015), with the
  interval of the delta method.
- `doubly_robust`: a model's rewards, corrected by the weighted residuals of the logged ones (Dudík,
  Langford and Li, ICML 2011). Right if the probabilities are, however bad the model, as long as the
  model was not fitted on the rows it is asked about: see `calibrated_rewards`.

Given a `baseline`, each estimates the difference to it, row by row, so that the interval is that of
the gain. `support` says whether the log can answer at all.
"""

from __future__ import annotations

from fusionfactory.off_policy.estimates import Estimate, doubly_robust, ips, one_hot, snips
from fusionfactory.off_policy.log import BanditLog
from fusionfactory.off_policy.rewards import calibrated_rewards
from fusionfactory.off_policy.support import Support, support

__all__ = [
    "BanditLog",
    "Estimate",
    "Support",
    "calibrated_rewards",
    "doubly_robust",
    "ips",
    "one_hot",
    "snips",
    "support",
]
