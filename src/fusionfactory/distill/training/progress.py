"""What is said of a training while it runs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.distill.training.checkpoints import Run
    from fusionfactory.distill.training.schedule import Schedule
    from fusionfactory.distill.training.sequences import Item

__all__ = ["Progress", "Report", "Watch"]


@dataclass(frozen=True)
class Progress:
    """How far a training is.

    Attributes:
        stage: What is done: `train` or `merge`.
        step: Done.
        steps: To do.
        loss: The last point of the curve.
        tokens_per_s: Of sequences, without padding, since this run began.
        left_s: Seconds to go, by that rate.
    """

    stage: str
    step: int
    steps: int
    loss: float | None = None
    tokens_per_s: float | None = None
    left_s: float | None = None


Report: TypeAlias = Callable[[Progress], None]


class Watch:
    """Marks checkpoints, asks for validation at the ends of epochs, and reports.

    Args:
        run: Whose checkpoints are marked.
        schedule: Of the training.
        items: Trained on.
        step: Done before this run.
        seconds: Spent before this run.
        validates: Whether there are queries to validate on.
        report: Is told after every batch.
        keep: Is called with the model when its validation loss is the least so far.
    """

    def __init__(
        self,
        run: Run,
        schedule: Schedule,
        items: Sequence[Item],
        *,
        step: int,
        seconds: float,
        validates: bool,
        report: Report | None,
        keep: Callable[[Any], None] | None,
    ) -> None:
        self.run, self.schedule, self.keep, self.report = run, schedule, keep, report
        self.step, self.before_s, self.began = step, seconds, time.monotonic()
        self.validates = validates
        self.tokens = schedule.running_tokens(items)
        self.loss: float | None = None

    @property
    def seconds(self) -> float:
        """Spent on this training, over all runs."""
        return self.before_s + time.monotonic() - self.began

    def as_callback(self) -> Any:  # noqa: ANN401  a TrainerCallback
        """Itself, as the trainers of `transformers` want it."""
        from transformers import TrainerCallback

        watch = self

        class Callback(TrainerCallback):  # type: ignore[misc]  # transformers is untyped
            on_step_end = staticmethod(watch.on_step_end)
            on_log = staticmethod(watch.on_log)
            on_evaluate = staticmethod(watch.on_evaluate)
            on_save = staticmethod(watch.on_save)

        return Callback()

    def on_step_end(self, _: object, state: Any, control: Any, **__: object) -> None:  # noqa: ANN401
        """After a step of the optimiser."""
        if self.validates and state.global_step in self.schedule.epoch_ends:
            control.should_evaluate = True
        if state.global_step == self.schedule.steps:
            control.should_log = True
        self._tell(state.global_step)

    def on_log(self, _: object, state: Any, __: object, **more: Any) -> None:  # noqa: ANN401
        """After a point of a curve."""
        self.loss = more.get("logs", {}).get("loss", self.loss)
        self._tell(state.global_step)

    def on_evaluate(self, _: object, state: Any, __: object, **more: Any) -> None:  # noqa: ANN401
        """After the validation loss."""
        losses = [
            line["eval_loss"] for line in state.log_history if "eval_loss" in line and line["step"]
        ]
        if self.keep and losses and min(losses[:-1], default=math.inf) > losses[-1]:
            self.keep(more["model"])

    def on_save(self, _: object, state: Any, __: object, **___: object) -> None:  # noqa: ANN401
        """After a checkpoint."""
        self.run.mark(state.global_step, self.seconds)

    def _tell(self, done: int) -> None:
        if self.report is None:
            return
        seen = int(self.tokens[done] - self.tokens[self.step])
        rate = seen / (time.monotonic() - self.began) if seen else None
        left = int(self.tokens[-1] - self.tokens[done]) / rate if rate else None
        self.report(Progress("train", done, self.schedule.steps, self.loss, rate, left))
