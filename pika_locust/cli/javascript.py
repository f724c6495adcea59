"""Reads JavaScript far enough to know constants: the values of expressions, without running anything.

tree-sitter parses it. What cannot be known without running it (a call, a random number, an answer's field) is
`Unknown`, and inside of a text a hole with its name. `__ENV.NAME` is not set, so that a script's own defaults count;
each one is noted.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pika_locust.cli.draft import EnvNumber, EnvText, Unknown
from pika_locust.errors import ConfigurationError

if TYPE_CHECKING:
    from tree_sitter import Node

_FUNCTIONS = frozenset(
    {
        "function_declaration",
        "function_expression",
        "generator_function_declaration",
        "generator_function",
        "arrow_function",
    }
)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0", "\n": "", "\r\n": ""}


def parse(script: str) -> Node:
    """The program's syntax tree. Raises ConfigurationError where the parser is not installed."""
    # Nobody else needs these.
    try:
        import tree_sitter_javascript
        from tree_sitter import Language, Parser
    except ImportError as error:
        raise ConfigurationError("k6 scripts are read by tree-sitter: pip install 'pika-locust[k6]'") from error
    return Parser(Language(tree_sitter_javascript.language())).parse(script.encode()).root_node


def descendants(node: Node) -> Iterator[Node]:
    """A node and all that is in it, in the order of the text."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        yield one
        waiting += reversed(one.children)


def children(node: Node | None) -> list[Node]:
    """What a node is made of, without punctuation, comments and what cannot be read."""
    found = node.named_children if node is not None else []
    return [one for one in found if not one.is_extra and not one.is_error]


def source_of(node: Node | None) -> str:
    """A node as it stands in the script; nothing for none."""
    return "" if node is None else str(node.text or b"", "utf-8")


def arguments(call: Node) -> list[Node]:
    """What a function is called with."""
    return children(call.child_by_field_name("arguments"))


def unreadable_lines(program: Node) -> list[int]:
    """Numbers of the lines with something that is no JavaScript."""
    return sorted({one.start_point[0] + 1 for one in descendants(program) if one.is_error or one.is_missing})


def declarations(node: Node, *, everywhere: bool) -> dict[str, Node]:
    """Name -> the expression that it is declared as; `everywhere`: also inside of functions and blocks."""
    if everywhere:
        found = list(descendants(node))
    else:
        found = [part for statement in children(node) for part in children(_exported(statement))]
    declared = [(one.child_by_field_name("name"), one.child_by_field_name("value")) for one in found]
    return {source_of(name): value for name, value in declared if value is not None and _is(name, "identifier")}


def _exported(statement: Node) -> Node:
    """What an `export` stands before; any other statement as it is."""
    return statement.child_by_field_name("declaration") or statement.child_by_field_name("value") or statement


def _is(node: Node | None, *kinds: str) -> bool:
    return node is not None and node.type in kinds


@dataclass(frozen=True, slots=True)
class Function:
    """One function of the script."""

    parameters: Sequence[str]
    body: Node


def functions(program: Node) -> dict[str, Function]:
    """Name -> every function that is in no other; the exported one is `default`, too."""
    named = declarations(program, everywhere=False)
    default: Node | None = None
    for statement in children(program):
        function = _exported(statement)
        if _is(function, *_FUNCTIONS):
            named[source_of(function.child_by_field_name("name"))] = function
        if any(one.type == "default" for one in statement.children):
            default = function
    if default is not None:
        named["default"] = named.get(source_of(default), default)
    return {
        name: Function([*map(source_of, _parameters(node))], body)
        for name, node in named.items()
        if _is(node, *_FUNCTIONS) and (body := node.child_by_field_name("body")) is not None
    }


def _parameters(function: Node) -> list[Node]:
    alone = function.child_by_field_name("parameter")
    given = [alone] if alone is not None else children(function.child_by_field_name("parameters"))
    # One with a default is called by its name as well.
    return [one.child_by_field_name("left") or one for one in given]


@dataclass(frozen=True, slots=True)
class Env:
    """`__ENV.NAME`, which is not set."""

    name: str


@dataclass
class Scope:
    """What names stand for: values, or the expressions that say so; behind it, the scope around it."""

    values: dict[str, Any] = field(default_factory=dict)
    expressions: Mapping[str, Node] = field(default_factory=dict)
    outer: Scope | None = None
    environment: dict[str, Any] = field(default_factory=dict)
    """Every variable of the environment that was met -> its default, None without one."""

    def inner(self, values: Mapping[str, Any], expressions: Mapping[str, Node]) -> Scope:
        """The scope of a function's body."""
        return Scope(dict(values), expressions, self, self.environment)

    def value(self, name: str) -> Any:
        """What a name stands for; Unknown for one that nobody declares as a constant."""
        if name not in self.values:
            if name in self.expressions:
                # Whoever asks for it meanwhile goes in a circle.
                self.values[name] = Unknown(name)
                self.values[name] = self.evaluate(self.expressions[name])
            elif self.outer is not None:
                return self.outer.value(name)
            else:
                return Unknown(name)
        found = self.values[name]
        return Unknown(name) if isinstance(found, Unknown) else found

    def evaluate(self, node: Node | None) -> Any:
        """The value of an expression."""
        if node is None:
            return Unknown()
        inside = children(node)

        def part(name: str) -> Any:
            return self.evaluate(node.child_by_field_name(name))

        match node.type:
            case "number":
                return _number(source_of(node))
            case "string" | "template_string":
                # Escapes may be halves of a character.
                text = "".join(map(self._text_part, inside))
                return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            case "true" | "false":
                return node.type == "true"
            case "null" | "undefined":
                return None
            case "identifier":
                return self.value(source_of(node))
            case "array":
                return self._array(inside)
            case "object":
                return self._object(inside)
            case "parenthesized_expression" | "sequence_expression" | "await_expression":
                return self.evaluate(inside[-1] if inside else None)
            case "unary_expression":
                return _unary(source_of(node.child_by_field_name("operator")), part("argument"))
            case "binary_expression":
                return self._binary(source_of(node.child_by_field_name("operator")), part("left"), part("right"))
            case "ternary_expression":
                return self._ternary(part("condition"), part("consequence"), part("alternative"))
            case "member_expression":
                return self._member(part("object"), source_of(node.child_by_field_name("property")))
            case "subscript_expression":
                return _item(part("object"), part("index"))
            case "call_expression":
                return _called(part("function"), [self.evaluate(one) for one in arguments(node)])
            case "new_expression":
                kind = part("constructor")
                return Unknown(kind.name if isinstance(kind, Unknown) else "")
        return Unknown()

    def _text_part(self, node: Node) -> str:
        if node.type == "escape_sequence":
            return _unescaped(source_of(node)[1:])
        if node.type == "template_substitution":
            return "".join(text_of(_set(self.evaluate(one))) for one in children(node)[-1:])
        return source_of(node)

    def _array(self, items: Sequence[Node]) -> list[Any]:
        found: list[Any] = []
        for item in items:
            if item.type == "spread_element":
                spread = self.evaluate(children(item)[0])
                found += spread if isinstance(spread, list) else []
            else:
                found.append(_set(self.evaluate(item)))
        return found

    def _object(self, members: Sequence[Node]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for member in members:
            if member.type == "spread_element":
                spread = self.evaluate(children(member)[0])
                found |= spread if isinstance(spread, dict) else {}
            elif member.type == "shorthand_property_identifier":
                found[source_of(member)] = _set(self.value(source_of(member)))
            elif member.type == "pair":
                key = self._key(member.child_by_field_name("key"))
                found[key] = _set(self.evaluate(member.child_by_field_name("value")))
            else:
                name = self._key(member.child_by_field_name("name"))
                found[name] = Unknown(name)
        return found

    def _key(self, node: Node | None) -> str:
        if _is(node, "computed_property_name"):
            return text_of(self.evaluate(children(node)[0]))
        return text_of(self.evaluate(node)) if _is(node, "string", "number") else source_of(node)

    def _binary(self, operator: str, one: Any, other: Any) -> Any:
        if isinstance(one, Env) and operator in ("||", "??"):
            if not isinstance(other, Env):
                self.environment[one.name] = other
            return _from_environment(one.name, other)
        one, other = (None if isinstance(value, Env) else value for value in (one, other))
        is_text = operator == "+" and (isinstance(one, str) or isinstance(other, str))
        if not is_text and (isinstance(one, Unknown) or (isinstance(other, Unknown) and operator not in ("||", "??"))):
            return Unknown()
        try:
            return _BINARY[operator](one, other)
        except (KeyError, TypeError, ValueError, ArithmeticError):
            return Unknown()

    def _ternary(self, condition: Any, first: Any, second: Any) -> Any:
        if isinstance(condition, Env):
            self.environment.setdefault(condition.name, second)
            return _from_environment(condition.name, second)
        return Unknown() if isinstance(condition, Unknown) else first if _true(condition) else second

    def _member(self, value: Any, name: str) -> Any:
        if isinstance(value, Unknown):
            if value.name == "__ENV":
                self.environment.setdefault(name, None)
                return Env(name)
            return Unknown(f"{value.name}.{name}" if value.name in _OBJECTS else name)
        if isinstance(value, dict):
            return value.get(name)
        if name == "length" and isinstance(value, str | list):
            return float(len(value))
        return _Bound(name, value) if name in _KEEPING else Unknown(name)


class _Bound(Unknown):
    """A method that gives its own object, as far as values are concerned."""

    def __init__(self, name: str, value: Any) -> None:
        super().__init__(name)
        self.value = value


_OBJECTS = frozenset({"Math", "JSON", "Number", "__ENV"})
_KEEPING = frozenset({"toString", "trim", "toFixed", "valueOf", "slice"})
_LIBRARY: Mapping[str, Callable[..., Any]] = {
    "Math.floor": lambda value, *_: float(math.floor(value)),
    "Math.ceil": lambda value, *_: float(math.ceil(value)),
    "Math.round": lambda value, *_: float(math.floor(value + 0.5)),
    "Math.max": lambda *values: max(values),
    "Math.min": lambda *values: min(values),
    "String": lambda value, *_: text_of(value),
}
_BINARY: Mapping[str, Callable[[Any, Any], Any]] = {
    "||": lambda one, other: one if _true(one) else other,
    "??": lambda one, other: other if one is None else one,
    "&&": lambda one, other: other if _true(one) else one,
    "===": lambda one, other: one == other,
    "==": lambda one, other: one == other,
    "!==": lambda one, other: one != other,
    "!=": lambda one, other: one != other,
    "<": lambda one, other: one < other,
    ">": lambda one, other: one > other,
    "<=": lambda one, other: one <= other,
    ">=": lambda one, other: one >= other,
    "+": lambda one, other: _added(one, other),
    "-": lambda one, other: one - other,
    "*": lambda one, other: one * other,
    "/": lambda one, other: one / other,
    "%": lambda one, other: math.fmod(one, other),
    "**": lambda one, other: one**other,
}


def _unary(operator: str, value: Any) -> Any:
    if operator in ("-", "+") and isinstance(value, float):
        return -value if operator == "-" else value
    return not _true(value) if operator == "!" and not isinstance(value, Unknown | Env) else Unknown()


def _item(value: Any, key: Any) -> Any:
    if isinstance(value, dict) and isinstance(key, str):
        return value.get(key)
    is_index = isinstance(key, float) and isinstance(value, list) and 0 <= key < len(value)
    return value[int(key)] if is_index else Unknown("item")


def _called(function: Any, given: Sequence[Any]) -> Any:
    if isinstance(function, _Bound):
        return text_of(function.value) if function.name == "toString" else function.value
    name = function.name if isinstance(function, Unknown) else ""
    first = given[0] if given else None
    if name in ("parseInt", "parseFloat", "Number", "Number.parseInt", "Number.parseFloat"):
        return _as_number(first)
    if name == "JSON.stringify":
        return first
    if name in _LIBRARY and all(isinstance(value, float | str) for value in given):
        try:
            return _LIBRARY[name](*given)
        except (TypeError, ValueError, OverflowError):
            return Unknown()
    return Unknown(name.rpartition(".")[2])


def _true(value: Any) -> bool:
    return not (value is None or value is False or value == "" or value == 0) or isinstance(value, list | dict)


def _added(one: Any, other: Any) -> Any:
    if isinstance(one, str) or isinstance(other, str):
        return text_of(one) + text_of(other)
    return one + other


def text_of(value: Any) -> str:
    """A value inside of a text, as JavaScript writes it."""
    if isinstance(value, Unknown):
        return value.hole
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(float(value))
    return "undefined" if value is None else str(value)


def _unescaped(code: str) -> str:
    if code[0] in "ux" and len(code) > 1:
        point = int(code[1:].strip("{}"), 16)
        return chr(point) if point <= sys.maxunicode else "\N{REPLACEMENT CHARACTER}"
    return _ESCAPED.get(code, code)


def _number(text: str) -> float:
    text = text.rstrip("n")
    return float(int(text, 0)) if text[:2].lower() in ("0x", "0o", "0b") else float(text)


def _as_number(value: Any) -> Any:
    if isinstance(value, Env):
        return value
    if isinstance(value, str):
        match = re.match(r"\s*-?[0-9]*\.?[0-9]+", value)
        if match is None:
            return Unknown()
        number = float(match[0])
        return _from_environment(value.env, number) if isinstance(value, EnvText) else number
    return value if isinstance(value, float) else Unknown()


def _from_environment(name: str, default: Any) -> Any:
    """The default, which knows what it is the default of."""
    found: Any = default
    if isinstance(default, str):
        found = EnvText(default)
    elif isinstance(default, float):
        found = EnvNumber(default)
    if isinstance(found, EnvText | EnvNumber):
        found.env = name
    return found


def _set(value: Any) -> Any:
    """A value as it is used: a variable that is not set is none."""
    return Unknown(value.name) if isinstance(value, Env) else value
