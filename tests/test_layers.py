"""Who may import whom: the contract of ``pyproject.toml``, no circles, no borrowed privacy."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "sftkd_core"


@cache
def modules() -> dict[str, ast.Module]:
    """Every module of the library by name."""
    found = {}
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


def imports_of(name: str) -> dict[str, str]:
    """What a module imports from this library, wherever in it: local name -> full name."""
    found = {}
    for node in ast.walk(modules()[name]):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == PACKAGE:
                    found[alias.asname or alias.name] = alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: a relative import; write out {PACKAGE}"
            if (node.module or "").split(".")[0] == PACKAGE:
                for alias in node.names:
                    found[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return found


def module_of(full_name: str) -> str:
    """The module that a full name is, or stands in."""
    return full_name if full_name in modules() else full_name.rpartition(".")[0]


@cache
def arrows() -> dict[str, set[str]]:
    """The modules that each module imports."""
    return {
        name: {module_of(full) for full in imports_of(name).values()} - {name} for name in modules()
    }


def circle(graph: dict[str, set[str]]) -> list[str]:
    """The modules of one circle, in order; empty where there is none."""
    state: dict[str, str] = {}

    def visit(name: str, path: list[str]) -> list[str]:
        if state.get(name) == "done":
            return []
        if state.get(name) == "open":
            return [*path[path.index(name) :], name]
        state[name] = "open"
        for other in sorted(graph.get(name, ())):
            if found := visit(other, [*path, name]):
                return found
        state[name] = "done"
        return []

    return next(filter(None, (visit(name, []) for name in graph)), [])


def test_the_contract_of_layers():
    run = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr


def test_imports_run_in_no_circle():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle(arrows()) == []


def test_neighbours_import_each_other_in_no_circle():
    """The parts of each package: rooms, and what stands side by side in a room."""
    packages = {name.rpartition(".")[0] for name in modules()} - {""}
    for package in packages:
        depth = package.count(".") + 2
        inside = [name for name in modules() if name.startswith(f"{package}.")]
        part = {name: ".".join(name.split(".")[:depth]) for name in inside}
        graph: dict[str, set[str]] = {name: set() for name in part.values()}
        for name in inside:
            graph[part[name]] |= {part[other] for other in arrows()[name] if other in part}
        for name, others in graph.items():
            others.discard(name)
        assert circle(graph) == []


def is_private(name: str) -> bool:
    """``_name``; IPython's ``_repr_html_`` and the like are made for others."""
    return name.startswith("_") and not name.endswith("_")


def test_what_is_private_stays_in_its_module():
    borrowed = []
    for name, tree in modules().items():
        imported = imports_of(name)
        borrowed += [
            f"{name} imports {full}"
            for full in imported.values()
            if any(map(is_private, full.split(".")))
        ]
        own = {
            node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)
        } | {
            target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign | ast.AnnAssign)
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        }
        borrowed += [
            f"{name}, line {node.lineno}: {ast.unparse(node)}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and is_private(node.attr) and node.attr not in own
        ]
    assert not borrowed
