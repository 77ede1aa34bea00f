"""Examples and pairs as the tokens that a model is trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fusionfactory.distill.held_out import held_out
from fusionfactory.errors import DistillError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.distill.selection import Example, Message, Pair, Selection
    from fusionfactory.distill.training.settings import TrainSettings

__all__ = ["Item", "Prepared", "Template", "prepare"]

_PROBE = "Yes"
_LEAST_HELD_OUT = 10
"""Fewer queries than this, and every one of them is trained on."""


@dataclass(frozen=True)
class Item:
    """One example or pair.

    Attributes:
        query_id: Of the query.
        prompt: Tokens of the prompt, up to where the model goes on.
        answers: The tokens to learn, the end token last; of a pair the chosen, then the rejected.
    """

    query_id: str
    prompt: list[int]
    answers: tuple[list[int], ...]

    @property
    def length(self) -> int:
        """Tokens of the longest sequence."""
        return len(self.prompt) + max(len(answer) for answer in self.answers)

    @property
    def tokens(self) -> int:
        """Tokens of all sequences: what a step over it computes."""
        return sum(len(self.prompt) + len(answer) for answer in self.answers)


@dataclass(frozen=True)
class Prepared:
    """What is trained on and what only measured.

    Attributes:
        train: To learn from.
        validation: Of held-out queries.
        too_long: Ids of the queries of examples that were left out for their length, each once for
            every example.
    """

    train: tuple[Item, ...]
    validation: tuple[Item, ...]
    too_long: tuple[str, ...]


class Template:
    """A model's own way to be asked.

    An answer is cut into tokens apart from its prompt and ends with the token at which the model's
    servers stop, so that what is learned is what the model would have to write.

    Args:
        tokenizer: Of `transformers`, with a chat template.
        base: Named in errors.

    Raises:
        DistillError: The tokenizer has no chat template, or no token ends an answer.
    """

    def __init__(self, tokenizer: Any, base: str) -> None:  # noqa: ANN401  of `transformers`
        self.tokenizer, self.base = tokenizer, base
        if not tokenizer.chat_template:
            msg = "the tokenizer has no chat template, so there is no way to ask the model: take "
            msg += "the instruction-tuned model of the same name"
            raise DistillError(msg, file=base)
        self.end_id = self._end()

    def prompts(self, prompts: Sequence[Sequence[Message]]) -> list[list[int]]:
        """Tokens of every prompt; equal ones are cut once."""
        texts = [self._text([{"role": m.role, "content": m.content} for m in p]) for p in prompts]
        return self._ids(texts)

    def answers(self, texts: Sequence[str]) -> list[list[int]]:
        """Tokens of every answer with the end token."""
        return [[*ids, self.end_id] for ids in self._ids(texts)]

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        unique = list(dict.fromkeys(texts))
        cut = self.tokenizer(unique, add_special_tokens=False)["input_ids"] if unique else []
        ids = dict(zip(unique, cut, strict=True))
        return [list(ids[text]) for text in texts]

    def _text(self, messages: list[dict[str, str]]) -> str:
        from jinja2 import TemplateError

        try:
            return str(
                self.tokenizer.apply_chat_template(
                    messages, tokenize=False, add_generation_prompt=True
                )
            )
        except (TemplateError, ValueError) as error:
            roles = ", ".join(message["role"] for message in messages)
            msg = f"the chat template cannot render a prompt of the roles {roles}: {error}"
            raise DistillError(msg, file=self.base) from None

    def _end(self) -> int:
        """The first special token that the template writes after an answer, else the model's own.

        Llama 3 ends a turn by another token than a text; servers stop at both.
        """
        question = [{"role": "user", "content": _PROBE}]
        asked = self._text(question)
        whole = str(
            self.tokenizer.apply_chat_template(
                [*question, {"role": "assistant", "content": _PROBE}], tokenize=False
            )
        )
        if whole.startswith(asked + _PROBE):
            rest = self._ids([whole[len(asked + _PROBE) :]])[0]
            special = set(self.tokenizer.all_special_ids)
            found = next((number for number in rest if number in special), None)
            if found is not None:
                return int(found)
        if self.tokenizer.eos_token_id is None:
            msg = "neither the chat template nor the tokenizer says which token ends an answer"
            raise DistillError(msg, file=self.base)
        return int(self.tokenizer.eos_token_id)


def prepare(selection: Selection, template: Template, settings: TrainSettings) -> Prepared:
    """Cuts a selection into tokens; nothing is cut short, what is too long is left out.

    Raises:
        DistillError: There is nothing of the method's kind, or all of it is too long.
    """
    if settings.method == "dpo":
        items = _pairs(selection.pairs, template)
    else:
        items = _examples(selection.examples, template)
    if not items:
        what = "pairs" if settings.method == "dpo" else "examples"
        msg = f"the selection holds no {what} to train by {settings.method} on: select some first"
        raise DistillError(msg)
    limit = min(settings.max_length, template.tokenizer.model_max_length)
    fitting = [item for item in items if item.length <= limit]
    if not fitting:
        shortest = min(item.length for item in items)
        msg = f"all {len(items)} examples are longer than {limit} tokens, the shortest has "
        msg += f"{shortest}: raise max_length, or take a base of a longer context"
        raise DistillError(msg, field="max_length")
    held = _held_out(fitting, settings)
    return Prepared(
        train=tuple(item for item in fitting if item.query_id not in held),
        validation=tuple(item for item in fitting if item.query_id in held),
        too_long=tuple(item.query_id for item in items if item.length > limit),
    )


def _examples(examples: Sequence[Example], template: Template) -> list[Item]:
    prompts = template.prompts([example.prompt for example in examples])
    answers = template.answers([example.response for example in examples])
    return [
        Item(example.query_id, prompt, (answer,))
        for example, prompt, answer in zip(examples, prompts, answers, strict=True)
    ]


def _pairs(pairs: Sequence[Pair], template: Template) -> list[Item]:
    prompts = template.prompts([pair.prompt for pair in pairs])
    chosen = template.answers([pair.chosen for pair in pairs])
    rejected = template.answers([pair.rejected for pair in pairs])
    return [
        Item(pair.query_id, prompt, (better, worse))
        for pair, prompt, better, worse in zip(pairs, prompts, chosen, rejected, strict=True)
    ]


def _held_out(items: Sequence[Item], settings: TrainSettings) -> frozenset[str]:
    queries = {item.query_id for item in items}
    if len(queries) < _LEAST_HELD_OUT:
        return frozenset()
    # One query is left to train on, however large the share.
    share = min(settings.holdout, 1 - 1 / len(queries))
    return held_out(queries, share, settings.seed)
