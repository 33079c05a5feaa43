"""The parsed tree becomes plain values for the schema, with what is needed to talk about them.

Values are text, ``None``, lists and dicts. Repeated keys and unset variables are found here, and the
line of every path is remembered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from gateway.config.environment import expand
from gateway.config.problems import KeyPath, Problem
from gateway.config.source import MappingNode, Node, ScalarNode, SequenceNode

Raw: TypeAlias = "str | list[Raw] | dict[str, Raw] | None"


@dataclass(slots=True)
class Tree:
    """A file's values. ``lines`` has a line for every path; ``unusable`` paths already have a problem."""

    file: str
    environ: Mapping[str, str] = field(repr=False)
    value: Raw = None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    variables: dict[KeyPath, tuple[str, ...]] = field(default_factory=dict)
    unusable: set[KeyPath] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)

    def problem(self, path: KeyPath, message: str, hint: str | None = None) -> Problem:
        """A problem at ``path``, or at the nearest of its parents that stands in the file."""
        return Problem(self.file, self.line(path), path, message, hint)

    def report(self, path: KeyPath, message: str, hint: str | None = None) -> None:
        """Add a problem at ``path``."""
        self.problems.append(self.problem(path, message, hint))

    def show(self, path: KeyPath, value: str) -> str:
        """A value for a message: quoted, or by its variables' names when the environment supplied it."""
        variables = self.variables.get(path)
        return f"(the value of {', '.join(variables)})" if variables else repr(value)

    def line(self, path: KeyPath) -> int:
        """The line of ``path`` or of its nearest parent in the file; 0 when the file is empty."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return 0


def build(file: str, root: Node, environ: Mapping[str, str]) -> Tree:
    """Expand variables and flatten ``root``; problems are collected in the tree, not raised."""
    tree = Tree(file, environ)
    tree.value = _value(tree, root, ())
    tree.lines.setdefault((), root.line)
    return tree


def _value(tree: Tree, node: Node, path: KeyPath) -> Raw:
    tree.lines.setdefault(path, node.line)
    if isinstance(node, ScalarNode):
        return None if node.text is None else _scalar(tree, node.text, path)
    if isinstance(node, SequenceNode):
        return [_value(tree, item, (*path, index)) for index, item in enumerate(node.items)]
    return _mapping(tree, node, path)


def _mapping(tree: Tree, node: MappingNode, path: KeyPath) -> dict[str, Raw]:
    values: dict[str, Raw] = {}
    for entry in node.entries:
        here = (*path, entry.key)
        if entry.key in values:
            first = tree.lines[here]
            tree.problems.append(Problem(tree.file, entry.line, here, f"duplicate key, first given on line {first}"))
            continue
        tree.lines[here] = entry.line
        values[entry.key] = _value(tree, entry.value, here)
    return values


def _scalar(tree: Tree, text: str, path: KeyPath) -> str | None:
    """A text that the environment leaves empty counts as absent: ``None``. An unusable one stays as it
    is written, so that rules about its presence do not report it twice."""
    expansion = expand(text, tree.environ)
    if expansion.malformed:
        tree.unusable.add(path)
        tree.report(path, "contains ${ that begins no variable", "write ${NAME} or ${NAME:-default}")
    if not expansion.variables:
        return text
    tree.variables[path] = expansion.variables
    for name in expansion.unset:
        tree.unusable.add(path)
        tree.report(
            path, f"the environment variable {name} is not set", f"set it, or write ${{{name}:-}} if it may be empty"
        )
    if path in tree.unusable:
        return text
    return expansion.text or None
