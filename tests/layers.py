"""Import rules that import-linter cannot say: they depend on what a file is, not on where it stands.

The contracts in pyproject.toml say which package may import which. Here: arithmetic uses the standard library only and
has no clock; a world shares no vocabulary with the actors it is tried with; only actors know Locust and gevent.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "pika_locust"

ARITHMETIC = {"errors", "format", "metrics", "judge", "load"}
"""Packages that use the standard library only, and no clock."""
CLOCKS = {"time", "datetime", "sched", "threading", "asyncio"}
LOCUSTFILES = {"pika_locust/cli/named_scenarios.py"}
"""Files of the package that only Locust loads."""
WORLD_MAY_IMPORT = {"errors", "sandbox"}


def product_files() -> list[Path]:
    """Every Python file of the package."""
    return sorted((ROOT / PACKAGE).rglob("*.py"))


def module_names() -> frozenset[str]:
    """Every module of the package, by its dotted name."""
    return frozenset(_module_name(path.relative_to(ROOT).as_posix()) for path in product_files())


def violations(path: str, source: str, modules: Collection[str]) -> list[str]:
    """What is wrong with a file, a sentence each.

    Arguments:
        path: where the file is, from the repository's root.
        source: its text.
        modules: the package's modules, to tell `from package import module` from `from module import name`.
    """
    tree = ast.parse(source)
    package = package_of(_module_name(path))
    found: list[str] = []
    for name in sorted(set(_imports(tree, path, modules))):
        if name.split(".")[0] != PACKAGE:
            found += _foreign(path, package, name.split(".")[0], tree)
        elif package in ARITHMETIC and name == f"{PACKAGE}.clock":
            found.append(f"{path}: {package} has no clock and never waits, but imports {name}")
        elif package == "platforms":
            found += _in_platform(path, name)
        elif name == f"{PACKAGE}.plugin" and package not in ("", "plugin") and path not in LOCUSTFILES:
            found.append(f"{path}: imports {name}, but only locustfiles do")
    return found


def package_of(module: str) -> str:
    """The first part of a module's name below the package; "" is the package itself."""
    return [*module.split("."), ""][1]


def _in_platform(path: str, name: str) -> Iterator[str]:
    stem = PurePosixPath(path).stem
    folder = ".".join(_module_name(path).split(".")[:3])
    other = package_of(name)
    if stem.startswith("world") and other not in WORLD_MAY_IMPORT and not name.startswith(f"{folder}.world"):
        yield f"{path}: a world may not import {name}: what misleads both would go unnoticed"


def _foreign(path: str, package: str, top: str, tree: ast.Module) -> Iterator[str]:
    if package == "platforms" and not is_actor(tree) and top in ("locust", "gevent", "greenlet"):
        yield f"{path}: may not know {top}, as this is no actor"
    if package in ARITHMETIC and top not in sys.stdlib_module_names:
        yield f"{path}: {package} is standard library only, but imports {top}"
    if package in ARITHMETIC and top in CLOCKS:
        yield f"{path}: {package} has no clock and never waits, but imports {top}"


def is_actor(tree: ast.Module) -> bool:
    """Whether a file defines an actor: a class whose base is `Actor`, or one of the `...Actor` classes."""
    return any(
        getattr(base, "id", getattr(base, "attr", "")).endswith("Actor")
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for base in node.bases
    )


def _module_name(path: str) -> str:
    parts = list(PurePosixPath(path).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(tree: ast.Module, path: str, modules: Collection[str]) -> Iterator[str]:
    """Dotted names of everything that is imported, also inside of functions, and also by a written-out name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _base(node, path)
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                yield whole if whole in modules else base
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("import_module", "__import__") and isinstance(node.args[0].value, str):
                yield node.args[0].value


def _base(node: ast.ImportFrom, path: str) -> str:
    if not node.level:
        return node.module or ""
    package = _module_name(path).split(".")
    # `.` is the folder of the file, which is the module itself only for a package's own __init__.
    up = node.level - (PurePosixPath(path).stem == "__init__")
    return ".".join([*package[: len(package) - up], *([node.module] if node.module else [])])


def stubs(sources: dict[str, str]) -> list[str]:
    """Functions that only say that they are not there yet; one that another class of these files overrides is not."""
    bases: dict[str, set[str]] = {}
    methods: dict[str, set[str]] = {}
    empty = []
    for path, source in sources.items():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ClassDef):
                own = {
                    method.name for method in node.body if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef)
                }
                methods.setdefault(node.name, set()).update(own)
                named = {getattr(base, "id", getattr(base, "attr", "")) for base in node.bases}
                bases.setdefault(node.name, set()).update(named)
        empty += _unfinished(path, ast.parse(source))
    overridden = {(base, method) for name in methods for base in _ancestors(name, bases) for method in methods[name]}
    return [
        f"{path}: {owner or 'the function'} {name} is not there yet"
        for path, owner, name in empty
        if (owner, name) not in overridden
    ]


def _ancestors(name: str, bases: Mapping[str, Collection[str]]) -> set[str]:
    """The bases of a class, their bases, and so on, as far as they are known by name."""
    found: set[str] = set()
    left = set(bases.get(name, ()))
    while left:
        base = left.pop()
        if base not in found:
            found.add(base)
            left.update(bases.get(base, ()))
    return found


def _unfinished(path: str, tree: ast.AST, owner: str = "") -> Iterator[tuple[str, str, str]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef):
            yield from _unfinished(path, node, node.name)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            raised = [statement.exc for statement in node.body if isinstance(statement, ast.Raise)]
            names = {getattr(error.func if isinstance(error, ast.Call) else error, "id", "") for error in raised}
            if "NotImplementedError" in names:
                yield path, owner, node.name
            yield from _unfinished(path, node, owner)
        else:
            yield from _unfinished(path, node, owner)
