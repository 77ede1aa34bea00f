"""What routers, encoders and their parts share: parameters, fitted attributes, and safe state.

As in scikit-learn, a constructor stores its keyword parameters as given and does nothing else, and
fitted attributes end in `_`. State is JSON plus named arrays, never pickle.
"""

from __future__ import annotations

import inspect
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeAlias

import numpy as np

from fusionfactory.errors import NotFittedError, RouterFileError
from fusionfactory.types import Arm

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["LOADERS", "Estimator", "Json", "Tensors"]

Json: TypeAlias = Any
Tensors: TypeAlias = dict[str, np.ndarray]

LOADERS: dict[str, Callable[[str], type[Estimator]]] = {}
"""Kind (`router`, `encoder`) to the function that finds a class of that kind by its name."""

_PARTS: dict[str, type[Estimator]] = {}


class Estimator:
    """Base of everything that has parameters and a fitted state.

    Attributes:
        kind: `router`, `encoder`, or `part` for what only occurs inside them.
        name: The registered name; of a part, its class name.
    """

    kind: ClassVar[str] = "part"
    name: ClassVar[str] = ""

    def __init_subclass__(cls, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init_subclass__(**kwargs)
        if cls.kind == "part":
            cls.name = cls.__name__
            _PARTS[cls.name] = cls

    @classmethod
    def param_names(cls) -> list[str]:
        """Names of the constructor's keyword parameters."""
        parameters = inspect.signature(cls.__init__).parameters.values()
        return [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]

    def params(self) -> dict[str, Any]:
        """The constructor's parameters as they were given."""
        return {name: getattr(self, name) for name in self.param_names()}

    def clone(self) -> Self:
        """An unfitted copy with the same parameters."""
        return type(self)(**self.params())

    def reset(self) -> None:
        """Forgets every fitted attribute."""
        for name in self._fitted_names():
            delattr(self, name)

    def _fitted_names(self) -> list[str]:
        return sorted(n for n in vars(self) if n.endswith("_") and not n.startswith("_"))

    @property
    def is_fitted(self) -> bool:
        """Whether any fitted attribute is there."""
        return bool(self._fitted_names())

    def check_fitted(self) -> None:
        """Raises NotFittedError before `fit`."""
        if not self.is_fitted:
            raise NotFittedError(type(self).__name__)

    def state(self) -> tuple[Json, Tensors]:
        """Everything needed to build an equal object: JSON, and the arrays it refers to by name."""
        tensors: Tensors = {}
        return _pack(self, "", tensors), tensors

    @staticmethod
    def from_state(spec: Json, tensors: Mapping[str, np.ndarray]) -> Any:  # noqa: ANN401
        """The inverse of `state`.

        Raises:
            RouterFileError: The state names something unknown or lacks an array.
        """
        try:
            return _unpack(spec, tensors)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            msg = f"the saved state does not fit this version: {type(error).__name__}: {error}"
            raise RouterFileError(msg) from error


def _pack(value: Any, path: str, tensors: Tensors) -> Json:  # noqa: ANN401, PLR0911  one return per kind of value
    if isinstance(value, Estimator):
        fitted = {
            n: _pack(getattr(value, n), f"{path}{n}.", tensors) for n in value._fitted_names()
        }
        params = {n: _pack(v, f"{path}{n}.", tensors) for n, v in value.params().items()}
        return {"$": value.kind, "name": value.name, "params": params, "fitted": fitted}
    if isinstance(value, np.ndarray):
        key = path.rstrip(".")
        tensors[key] = np.ascontiguousarray(value)
        return {"$": "tensor", "key": key}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Arm):
        return {"$": "arm", **asdict(value)}
    if isinstance(value, tuple | list):
        items = [_pack(item, f"{path}{i}.", tensors) for i, item in enumerate(value)]
        return {"$": "tuple", "items": items} if isinstance(value, tuple) else items
    if isinstance(value, dict):
        return {str(k): _pack(v, f"{path}{k}.", tensors) for k, v in value.items()}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    msg = f"{path}{type(value).__name__} cannot be saved"
    raise TypeError(msg)


def _unpack(spec: Json, tensors: Mapping[str, np.ndarray]) -> Any:  # noqa: ANN401, PLR0911
    if isinstance(spec, list):
        return [_unpack(item, tensors) for item in spec]
    if not isinstance(spec, dict):
        return spec
    tag = spec.get("$")
    if tag is None:
        return {key: _unpack(item, tensors) for key, item in spec.items()}
    if tag == "tensor":
        return tensors[spec["key"]]
    if tag == "arm":
        return Arm(**{key: item for key, item in spec.items() if key != "$"})
    if tag == "tuple":
        return tuple(_unpack(item, tensors) for item in spec["items"])
    made = _find(tag, spec["name"])(**{k: _unpack(v, tensors) for k, v in spec["params"].items()})
    for name, item in spec["fitted"].items():
        if not name.endswith("_") or name.startswith("_"):
            msg = f"{name!r} is no fitted attribute"
            raise RouterFileError(msg)
        setattr(made, name, _unpack(item, tensors))
    return made


def _find(kind: str, name: str) -> type[Estimator]:
    if kind == "part" and name in _PARTS:
        return _PARTS[name]
    if kind in LOADERS:
        return LOADERS[kind](name)
    msg = f"unknown {kind} {name!r} in the saved state"
    raise RouterFileError(msg)
