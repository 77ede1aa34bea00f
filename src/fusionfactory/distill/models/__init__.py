"""Models to train and the files of trained ones: GGUF files and Hugging Face folders."""

from __future__ import annotations

__all__: list[str] = []
