"""Runs the example in a module's docstring: its indented block, and every test that the block defines."""

from __future__ import annotations

import re
from collections.abc import Mapping
from textwrap import dedent
from types import ModuleType
from typing import Any

_BLOCK = re.compile(r"(?:^(?: {4}.*)?\n)+", re.MULTILINE)


def run_example(module: ModuleType, names: Mapping[str, Any]) -> list[str]:
    """Run the longest indented block of `module`'s docstring with its names and these; returns the tests in it.

    ValueError when there is no test in it.
    """
    block = max(_BLOCK.findall(f"{module.__doc__}\n"), key=len, default="")
    scope: dict[str, Any] = {**vars(module), **names, "__name__": "example"}
    exec(compile(dedent(block), f"<the example of {module.__name__}>", "exec"), scope)
    tests = [name for name in scope if name.startswith("test_")]
    if not tests:
        raise ValueError(f"{module.__name__} has no example with a test in it")
    for name in tests:
        scope[name]()
    return tests
