from __future__ import annotations

import shlex

import pytest

from pika_locust.outputs.redact import command_line, is_secret, one_line, text


@pytest.mark.parametrize(
    ("argv", "shown"),
    [
        pytest.param(["--api-key", "abc"], "--api-key REDACTED", id="the word after a secret option"),
        pytest.param(["--api-key=abc"], "--api-key=REDACTED", id="the value of a secret option"),
        pytest.param(["--web-password", "a b"], "--web-password REDACTED", id="a value with a space"),
        pytest.param(["--use-token", "--headless"], "--use-token --headless", id="a flag hides no option"),
        pytest.param(["--use-token"], "--use-token", id="a flag at the end"),
        pytest.param(["--env", "JWT_SECRET=abc,def"], "--env JWT_SECRET=REDACTED", id="an assignment as a value"),
        pytest.param(["--env=JWT_SECRET=abc"], "--env=JWT_SECRET=REDACTED", id="an assignment within an option"),
        pytest.param(["-eAPI_KEY=abc"], "-eAPI_KEY=REDACTED", id="an assignment stuck to a short option"),
        pytest.param(["a=1,API_KEY=x,y"], "a=1,API_KEY=REDACTED", id="an assignment further on"),
        pytest.param(["-H", "X-Api-Key:abc"], "-H 'X-Api-Key: REDACTED'", id="a header"),
        pytest.param(["Authorization: Bearer abc"], "'Authorization: REDACTED'", id="an authorization header"),
        pytest.param(["-H", "http://u:p@s@h:1/x"], "-H http://REDACTED@h:1/x", id="user and password in a URL"),
        pytest.param(["wss://ghp@h/x@y"], "wss://REDACTED@h/x@y", id="a user alone, and an @ in the path"),
        pytest.param(["http://h/?token=a&b=1"], "'http://h/?token=REDACTED&b=1'", id="a secret in a query"),
        pytest.param(["--body", '{"token": "abc", "n": 1}'], '--body \'{"token": "REDACTED", "n": 1}\'', id="in JSON"),
        pytest.param(["--admin-code", "abc"], "--admin-code REDACTED", id="a declared secret"),
        pytest.param(["--admin-c", "abc"], "--admin-c REDACTED", id="a declared one, abbreviated for argparse"),
        pytest.param(["VERITY_ADMIN_CODE=abc"], "VERITY_ADMIN_CODE=REDACTED", id="a declared secret of one platform"),
        pytest.param(["-x", "pre-s3cr3t-post"], "-x pre-REDACTED-post", id="the value of a secret variable anywhere"),
        pytest.param(["-u", "1"], "-u 1", id="a short value of a secret variable hides nothing else"),
        pytest.param(["-f", "locustfiles/tokens.py"], "-f locustfiles/tokens.py", id="a file's name stays"),
        pytest.param(["--threshold", "token_latency:p(95)<3"], "--threshold 'token_latency:p(95)<3'", id="a threshold"),
        pytest.param(["--seed=7", "-t", "1m"], "--seed=7 -t 1m", id="the rest stays"),
    ],
)
def test_the_command_without_its_secrets(argv: list[str], shown: str) -> None:
    environ = {"SESSION_SECRET": "s3cr3t", "KEY_COUNT": "1", "HOME": "locustfiles"}
    assert command_line(["locust", *argv], environ, ["ADMIN_CODE"]) == f"locust {shown}"


@pytest.mark.parametrize(
    ("argv", "shown"),
    [
        pytest.param(["/venv/bin/locust", "-u", "1"], "locust -u 1", id="by its name"),
        pytest.param(["/lib/locust/__main__.py", "-u", "1"], "python -m locust -u 1", id="as a module"),
        pytest.param(["WS_URL=ws://h", "/bin/locust"], "WS_URL=ws://h locust", id="after its variables"),
        pytest.param([], "", id="nothing at all"),
    ],
)
def test_the_program(argv: list[str], shown: str) -> None:
    assert command_line(argv, {}) == shown


def test_the_command_can_be_run_again() -> None:
    argv = ["locust", "--threshold", "a{b:c d}:p(95)<3", "it's", ""]
    assert shlex.split(command_line(argv, {})) == argv


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("STRIPE_WEBHOOK_SECRET", True), ("--jwt-token", True), ("db_password", True), ("ApiKey", True),
        ("Bearer", True), ("admin.code", True), ("VERITY_ADMIN_CODE", True), ("WS_URL", False), ("--seed", False),
        ("BADMIN_CODE", False),
    ],
)  # fmt: skip
def test_what_is_secret_by_name(name: str, secret: bool) -> None:
    assert is_secret(name, ["ADMIN_CODE"]) is secret


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("refused: Bearer abcdef123", "refused: Bearer REDACTED"),
        ("Bearer authentication required", "Bearer authentication required"),
        ("Authorization: Basic dXNlcjpw, retry", "Authorization: REDACTED, retry"),
        ("Cookie: sid=abc; theme=dark", "Cookie: REDACTED"),
        ("got eyJhbGciOi.eyJzdWIi.c2ln back", "got REDACTED back"),
        ("key sk_test_4eC39HqLyjWD is invalid", "key REDACTED is invalid"),
        ("signed with whsec_test_secret", "signed with REDACTED"),
        ("tokens: 1,200 held, token count 3", "tokens: 1,200 held, token count 3"),
        ("mail to ops@example.org", "mail to ops@example.org"),
        ('401: {"access_token": "abcdef cut he', '401: {"access_token": "REDACTED"'),
        ('{"token": "abc\\"def", "n": 1}', '{"token": "REDACTED", "n": 1}'),
        ('{\\"token\\": \\"abcdef\\", \\"n\\": 1}', '{\\"token\\": \\"REDACTED"'),
        ("password=hunter22&email=a", "password=REDACTED&email=a"),
        ("no such api_key=abc123, retry", "no such api_key=REDACTED, retry"),
        ("see #access_token=abc", "see #access_token=REDACTED"),
        ("SECRET='ab cd' is old", "SECRET='REDACTED' is old"),
        ("tokens=5, max_tokens=100", "tokens=5, max_tokens=100"),
    ],
)
def test_what_is_secret_by_shape(words: str, shown: str) -> None:
    assert text(words) == shown


def test_one_line_has_nothing_a_terminal_acts_on() -> None:
    assert one_line("\x1b[1;31mred\x1b[0m\r\nnext\x07\tend \ud800 ") == "red next end"
