"""Source files as syntax trees, and the walks over them that the rules of the architecture share."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

ROOT = Path(__file__).resolve().parents[2]

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One source file of the package under its dotted name."""

    name: str
    source: str
    path: str = "<snippet>"
    is_package: bool = False

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.source)

    @property
    def unit(self) -> str:
        """The subpackage or top-level module that this file belongs to."""
        return self.name.split(".")[1] if "." in self.name else "__init__"


def package_modules() -> list[Module]:
    """Every module of nnqmc as it lies in the tree."""
    modules = []
    for path in sorted((ROOT / "nnqmc").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        modules.append(Module(name, path.read_text(), str(path.relative_to(ROOT)), is_package))
    return modules


def imports(module: Module) -> Iterator[tuple[int, str]]:
    """Line and absolute dotted name of everything imported, inside functions and under TYPE_CHECKING too."""
    package = module.name.split(".") if module.is_package else module.name.split(".")[:-1]
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join(base + ([node.module] if node.module else []))
            yield from ((node.lineno, f"{source}.{alias.name}") for alias in node.names)


def functions(node: ast.AST, owner: ast.AST | None = None) -> Iterator[tuple[Function, ast.AST | None]]:
    """Every function below `node` and the class or function it stands in (None at module level)."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function):
            yield child, owner
        yield from functions(child, child if isinstance(child, Function | ast.ClassDef) else owner)


def public_definitions(node: ast.AST, in_class: bool = False) -> Iterator[tuple[Function | ast.ClassDef, bool]]:
    """Public classes and functions, dunder methods included, and whether each stands in a class."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function | ast.ClassDef):
            is_dunder = child.name.startswith("__") and child.name.endswith("__")
            if not child.name.startswith("_") or is_dunder:
                yield child, in_class
                if isinstance(child, ast.ClassDef):
                    yield from public_definitions(child, in_class=True)
        else:
            yield from public_definitions(child, in_class)


def decorators(node: Function | ast.ClassDef) -> set[str]:
    """Last name of every decorator: `setter` for `@energy.setter`."""
    calls = (item.func if isinstance(item, ast.Call) else item for item in node.decorator_list)
    return {item.attr if isinstance(item, ast.Attribute) else getattr(item, "id", "") for item in calls}


def parameters(node: Function, in_class: bool) -> list[ast.arg]:
    """All parameters, without the self or cls of a method."""
    plain = node.args.posonlyargs + node.args.args
    if in_class and "staticmethod" not in decorators(node):
        plain = plain[1:]
    starred = [arg for arg in (node.args.vararg, node.args.kwarg) if arg is not None]
    return plain + node.args.kwonlyargs + starred


def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """What runs when the module is imported: also under if, try, with and in class bodies."""
    for statement in body:
        yield statement
        if not isinstance(statement, Function):
            for field in ("body", "orelse", "finalbody"):
                yield from statements(getattr(statement, field, []))
            for handler in getattr(statement, "handlers", []):
                yield from statements(handler.body)
