"""Every error that FusionFactory raises on purpose.

FusionFactoryError
├── InputError               data or arguments from outside cannot be used (exit code 2)
│   ├── TableError           an outcome table is malformed
│   ├── FormatError          a file to import is malformed
│   ├── TaskError            a task's questions or settings cannot be used
│   ├── ThoughtError         thought templates or their index cannot be used
│   ├── DistillError         a selection, a base model or a student cannot be used
│   ├── ConfigError          fusionfactory.toml or an option is wrong
│   ├── PolicyError          a policy cannot be applied to these estimates
│   ├── UnknownNameError     no router, encoder, importer ... of that name
│   └── RouterFileError      a saved router is damaged, too new or incomplete
├── NotFittedError           a router or encoder is used before `fit`
├── UnsupportedError         the method cannot do what was asked (says what can)
├── MissingExtraError        an optional dependency is absent (names the install line)
├── EncoderError             an encoder or its endpoint failed
├── CallError                one call of an LLM failed (the collector records it as an outcome)
├── PackageError             a package that carries questions or weights cannot be fetched
├── GatewayError             a process of the gateway cannot start
├── ClusterError             a Ray cluster lost work, or one of its workers failed unforeseen
├── SandboxError             code cannot be isolated here, so it is not run
└── StoreError               the store cannot be read or written
    └── StoreAwayError       its database cannot be reached; what is in it stays
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "CallError",
    "ClusterError",
    "ConfigError",
    "DistillError",
    "EncoderError",
    "FormatError",
    "FusionFactoryError",
    "GatewayError",
    "InputError",
    "MissingExtraError",
    "NotFittedError",
    "PackageError",
    "PolicyError",
    "RouterFileError",
    "SandboxError",
    "StoreAwayError",
    "StoreError",
    "TableError",
    "TaskError",
    "ThoughtError",
    "UnknownNameError",
    "UnsupportedError",
]


class FusionFactoryError(Exception):
    """Base of every error raised on purpose."""

    exit_code: int = 1


class InputError(FusionFactoryError):
    """Data or arguments from outside cannot be used.

    Args:
        message: What is wrong (with the value), what was expected, what to do.
        file: The file at fault.
        row: The row at fault, counted from 1 as an editor does.
        field: The column or key at fault.
    """

    exit_code = 2

    def __init__(
        self,
        message: str,
        *,
        file: str | Path | None = None,
        row: int | None = None,
        field: str | None = None,
    ) -> None:
        self.message, self.file, self.row, self.field = message, file, row, field
        place = [
            f"{label}{value}"
            for label, value in (("", file), ("row ", row), ("field ", field and repr(field)))
            if value is not None
        ]
        super().__init__(f"{', '.join(place)}: {message}" if place else message)


class TableError(InputError):
    """An outcome table is malformed."""


class FormatError(InputError):
    """A file to import is malformed."""


class TaskError(InputError):
    """A task's questions or settings cannot be used."""


class ThoughtError(InputError):
    """Thought templates, their index or a gate cannot be used."""


class DistillError(InputError):
    """A selection of training data, a base model or a student cannot be used."""


class ConfigError(InputError):
    """`fusionfactory.toml` or an option is wrong."""


class PolicyError(InputError):
    """A policy cannot be applied to these estimates."""


class UnknownNameError(InputError):
    """No router, encoder, importer or exporter of that name is registered."""


class RouterFileError(InputError):
    """A saved router is damaged, incomplete or written by a newer version."""


class NotFittedError(FusionFactoryError):
    """A router or encoder is used before `fit`."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is not fitted: call fit() first.")


class UnsupportedError(FusionFactoryError):
    """The method cannot do what was asked."""

    exit_code = 2


class MissingExtraError(FusionFactoryError):
    """An optional dependency is absent.

    Args:
        what: What needs it, for example `The minilm encoder`.
        extra: The name of the extra of this package that brings it.
    """

    exit_code = 2

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an extra: pip install 'fusionfactory[{extra}]'")


class EncoderError(FusionFactoryError):
    """An encoder or its endpoint failed."""


class CallError(FusionFactoryError):
    """One call of an LLM failed; whoever called decides whether that is fatal.

    Args:
        message: What went wrong, without secrets, as it is stored in the outcome.
        status: The HTTP status, where there was one.
        retry_after_s: Seconds after which the endpoint asks to be called again.
        retryable: Whether the same call may succeed later.
        input_tokens: What the failed call used all the same, where the endpoint says.
        output_tokens: Likewise.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        retry_after_s: float | None = None,
        retryable: bool = False,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.retry_after_s, self.retryable = status, retry_after_s, retryable
        self.input_tokens, self.output_tokens = input_tokens, output_tokens


class PackageError(FusionFactoryError):
    """A package that carries questions or weights cannot be fetched, or is not the expected one."""


class GatewayError(FusionFactoryError):
    """A process of the gateway cannot start."""


class ClusterError(FusionFactoryError):
    """A Ray cluster lost work too often, or a worker failed with what nobody foresaw."""


class SandboxError(FusionFactoryError):
    """Code cannot be isolated here, so it is not run; the message says what is missing."""


class StoreError(FusionFactoryError):
    """The store cannot be read or written."""


class StoreAwayError(StoreError):
    """The database of a store cannot be reached; the same may succeed once it is back."""
