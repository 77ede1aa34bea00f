"""The arms of the demo log: a model, asked directly or asked to think first."""

from __future__ import annotations

from dataclasses import dataclass

from models import MODELS, LocalModel

THINK_SUFFIX = "\nLet's think step by step."
DIRECT_SYSTEM = "Answer with only the final answer. No explanation."
THINK_SYSTEM = "Reason in a few short steps. Finish with the sentence: The answer is ..."
DIRECT_TOKENS = 40
THINK_TOKENS = 192


@dataclass(frozen=True)
class Arm:
    """One column of the log."""

    model: LocalModel
    think: bool

    @property
    def name(self) -> str:
        """The arm's name in the ``llm`` column."""
        return self.model.name + ("_think" if self.think else "")

    @property
    def max_tokens(self) -> int:
        """The most tokens the arm may write."""
        return THINK_TOKENS if self.think else DIRECT_TOKENS

    @property
    def description(self) -> str:
        """Text for the ``llm_description`` column."""
        if not self.think:
            return self.model.description
        return f"{self.model.description} It is asked to reason step by step before it answers."

    def query(self, base: str) -> str:
        """Return the text of a question as this arm sees it."""
        return base + THINK_SUFFIX if self.think else base

    def messages(self, base: str) -> list[dict[str, str]]:
        """Return the chat messages for a question."""
        system = THINK_SYSTEM if self.think else DIRECT_SYSTEM
        return [
            {"role": "system", "content": system},
            {"role": "user", "content": self.query(base)},
        ]


DIRECT_ARMS = tuple(Arm(model, think=False) for model in MODELS)
THINK_ARMS = tuple(Arm(model, think=True) for model in MODELS)
ARMS = DIRECT_ARMS + THINK_ARMS
