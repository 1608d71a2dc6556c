"""Expand the Bicep files of infra/ into the resources that they would deploy.

Bicep's compiler is in no package registry. Therefore a grammar parses the files, and this module
evaluates them as "Bicep functions" and "Bicep file structure" describe it. A value that only Azure
can provide is a placeholder in angle brackets. Missing names, parameters and outputs are errors.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tree_sitter
import tree_sitter_bicep
import yaml

from bicep_functions import FUNCTIONS, BicepError, identity_of

LANGUAGE = tree_sitter.Language(tree_sitter_bicep.language())
Node = tree_sitter.Node
_ESCAPES = {"\\'": "'", "\\\\": "\\", "\\n": "\n", "\\$": "$"}
_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "==": lambda one, other: one == other,
    "!=": lambda one, other: one != other,
    "&&": lambda one, other: one and other,
    "||": lambda one, other: one or other,
}


class Unknown(str):
    """A placeholder in angle brackets for a value that only Azure can provide, or its property."""

    def __getitem__(self, name: Any) -> Any:
        """Return a property."""
        return (
            Unknown(f"{self[:-1]}.{name}>") if isinstance(name, str) else super().__getitem__(name)
        )


@dataclass(frozen=True)
class Resource:
    """A resource that is deployed or referred to.

    Attributes:
        type: Resource type without version.
        version: API version.
        name: Name, with those of its parents.
        body: Properties of its declaration.
        scope: Resource that it extends, or None.
        existing: Whether it is only referred to.
    """

    type: str
    version: str
    name: str
    body: dict[str, Any] = field(hash=False, default_factory=dict)
    scope: Resource | None = None
    existing: bool = False

    def __getitem__(self, name: str) -> Any:
        """Return a property, as other declarations see it."""
        if name == "name":
            return self.body["name"]
        if name == "id":
            return identity_of(self.type, self.name)
        return Unknown(f"<{self.type} {self.name}.{name}>")


def parse(text: str) -> Node:
    """Return the root of a file's syntax tree.

    Raises:
        BicepError: The file has a syntax error.
    """
    root = tree_sitter.Parser(LANGUAGE).parse(text.encode()).root_node
    errors = [node for node in walk(root) if node.type == "ERROR" or node.is_missing]
    if errors:
        raise BicepError(f"line {errors[0].start_point.row + 1}: {source(errors[0])[:60]}")
    return root


def walk(node: Node) -> Iterator[Node]:
    """Yield a node and all its descendants."""
    yield node
    for child in node.children:
        yield from walk(child)


def source(node: Node) -> str:
    """Return the text of a node."""
    return (node.text or b"").decode()


def parameters(path: Path) -> dict[str, Any]:
    """Return the values in a parameter file."""
    text = path.read_text()
    using = re.search(r"^using '(.+)'$", text, re.MULTILINE)
    assert using, f"{path.name}: `using` is missing"
    assert (path.parent / using[1]).exists()
    template = Template(
        path, {}, re.sub(r"^using .*$|^param (?=\w+ =)", _as_variable, text, flags=re.M)
    )
    return {name: template.symbol(name, {}) for name in template.declared["variable"]}


def _as_variable(found: re.Match[str]) -> str:
    return "var " if found[0].startswith("param") else ""


class Template:
    """A file with the values of its parameters; resources and outputs are evaluated on demand."""

    def __init__(self, path: Path, given: dict[str, Any], text: str | None = None) -> None:
        self.path = path
        self.text = path.read_text() if text is None else text
        kinds = ("parameter", "variable", "resource", "module", "output")
        self.declared: dict[str, dict[str, Node]] = {kind: {} for kind in kinds}
        for node in parse(self.text).children:
            kind = node.type.removesuffix("_declaration")
            if kind in self.declared:
                self.declared[kind][source(node.named_children[0])] = node
        if unknown := set(given) - set(self.declared["parameter"]):
            raise BicepError(f"{path.name} has no parameter {', '.join(sorted(unknown))}")
        self.known: dict[str, Any] = dict(given)
        self.used: set[str] = set()

    def require(self) -> None:
        """Check that each parameter has a value or a default; else raise BicepError."""
        for name, node in self.declared["parameter"].items():
            if name not in self.known:
                self._parameter(node)

    def resources(self) -> list[Resource]:
        """Return all resources that the file and its modules deploy."""
        found: list[Resource] = []
        for name in self.declared["resource"]:
            made = self.symbol(name, {})
            found += [each for each in _as_list(made) if not each.existing]
        for name in self.declared["module"]:
            for module in _as_list(self.symbol(name, {})):
                found += module["template"].resources()
        return found

    def outputs(self) -> dict[str, Any]:
        """Return the outputs by name."""
        outputs = self.declared["output"]
        return {name: self.value(node.named_children[-1], {}) for name, node in outputs.items()}

    def templates(self) -> list[Template]:
        """Return this template and those of its modules."""
        inner = [m for name in self.declared["module"] for m in _as_list(self.symbol(name, {}))]
        return [self, *(each for module in inner for each in module["template"].templates())]

    def symbol(self, name: str, local: dict[str, Any]) -> Any:
        """Return the value of a name."""
        if name in local:
            return local[name]
        self.used.add(name)
        if name not in self.known:
            kind = next((kind for kind, names in self.declared.items() if name in names), None)
            if kind in (None, "output"):
                raise BicepError(f"{self.path.name}: {name} is not declared")
            self.known[name] = getattr(self, f"_{kind}")(self.declared[kind][name])
        return self.known[name]

    def _parameter(self, node: Node) -> Any:
        if node.named_children[-1].type == "type":
            raise BicepError(
                f"{self.path.name}: parameter {source(node.named_children[0])} is missing"
            )
        return self.value(node.named_children[-1], {})

    def _variable(self, node: Node) -> Any:
        return self.value(node.named_children[-1], {})

    def _resource(self, node: Node) -> Any:
        kind, _, version = self.value(node.named_children[1], {}).partition("@")
        existing = any(
            child.type == "existing" or source(child) == "existing" for child in node.children
        )

        def make(body: dict[str, Any]) -> Resource:
            parent = body.get("parent")
            name = f"{parent.name}/{body['name']}" if parent else body["name"]
            identity_of(kind, name)  # raises unless it has as many parts as the type
            return Resource(kind, version, name, body, body.get("scope"), existing)

        return self._expand(node.named_children[-1], {}, make)

    def _module(self, node: Node) -> Any:
        path = self.path.parent / self.value(node.named_children[1], {})
        if not path.exists():
            raise BicepError(f"{self.path.name}: there is no {path}")

        def make(body: dict[str, Any]) -> dict[str, Any]:
            template = Template(path, body["params"])
            template.require()
            return {"name": body["name"], "template": template, "outputs": template.outputs()}

        return self._expand(node.named_children[-1], {}, make)

    def _expand(self, node: Node, local: dict[str, Any], make: Callable[[Any], Any]) -> Any:
        """Return a declaration, those of a loop, or none if its condition is false."""
        if node.type == "if_statement":
            if not self.value(node.named_children[0], local):
                return []
            node = node.named_children[-1]
        if node.type != "for_statement" and source(node).startswith("["):
            node = next(child for child in node.named_children if child.type == "for_statement")
        if node.type == "for_statement":
            return [
                self._expand(inner, each, make) for each, inner in self._iterations(node, local)
            ]
        return make(self.value(node, local))

    def _iterations(
        self, node: Node, local: dict[str, Any]
    ) -> Iterator[tuple[dict[str, Any], Node]]:
        *heads, values, body = node.named_children
        kinds = ("identifier", "loop_variable", "loop_enumerator")
        names = [source(each) for head in heads for each in walk(head) if each.type in kinds]
        for index, item in enumerate(self.value(values, local)):
            yield {**local, **dict(zip(names, (item, index), strict=False))}, body

    def value(self, node: Node, local: dict[str, Any]) -> Any:
        """Evaluate an expression."""
        inner = [child for child in node.named_children if not child.type.endswith("comment")]
        if node.type not in _EVALUATORS:
            raise BicepError(f"{self.path.name}: unknown expression {node.type}: {source(node)}")
        return _EVALUATORS[node.type](self, node, inner, local)

    def _member_expression(self, node: Node, inner: list[Node], local: dict[str, Any]) -> Any:
        container, name = self.value(inner[0], local), source(inner[1])
        if inner[0].type == "lambda_expression":  # the grammar binds `=>` too closely
            return lambda item: self._member(container(item), name)
        return self._member(container, name)

    def _ternary(self, node: Node, inner: list[Node], local: dict[str, Any]) -> Any:
        return self.value(inner[1] if self.value(inner[0], local) else inner[2], local)

    def _unary(self, node: Node, inner: list[Node], local: dict[str, Any]) -> Any:
        operand = self.value(inner[-1], local)
        return not operand if source(node).startswith("!") else -operand

    def _binary(self, node: Node, inner: list[Node], local: dict[str, Any]) -> Any:
        sign = source(node.children[1])
        return _BINARY[sign](self.value(inner[0], local), self.value(inner[1], local))

    def _lambda(self, node: Node, inner: list[Node], local: dict[str, Any]) -> Any:
        name, body = source(inner[0]), inner[-1]
        return lambda item: self.value(body, {**local, name: item})

    def _string(self, node: Node, inner: list[Node], local: dict[str, Any]) -> str:
        text = ""
        for child in inner:
            if child.type == "interpolation":
                part = self.value(child, local)
                assert isinstance(part, str | int), source(child)
                text += str(part)
            else:
                text += _ESCAPES.get(source(child), source(child))
        return text

    def _property(self, node: Node, local: dict[str, Any]) -> tuple[str, Any]:
        key, value = node.named_children[0], node.named_children[-1]
        name = source(key) if key.type == "identifier" else self.value(key, local)
        return name, self.value(value, local)

    def _array(self, node: Node, inner: list[Node], local: dict[str, Any]) -> list[Any]:
        loops = (
            [node]
            if node.type == "for_statement"
            else [n for n in inner if n.type == "for_statement"]
        )
        if loops:
            return [self.value(body, each) for each, body in self._iterations(loops[0], local)]
        return [self.value(each, local) for each in inner]

    def _member(self, container: Any, name: str) -> Any:
        try:
            return container[name]
        except (KeyError, TypeError) as error:
            raise BicepError(f"{self.path.name}: there is no .{name}") from error

    def _call(self, node: Node, inner: list[Node], local: dict[str, Any]) -> Any:
        name = source(inner[0])
        given = [self.value(each, local) for each in inner[1].named_children]
        if name in ("loadTextContent", "loadYamlContent", "loadJsonContent"):
            text = (self.path.parent / given[0]).read_text()
            return text if name == "loadTextContent" else yaml.safe_load(text)
        if name not in FUNCTIONS:
            raise BicepError(f"{self.path.name}: {name} is not a known function")
        return FUNCTIONS[name](*given)


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


_EVALUATORS: dict[str, Callable[[Template, Node, list[Node], dict[str, Any]], Any]] = {
    "array": Template._array,
    "binary_expression": Template._binary,
    "boolean": lambda file, node, inner, local: source(node) == "true",
    "call_expression": Template._call,
    "for_statement": Template._array,
    "identifier": lambda file, node, inner, local: file.symbol(source(node), local),
    "interpolation": lambda file, node, inner, local: file.value(inner[0], local),
    "lambda_expression": Template._lambda,
    "member_expression": Template._member_expression,
    "null": lambda file, node, inner, local: None,
    "number": lambda file, node, inner, local: int(source(node)),
    "object": lambda file, node, inner, local: dict(file._property(e, local) for e in inner),
    "parenthesized_expression": lambda file, node, inner, local: file.value(inner[0], local),
    "string": Template._string,
    "subscript_expression": lambda file, node, inner, local: file.value(inner[0], local)[
        file.value(inner[1], local)
    ],
    "ternary_expression": Template._ternary,
    "unary_expression": Template._unary,
}
"""Function that evaluates an expression, by its type in the grammar."""
