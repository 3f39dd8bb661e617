"""Bronze: one asset per table of the source, and the keys that replace household ids.

Belongs here: which files and topics an asset ingests and what the UI shows of it. Does not belong here: how they are
ingested (resources.ingest, resources.topic_ingest) or what a source looks like (sources/*.yaml).
"""

import json
from collections.abc import Sequence
from typing import Any

import dagster as dg

from assets.graph import TOPIC_LAG, TOPIC_POSITION, TOUCHED_WEEKS, Graph, materialise
from checks.contracts.model import Contract
from checks.contracts.pandera_schema import to_pandera
from checks.contracts.plan import ValidationPlan, compile_plan
from ml.tokens import household_tokens
from resources.changes import weeks_of_batches
from resources.ingest import Ingest
from resources.lake import Lake
from resources.offsets import Standing
from resources.receipts import Receipt, receipts_of
from resources.settings import PROJECT_ROOT
from resources.source_bytes import SourceFileError
from resources.spans import as_texts
from resources.token_keys import FIRST_VERSION, key_version, token_key
from resources.topic_ingest import TopicIngest
from resources.topics import Topics

READERS = (
    "books", "delivery_plan", "ingest", "json_records", "mapping", "records", "repeats", "source_bytes", "offsets",
    "splitting", "staged_messages", "staging", "topic_ingest", "topic_reader", "topics",
)  # fmt: skip
CODE = [PROJECT_ROOT / "resources" / f"{name}.py" for name in READERS]
TOKEN_CODE = [PROJECT_ROOT / "ml" / "tokens.py"]
# Tables of a source that name households.
HOUSEHOLD_TABLES = ("pos_lines", "households", "offer_exposures", "redemptions", "telemetry_events")
MARKDOWN_ROWS = 20


def bronze_assets(graph: Graph) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """The bronze layer of the lake's source: a table that the source does not have is absent."""
    tables = [_event_table(graph, name) for name in graph.mapping.tables]
    return [*tables, _household_keys(graph), *_books(graph)]


def _event_table(graph: Graph, name: str) -> dg.AssetsDefinition:
    @graph.asset("bronze", name, kinds={"spark", "deltalake"}, code=CODE, settings=[graph.mapping.tables[name]])
    def events(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
        contract = graph.contract("bronze", name)
        plan = compile_plan(to_pandera(contract))
        lake.prepare()
        lake.ensure_table(contract)
        lake.ensure_table(graph.contract("bronze", "quarantine"))
        receipts = _ingest_files(context, lake, graph, name, plan)
        _require_content(lake, graph, name)
        behind = {}
        if graph.topic(name) is not None:
            reader = TopicIngest(lake, graph.mapping, graph.contracts, Topics(graph.settings))
            for batch in reader.batches(name, plan, graph.settings.kafka_batch_records):
                context.log.info("%s: %s records", batch.file_name, f"{batch.received:,}")
                receipts.append(batch)
            behind = topic_metadata(reader.standing(name))
        touched = touched_weeks(lake, contract, receipts)
        return dg.MaterializeResult(metadata={**receipt_metadata(receipts), **touched, **behind})

    return events


def touched_weeks(lake: Lake, contract: Contract, receipts: Sequence[Receipt]) -> dict[str, Any]:
    """The weeks that the batches of an ingest brought or restate, as texts of spans.

    Nothing where no record was accepted; no span for a table without weeks.
    """
    batches = [receipt.batch_id for receipt in receipts if receipt.accepted]
    return {TOUCHED_WEEKS: as_texts(weeks_of_batches(lake, contract, batches))} if batches else {}


def _ingest_files(
    context: dg.AssetExecutionContext, lake: Lake, graph: Graph, name: str, plan: ValidationPlan
) -> list[Receipt]:
    ingest = Ingest(lake, graph.mapping, graph.contracts)
    receipts = []
    for path in graph.source_files(name):
        receipt = ingest.file(name, path, plan)
        if receipt is None:
            context.log.info("%s is in the ledger already: nothing added", path.name)
            continue
        receipts.append(receipt)
        if receipt.outcome == "refused":
            context.log.error("%s is in quarantine whole: %s", path.name, receipt.reason)
    return receipts


def topic_metadata(standing: Standing) -> dict[str, Any]:
    """How far a topic was read, and what has come to it since."""
    position, state = standing.position, standing.state
    offsets = dict(sorted(position.next_offsets.items())) if position else {}
    return {
        TOPIC_LAG: standing.lag,
        TOPIC_POSITION: json.dumps({"topic_id": state.topic_id, "next_offsets": offsets}),
    }


def _require_content(lake: Lake, graph: Graph, name: str) -> None:
    """One bad file among good ones waits in quarantine; a table of which no file could be read stops the run.

    Raises:
        SourceFileError: every file so far was refused; the message is why.
    """
    receipts = receipts_of(lake, graph.contract("bronze", "ingest_ledger"), graph.mapping.source, name)
    if receipts and all(receipt.outcome == "refused" for receipt in receipts):
        raise SourceFileError(receipts[-1].reason or receipts[-1].file_name)


def receipt_metadata(receipts: Sequence[Receipt]) -> dict[str, Any]:
    """The four counts of the law and a table of the files."""
    counts = ("received", "accepted", "quarantined", "duplicates", "late")
    totals = {name: sum(getattr(receipt, name) for receipt in receipts) for name in counts}
    header = f"| file | outcome | {' | '.join(counts)} |\n|---|---|{'---:|' * len(counts)}\n"
    rows = "\n".join(
        f"| {item.file_name} | {item.outcome} | {' | '.join(f'{getattr(item, count):,}' for count in counts)} |"
        for item in receipts[:MARKDOWN_ROWS]
    )
    return {
        **totals,
        "dagster/row_count": sum(receipt.rows_written for receipt in receipts),
        "files": dg.MetadataValue.md(header + rows if receipts else "No new file."),
    }


def _household_keys(graph: Graph) -> dg.AssetsDefinition:
    sources = [("bronze", name) for name in HOUSEHOLD_TABLES if name in graph.mapping.tables]

    version = key_version(graph.settings)
    # A rotated key makes every token anew; the first one is no setting that changed.
    rotated = [version] if version > FIRST_VERSION else []

    @graph.asset(
        "bronze", "household_keys", kinds={"python", "deltalake"}, code=TOKEN_CODE, deps=sources, settings=rotated
    )
    def household_keys(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
        union = " UNION ALL ".join(
            f"SELECT household_id FROM {layer}.{name} WHERE household_id IS NOT NULL" for layer, name in sources
        )
        households = lake.query(f"SELECT DISTINCT household_id FROM ({union}) ORDER BY household_id")["household_id"]
        tokens = household_tokens(households, *token_key(graph.settings))
        return materialise(context, lake, graph, graph.contract("bronze", "household_keys"), tokens)

    return household_keys


def _books(graph: Graph) -> list[dg.AssetSpec]:
    """The ledger and the quarantine: written by every ingest, so they are shown as tables without a step."""
    writers = [("bronze", name) for name in graph.mapping.tables]
    return [
        graph.side_table("bronze", name, kinds={"spark", "deltalake"}, written_by=writers)
        for name in ("ingest_ledger", "quarantine")
    ]
