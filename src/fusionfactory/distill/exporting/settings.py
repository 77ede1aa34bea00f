"""What can be set when a selection is exported."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["ExportSettings"]


class ExportSettings(BaseModel):
    """Settings of an export.

    Attributes:
        eval_share: Share of the queries whose rows are written to the validation files, in [0, 1).
        seed: Of the digest by which these are drawn, and of the training recipes.
        model: Hub id or folder of the model to train, for formats with a recipe.
        template: The trainer's own name of its chat template; None for the tokenizer's.
        max_length: Tokens from which a recipe's trainer cuts an example; None for twice what the
            longest is likely to have.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    eval_share: float = Field(default=0.0, ge=0, lt=1)
    seed: int = Field(default=0, ge=0)
    model: str | None = None
    template: str | None = None
    max_length: int | None = Field(default=None, ge=1)
