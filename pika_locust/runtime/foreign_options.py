"""Options of k6, of older Locusts and of locust-plugins: what they are called here.

Who comes from another tool types that tool's words. Each of them gets its answer: the option or setting that does the
same, and where there is none, what to do in its place.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

_OPTIONS: tuple[tuple[str, str], ...] = (
    ("--vus --vus-max --clients -c --concurrency --connections", "use -u NUMBER, and -r for so many a second"),
    ("--duration -d", "use -t, as in -t 30s"),
    ("--hatch-rate --ramp", "use -r, users a second"),
    ("-o", "use --out, as in --out json=FILE"),
    ("--summary-export", "use --summary-json FILE"),
    ("--env -e", "write NAME=value before the command, or as a line of .env.load-tests"),
    ("--quiet -q", "use --loglevel ERROR, and 2>/dev/null: standard output holds nothing but results"),
    ("--verbose", "use --loglevel DEBUG"),
    ("--no-color", "set NO_COLOR=1 in the environment; only a terminal gets colours"),
    ("--console-output --log-output", "use --logfile FILE"),
    ("--local-ips", "use the setting SOURCE_ADDRESSES, in the same spelling"),
    ("--insecure-skip-tls-verify", "use the setting INSECURE_SKIP_TLS_VERIFY=true"),
    ("--execution-segment", "use --processes, or --master and --worker; they share the load by themselves"),
    ("--linger --paused", "leave out --headless: the web page waits for you"),
    ("--no-web", "use --headless"),
    ("--slave", "use --worker"),
    ("--step-load --step-users --step-time", "use --stage, as in --stage 30s:10,30s:20"),
    ("--rps --rate", "users set their own pace, and open models have settings for their rates"),
    ("--no-thresholds", "without thresholds nothing would be judged"),
    ("--tag", "the summary names target, settings and command of a run"),
)
_ITERATIONS = "--iterations -i --num-request -n"
_ITERATIONS_OF_SCENARIOS = "use the setting ITERATIONS: ITERATIONS=500 shared by all users, ITERATIONS=3/user for each"
_ITERATIONS_OF_LOCUSTFILES = "-t ends a run, and a task may call environment.runner.quit()"

_ANSWERS = {name: answer for names, answer in _OPTIONS for name in names.split()}


def answers(unknown: Sequence[str], *, own_users: bool = False) -> list[str]:
    """A sentence for each option among the unknown words that another tool has; `own_users`: of a locustfile's own."""
    iterations = _ITERATIONS_OF_LOCUSTFILES if own_users else _ITERATIONS_OF_SCENARIOS
    known = {**_ANSWERS, **dict.fromkeys(_ITERATIONS.split(), iterations)}
    found = []
    for word in unknown:
        name = _option(word, known)
        if name in known:
            found.append(f"there is no option {name} here; {known[name]}")
    return list(dict.fromkeys(found))


def refusals(unknown: Sequence[str], options: Iterable[str], *, own_users: bool = False) -> list[str]:
    """A sentence for each unknown word: its answer, or that nobody knows it, with the nearest of the options that
    there are. What follows an option without a dash is taken for its value."""
    wrong = answers(unknown, own_users=own_users)
    options = list(options)
    is_value = False
    for word in unknown:
        answered = bool(answers([word], own_users=own_users))
        if word.startswith("-") and not answered:
            near = difflib.get_close_matches(word.partition("=")[0], options, n=1)
            wrong.append(f"unrecognized arguments: {word}" + (f"; Did you mean '{near[0]}'?" if near else ""))
        elif not word.startswith("-") and not is_value:
            wrong.append(f"unrecognized arguments: {word}")
        is_value = word.startswith("-") and "=" not in word
    return wrong


def _option(word: str, known: Iterable[str]) -> str:
    """The option that a word gives: `--vus=10` is --vus, and `-d30s` is -d."""
    name = word.partition("=")[0]
    if name in known or name.startswith("--"):
        return name
    return name[:2] if name.startswith("-") and name[2:3].isdigit() else name


_PLUGIN_OPTIONS: tuple[tuple[str, str, str], ...] = (
    ("iterations", "-i/--iterations", _ITERATIONS_OF_SCENARIOS),
    ("ips", "--ips", "use the settings of the scenario's own pace, as `pika-locust inspect` lists them"),
    ("check_rps", "--check-rps", "use --threshold, as in --threshold 'iterations:rate>50'"),
    ("check_fail_ratio", "--check-fail-ratio", "use --threshold, as in --threshold 'http_req_failed:rate<0.01'"),
    (
        "check_avg_response_time",
        "--check-avg-response-time",
        "use --threshold, as in --threshold 'http_req_duration:avg<300'",
    ),
)


def of_plugins(arguments: Any) -> list[str]:
    """A sentence for each option of locust-plugins that is set and would change nothing in a scenario of ours."""
    return [
        f"{option} is locust-plugins', for Locust's own tasks, and changes nothing here; {answer}"
        for name, option, answer in _PLUGIN_OPTIONS
        if getattr(arguments, name, None) is not None
    ]
