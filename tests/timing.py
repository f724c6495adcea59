"""Finds tests that would fail on a busy machine: those that allow real time an upper bound, and are not run alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator

CLOCKS = {"monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "time", "time_ns"}
GENEROUS_S = 2.0
"""A bound that no machine is busy enough for."""
EXEMPT = {"alone", "e2e", "virtual_time"}
"""Marks and fixtures of tests that may: they run alone, are run again, or take no real time."""


def measuring(source: str) -> list[str]:
    """The tests of a file that would fail on a busy machine."""
    tree = ast.parse(source)
    if any(_exempts(statement) for statement in tree.body if isinstance(statement, ast.Assign)):
        return []
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    return [function.name for function in functions if not _is_exempt(function) and any(_bounds(function))]


def _is_exempt(function: ast.FunctionDef) -> bool:
    arguments = {argument.arg for argument in function.args.args}
    return "virtual_time" in arguments or any(_exempts(decorator) for decorator in function.decorator_list)


def _exempts(node: ast.AST) -> bool:
    found = list(ast.walk(node))
    names = {part.attr for part in found if isinstance(part, ast.Attribute)}
    words = {part.value for part in found if isinstance(part, ast.Constant)}
    return not EXEMPT.isdisjoint(names | words)


def _bounds(function: ast.FunctionDef) -> Iterator[bool]:
    """For each upper bound on what a clock says in an assertion: True, unless it is generous."""
    for statement in ast.walk(function):
        if not isinstance(statement, ast.Assert):
            continue
        for compared in ast.walk(statement.test):
            if isinstance(compared, ast.Compare):
                sides = [compared.left, *compared.comparators]
                for left, operator, right in zip(sides, compared.ops, sides[1:], strict=False):
                    if isinstance(operator, ast.Lt | ast.LtE) and _reads_clock(left) and not _is_generous(right):
                        yield True


def _reads_clock(node: ast.AST) -> bool:
    calls = (part.func for part in ast.walk(node) if isinstance(part, ast.Call))
    return any(getattr(call, "attr", getattr(call, "id", "")) in CLOCKS for call in calls)


def _is_generous(bound: ast.AST) -> bool:
    if isinstance(bound, ast.Constant) and isinstance(bound.value, int | float):
        return bound.value >= GENEROUS_S
    # Between two readings of a clock there is no bound; a deadline is there so that a test that hangs ends.
    return _reads_clock(bound) or (isinstance(bound, ast.Name) and bound.id.startswith("deadline"))
