"""The watchdog: a run whose worker is gone is failed, so that nothing waits for it.

Belongs here: telling a dead worker from a slow one. Does not belong here: what a killed run left (the next writer
undoes it), trying again (retry policies, sensors).
"""

import dagster as dg
import psutil

EVERY_SECONDS = 10
# What keeps a run's place: it says that it runs or is about to, and only its worker could say otherwise.
HELD = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
# Of which a worker speaks first: of itself where Dagster started it for the run, else of the run.
FIRST_WORDS = {dg.DagsterEventType.ENGINE_EVENT, dg.DagsterEventType.RUN_START}
# Clocks of events and processes differ by less.
SLACK_SECONDS = 2


def watchdog() -> dg.SensorDefinition:
    """The sensor that looks after the workers of this machine's runs. It starts running."""

    @dg.sensor(
        name="watchdog",
        minimum_interval_seconds=EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Fails runs whose worker process is gone and frees what they held.",
    )
    def look(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        failed = fail_lost_runs(context.instance)
        return dg.SkipReason(f"{len(failed)} runs had lost their worker: {', '.join(failed)}" if failed else None)

    return look


def fail_lost_runs(instance: dg.DagsterInstance) -> list[str]:
    """Fail every run whose worker is gone, and free its slots; returns their ids."""
    lost = []
    for run in instance.get_runs(dg.RunsFilter(statuses=HELD)):
        worker = worker_of(instance, run.run_id)
        if worker is None or is_alive(*worker):
            continue
        instance.report_run_failed(
            run, f"The worker of this run (process {worker[0]}) is gone: it was killed, or the machine restarted."
        )
        if instance.event_log_storage.supports_global_concurrency_limits:
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        lost.append(run.run_id)
    return lost


def worker_of(instance: dg.DagsterInstance, run_id: str) -> tuple[int, float] | None:
    """The process that makes the run, and when it first spoke (seconds since 1970); None: it has not spoken yet."""
    for entry in instance.all_logs(run_id, of_type=FIRST_WORDS):
        pid = _pid_in(entry.dagster_event) if entry.dagster_event is not None else None
        if pid is not None:
            return pid, entry.timestamp
    return None


def _pid_in(event: dg.DagsterEvent) -> int | None:
    """The process that an event is of, as Dagster notes it: of a run's begin in one place, of a worker's in another."""
    if event.pid is not None or not event.is_engine_event:
        return event.pid
    told = event.engine_event_data.metadata.get("pid")
    return int(str(told.value)) if told is not None else None


def is_alive(pid: int, began_at: float) -> bool:
    """Whether the process that had this id then still runs; another may have got its id since."""
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= began_at + SLACK_SECONDS
    except psutil.NoSuchProcess:
        return False
