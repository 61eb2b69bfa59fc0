"""Seals: a hash of the definitions that decide what a training learns.

From the roots (the loop, an objective, a network's classes, a method's functions) names are
followed through the modules they stand in. Of each definition counts what it computes: no comment,
docstring, annotation or text of an error, neither its own name nor its place. So tidying, moving
and renaming leave a seal as it is, and a change of what is computed does not.
"""

import ast
import hashlib
import inspect
import json
import sys
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

PLUMBING = ("system",)  # rooms in which nothing is learnt

_PACKAGE = __name__.partition(".")[0]
# the source as it is when the library is imported: what is edited later is not what runs
_IMPORTED = {
    path: path.read_text(encoding="utf-8")
    for path in Path(str(sys.modules[_PACKAGE].__file__)).parent.rglob("*.py")
}
_PLAIN = (bool, int, float, complex, str, bytes, type(None))


@lru_cache(maxsize=512)
def seal(roots: tuple, settings: tuple[str, ...] = ()) -> str:
    """16 hexadecimal digits: of all definitions that the roots lead to, and of ``settings``.

    roots  functions, classes or properties; those of other packages count for nothing
    """
    found, waiting = {}, [_bare(root) for root in roots]
    while waiting:
        thing = waiting.pop()
        if _is_own(thing) and thing not in found:
            found[thing], more = _digest(thing)
            waiting += more
    text = json.dumps([sorted(set(found.values())), settings])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def shape_of(thing) -> str:
    """What a definition computes, whatever it and its parts are called; of others the name."""
    if not _is_own(thing):
        return f"{thing.__module__}.{thing.__qualname__}"
    return _hash(_Reader(thing, lambda other: "").text())


@cache
def _digest(thing) -> tuple[str, list]:
    """A hash of a definition that knows what it refers to, and the list of that."""
    reader = _Reader(thing, shape_of)
    return _hash(reader.text()), reader.found


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _bare(thing):
    """The function in a property or behind a decorator's wrapper; classes as they are."""
    thing = thing.fget if isinstance(thing, property) else thing
    return inspect.unwrap(thing) if callable(thing) and not isinstance(thing, type) else thing


def _is_own(thing) -> bool:
    home = getattr(thing, "__module__", None) or ""
    return isinstance(thing, type | FunctionType) and f"{home}.".startswith(f"{_PACKAGE}.")


def forget() -> None:
    """Read all definitions again: for who has changed one since, as tests do."""
    for known in (seal, shape_of, _digest, _parsed):
        known.cache_clear()


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(_IMPORTED[path])


def _node_of(thing) -> ast.AST:
    """Where a function or class is defined, in the source as imported."""
    node: Any = _parsed(Path(str(sys.modules[thing.__module__].__file__)))
    for name in thing.__qualname__.split("."):
        node = next(n for n in node.body if getattr(n, "name", None) == name)
    return node


class _Reader:
    """One definition as text, the same in every Python; collects what it refers to.

    name  what a definition of this package is called in the text
    """

    def __init__(self, thing, name):
        self.space, self.node = vars(sys.modules[thing.__module__]), _node_of(thing)
        self.name, self.found = name, []

    def text(self) -> str:
        return self._text(self.node, frozenset())

    def _text(self, node: object, local: frozenset[str]) -> str:
        if isinstance(node, list):
            return f"[{', '.join(self._text(part, local) for part in node)}]"
        if not isinstance(node, ast.AST):
            return repr(node)
        if isinstance(node, ast.Name | ast.Attribute):
            known = self._known(node, local)
            if known is not None:
                return known
        if isinstance(node, ast.FunctionDef | ast.Lambda):
            local = local | _names_bound_in(node)
        return f"{type(node).__name__}({', '.join(self._fields(node, local))})"

    def _fields(self, node: ast.AST, local: frozenset[str]) -> Iterator[str]:
        """The parts of a node that decide what it computes."""
        if isinstance(node, ast.Raise):
            return  # that it fails counts, not what it says
        for field, value in ast.iter_fields(node):
            if field in ("annotation", "returns", "kind", "type_comment", "type_params"):
                continue
            if field == "name" and node is self.node:
                continue
            if isinstance(node, ast.JoinedStr):  # some versions end an f-string with an empty piece
                value = [v for v in value if getattr(v, "value", None) != ""]
            if field == "body" and isinstance(node, ast.FunctionDef | ast.ClassDef):
                documented = ast.get_docstring(node, clean=False) is not None
                value = value[documented:] or [ast.Pass()]
            if field in ("args", "keywords") and isinstance(node, ast.Call) and self._says(node):
                continue
            if value is not None and value != []:
                yield f"{field}={self._text(value, local)}"

    def _says(self, call: ast.Call) -> bool:
        """Whether a call makes an error or a warning."""
        called = self._value(call.func, frozenset())
        is_error = isinstance(called, type) and issubclass(called, BaseException)
        return is_error or getattr(called, "__module__", "") == "_warnings"

    def _known(self, node: ast.Name | ast.Attribute, local: frozenset[str]) -> str | None:
        """What stands for a name of a module; None where the name stands for itself."""
        value = _bare(self._value(node, local))
        if _is_own(value):
            if value.__module__.split(".")[1] in PLUMBING:
                return "plumbing"
            self.found.append(value)
            return f"@{self.name(value)}"
        if value is _MISSING or callable(value) or isinstance(value, ModuleType):
            return None
        if _is_plain(value):
            return repr(value)
        return None if isinstance(node, ast.Attribute) else "table"

    def _value(self, node: ast.AST, local: frozenset[str]) -> object:
        """What a name, or a name in a module of this package, is; ``_MISSING`` for others."""
        if isinstance(node, ast.Name):
            return _MISSING if node.id in local else self.space.get(node.id, _MISSING)
        if isinstance(node, ast.Attribute):
            home = self._value(node.value, local)
            if isinstance(home, ModuleType):
                return getattr(home, node.attr, _MISSING)
        return _MISSING


_MISSING = object()


def _is_plain(value) -> bool:
    """A number, a text, or a table of such: what it holds counts."""
    if isinstance(value, dict):
        return all(_is_plain(part) for item in value.items() for part in item)
    if isinstance(value, tuple | list):
        return all(map(_is_plain, value))
    return isinstance(value, _PLAIN)


def _names_bound_in(function: ast.FunctionDef | ast.Lambda) -> set[str]:
    """Arguments, and what is assigned or defined in a function."""
    parts: Iterable[ast.AST] = list(ast.walk(function))
    names = {part.arg for part in parts if isinstance(part, ast.arg)}
    names |= {p.id for p in parts if isinstance(p, ast.Name) and not isinstance(p.ctx, ast.Load)}
    inner = (p for p in parts if isinstance(p, ast.FunctionDef) and p is not function)
    return names | {part.name for part in inner}
