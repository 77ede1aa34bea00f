"""The layout is the architecture: layers, public names, and what an import may cost."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import fusionfactory

ROOT = Path(fusionfactory.__file__).parent
MODULES = sorted(
    ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in ROOT.rglob("*.py")
)

LAYERS = [
    {"errors", "version", "settings_template"},
    {"types"},
    {
        "arm_order",
        "registry",
        "estimator",
        "layout",
        "atomic",
        "missing",
        "normal_text",
        "sandbox",
        "cachedir",
        "endpoints",
        "conversation",
        "serve_settings",
        "threads",
    },
    {"fingerprint", "long_form"},
    {"table", "metrics", "packages", "sealed", "jsonl"},
    {"policy", "pricing", "config", "intervals", "store", "steps"},
    {"outcome_sums", "encoders", "importers", "exporters", "clients", "tasks", "scorers"},
    {"large"},
    {"routers", "calls", "scoring", "footing", "standing", "answers"},
    {"collect", "judge", "robustness", "onboarding"},
    {"plans"},
    {"thoughts"},
    {"plan"},
    {"distill"},
    {"contest", "encoded", "testing", "off_policy"},
    {"leaderboard", "trial", "facts"},
    {"trials"},
    {"evaluation", "holdout", "report"},
    {"fuse", "left_out", "streamed"},
    {"demo", "scale"},
    {"gateway"},
    {"cli"},
    {"__main__"},
]
"""Lowest first. A module imports from lower layers and from its own folder only."""

OPTIONAL = {
    "torch",
    "transformers",
    "onnxruntime",
    "tokenizers",
    "sentence_transformers",
    "datasets",
    "psycopg",
    "math_verify",
    "reasoning_gym",
    "xllamacpp",
    "usearch",
    "trl",
    "peft",
    "gguf",
    "accelerate",
    "opentelemetry",
    "ray",
    "fsspec",
}

GATEWAY = {"starlette", "uvicorn", "uvloop", "httptools", "orjson", "prometheus_client"}
"""Imported at the top of the gateway's own modules, and by no other."""


def _layer(module: str) -> int:
    name = module.split(".")[1] if "." in module else ""
    return next(level for level, names in enumerate(LAYERS) if name in names)


def _imports(module: str) -> set[str]:
    path = ROOT.parent / Path(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if name in MODULES and name != "fusionfactory"}


@pytest.mark.parametrize("module", [m for m in MODULES if m.count(".") >= 1])
def test_imports_point_down(module: str) -> None:
    folder = module.split(".")[1]
    for other in _imports(module):
        if other.split(".")[1] != folder:
            assert _layer(other) < _layer(module), f"{module} imports {other}"


@pytest.mark.parametrize("module", MODULES)
def test_every_module_declares_what_it_offers(module: str) -> None:
    loaded = importlib.import_module(module)
    assert hasattr(loaded, "__all__"), f"{module} has no __all__"
    for name in loaded.__all__:
        assert hasattr(loaded, name), f"{module}.__all__ names {name}, which is not there"
    assert loaded.__doc__, f"{module} has no docstring"


def test_errors_are_all_listed_in_the_tree() -> None:
    errors = importlib.import_module("fusionfactory.errors")
    assert set(errors.__all__) == {
        name for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, Exception)
    }  # fmt: skip
    for name in errors.__all__:
        assert name in (errors.__doc__ or "")


def test_import_is_light() -> None:
    heavy = sorted(
        OPTIONAL | GATEWAY | {"sklearn", "scipy", "sqlalchemy", "aiohttp", "genai_prices"}
    )
    code = (
        f"import sys; import fusionfactory; heavy = {heavy!r}; "
        "print([name for name in heavy if name in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_import_opens_nothing() -> None:
    code = (
        "import sys, fusionfactory\n"
        "ours = [name for name in sys.modules if name.startswith('fusionfactory')]\n"
        "for name in ours: del sys.modules[name]\n"
        "opened = []\n"
        "def hook(event, args):\n"
        "    if event in ('socket.connect', 'socket.bind'): opened.append(event)\n"
        "    code = str(args[:1]).find('.py') >= 0\n"
        "    if event == 'open' and not code: opened.append(args[0])\n"
        "sys.addaudithook(hook)\n"
        "import fusionfactory\n"
        "print(opened)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize("module", MODULES)
def test_no_pickle_no_eval(module: str) -> None:
    path = ROOT.parent / Path(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    calls = {node.func.id for node in ast.walk(tree)
             if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}  # fmt: skip
    assert not calls & {"eval", "exec", "compile", "__import__"}
    assert not _all_imports(tree) & {"pickle", "joblib", "cloudpickle", "dill", "shelve", "marshal"}


@pytest.mark.parametrize("module", MODULES)
def test_optional_packages_are_imported_late(module: str) -> None:
    path = ROOT.parent / Path(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    top = [node for node in ast.parse(path.read_text(encoding="utf-8")).body
           if isinstance(node, ast.Import | ast.ImportFrom)]  # fmt: skip
    late = OPTIONAL if module.startswith("fusionfactory.gateway") else OPTIONAL | GATEWAY
    assert not _all_imports(ast.Module(body=list(top), type_ignores=[])) & late


def _all_imports(tree: ast.AST) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names
