"""The beginning of a test: what it is, what must exist before its first user, and what everybody is told."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from pika_locust.errors import SetupError
from pika_locust.judge import ThresholdEvaluator
from pika_locust.load.open_plan import LEAD_S
from pika_locust.load.plan import CONSTANT, LoadPlan
from pika_locust.outputs import redact
from pika_locust.runtime.begin import RunStart
from pika_locust.runtime.closing import RunFacts
from pika_locust.runtime.collector import Collector
from pika_locust.runtime.machine import boot_id
from pika_locust.runtime.options import RunOptions, all_metrics
from pika_locust.runtime.target import TargetMonitor
from pika_locust.runtime.trial import Run
from pika_locust.scenario import Scenario, SetupContext

logger = logging.getLogger(__name__)


def make_run(environment: Any, scenario: Scenario, options: RunOptions, command: str) -> Run:
    """A test that is about to run; `command` is how it was started, without secrets."""
    plugin = environment.pika_locust
    target = options.target or "" if scenario.is_locustfile else scenario.normalise_target(environment.host)
    is_sandbox = plugin.sandbox_url is not None and target == scenario.normalise_target(plugin.sandbox_url)
    facts = RunFacts(
        run_id=uuid4().hex[:12],
        seed=None if scenario.is_locustfile else options.seed,
        command=command,
        settings=options.settings.given,
        target=target,
        sandbox=is_sandbox,
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    return Run(
        options=options,
        facts=facts,
        collector=Collector(facts.run_id),
        panel=ThresholdEvaluator(options.thresholds, all_metrics(scenario), scenario.bands),
        watch=TargetMonitor(scenario.http_base(target), plugin.sandbox_pid if is_sandbox else None),
        began_s=time.monotonic(),
        supporters=len(scenario.supporters(options.settings)),
    )


def set_up(scenario: Scenario, run: Run) -> bool:
    """Make what must exist before the first user, accounts, say. False when there is no use in going on."""
    if scenario.set_up is None:
        return True
    try:
        options = run.options
        run.given = scenario.set_up(SetupContext(run.facts.target, options.settings, options.seed))
        return True
    except SetupError as error:
        logger.error("The set-up failed: %s", error)
        run.failed_setup = str(error)
    except Exception as error:
        logger.exception("The set-up has a fault of its own")
        run.internal_errors.append(f"set-up: {type(error).__name__}: {error}")
    return False


def run_start(run: Run, scenario: Scenario, participants: Sequence[tuple[str, int]], stop_timeout_s: float) -> RunStart:
    """What everybody is told; `participants` are the workers, by id and index."""
    options, plan = run.options, run.options.plan
    return RunStart(
        run_id=run.facts.run_id,
        seed=options.seed,
        target=run.facts.target,
        settings=options.settings.public(),
        planned_s=plan.duration_s,
        spread=plan.name != CONSTANT or plan.spawn_rate is not None,
        supporters=run.supporters,
        stop_timeout_s=stop_timeout_s,
        users_peak=plan.users_peak,
        workers=len(participants),
        stripes={worker: stripe for stripe, (worker, _) in enumerate(participants)},
        arrivals=_arrivals(plan),
        iterations=plan.iterations.to_wire() if plan.iterations is not None else None,
        given=run.given.public,
        thresholds=tuple(map(str, options.thresholds)),
    )


def _arrivals(plan: LoadPlan) -> Mapping[str, Any] | None:
    if plan.arrivals is None:
        return None
    start_ns = time.monotonic_ns() + round(LEAD_S * 1e9)
    return {"start_ns": start_ns, "boot": boot_id(), "duration_s": plan.arrivals_s}


def log_plan(scenario: Scenario, run: Run) -> None:
    """Log what is about to happen."""
    options, plan = run.options, run.options.plan
    seed = "" if scenario.is_locustfile else f"; seed {options.seed}"
    logger.info("Load plan: %s%s; target %s", plan.describe(), seed, redact.text(run.facts.target))
    for said in (*plan.overrides, *scenario.notes(options.settings, plan)):
        logger.info("Load plan: %s", said)
