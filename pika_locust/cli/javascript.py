"""Reads JavaScript far enough to know constants: tokens, and the values of expressions without running anything.

What cannot be known without running it (a call, a random number, an answer's field) is `Unknown`, and inside of a text
a hole with its name. `__ENV.NAME` is not set, so that a script's own defaults count; each one is noted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pika_locust.errors import ConfigurationError

HOLE = re.compile("\ue000([^\ue001]*)\ue001")
"""A part of a text that is not known: its name between two characters for private use."""

_TOKEN = re.compile(
    r"""(?P<space>(?:\s|//[^\n]*|/\*.*?\*/)+)
    |(?P<number>0[xX][0-9a-fA-F]+|(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
    |(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    |(?P<name>[A-Za-z_$][\w$]*)
    |(?P<punct>=>|\.\.\.|===|!==|\?\?=|\|\|=|&&=|==|!=|<=|>=|&&|\|\||\?\?|\?\.|\*\*|[-+*/%]=|\+\+|--|.)""",
    re.VERBOSE | re.DOTALL,
)
_REGEX = re.compile(r"/(?:[^/\\\n\[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+/[a-z]*")
_ESCAPE = re.compile(r"\\(u\{[0-9a-fA-F]+\}|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|\r?\n|.)", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0", "\n": "", "\r\n": ""}
_PAIRS = {"(": ")", "[": "]", "{": "}"}


@dataclass(frozen=True, slots=True)
class Token:
    """One word of the script. `parts`: of a template, its texts and, in lists, the tokens between them."""

    kind: str
    text: str
    parts: tuple[Any, ...] = ()


class Unknown:
    """A value that is not known without running the script; `name` says what it is."""

    def __init__(self, name: str = "") -> None:
        self.name = name

    @property
    def hole(self) -> str:
        """It, inside of a text."""
        return f"\ue000{self.name}\ue001"


@dataclass(frozen=True, slots=True)
class Env:
    """`__ENV.NAME`, which is not set."""

    name: str


class EnvText(str):
    """The default of a variable of the environment."""

    env: str


class EnvNumber(float):
    """The same, as a number."""

    env: str


def tokens_of(script: str) -> list[Token]:
    """The script's tokens, without its comments. Raises ConfigurationError for a text that never ends."""
    found: list[Token] = []
    at = 0
    while at < len(script):
        if script[at] == "`":
            token, at = _template(script, at)
            found.append(token)
            continue
        if script[at] == "/" and script[at + 1 : at + 2] not in ("/", "*") and _may_be_regex(found):
            regex = _REGEX.match(script, at)
            if regex is not None:
                found.append(Token("regex", regex[0]))
                at = regex.end()
                continue
        match = _TOKEN.match(script, at)
        assert match is not None
        kind = str(match.lastgroup)
        if kind == "string":
            found.append(Token(kind, _unescaped(match[0][1:-1])))
        elif kind != "space":
            found.append(Token(kind, match[0]))
        at = match.end()
    return found


def _may_be_regex(before: Sequence[Token]) -> bool:
    if not before:
        return True
    last = before[-1]
    return last.text in ("return", "typeof") or (last.kind == "punct" and last.text not in (")", "]", "}"))


def _unescaped(text: str) -> str:
    def read(match: re.Match[str]) -> str:
        code = match[1]
        if code[0] in "ux" and len(code) > 1:
            return chr(int(code[1:].strip("{}"), 16))
        return _ESCAPED.get(code, code)

    return _ESCAPE.sub(read, text)


def _template(script: str, at: int) -> tuple[Token, int]:
    parts: list[Any] = []
    text = ""
    at += 1
    while at < len(script) and script[at] != "`":
        if script.startswith("${", at):
            end = _closing_brace(script, at + 2)
            parts += [_unescaped(text), tokens_of(script[at + 2 : end])]
            text, at = "", end + 1
        else:
            length = 2 if script[at] == "\\" else 1
            text += script[at : at + length]
            at += length
    if at >= len(script):
        raise ConfigurationError("a text that begins with ` never ends")
    return Token("template", "`", (*parts, _unescaped(text))), at + 1


def _closing_brace(script: str, at: int) -> int:
    depth = 0
    while at < len(script):
        if script[at] == "`":
            at = _template(script, at)[1]
            continue
        match = _TOKEN.match(script, at)
        assert match is not None
        if match[0] == "}" and depth == 0:
            return at
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        at = match.end()
    raise ConfigurationError("a ${ never ends")


def closing(tokens: Sequence[Token], at: int) -> int:
    """Where the bracket that opens at `at` is closed; the end, when it never is."""
    depth = 0
    for index in range(at, len(tokens)):
        if tokens[index].kind == "punct":
            depth += (tokens[index].text in _PAIRS) - (tokens[index].text in _PAIRS.values())
            if depth == 0:
                return index
    return len(tokens)


def split(tokens: Sequence[Token], by: str = ",") -> list[list[Token]]:
    """The parts between commas that are in no brackets; without tokens, none."""
    parts: list[list[Token]] = [[]]
    at = 0
    while at < len(tokens):
        token = tokens[at]
        if token.kind == "punct" and token.text in _PAIRS:
            end = closing(tokens, at)
            parts[-1] += tokens[at : end + 1]
            at = end
        elif token.kind == "punct" and token.text == by:
            parts.append([])
        else:
            parts[-1].append(token)
        at += 1
    return [part for part in parts if part]


def expression_at(tokens: Sequence[Token], at: int) -> list[Token]:
    """The tokens of the expression that begins at `at`: up to a semicolon, a comma, or the next statement."""
    found: list[Token] = []
    while at < len(tokens):
        token = tokens[at]
        if token.kind == "punct" and token.text in (";", ",", *_PAIRS.values()):
            break
        starts = token.kind == "name" and found and _ends_operand(found[-1])
        if starts and token.text not in ("in", "of", "instanceof"):
            break
        end = closing(tokens, at) if token.kind == "punct" and token.text in _PAIRS else at
        found += tokens[at : end + 1]
        at = end + 1
    return found


def _ends_operand(token: Token) -> bool:
    if token.kind == "name":
        return token.text not in ("new", "typeof", "await", "async", "return", "void", "function", "delete")
    return token.kind != "punct" or token.text in (")", "]", "}")


@dataclass
class Scope:
    """What names stand for: values, or the tokens of the expressions that say so; behind it, the scope around it."""

    values: dict[str, Any] = field(default_factory=dict)
    tokens: Mapping[str, Sequence[Token]] = field(default_factory=dict)
    outer: Scope | None = None
    environment: dict[str, Any] = field(default_factory=dict)
    """Every variable of the environment that was met -> its default, None without one."""

    def inner(self, values: Mapping[str, Any], tokens: Mapping[str, Sequence[Token]]) -> Scope:
        """The scope of a function's body."""
        return Scope(dict(values), tokens, self, self.environment)

    def value(self, name: str) -> Any:
        """What a name stands for; Unknown for one that nobody declares as a constant."""
        if name not in self.values:
            if name in self.tokens:
                # Whoever asks for it meanwhile goes in a circle.
                self.values[name] = Unknown(name)
                self.values[name] = self.evaluate(self.tokens[name])
            elif self.outer is not None:
                return self.outer.value(name)
            else:
                return Unknown(name)
        found = self.values[name]
        return Unknown(name) if isinstance(found, Unknown) else found

    def evaluate(self, tokens: Sequence[Token]) -> Any:
        """The value of an expression."""
        return _Evaluation(tokens, self).expression()


_BINARY: Mapping[str, tuple[int, Callable[[Any, Any], Any]]] = {
    "||": (1, lambda one, other: one if _true(one) else other),
    "??": (1, lambda one, other: other if one is None else one),
    "&&": (2, lambda one, other: other if _true(one) else one),
    "===": (3, lambda one, other: one == other),
    "==": (3, lambda one, other: one == other),
    "!==": (3, lambda one, other: one != other),
    "!=": (3, lambda one, other: one != other),
    "<": (4, lambda one, other: one < other),
    ">": (4, lambda one, other: one > other),
    "<=": (4, lambda one, other: one <= other),
    ">=": (4, lambda one, other: one >= other),
    "+": (5, lambda one, other: _added(one, other)),
    "-": (5, lambda one, other: one - other),
    "*": (6, lambda one, other: one * other),
    "/": (6, lambda one, other: one / other),
    "%": (6, lambda one, other: math.fmod(one, other)),
    "**": (7, lambda one, other: one**other),
}


def _true(value: Any) -> bool:
    return not (value is None or value is False or value == "" or value == 0) or isinstance(value, list | dict)


def text_of(value: Any) -> str:
    """A value inside of a text, as JavaScript writes it."""
    if isinstance(value, Unknown):
        return value.hole
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(float(value))
    return "undefined" if value is None else str(value)


def _added(one: Any, other: Any) -> Any:
    if isinstance(one, str) or isinstance(other, str):
        return text_of(one) + text_of(other)
    return one + other


class _Evaluation:
    """One expression, from its first token to its last."""

    def __init__(self, tokens: Sequence[Token], scope: Scope) -> None:
        self._tokens = tokens
        self._scope = scope
        self._at = 0

    def _is(self, *texts: str) -> bool:
        if self._at >= len(self._tokens):
            return False
        token = self._tokens[self._at]
        return token.kind in ("punct", "name") and token.text in texts

    def expression(self) -> Any:
        value = self._binary(0)
        if not self._is("?"):
            return value
        self._at += 1
        first = self.expression()
        self._at += self._is(":")
        second = self.expression()
        if isinstance(value, Env):
            self._scope.environment.setdefault(value.name, second)
            return _from_environment(value.name, second)
        return Unknown() if isinstance(value, Unknown) else first if _true(value) else second

    def _binary(self, least: int) -> Any:
        value = self._unary()
        while self._at < len(self._tokens) and self._tokens[self._at].kind == "punct":
            operator = self._tokens[self._at].text
            if operator not in _BINARY or _BINARY[operator][0] <= least:
                break
            self._at += 1
            strength, apply = _BINARY[operator]
            value = self._apply(operator, apply, value, self._binary(strength))
        return value

    def _apply(self, operator: str, apply: Callable[[Any, Any], Any], one: Any, other: Any) -> Any:
        if isinstance(one, Env) and operator in ("||", "??"):
            if not isinstance(other, Env):
                self._scope.environment[one.name] = other
            return _from_environment(one.name, other)
        one, other = (None if isinstance(value, Env) else value for value in (one, other))
        is_text = operator == "+" and (isinstance(one, str) or isinstance(other, str))
        if not is_text and (isinstance(one, Unknown) or (isinstance(other, Unknown) and operator not in ("||", "??"))):
            return Unknown()
        try:
            return apply(one, other)
        except (TypeError, ValueError, ArithmeticError):
            return Unknown()

    def _unary(self) -> Any:
        if self._is("!", "-", "+", "typeof", "await", "void", "delete", "++", "--"):
            operator = self._tokens[self._at].text
            self._at += 1
            value = self._unary()
            if operator == "await":
                return value
            if operator in ("-", "+") and isinstance(value, float) and not isinstance(value, bool):
                return -value if operator == "-" else value
            return not _true(value) if operator == "!" and not isinstance(value, Unknown | Env) else Unknown()
        return self._postfix(self._primary())

    def _primary(self) -> Any:
        if self._at >= len(self._tokens):
            return Unknown()
        token = self._tokens[self._at]
        if self._skip_function():
            return Unknown()
        self._at += 1
        if token.kind == "string":
            return token.text
        if token.kind == "number":
            return _number(token.text)
        if token.kind == "template":
            return "".join(
                part if isinstance(part, str) else text_of(_set(self._scope.evaluate(part))) for part in token.parts
            )
        if token.kind == "name":
            return self._name(token.text)
        if token.text in _PAIRS:
            end = closing(self._tokens, self._at - 1)
            inside, self._at = self._tokens[self._at : end], end + 1
            if token.text == "(":
                return self._scope.evaluate(inside)
            return self._array(inside) if token.text == "[" else self._object(inside)
        return Unknown()

    def _skip_function(self) -> bool:
        """Pass over a function, by whichever spelling."""
        at = self._at
        if self._is("async"):
            at += 1
        if at >= len(self._tokens):
            return False
        token = self._tokens[at]
        if token.kind == "name" and token.text == "function":
            while at < len(self._tokens) and self._tokens[at].text != "(":
                at += 1
            self._at = closing(self._tokens, closing(self._tokens, at) + 1) + 1
            return True
        end = closing(self._tokens, at) if token.text == "(" and token.kind == "punct" else at
        if end + 1 < len(self._tokens) and self._tokens[end + 1].text == "=>" and token.kind in ("punct", "name"):
            body = end + 2
            is_block = body < len(self._tokens) and self._tokens[body].text == "{"
            self._at = closing(self._tokens, body) + 1 if is_block else body + len(expression_at(self._tokens, body))
            return True
        return False

    def _name(self, name: str) -> Any:
        constants = {"true": True, "false": False, "null": None, "undefined": None, "NaN": Unknown("NaN")}
        if name in constants:
            return constants[name]
        if name == "new":
            kind = self._primary()
            if self._is("("):
                self._at = closing(self._tokens, self._at) + 1
            return Unknown(kind.name if isinstance(kind, Unknown) else "")
        return self._scope.value(name)

    def _array(self, tokens: Sequence[Token]) -> list[Any]:
        found: list[Any] = []
        for part in split(tokens):
            if part[0].text == "..." and part[0].kind == "punct":
                spread = self._scope.evaluate(part[1:])
                found += spread if isinstance(spread, list) else []
            else:
                found.append(_set(self._scope.evaluate(part)))
        return found

    def _object(self, tokens: Sequence[Token]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for part in split(tokens):
            if part[0].text == "..." and part[0].kind == "punct":
                spread = self._scope.evaluate(part[1:])
                found |= spread if isinstance(spread, dict) else {}
            elif len(part) == 1:
                found[part[0].text] = _set(self._scope.value(part[0].text))
            elif part[0].text == "[" and part[0].kind == "punct":
                end = closing(part, 0)
                found[text_of(self._scope.evaluate(part[1:end]))] = _set(self._scope.evaluate(part[end + 2 :]))
            elif part[1].text == ":":
                found[part[0].text] = _set(self._scope.evaluate(part[2:]))
            else:
                # A method.
                found[part[0].text] = Unknown(part[0].text)
        return found

    def _postfix(self, value: Any) -> Any:
        called = ""
        while self._at < len(self._tokens):
            if self._is(".", "?.") and self._at + 1 < len(self._tokens):
                called = self._tokens[self._at + 1].text
                self._at += 2
                value = self._member(value, called)
            elif self._is("["):
                end = closing(self._tokens, self._at)
                key = self._scope.evaluate(self._tokens[self._at + 1 : end])
                self._at = end + 1
                value = self._item(value, key)
            elif self._is("("):
                end = closing(self._tokens, self._at)
                given = [self._scope.evaluate(part) for part in split(self._tokens[self._at + 1 : end])]
                self._at = end + 1
                value = _called(value, given)
            else:
                break
        return value

    def _member(self, value: Any, name: str) -> Any:
        if isinstance(value, Unknown):
            if value.name == "__ENV":
                self._scope.environment.setdefault(name, None)
                return Env(name)
            return Unknown(f"{value.name}.{name}" if value.name in _OBJECTS else name)
        if isinstance(value, dict):
            return value.get(name)
        if name == "length" and isinstance(value, str | list):
            return float(len(value))
        bound = Unknown(name)
        return _Bound(name, value) if name in _KEEPING else bound

    def _item(self, value: Any, key: Any) -> Any:
        if isinstance(value, dict) and isinstance(key, str):
            return value.get(key)
        is_index = isinstance(key, float) and isinstance(value, list) and 0 <= key < len(value)
        if is_index:
            return value[int(key)]
        return Unknown("item")


class _Bound(Unknown):
    """A method that gives its own object, as far as values are concerned."""

    def __init__(self, name: str, value: Any) -> None:
        super().__init__(name)
        self.value = value


_OBJECTS = frozenset({"Math", "JSON", "Number", "__ENV"})
_KEEPING = frozenset({"toString", "trim", "toFixed", "valueOf", "slice"})
_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "Math.floor": lambda value, *_: float(math.floor(value)),
    "Math.ceil": lambda value, *_: float(math.ceil(value)),
    "Math.round": lambda value, *_: float(math.floor(value + 0.5)),
    "Math.max": lambda *values: max(values),
    "Math.min": lambda *values: min(values),
    "String": lambda value, *_: text_of(value),
}


def _called(function: Any, given: Sequence[Any]) -> Any:
    if isinstance(function, _Bound):
        return text_of(function.value) if function.name == "toString" else function.value
    name = function.name if isinstance(function, Unknown) else ""
    first = given[0] if given else None
    if name in ("parseInt", "parseFloat", "Number", "Number.parseInt", "Number.parseFloat"):
        return _as_number(first)
    if name == "JSON.stringify":
        return first
    if name in _FUNCTIONS and all(isinstance(value, float | str) for value in given):
        try:
            return _FUNCTIONS[name](*given)
        except (TypeError, ValueError, OverflowError):
            return Unknown()
    return Unknown(name.rpartition(".")[2])


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


def _number(text: str) -> float:
    text = text.replace("_", "")
    return float(int(text, 16)) if text[:2].lower() == "0x" else float(text)


def declarations(tokens: Sequence[Token], *, everywhere: bool) -> dict[str, list[Token]]:
    """Name -> the expression that it is declared as; `everywhere`: also inside of brackets."""
    return dict(_declared(tokens, everywhere))


def _declared(tokens: Sequence[Token], everywhere: bool) -> Iterator[tuple[str, list[Token]]]:
    at = 0
    while at < len(tokens):
        token = tokens[at]
        if not everywhere and token.kind == "punct" and token.text in _PAIRS:
            at = closing(tokens, at)
        elif token.kind == "name" and token.text in ("const", "let", "var"):
            # Several are separated by commas. What they are made of is gone through as well.
            name = at + 1
            while _text(tokens, name + 1) == "=":
                expression = expression_at(tokens, name + 2)
                yield tokens[name].text, expression
                after = name + 2 + len(expression)
                name = after + 1 if _text(tokens, after) == "," else len(tokens)
        at += 1


def _text(tokens: Sequence[Token], at: int) -> str:
    return tokens[at].text if at < len(tokens) else ""


def functions(tokens: Sequence[Token]) -> dict[str, tuple[list[str], list[Token]]]:
    """Name -> parameters and body of every function that is in no other; the exported one is `default`, too."""
    found: dict[str, tuple[list[str], list[Token]]] = {}
    at = 0
    while at < len(tokens):
        token = tokens[at]
        if token.kind == "punct" and token.text in _PAIRS:
            at = closing(tokens, at)
        elif token.kind == "name" and token.text == "function":
            name = tokens[at + 1].text if _text(tokens, at + 1) not in ("(", "*") else ""
            opening = next((index for index in range(at, len(tokens)) if tokens[index].text == "("), len(tokens) - 1)
            ends = closing(tokens, opening)
            body = list(tokens[ends + 2 : closing(tokens, ends + 1)])
            is_default = any(one.text == "default" for one in tokens[max(0, at - 2) : at])
            for key in (name, "default" if is_default else ""):
                if key:
                    found[key] = _parameters(tokens[opening + 1 : ends]), body
        elif token.kind == "name" and token.text in ("const", "let", "var", "default"):
            name, begins = ("default", at + 1) if token.text == "default" else (_text(tokens, at + 1), at + 3)
            if (arrow := _arrow(tokens, begins)) is not None:
                found[name] = arrow
        at += 1
    return found


def _arrow(tokens: Sequence[Token], at: int) -> tuple[list[str], list[Token]] | None:
    at += at < len(tokens) and tokens[at].text == "async"
    if at >= len(tokens) or not (tokens[at].text == "(" or tokens[at].kind == "name"):
        return None
    end = closing(tokens, at) if tokens[at].text == "(" else at
    if end + 2 >= len(tokens) or tokens[end + 1].text != "=>":
        return None
    given = _parameters(tokens[at + 1 : end] if end > at else [tokens[at]])
    if tokens[end + 2].text == "{":
        return given, list(tokens[end + 3 : closing(tokens, end + 2)])
    return given, expression_at(tokens, end + 2)


def _parameters(tokens: Sequence[Token]) -> list[str]:
    return [part[0].text for part in split(tokens)]
