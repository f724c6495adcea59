from __future__ import annotations

import pytest

from pika_locust.errors import ConfigurationError
from pika_locust.platforms.verity.world_model import Rules, rules_from


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, Rules(45.0, 60.0, True, b"whsec_test_secret", b"verity-sandbox-access")),
        ({"SESSION_HOLD_SECONDS": "10"}, Rules(session_s=10.0)),
        ({"SESSION_HOLD_SECONDS": "10", "VERITY_SESSION_HOLD_SECONDS": "2.5"}, Rules(session_s=2.5)),
        ({"SESSION_HOLD_SECONDS": "10", "PIKA_SANDBOX_SESSION_SECONDS": "3"}, Rules(session_s=3.0)),
        ({"PIKA_SANDBOX_CHOICE_SECONDS": "5"}, Rules(choice_s=5.0)),
        ({"PIKA_SANDBOX_STATUS_FANOUT": "0"}, Rules(status_fanout=False)),
        (
            {"STRIPE_WEBHOOK_SECRET": "whsec_a", "JWT_ACCESS_SECRET": "b"},
            Rules(webhook_secret=b"whsec_a", jwt_secret=b"b"),
        ),
        ({"STRIPE_WEBHOOK_SECRET": "", "SESSION_HOLD_SECONDS": " "}, Rules()),
    ],
    ids=str,
)
def test_the_environment_sets_the_rules(environment: dict[str, str], wanted: Rules) -> None:
    assert rules_from(environment) == wanted


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(ConfigurationError) as refused:
        rules_from({"SESSION_HOLD_SECONDS": "1e3", "PIKA_SANDBOX_STATUS_FANOUT": "perhaps"})
    assert str(refused.value).splitlines()[-2:] == [
        "SESSION_HOLD_SECONDS is '1e3', but must be seconds, such as 45",
        "PIKA_SANDBOX_STATUS_FANOUT is 'perhaps', but must be 1 or 0",
    ]
