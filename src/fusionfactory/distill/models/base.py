"""The model that a student is made of, with the tokenizer it is asked by."""

from __future__ import annotations

import hashlib
import secrets
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusionfactory.cachedir import cache_dir
from fusionfactory.distill.models.architectures import from_gguf, model_config, read_tensor
from fusionfactory.distill.models.header import read_header
from fusionfactory.distill.models.tokenizer import rebuild_tokenizer
from fusionfactory.errors import DistillError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fusionfactory.distill.models.header import GgufHeader

__all__ = ["file_sha256", "is_gguf", "load_base", "unpacked_base"]

_LAYOUT = "v1"


def load_base(path: Path | str, *, dtype: str = "float32") -> tuple[Any, Any]:
    """Loads a model and its tokenizer by `transformers`, ready to train.

    The weights of a GGUF file are unpacked to float32 once and kept in the cache, four bytes a
    parameter; the tokenizer is rebuilt from the file, so that it gives the ids llama.cpp gives.

    Args:
        path: A GGUF file, a Hugging Face folder, or a name on the hub.
        dtype: `float32`, `bfloat16` or `float16`.

    Returns:
        The model and the tokenizer.

    Raises:
        DistillError: The file or folder is missing, damaged or of an unknown kind.
        MissingExtraError: The extra `distill` is not installed.
    """
    try:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast
    except ModuleNotFoundError:
        what = f"Training {path}"
        raise MissingExtraError(what, "distill") from None
    source, reader = path, AutoTokenizer
    if is_gguf(path):
        # What AutoTokenizer takes for Qwen's would normalise texts, which llama.cpp does not.
        source, reader = unpacked_base(Path(path)), PreTrainedTokenizerFast
    with _silence():
        try:
            model = AutoModelForCausalLM.from_pretrained(source, dtype=getattr(torch, dtype))
            tokenizer = reader.from_pretrained(source)
        except (OSError, ValueError) as error:
            msg = f"cannot be loaded as a model: {str(error).splitlines()[0]}"
            raise DistillError(msg, file=path) from None
    return model, tokenizer


def is_gguf(path: Path | str) -> bool:
    """Whether the path names a GGUF file, there or not."""
    return str(path).lower().endswith(".gguf")


def unpacked_base(path: Path) -> Path:
    """The Hugging Face folder in the cache for a GGUF file; made where it is not there yet.

    Raises:
        DistillError: The file is missing, damaged or of an unknown architecture.
        MissingExtraError: The extra `distill` is not installed.
    """
    header = read_header(path)
    folder = cache_dir() / "bases" / f"{file_sha256(path)[:32]}-{_LAYOUT}"
    if folder.is_dir():
        return folder
    made = folder.with_name(f".{folder.name}.{secrets.token_hex(8)}")
    try:
        _unpack(header, made)
        try:
            made.replace(folder)
        except OSError:
            # Another process was faster; what it made is the same.
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return folder


def file_sha256(path: Path) -> str:
    """The digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unpack(header: GgufHeader, folder: Path) -> None:
    try:
        import gguf  # noqa: F401  needed to read the weights
        import torch
        from transformers import AutoModelForCausalLM
    except ModuleNotFoundError:
        what = f"Training {header.path.name}"
        raise MissingExtraError(what, "distill") from None
    config = model_config(header)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    state = {
        str(from_gguf(name)): torch.from_numpy(read_tensor(header, entry))
        for name, entry in header.tensors.items()
    }
    _check_complete(header, model, state)
    model.load_state_dict(state, strict=False, assign=True)
    model.tie_weights()
    with _silence():
        model.save_pretrained(folder)
    rebuild_tokenizer(header).save_pretrained(folder)


def _check_complete(header: GgufHeader, model: Any, state: dict[str, Any]) -> None:  # noqa: ANN401
    shapes = {name: tuple(values.shape) for name, values in model.state_dict().items()}
    if model.config.tie_word_embeddings:
        del shapes["lm_head.weight"]
    for name in sorted(shapes.keys() | state.keys()):
        found = tuple(state[name].shape) if name in state else None
        if found != shapes.get(name):
            msg = f"the weights {name} have the shape {found}, expected {shapes.get(name)}: "
            msg += "fetch or convert the file anew"
            raise DistillError(msg, file=header.path)


@contextmanager
def _silence() -> Iterator[None]:
    """Without progress bars and advice of `transformers`, which are put back afterwards."""
    from transformers.utils import logging

    level, shown = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if shown:
            logging.enable_progress_bar()
