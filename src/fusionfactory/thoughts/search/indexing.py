"""Bringing a bank's index up to date: new templates are embedded and added, gone ones taken out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fusionfactory.encoders import make_encoder
from fusionfactory.errors import ThoughtError
from fusionfactory.thoughts.search.bank import read_bank
from fusionfactory.thoughts.search.index import ThoughtIndex
from fusionfactory.thoughts.search.similarity import SimilarityEncoder
from fusionfactory.thoughts.template import TEMPLATES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fusionfactory.encoders import Encoder
    from fusionfactory.estimator import Json
    from fusionfactory.thoughts.template import ThoughtTemplate

__all__ = ["DEFAULT_ENCODER", "INDEX", "Indexed", "index_bank"]

DEFAULT_ENCODER = "text"

INDEX = "index.json"
"""Name of the index's manifest in a bank's directory."""


@dataclass(frozen=True, slots=True)
class Indexed:
    """What was done to an index.

    Attributes:
        templates: How many it holds now.
        added: How many of them are new.
        deleted: How many were taken out.
        encoder: Name of its encoder.
        dim: Columns of a row.
        anew: Whether all of them were embedded again.
    """

    templates: int
    added: int
    deleted: int
    encoder: str
    dim: int
    anew: bool


def index_bank(
    bank: Path, encoder: str | Encoder | None = None, *, anew: bool = False, network: bool = False
) -> Indexed:
    """Embeds the questions of a bank's templates and writes the index beside them.

    Where there is an index already, only templates that it lacks are embedded, by its own encoder;
    a fitted encoder stays as it was fitted.

    Args:
        bank: Directory in which `build` wrote templates.
        encoder: A spec or an encoder that is not fitted yet; None for that of the index that is
            there, or `DEFAULT_ENCODER`. Another one than the index's makes the index anew.
        anew: Make the index anew in any case, a fitted encoder fitted to all questions.
        network: Whether an index's encoder may send questions to the endpoint that it names.

    Raises:
        ThoughtError: There are no templates, a file is damaged, or the index that is there wants
            the network without leave.
        EncoderError: The encoder or its endpoint failed.
    """
    templates = {template.id: template for template in read_bank(bank)}
    if not templates:
        msg = "holds no template: build some by `fusionfactory think build`"
        raise ThoughtError(msg, file=bank / TEMPLATES)
    old = None if anew else _usable(bank, encoder, network=network)
    if old is None:
        index = _made(list(templates.values()), make_encoder(encoder or DEFAULT_ENCODER))
        index.save(bank)
        return Indexed(len(index), len(index), 0, _own(index).name, index.dim, anew=True)
    there = set(old.ids)
    new = [template for name, template in templates.items() if name not in there]
    gone = sorted(there - templates.keys())
    if new:
        old.add(new, old.encoder.encode([template.question for template in new]))
    if gone:
        old.delete(gone)
    if new or gone:
        old.save(bank)
    return Indexed(len(old), len(new), len(gone), _own(old).name, old.dim, anew=False)


def _made(templates: Sequence[ThoughtTemplate], encoder: Encoder) -> ThoughtIndex:
    questions = [template.question for template in templates]
    if not encoder.pretrained:
        encoder = SimilarityEncoder(encoder=encoder).fit(questions)
    return ThoughtIndex.build(templates, encoder.encode(questions), encoder)


def _usable(bank: Path, encoder: str | Encoder | None, *, network: bool) -> ThoughtIndex | None:
    """The index that is there; None where there is none, or it is of another encoder."""
    if not (bank / INDEX).exists():
        return None
    try:
        index = ThoughtIndex.load(bank, network=network)
    except ThoughtError as error:
        if error.field == "encoder":
            raise
        msg = f"{error.message}. Make the index anew: fusionfactory think index --anew"
        raise ThoughtError(msg, file=error.file, field=error.field) from None
    if encoder is None or _told(make_encoder(encoder)) == _told(_own(index)):
        return index
    return None


def _own(index: ThoughtIndex) -> Encoder:
    """The encoder that was asked for, without the weights of its columns."""
    encoder = index.encoder
    return encoder.encoder_ if isinstance(encoder, SimilarityEncoder) else encoder


def _told(encoder: Encoder) -> Json:
    """Name and parameters, without what was fitted."""
    state = encoder.state()[0]
    return {"name": state["name"], "params": state["params"]}
