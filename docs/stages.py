"""Keeps ``docs/stages.json``, the record of the sources that each stage runs: ``make stages``.

A stage's results are cached under its version, so other code under the same version would take
stored results for its own. The record has a digest of the code that each version ran;
``tests/tasks/test_stage_sources.py`` fails where that has changed and the version has not.

The code of a stage is its function and all definitions inside ``tasks`` that it names, and so on,
wherever they are imported: functions, classes, constants, modules named by a string, and statements
that run when a module is imported. Comments, docstrings, formatting, annotations of functions,
messages of errors and descriptions of options do not count.
"""

import argparse
import ast
import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any

from tasks.stage import Stage

ROOT = Path(__file__).parents[1]
RECORD = Path("docs/stages.json")
DIGITS = 16
"""Of a digest; what it tells apart are mistakes, not attacks."""
_MODULE = re.compile(r"tasks(\.\w+)+(:\w+)?")

_NEUTRAL = re.compile(r"tasks\.(errors|stage|runtime\.(progress|orphans)|(.*\.)?task)")
"""Modules that change no result: errors, progress, and the declarations of stages."""

Name = tuple[str, str]
"""A module and a definition in it."""


@dataclass(slots=True)
class Definition:
    """A top-level statement, or several that bind the same name."""

    content: list[str] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    """Names that it uses, as its module knows them."""
    imports: set[Name] = field(default_factory=set)
    """What it imports itself, or names by a string."""
    libraries: set[str] = field(default_factory=set)
    """Names that it uses outside the annotations of functions, and modules that it imports."""


@dataclass(frozen=True, slots=True)
class Module:
    """One module's definitions, by name; what runs on import has the name ``""``."""

    definitions: dict[str, Definition]
    bindings: dict[str, Name]
    """Imported names: their module, and the name there, or ``*`` for the module itself."""


@dataclass(frozen=True, slots=True)
class Code:
    """The code of a stage."""

    digests: dict[Name, str]
    libraries: frozenset[str]
    """Top-level modules from elsewhere that it uses."""

    def digest(self, module: str | None = None) -> str:
        """Of the definitions, or of those in one module."""
        parts = sorted((*name, one) for name, one in self.digests.items())
        return _digest(json.dumps([one for one in parts if module in (None, one[0])]))


class Sources:
    """Definitions in a package, and what they use.

    Args:
        root: the folder that the package lies in.
        package: its name.
    """

    def __init__(self, root: Path, package: str) -> None:
        self._root, self._package = root, package
        self._modules: dict[str, Module | None] = {}

    def code(self, function: str) -> Code:
        """The code that ``module:function`` runs."""
        module, _, name = function.partition(":")
        waiting, digests, libraries = [(module, name)], dict[Name, str](), set[str]()
        while waiting:
            module, name = waiting.pop()
            found = self._module(module)
            if found is None:
                libraries.add(module.split(".")[0])
                continue
            if (module, name) in digests or _NEUTRAL.fullmatch(module):
                continue
            if name == "*":
                waiting += [(module, one) for one in found.definitions]
            elif name in found.definitions:
                one = found.definitions[name]
                digests[module, name] = _digest(json.dumps(one.content))
                waiting += self._used(module, one)
            elif name in found.bindings:
                waiting.append(found.bindings[name])
            elif self._module(f"{module}.{name}"):
                waiting.append((f"{module}.{name}", "*"))
            if name != "" and "" in found.definitions:
                waiting.append((module, ""))
        return Code(digests, frozenset(libraries))

    def _used(self, module: str, one: Definition) -> Iterator[Name]:
        found = self._module(module)
        assert found is not None
        for target in one.imports:
            if self._module(target[0]) or target[0].split(".")[0] != self._package:
                yield target
        for used in one.names:
            if used in found.definitions:
                yield module, used
            elif used in found.bindings:
                target = found.bindings[used]
                if self._module(target[0]) or used in one.libraries:
                    yield target

    def _module(self, name: str) -> Module | None:
        """A module of the package; None for any other."""
        if name not in self._modules:
            path = self._root / name.replace(".", "/")
            files = [path.with_suffix(".py"), path / "__init__.py"]
            file = next((one for one in files if one.is_file()), None)
            inside = name.split(".")[0] == self._package and file is not None
            self._modules[name] = _parsed(file) if inside and file else None
        return self._modules[name]


def _parsed(file: Path) -> Module:
    """
    Raises:
        ValueError: it imports by a relative path.
    """
    module = Module({}, {})
    for statement in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            module.bindings.update(_bindings(statement))
            continue
        content = _normalised(statement)
        if content is None:
            continue
        for name in _bound(statement) or [""]:
            one = module.definitions.setdefault(name, Definition())
            one.content.append(json.dumps(content))
            _collect(statement, one)
    return module


def _bound(statement: ast.stmt) -> list[str]:
    """Names that a top-level statement defines; none where it may do more than that."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [statement.name]
    targets: Sequence[ast.expr] = ()
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign):
        targets = [statement.target]
    names = [node for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)]
    plain = all(isinstance(one, ast.Name | ast.Tuple) for one in targets)
    return [name.id for name in names] if plain else []


def _bindings(statement: ast.Import | ast.ImportFrom) -> dict[str, Name]:
    if isinstance(statement, ast.Import):
        return {
            alias.asname or alias.name.split(".")[0]: (
                alias.name if alias.asname else alias.name.split(".")[0],
                "*",
            )
            for alias in statement.names
        }
    if statement.level or statement.module is None:
        raise ValueError(f"line {statement.lineno} imports by a relative path; give the whole one")
    return {alias.asname or alias.name: (statement.module, alias.name) for alias in statement.names}


def _collect(statement: ast.stmt, one: Definition) -> None:
    annotations: set[ast.AST] = set()
    for node in ast.walk(statement):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for part in (*_parameters(node.args), node):
                outer = part.returns if isinstance(part, ast.stmt) else part.annotation
                annotations |= set(ast.walk(outer)) if outer else set()
    for node in ast.walk(statement):
        if isinstance(node, ast.Name):
            one.names.add(node.id)
            if node not in annotations:
                one.libraries.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            one.imports |= set(_bindings(node).values())
        elif isinstance(node, ast.Constant) and _MODULE.fullmatch(str(node.value)):
            module, _, name = str(node.value).partition(":")
            one.imports.add((module, name or "*"))


def _parameters(arguments: ast.arguments) -> list[ast.arg]:
    others = [one for one in (arguments.vararg, arguments.kwarg) if one]
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *others]


def _normalised(node: Any) -> Any:
    """A tree without what changes no result; None for nothing of it."""
    if isinstance(node, list):
        return [kept for one in node if (kept := _normalised(one)) is not None]
    if not isinstance(node, ast.AST):
        return repr(node)
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return None  # a docstring
    if isinstance(node, ast.keyword) and node.arg == "description":
        return None
    left_out = {"ctx", "kind", "type_comment", "type_params"}
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        left_out |= {"returns"}
    if isinstance(node, ast.arg):
        left_out |= {"annotation"}
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
        return ["Raise", _normalised(node.exc.func)]
    parts = {
        name: _normalised(value)
        for name, value in ast.iter_fields(node)
        if name not in left_out and value is not None and value != []
    }
    return [type(node).__name__, parts]


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:DIGITS]


@cache
def all_stages() -> tuple[tuple[str, Stage], ...]:
    """Every stage that a ``task.py`` declares, with the path of that file."""
    found = []
    for file in sorted((ROOT / "tasks").glob("**/task.py")):
        path = file.relative_to(ROOT)
        module = import_module(".".join(path.with_suffix("").parts))
        found += [(str(path), value) for value in vars(module).values() if isinstance(value, Stage)]
    return tuple({stage.key: (path, stage) for path, stage in found}.values())


@cache
def code_of(stage: Stage) -> Code:
    """The code that a stage runs."""
    return _tasks().code(stage.run)


@cache
def _tasks() -> Sources:
    return Sources(ROOT, "tasks")


def record() -> dict[str, Any]:
    """Version and digest of each stage, and digests of the modules that they run."""
    codes = {stage.key: code_of(stage) for _, stage in all_stages()}
    together = Code(
        {name: one for code in codes.values() for name, one in code.digests.items()}, frozenset()
    )
    modules = sorted({module for module, _ in together.digests})
    return {
        "stages": {
            stage.key: {"version": stage.version, "sources": codes[stage.key].digest()}
            for _, stage in all_stages()
        },
        "modules": {module: together.digest(module) for module in modules},
    }


def changed_without_version(before: dict[str, Any], now: dict[str, Any]) -> dict[str, str]:
    """A sentence on each stage whose code has changed under the same version."""
    modules = {
        module
        for module in {*before["modules"], *now["modules"]}
        if before["modules"].get(module) != now["modules"].get(module)
    }
    found = {}
    for path, stage in all_stages():
        old, new = before["stages"].get(stage.key), now["stages"][stage.key]
        if old is None or old["version"] != new["version"] or old == new:
            continue
        own = {module for module, _ in code_of(stage).digests}
        where = ", ".join(sorted(modules & own)) or "definitions it no longer uses"
        found[stage.key] = (
            f"stage '{stage.key}' runs other code than its version {stage.version} was recorded "
            f"with (changed: {where}), so stored results would be taken for its own; raise "
            f"'version' in {path} and run `make stages`, or, where no result changes in any bit, "
            f"run `make stages SAME={stage.key}`"
        )
    return found


def read_record() -> dict[str, Any]:
    """The record that is checked in; an empty one where there is none."""
    file = ROOT / RECORD
    if not file.is_file():
        return {"stages": {}, "modules": {}}
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def main() -> None:
    """Write the record anew; see the module."""
    parser = argparse.ArgumentParser(description="Record the sources that each stage runs.")
    parser.add_argument(
        "--same-results",
        nargs="*",
        default=[],
        metavar="STAGE",
        help="stages, or 'all', whose code has changed, but no bit of their results",
    )
    same = parser.parse_args().same_results
    known = [stage.key for _, stage in all_stages()]
    if unknown := sorted({*same} - {*known, "all"}):
        sys.exit(f"there is no stage {', '.join(unknown)}; there are: {', '.join(known)}")
    now = record()
    changed = changed_without_version(read_record(), now)
    refused = [text for key, text in changed.items() if key not in same and "all" not in same]
    if refused:
        sys.exit("\n".join(refused))
    (ROOT / RECORD).write_text(json.dumps(now, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
