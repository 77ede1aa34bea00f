"""Text encoders: fitted (`text`), pretrained (`minilm`, `static`, hub), `hashing`, endpoints."""

from __future__ import annotations

from fusionfactory.encoders.base import Encoder
from fusionfactory.errors import InputError
from fusionfactory.estimator import LOADERS
from fusionfactory.registry import Registry

__all__ = ["ENCODERS", "Encoder", "make_encoder"]

_HERE = "fusionfactory.encoders"

ENCODERS = Registry(
    "encoder",
    {
        "text": f"{_HERE}.text:TextEncoder",
        "hashing": f"{_HERE}.hashing:HashingEncoder",
        "minilm": f"{_HERE}.minilm:MiniLMEncoder",
        "static": f"{_HERE}.static:StaticEncoder",
        "st": f"{_HERE}.hub:SentenceTransformerEncoder",
        "endpoint": f"{_HERE}.endpoint:EndpointEncoder",
        "file": f"{_HERE}.file:FileEncoder",
        "concat": f"{_HERE}.concat:ConcatEncoder",
    },
)
LOADERS["encoder"] = ENCODERS.load


def make_encoder(spec: str | Encoder) -> Encoder:
    r"""An encoder from its spec; an encoder is returned as it is.

    | spec | encoder |
    |---|---|
    | `text` | TF-IDF and surface features, fitted on the training texts |
    | `hashing`, `hashing:1024` | signed hashing, to that many columns |
    | `minilm`, `minilm:/folder` | all-MiniLM-L6-v2, or the ONNX model of a folder |
    | `static`, `static:/folder` | token vectors distilled from MiniLM, or a model2vec folder |
    | `st:NAME` | any sentence-transformers name or folder |
    | `endpoint:MODEL@URL` | any OpenAI-compatible embeddings endpoint |
    | `file:PATH.parquet` | precomputed rows |
    | `file:PATH.parquet\|minilm` | precomputed rows, and MiniLM for texts that have none |
    | `minilm+text` | several, columns side by side |

    Raises:
        UnknownNameError: No encoder of that name is registered.
        InputError: The spec is empty or its argument cannot be used.
    """
    if isinstance(spec, Encoder):
        return spec
    parts = _split(spec)
    if len(parts) > 1:
        from fusionfactory.encoders.concat import ConcatEncoder

        return ConcatEncoder(parts=tuple(make_encoder(part) for part in parts))
    name, _, argument = spec.partition(":")
    if not name:
        msg = f"{spec!r} names no encoder; known: {', '.join(ENCODERS.names())}"
        raise InputError(msg, field="encoder")
    made: Encoder = ENCODERS.load(name).from_spec(argument)
    return made


def _split(spec: str) -> list[str]:
    """Splits a sum. A `+` inside an argument (a path, a model name) does not divide."""
    parts: list[str] = []
    for piece in spec.split("+"):
        starts = piece.partition(":")[0].partition("|")[0] in ENCODERS.names()
        if parts and ":" in parts[-1] and not starts:
            parts[-1] += f"+{piece}"
        else:
            parts.append(piece)
    return parts
