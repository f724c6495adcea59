"""What command lines of several commands have in common: values with units, and Locust's own words behind `--`."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from typing import Any

from pika_locust.load.durations import parse_duration
from pika_locust.runtime.foreign_options import refusals
from pika_locust.runtime.options import parse_all


def seconds(text: str) -> float:
    """A length such as 30s, or plain seconds, as argparse's `type`."""
    try:
        return parse_duration(text, bare_unit="s")
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def share(text: str) -> float:
    """A share such as 0.1 or 10%, as argparse's `type`."""
    digits = text.removesuffix("%")
    try:
        found = float(digits) / (100 if digits != text else 1)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise argparse.ArgumentTypeError(f"{text!r} is no share; write it like 0.1 or 10%")
    return found


def split_words(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """A command's own words, and Locust's behind `--`."""
    words = list(argv)
    at = words.index("--") if "--" in words else len(words)
    return words[:at], words[at + 1 :]


def locusts_own(words: Sequence[str], known: Any) -> tuple[argparse.Namespace, list[str]]:
    """Options that are Locust's own; and a sentence for each word that it does not know, and each value that it cannot
    read.

    Arguments:
        words: what the parser `known` did not know.
        known: that parser, whose options are proposed for those that are mistyped.

    Raises ConfigurationError where the words cannot be taken apart, such as an option without its value.
    """
    from locust.argument_parser import get_parser

    locusts = get_parser(default_config_files=[])
    given, nobodys, problems = parse_all(locusts, words, {})
    names = [name for parser in (known, locusts) for action in parser._actions for name in action.option_strings]
    return given, problems + refusals(nobodys, names)
