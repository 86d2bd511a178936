"""The design, enforced: layers, sizes, documentation, no hidden state, no pickle.

Every rule is a function from one module to the violations in it, and every rule is shown to fail on a bad snippet.
"""

from __future__ import annotations

import ast
import builtins
import symtable
from collections.abc import Callable, Iterator
from typing import TypeAlias

import pytest

from syntax_trees import (
    ROOT,
    Module,
    decorators,
    functions,
    imports,
    package_modules,
    parameters,
    public_definitions,
    statements,
)

# A package imports from lower layers only, never from its own: siblings meet in the words of layer 0. No layer is
# exempt, and imports inside of functions or for type checkers count as any other.
LAYERS = (
    ("typing", "errors", "units", "numerics", "version", "ranges", "messages"),
    ("parallel", "system", "laplacian"),
    ("wavefunctions", "hamiltonian", "samplers", "objectives", "optimizers", "statistics", "io"),
    ("scf", "plots"),
    ("observables",),
    ("methods",),
    ("catalog",),
    ("presets",),
    ("config",),
    ("cost",),
    ("job",),
    ("trained",),
    ("studies", "report"),
    ("__init__", "ase"),
    ("cli",),
    ("__main__",),
)
LAYER_OF = {name: number for number, names in enumerate(LAYERS) for name in names}
VOCABULARY = ("typing", "errors")  # the words in which siblings meet: open to the rest of layer 0 too

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_PARAMETERS = 8

FORBIDDEN_IMPORTS = ("jax.core", "jax._src", "pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal")
FORBIDDEN_IMPORTS += ("yaml", "runpy", "code", "imp", "importlib.import_module", "importlib.util")
FORBIDDEN_IMPORTS += ("importlib.machinery",)
MAY_IMPORT = {"nnqmc": ("importlib.import_module",)}  # of the names in its own table, see test_security
FORBIDDEN_CALLS = ("eval", "exec", "compile", "__import__", "import_module")
BUILTIN_CALLS = tuple(f"builtins.{name}" for name in FORBIDDEN_CALLS)
NAN_HIDING = ("nanmean", "nanstd", "nanvar", "nansum", "nanprod", "nanmedian", "nanquantile", "nanpercentile")
NAN_HIDING += ("nan_to_num",)
MUTABLE_CALLS = ("list", "dict", "set", "bytearray", "defaultdict", "OrderedDict", "Counter", "deque")
MUTABLE_DISPLAYS = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
MAY_BE_MUTABLE = ("__all__", "__slots__")  # the language's own lists of names

Violation: TypeAlias = tuple[int, str]

# --- the rules --------------------------------------------------------------------------------------------------------


def check_layers(module: Module) -> Iterator[Violation]:
    """Imports point down."""
    if module.unit not in LAYER_OF:
        yield 1, f"{module.unit!r} belongs to no layer"
        return
    layer = LAYER_OF[module.unit]
    for line, name in imports(module):
        parts = name.split(".")
        if parts[0] != "nnqmc":
            continue
        target = parts[1] if len(parts) > 1 and parts[1] in LAYER_OF else "__init__"
        if len(parts) > 2 and parts[1] not in LAYER_OF:
            yield line, f"imports {name}, which belongs to no layer"
        is_below = LAYER_OF[target] < layer
        is_vocabulary = target in VOCABULARY and module.unit not in VOCABULARY
        if target != module.unit and not is_below and not is_vocabulary:
            yield line, f"{module.unit} (layer {layer}) imports {target} (layer {LAYER_OF[target]})"


def check_sizes(module: Module) -> Iterator[Violation]:
    """Files, functions and parameter lists stay short."""
    if (n_lines := len(module.source.splitlines())) > MAX_FILE_LINES:
        yield n_lines, f"{n_lines} lines in the file, at most {MAX_FILE_LINES}"
    for node, owner in functions(module.tree):
        if (n_lines := node.end_lineno - node.lineno + 1) > MAX_FUNCTION_LINES:
            yield node.lineno, f"{node.name} has {n_lines} lines, at most {MAX_FUNCTION_LINES}"
        if (count := len(parameters(node, isinstance(owner, ast.ClassDef)))) > MAX_PARAMETERS:
            yield node.lineno, f"{node.name} has {count} parameters, at most {MAX_PARAMETERS}"


def check_documentation(module: Module) -> Iterator[Violation]:
    """What is public says what it is; dunder methods and flax's `setup` may go without."""
    if module.tree.body and not ast.get_docstring(module.tree):
        yield 1, "the module has no docstring"
    for node, in_class in public_definitions(module.tree):
        is_obvious = node.name.startswith("__") or (in_class and node.name == "setup")
        is_obvious |= bool(decorators(node) & {"overload", "override", "setter", "deleter"})
        if not is_obvious and not ast.get_docstring(node):
            yield node.lineno, f"{node.name} has no docstring"


def check_annotations(module: Module) -> Iterator[Violation]:
    """Every parameter and result of a public function is annotated."""
    for node, in_class in public_definitions(module.tree):
        if isinstance(node, ast.ClassDef):
            continue
        missing = [arg.arg for arg in parameters(node, in_class) if arg.annotation is None]
        missing += ["the result"] if node.returns is None else []
        if missing:
            yield node.lineno, f"{node.name} lacks annotations for: {', '.join(missing)}"


def mutable_part(value: ast.expr) -> ast.expr | None:
    """The part of an assigned value that is a bare mutable container, if there is one."""
    if isinstance(value, MUTABLE_DISPLAYS):
        return value
    if isinstance(value, ast.Call):
        name = value.func.attr if isinstance(value.func, ast.Attribute) else getattr(value.func, "id", "")
        return value if name in MUTABLE_CALLS else None
    inner = {
        ast.Tuple: lambda: value.elts,
        ast.BinOp: lambda: [value.left, value.right],
        ast.IfExp: lambda: [value.body, value.orelse],
        ast.NamedExpr: lambda: [value.value],
    }.get(type(value), list)()
    return next((part for part in map(mutable_part, inner) if part is not None), None)


def check_state(module: Module) -> Iterator[Violation]:
    """No mutable container lives in a module or on a class, and nothing rebinds a module's names."""
    for statement in statements(module.tree.body):
        if not isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign) or statement.value is None:
            continue
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        names = ", ".join(map(ast.unparse, targets))
        if names not in MAY_BE_MUTABLE and (part := mutable_part(statement.value)) is not None:
            yield part.lineno, f"{names} is mutable state of the module: use a tuple, frozenset or MappingProxyType"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Global):
            yield node.lineno, f"global {', '.join(node.names)}"


def check_forbidden(module: Module) -> Iterator[Violation]:
    """No private JAX, no pickle, no code from data, no assert, nothing that hides a NaN."""
    called = {id(node.func) for node in ast.walk(module.tree) if isinstance(node, ast.Call)}
    for line, name in imports(module):
        is_bad = any(name == bad or name.startswith(f"{bad}.") for bad in FORBIDDEN_IMPORTS)
        if is_bad and name not in MAY_IMPORT.get(module.name, ()):
            yield line, f"imports {name}"
        if name.rpartition(".")[2] in NAN_HIDING:
            yield line, f"imports {name}, which hides non-finite numbers"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Assert):
            yield node.lineno, "assert: raise one of nnqmc.errors instead"
        elif isinstance(node, ast.Attribute) and node.attr in NAN_HIDING:
            yield node.lineno, f"{node.attr} hides non-finite numbers"
        elif isinstance(node, ast.Attribute) and ast.unparse(node) in FORBIDDEN_IMPORTS:
            yield node.lineno, f"uses {ast.unparse(node)}"
        elif isinstance(node, ast.Attribute) and ast.unparse(node) in BUILTIN_CALLS:
            yield node.lineno, f"uses {ast.unparse(node)}"
        elif isinstance(node, ast.Name) and node.id in ("eval", "exec", "__import__") and id(node) not in called:
            yield node.lineno, f"names {node.id}"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FORBIDDEN_CALLS:
            if f"importlib.{node.func.id}" in MAY_IMPORT.get(module.name, ()):
                continue
            yield node.lineno, f"calls {node.func.id}"
        elif isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            if not (isinstance(node.value, ast.Constant) and node.value.value is False):
                yield node.value.lineno, "allows pickle"


def check_names(module: Module) -> Iterator[Violation]:
    """Every name is defined somewhere; the linter can't tell, since jaxtyping's axes look like names to it."""
    table = symtable.symtable(module.source, module.path, "exec")
    known = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
    known |= {child.get_name() for child in table.get_children()} | set(dir(builtins))
    known |= {"__file__", "__path__", "__class__"}
    pending, wanted = [table], set()
    while pending:
        scope = pending.pop()
        pending += scope.get_children()
        wanted |= {s.get_name() for s in scope.get_symbols() if s.is_referenced() and (s.is_global() or scope is table)}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Name) and node.id in wanted - known:
            yield node.lineno, f"{node.id} is not defined"


RULES = (
    check_layers,
    check_sizes,
    check_documentation,
    check_annotations,
    check_state,
    check_forbidden,
    check_names,
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_package_keeps_the_rule(rule: Callable[[Module], Iterator[Violation]]) -> None:
    modules = package_modules()
    assert modules, "no source files found"
    found = [f"{module.path}:{line}: {what}" for module in modules for line, what in sorted(rule(module))]
    assert not found, f"{rule.__doc__} {len(found)} violations:\n" + "\n".join(found)


def test_tests_examples_and_benchmarks_are_as_short_as_the_package() -> None:
    paths = [path for folder in ("tests", "examples", "benchmarks") for path in sorted((ROOT / folder).rglob("*.py"))]
    assert len(paths) > 50, "the tests are not where they are looked for"
    modules = [Module(path.stem, path.read_text(), str(path.relative_to(ROOT))) for path in paths]
    found = [f"{module.path}:{line}: {what}" for module in modules for line, what in check_sizes(module)]
    assert not found, "\n".join(found)


# --- the rules have teeth ---------------------------------------------------------------------------------------------

HEAD = '"""A snippet."""\n'
LONG = "def f() -> None:\n    '''Long.'''\n" + "    x = 1\n" * MAX_FUNCTION_LINES
NESTED = "def f() -> None:\n    '''Long.'''\n    def g():\n" + "        x = 1\n" * MAX_FUNCTION_LINES
WIDE = "def f(" + ", ".join(f"a{i}: int" for i in range(MAX_PARAMETERS)) + "{}) -> None:\n    '''Wide.'''\n"
METHOD = "class A:\n    '''A.'''\n    {}\n"

BAD = [
    (check_layers, "from nnqmc.methods import vmc", "layer 2) imports methods"),
    (check_layers, "from nnqmc.samplers.metropolis import step", "imports samplers"),
    (check_layers, "from ..observables import dipole", "imports observables"),
    (check_layers, "from .. import cli", "imports cli"),
    (check_layers, "import nnqmc", "imports __init__"),
    (check_layers, "from nnqmc import molecule", "imports __init__"),
    (check_layers, "def f():\n    import nnqmc.plots", "imports plots"),
    (check_layers, "from nnqmc.extras.thing import x", "belongs to no layer"),
    (check_sizes, "x = 1\n" * MAX_FILE_LINES, "lines in the file"),
    (check_sizes, LONG, "f has 62 lines"),
    (check_sizes, NESTED, "f has 63 lines"),
    (check_sizes, WIDE.format(", b: int"), "f has 9 parameters"),
    (check_sizes, WIDE.format(", *, b: int"), "f has 9 parameters"),
    (check_sizes, WIDE.format(", **b: int"), "f has 9 parameters"),
    (check_documentation, "def f(): pass", "f has no docstring"),
    (check_documentation, "if True:\n    def f(): pass", "f has no docstring"),
    (check_documentation, "class A: pass", "A has no docstring"),
    (check_documentation, METHOD.format("def f(self): pass"), "f has no docstring"),
    (check_annotations, "def f(x) -> int: pass", "f lacks annotations for: x"),
    (check_annotations, "def f(*xs, y=1, **z) -> int: pass", "f lacks annotations for: y, xs, z"),
    (check_annotations, "def f(x: int): pass", "f lacks annotations for: the result"),
    (check_annotations, METHOD.format("def f(self, x): pass"), "f lacks annotations for: x, the result"),
    (check_annotations, METHOD.format("def __call__(self, x) -> int: pass"), "__call__ lacks annotations for: x"),
    (check_annotations, METHOD.format("@staticmethod\n    def f(x) -> int: pass"), "f lacks annotations for: x"),
    (check_state, "cache = {}", "cache is mutable"),
    (check_state, "names: list[str] = ['a']", "names is mutable"),
    (check_state, "seen = set()", "seen is mutable"),
    (check_state, "table = collections.defaultdict(list)", "table is mutable"),
    (check_state, "pair = (1, [2])", "pair is mutable"),
    (check_state, "both = OTHER + [x for x in OTHER]", "both is mutable"),
    (check_state, "try:\n    pass\nexcept ValueError:\n    cache = {}", "cache is mutable"),
    (check_state, "class A:\n    seen = []", "seen is mutable"),
    (check_state, "def f():\n    global x", "global x"),
    (check_forbidden, "import jax.core", "imports jax.core"),
    (check_forbidden, "from jax import core", "imports jax.core"),
    (check_forbidden, "from jax._src.lax import lax", "imports jax._src"),
    (check_forbidden, "import jax\ny = jax.core.Tracer", "uses jax.core"),
    (check_forbidden, "def f():\n    import pickle", "imports pickle"),
    (check_forbidden, "from cloudpickle import dumps", "imports cloudpickle"),
    (check_forbidden, "eval('1')", "calls eval"),
    (check_forbidden, "exec('1')", "calls exec"),
    (check_forbidden, "__import__('os')", "calls __import__"),
    (check_forbidden, "from importlib import import_module", "imports importlib.import_module"),
    (check_forbidden, "import importlib\nimportlib.import_module(name)", "uses importlib.import_module"),
    (check_forbidden, "import_module(name)", "calls import_module"),
    (check_forbidden, "import yaml\nyaml.load(text)", "imports yaml"),
    (check_forbidden, "import builtins\nbuiltins.eval('1')", "uses builtins.eval"),
    (check_forbidden, "compile('1', '', 'eval')", "calls compile"),
    (check_forbidden, "run = eval", "names eval"),
    (check_forbidden, "assert True", "assert"),
    (check_forbidden, "jnp.nanmean(x)", "nanmean hides"),
    (check_forbidden, "from numpy import nanstd", "nanstd, which hides"),
    (check_forbidden, "np.load(path, allow_pickle=True)", "allows pickle"),
    (check_names, "def f():\n    return undefined_thing", "undefined_thing is not defined"),
    (check_names, "x = lambda: [undefined_thing for _ in range(3)]", "undefined_thing is not defined"),
    (check_names, "x = undefined_thing", "undefined_thing is not defined"),
]

GOOD = """
from __future__ import annotations

from types import MappingProxyType
from typing import NamedTuple

import jax
from jaxtyping import Array, Float

from nnqmc.errors import InputError
from nnqmc.system.builders import molecule
from nnqmc.typing import System
from .vmc import step

__all__ = ["Pair", "Sampler", "largest"]
SIZES = (1, 2, 3)
TABLE = MappingProxyType({"a": 1})
NAMES = frozenset(["a", "b"])


class Pair(NamedTuple):
    '''Two numbers.'''

    first: int = 1
    second: tuple[int, ...] = ()


class Sampler:
    '''A sampler.'''

    def setup(self) -> None:
        self.n = [1]

    def __call__(self, x: Float[Array, "n_electrons 3"]) -> Float[Array, "n_electrons"]:
        return x[:, 0] if __name__ else super().__call__(x)

    @property
    def width(self) -> float:
        '''The width.'''
        return 1.0

    def with_eight(self, a: int, b: int, c: int, d: int, e: int, f: int, g: int, h: int) -> int:
        '''Eight parameters besides self.'''
        return a + b + c + d + e + f + g + h

    def _private(self, x):
        return x


def largest(values: Float[Array, "n"]) -> float:
    '''The largest value.'''
    found = []
    for value in values:
        found.append(value)
    if not found:
        raise InputError(f"no values: {values}")
    return max(value for value in found)
"""


@pytest.mark.parametrize(("rule", "source", "message"), BAD, ids=[f"{r.__name__}-{m}" for r, _, m in BAD])
def test_the_rule_catches_what_breaks_it(rule: Callable, source: str, message: str) -> None:
    found = list(rule(Module("nnqmc.hamiltonian.kinetic", HEAD + source)))
    assert any(message in what for _, what in found), found
    assert all(line >= 2 for line, _ in found), "the line of the violation is wrong"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_rule_lets_honest_code_pass(rule: Callable) -> None:
    assert list(rule(Module("nnqmc.methods.evaluate", HEAD + GOOD))) == []


def test_a_module_without_docstring_or_layer_is_caught() -> None:
    assert list(check_documentation(Module("nnqmc.units", "x = 1"))) == [(1, "the module has no docstring")]
    assert list(check_layers(Module("nnqmc.extras", HEAD))) == [(1, "'extras' belongs to no layer")]


def test_the_vocabulary_is_open_to_its_own_layer_and_other_siblings_are_not() -> None:
    assert not list(check_layers(Module("nnqmc.numerics", "from nnqmc.typing import SignedLog")))
    assert list(check_layers(Module("nnqmc.numerics", "from nnqmc import units")))
    assert list(check_layers(Module("nnqmc.typing", "from nnqmc.numerics import norm")))
