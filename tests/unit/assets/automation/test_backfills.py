"""A backfill's record and what its runs say became of it: nothing here is told twice, and nothing is taken on trust."""

import json
from collections.abc import Iterator
from datetime import date

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus

from assets.automation.backfills import ask, asked_by, close, is_backfilled, outcome_of, tags_of, take_over
from assets.automation.rest import missing_of, reasons_of
from assets.automation.runs import END_TAG, START_TAG
from resources.spans import as_texts, between
from resources.verdicts import REFUSED

WEEKS = between(date(2017, 1, 2), date(2017, 2, 27))
BAD = (WEEKS[2], WEEKS[4])
LINES, STORES = ("silver", "lines"), ("silver", "stores")
ASKED = {LINES: WEEKS[:3] + WEEKS[4:6], STORES: None}
PARTITIONS = dg.TimeWindowPartitionsDefinition(
    start="2017-01-02", end="2017-03-06", fmt="%Y-%m-%d", cron_schedule="0 0 * * 1", timezone="UTC"
)


@dg.asset(key=LINES, partitions_def=PARTITIONS, backfill_policy=dg.BackfillPolicy.single_run())
def lines(context: dg.AssetExecutionContext) -> None:
    if context.run.tags.get("breaks") == "step":
        raise ValueError("the disk is gone")


@dg.asset_check(asset=lines, name="contract", blocking=True)
def lines_contract(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    refused = json.loads(context.run.tags.get("refuses", "[]"))
    rules = [{"rule": "r", "severity": "error", "outcome": "failed", "failing_rows": 1, "columns": ["units"]}]
    metadata = {"rules": dg.MetadataValue.json(rules), REFUSED: refused} if refused else {}
    return dg.AssetCheckResult(passed=not refused, metadata=metadata)


@dg.asset(key=STORES)
def stores() -> None: ...


@dg.asset_check(asset=stores, name="contract", blocking=True)
def stores_contract() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


DEFINITIONS = dg.Definitions([lines, stores], asset_checks=[lines_contract, stores_contract])
ASSETS = DEFINITIONS.resolve_asset_graph()


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as opened:
        ask(opened, ASSETS, "b1", ASKED, "a test", by_daemon=False)
        yield opened


def ran(instance: dg.DagsterInstance, weeks: tuple[date, ...], key: tuple[str, str] = LINES, **tags: str) -> None:
    span = {START_TAG: str(weeks[0]), END_TAG: str(weeks[-1])} if weeks else {}
    DEFINITIONS.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance, asset_selection=[dg.AssetKey(key)], tags={**tags_of("b1"), **span, **tags},
        raise_on_error=False,
    )  # fmt: skip


def test_what_was_asked_for_comes_back(instance: dg.DagsterInstance):
    assert asked_by(instance, ASSETS, "b1") == ASKED
    with pytest.raises(LookupError, match="no backfill b2"):
        asked_by(instance, ASSETS, "b2")


def test_a_week_counts_when_it_was_made_and_published(instance: dg.DagsterInstance):
    """Refused weeks, weeks whose step failed and weeks of another backfill's runs are missing."""
    ran(instance, WEEKS[:3], refuses=json.dumps(as_texts(BAD[:1])))
    ran(instance, WEEKS[4:5], breaks="step")
    ran(instance, WEEKS[5:6], **tags_of("another"))
    done, failures = outcome_of(instance, "b1")
    assert done == {LINES: {*WEEKS[:2]}}
    missing = missing_of(ASKED, done)
    assert missing == {LINES: (WEEKS[2], WEEKS[4], WEEKS[5]), STORES: None}
    assert reasons_of(missing, failures) == {
        (LINES, "rule r failed on 1 rows"): (WEEKS[2],),
        (LINES, "the disk is gone"): (WEEKS[4],),
    }
    ran(instance, WEEKS[2:3])
    assert outcome_of(instance, "b1")[0] == {LINES: {*WEEKS[:3]}}


def test_the_record_says_how_it_ended(instance: dg.DagsterInstance):
    def ended() -> BulkActionStatus:
        close(instance, ASSETS, "b1", outcome_of(instance, "b1")[0])
        record = instance.get_backfill("b1")
        assert record is not None
        return record.status

    record = instance.get_backfill("b1")
    assert record is not None
    assert record.status == BulkActionStatus.CANCELED
    ran(instance, WEEKS[:3])
    assert ended() == BulkActionStatus.COMPLETED_FAILED
    ran(instance, WEEKS[4:6])
    ran(instance, (), STORES)
    assert ended() == BulkActionStatus.COMPLETED_SUCCESS
    assert asked_by(instance, ASSETS, "b1") == ASKED


def test_the_daemon_leaves_a_backfill_that_is_resumed(instance: dg.DagsterInstance):
    ask(instance, ASSETS, "late-1", ASKED, "a sensor's", by_daemon=True)
    record = instance.get_backfill("late-1")
    assert record is not None
    assert record.status == BulkActionStatus.REQUESTED
    assert take_over(instance, ASSETS, "late-1") == ASKED
    record = instance.get_backfill("late-1")
    assert record is not None
    assert record.status == BulkActionStatus.CANCELED


def test_what_is_backfilled_lies_between_files_and_training_sets():
    assert is_backfilled(("silver", "lines"))
    assert not is_backfilled(("gold", "training_sets"))
    assert not is_backfilled(("models", "demand_models"))
