"""The audits that examples, templates and pages teach: right in the second test of a process, and of a target that held
something before."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from runpy import run_path
from typing import Any

import pytest

import pika_locust
from pika_locust.cli.main import main
from pika_locust.handle import Handle
from pika_locust.judge import Ledger
from pika_locust.kit import audits
from pika_locust.kit.audits import LedgerAudits
from pika_locust.observe import target
from pika_locust.scenario import Audit, AuditContext, Scenario
from pika_locust.settings import Settings
from pika_locust.testing.world_driver import WorldDriver
from tests.docs.snippets import ROOT, blocks

EXAMPLES = ROOT / "examples"
RUN = "0123456789ab"
HOST, SOCKETS = "http://shop.example", "ws://shop.example/ws"


@dataclass(frozen=True, slots=True)
class Taught:
    """A locustfile, and the world that it is tried on."""

    ledger: str
    locustfile: str
    world: str
    folder: Callable[[Path], Path] = lambda empty: EXAMPLES
    """Where both are, or are written to."""
    target: str = HOST


def of_the_shop(_: Path) -> Path:
    return EXAMPLES / "shop_platform"


def page(name: str) -> Callable[[Path], Path]:
    """The files that a page shows, written to a folder."""

    def write(folder: Path) -> Path:
        for block in blocks(ROOT / "docs" / name):
            if block.title.endswith(".py"):
                (folder / block.title).write_text(block.text)
        return folder

    return write


def generated(*options: str) -> Callable[[Path], Path]:
    """What `pika-locust new` writes."""

    def write(folder: Path) -> Path:
        with chdir(folder):
            assert main(["new", "shop", *options]) == 0
        return folder

    return write


ORDERS, CHAT = ("orders.py", "orders_world.py"), ("chat.py", "chat_world.py")
SHOP = ("shop.py", "shop_world.py")
TAUGHT = {
    "examples/orders.py": Taught("orders", *ORDERS),
    "examples/chat.py": Taught("messages", *CHAT, target=SOCKETS),
    "examples/shop_platform": Taught("orders", "shop_platform/scenarios.py", "shop_platform/world.py", of_the_shop),
    "auditing.md": Taught("orders", "counted.py", str(EXAMPLES / "orders_world.py"), page("auditing.md")),
    "coming-from-locust.md": Taught(
        "orders", "shopper.py", str(EXAMPLES / "orders_world.py"), page("coming-from-locust.md")
    ),
    "own-platform.md": Taught("orders", *ORDERS, page("own-platform.md")),
    "pika-locust new": Taught("orders", *SHOP, generated()),
    "pika-locust new --websocket": Taught("messages", *SHOP, generated("--websocket"), SOCKETS),
    "pika-locust new --socketio": Taught("messages", *SHOP, generated("--socketio")),
}


class Installed:
    """Stands in for `pika_locust.install`: nobody is to be tested, and only the audit is wanted."""

    audit: Audit | None = None

    def __call__(self, scenario: Scenario | None = None, *, ledgers: Any = (), **_: Any) -> Handle:
        if scenario is not None:
            self.audit = scenario.audit
            return Handle()
        self.audit = of_locustfile = LedgerAudits(ledgers)
        return Handle(of_locustfile)


@pytest.mark.parametrize("taught", TAUGHT.values(), ids=TAUGHT)
def test_an_audit_looks_at_what_its_own_run_has_sent(
    taught: Taught, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = taught.folder(tmp_path)
    monkeypatch.syspath_prepend(str(folder))
    driver = WorldDriver(run_path(str(folder / taught.world))["PLATFORM"])

    def read_json(url: str, **_: Any) -> Any:
        status, answer = driver.ask("GET", url.removeprefix(HOST))
        assert status == 200
        return answer

    installed = Installed()
    for place in (target, audits):
        monkeypatch.setattr(place, "read_json", read_json)
    monkeypatch.setattr(pika_locust, "install", installed)
    told = run_path(str(folder / taught.locustfile))
    audit = installed.audit or told["ORDERS"].audit

    ledger, sent = Ledger(taught.ledger), [f"{RUN}-{number}" for number in range(3)]
    for item in sent:
        ledger.sent(item)
        ledger.acked(item)

    def audited() -> tuple[str, float | None]:
        context = AuditContext(taught.target, Settings({}, {}), {ledger.name: ledger}, {"run_id": RUN}, None)
        (result,) = audit(context)
        return result.status, result.actual

    held: list[str] = getattr(driver.world, taught.ledger)
    held += ["fedcba987654-0", *sent]
    assert audited() == ("pass", 3), "what was there before is nothing of this run's"
    held.remove(sent[1])
    assert audited() == ("fail", 2), "what was there before makes up for no loss"
