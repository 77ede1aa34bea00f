"""Command lines that serve a student as an OpenAI-compatible endpoint on this machine."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fusionfactory.distill.models.base import is_gguf
from fusionfactory.distill.training.record import StudentRecord
from fusionfactory.distill.training.student import BASE
from fusionfactory.errors import DistillError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ServeCommand", "serve_commands"]

_HOST = "127.0.0.1"
_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM accepts as the largest rank of an adapter."""


@dataclass(frozen=True)
class ServeCommand:
    """One way to serve a student.

    Attributes:
        tool: `llama.cpp` or `vllm`.
        serves: `gguf`, `merged` or `adapter`: which of its files.
        words: The command.
        base_url: Where the endpoint is then.
    """

    tool: str
    serves: str
    words: tuple[str, ...]
    base_url: str

    @property
    def line(self) -> str:
        """The command for a shell."""
        return shlex.join(self.words)


def serve_commands(
    student: Path, name: str, *, port: int = 8000, untrained: bool = False
) -> list[ServeCommand]:
    """The commands for what lies in a student's folder; each listens on this machine alone.

    Args:
        student: Its folder.
        name: What requests call the model.
        port: To listen on.
        untrained: The base as it was instead: see `write_untrained`.

    Raises:
        DistillError: The folder holds no finished student, or its adapter is damaged.
    """
    record = StudentRecord.load(student)
    files = record.files
    at = ("--host", _HOST, "--port", str(port))
    found: list[tuple[str, str, tuple[str, ...]]] = []
    if files.gguf is not None:
        file = str(student / (BASE if untrained else files.gguf))
        found.append(("llama.cpp", "gguf", ("llama-server", "-m", file, "--alias", name)))
    if files.merged is not None and not untrained:
        folder = str(student / files.merged)
        found.append(("vllm", "merged", ("vllm", "serve", folder, "--served-model-name", name)))
    rank = _rank(student / files.adapter)
    if not is_gguf(record.base.path) and rank is not None:
        adapter = f"{name}={student / files.adapter}"
        words = ("vllm", "serve", record.base.path, "--enable-lora", "--lora-modules", adapter)
        found.append(("vllm", "adapter", (*words, "--max-lora-rank", str(rank))))
    base_url = f"http://{_HOST}:{port}/v1"
    return [ServeCommand(tool, what, (*words, *at), base_url) for tool, what, words in found]


def _rank(adapter: Path) -> int | None:
    """The smallest rank vLLM accepts that holds the adapter's; None where there is none."""
    path = adapter / "adapter_config.json"
    try:
        rank = int(json.loads(path.read_text(encoding="utf-8"))["r"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"cannot be read as an adapter of PEFT ({error}): train the student anew"
        raise DistillError(msg, file=path) from None
    return next((known for known in _RANKS if known >= rank), None)
