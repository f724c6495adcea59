"""A target that repeats what it was told: its words go nowhere with a secret in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.shop_server.server import target
from tests.e2e.support import run

pytestmark = pytest.mark.e2e

PASSWORD, TOKEN = "S3cr3tPass", "tok-9f8e7d6c"
LOCUSTFILE = f"""
import logging
import gevent
from locust import HttpUser, constant, task
import pika_locust

pika_locust.install()

class Visitor(HttpUser):
    wait_time = constant(0.1)

    @task
    def look(self):
        with self.client.get("/look?token={TOKEN}", catch_response=True) as answer:
            answer.failure("refused: {TOKEN} of the user {PASSWORD}")

    @task
    def fall(self):
        raise ValueError("what came back was {PASSWORD}, for {TOKEN}")

    @task
    def tell(self):
        logging.getLogger("shop").warning("%s and %s", "{PASSWORD}", "{TOKEN}")
        gevent.spawn(self.fall)
        gevent.sleep(0)
"""


@pytest.mark.parametrize("extra", [["--json"], ["--processes", "2"]], ids=["one process", "two workers"])
def test_no_secret_of_a_url_leaves_the_run(extra: list[str], tmp_path: Path) -> None:
    (tmp_path / "leaky.py").write_text(LOCUSTFILE)
    written = tmp_path / "written"
    written.mkdir()
    with target() as server:
        host = server.url.replace("://", f"://loader:{PASSWORD}@") + f"/?token={TOKEN}"
        files = ["--csv", str(written / "run"), "--csv-full-history", "--html", str(written / "report.html")]
        finished = run(
            ["-f", str(tmp_path / "leaky.py"), "-H", host, "--headless", "-u", "4", "-t", "2s", *files, *extra], written
        )
    # A loaded machine changes nothing of what is written.
    assert finished.exit_code in (99, 110)
    for path in written.iterdir():
        text = path.read_text()
        assert PASSWORD not in text, path.name
        assert TOKEN not in text, path.name
    names = {path.name for path in written.iterdir()}
    assert {"run_failures.csv", "run_exceptions.csv", "run_stats.csv", "report.html", "summary.json"} <= names
    assert "refused: REDACTED of the user REDACTED" in (written / "run_failures.csv").read_text()
    assert "what came back was REDACTED" in (written / "run_exceptions.csv").read_text()
    assert "refused: REDACTED of the user REDACTED" in (written / "report.html").read_text()
    assert "REDACTED and REDACTED" in finished.output
