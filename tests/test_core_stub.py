"""The type stub of the compiled module says what the module has."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest

import cnnfast
from cnnfast.ops import engine

_STUB = Path(cnnfast.__file__).with_name("_core.pyi")
_STUB_TREE = ast.parse(_STUB.read_text(encoding="utf-8"))


def _public(names):
    return {name for name in names if not name.startswith("_")}


def _stub_classes():
    return {node.name: node for node in _STUB_TREE.body if isinstance(node, ast.ClassDef)}


def _stub_functions(body):
    return {node.name: node for node in body if isinstance(node, ast.FunctionDef)}


def _argument_names(compiled):
    """The names in the first line of a compiled function's docstring, "run_step(op: str, ...) -> None"."""
    signature = inspect.getdoc(compiled).splitlines()[0]
    inside = re.sub(r"\[[^\[\]]*\]", "", signature)
    while inside != (inside := re.sub(r"\[[^\[\]]*\]", "", inside)):
        pass
    return re.findall(r"(\w+):", inside.split("(", 1)[1].rsplit("->", 1)[0])


def test_stub_and_module_have_the_same_names():
    stub = {*_stub_classes(), *_stub_functions(_STUB_TREE.body)}
    assert _public(stub) == _public(dir(engine._core))


@pytest.mark.parametrize("name", sorted(_stub_classes()))
def test_stub_and_class_have_the_same_members(name):
    compiled = getattr(engine._core, name)
    assert _public(_stub_functions(_stub_classes()[name].body)) == _public(vars(compiled))


@pytest.mark.parametrize("owner", [None, *sorted(_stub_classes())])
def test_stub_and_functions_have_the_same_arguments(owner):
    body = _STUB_TREE.body if owner is None else _stub_classes()[owner].body
    compiled = engine._core if owner is None else getattr(engine._core, owner)
    for name, node in _stub_functions(body).items():
        if inspect.isdatadescriptor(inspect.getattr_static(compiled, name)):
            continue
        expected = [a.arg for a in node.args.args]
        assert _argument_names(getattr(compiled, name)) == expected, name
