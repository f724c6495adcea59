"""Options of k6, of older Locusts and of locust-plugins: what they are called here.

Who comes from another tool types that tool's words. Each of them gets its answer: the option or setting that does the
same, and where there is none, what to do in its place.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

_OF_CLIENTS = "it is a matter of the client in the locustfile"
_OPTIONS: tuple[tuple[str, str], ...] = (
    ("--vus --vus-max --clients -c --concurrency --connections", "use -u NUMBER, and -r for so many a second"),
    ("--duration -d", "use -t, as in -t 30s"),
    ("--hatch-rate --ramp", "use -r, users a second"),
    ("-o", "use --out, as in --out json=FILE"),
    ("--summary-export", "use --summary-json FILE"),
    ("--summary-trend-stats --summary-time-unit", "--summary-json FILE has all statistics, and times are in ms"),
    ("--no-summary", "use >/dev/null: standard output holds nothing but results"),
    ("--env -e", "write NAME=value before the command, or as a line of .env.load-tests"),
    ("--include-system-env-vars", "leave it out: the environment is always read"),
    ("--secret-source", "write secrets to the environment or to .env.load-tests; they are shown nowhere"),
    ("--quiet -q", "use --loglevel ERROR, and 2>/dev/null: standard output holds nothing but results"),
    ("--verbose", "use --loglevel DEBUG"),
    ("--http-debug", "the errors in the verdict have the target's answers"),
    ("--no-color", "set NO_COLOR=1 in the environment; only a terminal gets colours"),
    ("--console-output --log-output", "use --logfile FILE"),
    ("--address", "use --web-host and --web-port"),
    ("--local-ips", "use the setting SOURCE_ADDRESSES, in the same spelling"),
    ("--insecure-skip-tls-verify", "use the setting INSECURE_SKIP_TLS_VERIFY=true"),
    ("--user-agent", "use the setting EXTRA_HEADERS, as in EXTRA_HEADERS='User-Agent: NAME'"),
    ("--traces-output", "use the setting TRACE_SHARE, as in TRACE_SHARE=0.01"),
    (
        "--execution-segment --execution-segment-sequence",
        "use --processes, or --master and --worker; they share the load by themselves",
    ),
    ("--linger --paused", "leave out --headless: the web page waits for you"),
    ("--no-web", "use --headless"),
    ("--slave", "use --worker"),
    ("--rps --rate", "users set their own pace, and open models have settings for their rates"),
    ("--no-thresholds", "without thresholds nothing would be judged"),
    ("--no-setup --no-teardown", "a scenario needs its members or session"),
    ("--throw", "leave it out: an exception in a task is counted, and fails the run"),
    ("--tag", "the summary names target, settings and command of a run"),
    ("--system-tags", "leave it out: all tags are kept"),
    ("--max-redirects --batch --batch-per-host --discard-response-bodies", _OF_CLIENTS),
    ("--dns --blacklist-ip --block-hostnames --no-connection-reuse --no-vu-connection-reuse", _OF_CLIENTS),
    (
        "--compatibility-mode --type --log-format --no-usage-report --profiling-enabled",
        "leave it out: nothing here corresponds to it",
    ),
)
_ITERATIONS_OF_SCENARIOS = "use the setting ITERATIONS: ITERATIONS=500 shared by all users, ITERATIONS=3/user for each"
_BY_USERS: tuple[tuple[str, str, str], ...] = (
    (
        "--iterations -i --num-request -n",
        _ITERATIONS_OF_SCENARIOS,
        "-t ends a run, and a task may call environment.runner.quit()",
    ),
    (
        "--step-load --step-users --step-time",
        "use --stage, as in --stage 30s:10,30s:20",
        "write a LoadTestShape in the locustfile",
    ),
    ("--min-iteration-duration", "use the setting THINK_TIME_MIN", "use wait_time = constant_pacing(SECONDS)"),
)
"""Options, what to do in their place where the users are a scenario's, and where they are a locustfile's own."""
_OF_SCENARIOS_ALONE = {"--stage": "write a LoadTestShape in the locustfile"}
"""Options of k6 that only users of a scenario have here."""

_ANSWERS = {name: answer for names, answer in _OPTIONS for name in names.split()}


def answers(unknown: Sequence[str], *, own_users: bool = False) -> list[str]:
    """A sentence for each option among the unknown words that another tool has; `own_users`: of a locustfile's own."""
    known = dict(_ANSWERS)
    for names, of_scenarios, of_own_users in _BY_USERS:
        known |= dict.fromkeys(names.split(), of_own_users if own_users else of_scenarios)
    if own_users:
        known |= _OF_SCENARIOS_ALONE
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


def without_tags_of_k6(words: Iterable[str]) -> tuple[list[str], list[str]]:
    """The words without k6's `--tag NAME=VALUE`, and a sentence if there was one.

    argparse takes it for an abbreviation of Locust's --tags, and Locust then for no task at all: none has such a tag.
    """
    left: list[str] = []
    found: list[str] = []
    for word in words:
        if left and left[-1] == "--tag" and "=" in word and not word.startswith("-"):
            found += answers([left.pop()])
        elif word.startswith("--tag=") and word.count("=") > 1:
            found += answers([word])
        else:
            left.append(word)
    return left, list(dict.fromkeys(found))


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


def of_tasks(arguments: Any) -> list[str]:
    """A sentence if tasks are chosen by their tags: a scenario's users would have nothing left to do."""
    if getattr(arguments, "tags", None) or getattr(arguments, "exclude_tags", None):
        return ["--tags and --exclude-tags choose among Locust's @task methods, which users of a scenario do not have"]
    return []


def of_plugins(arguments: Any) -> list[str]:
    """A sentence for each option of locust-plugins that is set and would change nothing in a scenario of ours."""
    return [
        f"{option} is locust-plugins', for Locust's own tasks, and changes nothing here; {answer}"
        for name, option, answer in _PLUGIN_OPTIONS
        if getattr(arguments, name, None) is not None
    ]
