"""No name in a file becomes code: what the package imports by name stands in its own source."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import nnqmc

PACKAGE = Path(nnqmc.__file__).parent


def test_the_only_import_by_name_is_of_the_package_s_own_table() -> None:
    """`nnqmc.NAME` imports lazily: through a constant table whose modules are all nnqmc's."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    calls = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Call)
             and isinstance(node.func, ast.Name) and node.func.id == "import_module"]
    assert calls == ["import_module(module)"]
    assert all(module.startswith("nnqmc.") for module in nnqmc._HOME)
    for name in ("os", "__class__.x", "runs.calculate", ""):
        with pytest.raises(AttributeError):
            getattr(nnqmc, name)


def test_nothing_that_is_read_can_start_a_program() -> None:
    """No subprocess, no shell, no loader of foreign objects anywhere in the package.

    But for the C library that the process has anyway, of which `keep_memory` sets two numbers.
    """
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            text = ast.unparse(node) if isinstance(node, ast.Attribute | ast.Import | ast.ImportFrom) else ""
            words = ("subprocess", "os.system", "os.popen", "os.exec", "os.spawn", "ctypes", "numpy.load", "np.load",
                     "eval_gto", "gto.loads", "chkfile.load", "from_chk")
            starts = [start for word in words for start in (word, f"import {word}", f"from {word}")]
            found += [f"{path.name}: {text}"] if text.startswith(tuple(starts)) else []
    assert found == ["threads.py: import ctypes", "threads.py: ctypes.CDLL"]
