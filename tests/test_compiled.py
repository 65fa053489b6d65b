"""What mypyc can be trusted with (docs/adr/0011): each rule is there because breaking it crashed, leaked or lied."""

import ast
import importlib.util
from pathlib import Path
from typing import get_args

import pytest

ROOT = Path(__file__).parent.parent

_spec = importlib.util.spec_from_file_location("setup_of_the_wheel", ROOT / "setup.py")
setup = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(setup)

TREES = {path: ast.parse((ROOT / path).read_text()) for path in setup.modules()}
EVERY = {str(path.relative_to(ROOT)) for path in (ROOT / "gateway").rglob("*.py")}

BASES = {"Protocol", "NamedTuple", "Enum", "StrEnum", "Generic", "Exception", "ValueError"}
"""What mypyc knows how to build upon. A base of Python's own making has a layout that it does not know."""
DECORATORS = {"property", "staticmethod", "classmethod", "overload", "dataclass"}
WITHIN = {"asyncio.timeout"}
"""Its exit waits for nothing."""
RECURSIVE = {
    "gateway/edge/express.py: _relay": "once: the second call finds the client slow, or the answer at its end",
    "gateway/edge/upstreams.py: _text": "as deep as the claims of a token that its issuer has signed",
}
"""Compiled code knows no RecursionError: what calls itself must be known to end."""

compiled = pytest.mark.parametrize("path", TREES)


def name(node):
    """``dataclass`` of ``@dataclass(slots=True)``, ``Generic`` of ``Generic[T]``."""
    node = node.func if isinstance(node, ast.Call) else node
    return ast.unparse(node.value if isinstance(node, ast.Subscript) else node)


def within(path, *kinds):
    return [node for node in ast.walk(TREES[path]) if isinstance(node, kinds)]


def own(function):
    """A function's nodes, without those of the functions in it."""
    for child in ast.iter_child_nodes(function):
        yield child
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from own(child)


def awaits(body):
    return [
        node
        for statement in body
        for node in [statement, *own(statement)]
        if isinstance(node, ast.Await | ast.AsyncWith | ast.AsyncFor)
    ]


def test_every_module_is_compiled_or_says_why_not():
    """The folders of the hot path are listed in full; the list names nothing that is not there."""
    assert TREES.keys() <= EVERY
    left_out = {f"gateway/{module}.py" for module in setup.UNCOMPILED}
    assert not left_out & TREES.keys()
    neighbours = {
        path for path in EVERY if path.rpartition("/")[0] in {f"gateway/{f}" for f in setup.COMPILED if f}
    }
    unnamed = {path for path in neighbours if not path.endswith("__init__.py")} - TREES.keys() - left_out
    assert not unnamed
    assert left_out <= EVERY


@compiled
def test_a_compiled_class_builds_upon_compiled_ones_only(path):
    """A subclass of an OrderedDict wrote beyond its memory; asyncio's classes are no better."""
    classes = within(path, ast.ClassDef)
    here = {node.name for node in classes}
    imported = {
        alias.asname or alias.name
        for node in within(path, ast.ImportFrom)
        if node.module.replace(".", "/") + ".py" in TREES
        for alias in node.names
    }
    bases = {name(base) for node in classes for base in node.bases}
    assert bases <= BASES | here | imported


@compiled
def test_nothing_is_awaited_while_an_error_is_handled(path):
    """In ``except`` and ``finally``, and when a block is left: other tasks would see the error as their own, an
    ``await`` in ``finally`` even raises one that was long handled, and leaks. Remember the error, await behind."""
    for node in within(path, ast.Try, ast.TryStar):
        assert not awaits(node.finalbody)
        assert not [found for handler in node.handlers for found in awaits(handler.body)]
    assert not within(path, ast.AsyncFor)
    assert {name(item.context_expr) for node in within(path, ast.AsyncWith) for item in node.items} <= WITHIN


@compiled
def test_no_generator_is_asynchronous(path):
    """Not supported, and not told at the build."""
    for function in within(path, ast.AsyncFunctionDef):
        assert not [node for node in own(function) if isinstance(node, ast.Yield | ast.YieldFrom)]


@compiled
def test_attributes_stay_and_names_are_known_at_the_build(path):
    """Neither may attributes be deleted or looked up by other means, nor classes be made within others."""
    assert not [t for node in within(path, ast.Delete) for t in node.targets if isinstance(t, ast.Attribute)]
    for node in within(path, ast.ClassDef):
        members = [member for member in node.body if isinstance(member, ast.ClassDef)]
        special = {getattr(member, "name", "") for member in node.body}
        assert not members
        assert not special & {"__del__", "__getattr__", "__getattribute__", "__setattr__", "__delattr__"}


@compiled
def test_a_default_of_none_stands_for_one_type(path):
    """``x: A | B | None = None`` in a class is not set at all, be it written so or by an alias of ``A | B``."""
    module = importlib.import_module(path.removesuffix(".py").replace("/", "."))
    plain = [node for node in within(path, ast.ClassDef) if "dataclass" not in map(name, node.decorator_list)]
    for member in [member for node in plain for member in node.body if isinstance(member, ast.AnnAssign)]:
        if isinstance(member.value, ast.Constant) and member.value.value is None:
            alternatives = set(get_args(eval(ast.unparse(member.annotation), vars(module))))  # noqa: S307  # our own
            assert len(alternatives - {type(None)}) <= 1, ast.unparse(member)


@compiled
def test_decorators_are_those_that_mypyc_understands(path):
    """A ``runtime_checkable`` Protocol, for one, fails only when it is imported."""
    decorated = within(path, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    assert {name(decorator) for node in decorated for decorator in node.decorator_list} <= DECORATORS


@compiled
def test_what_calls_itself_is_known_to_end(path):
    """Python raises RecursionError; compiled code runs out of stack, and the process is gone."""
    for function in within(path, ast.FunctionDef, ast.AsyncFunctionDef):
        calls = {ast.unparse(node.func) for node in ast.walk(function) if isinstance(node, ast.Call)}
        if calls & {function.name, f"self.{function.name}"}:
            assert f"{path}: {function.name}" in RECURSIVE
