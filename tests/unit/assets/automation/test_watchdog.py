"""Runs whose worker is gone: real processes, killed."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import dagster as dg
import psutil
from dagster._core.events import EngineEventData

from assets.automation.watchdog import fail_lost_runs, is_alive, worker_of
from resources.instance import open_instance
from resources.settings import PROJECT_ROOT
from tests.conftest import throwaway_settings

WORKER = """
    import sys, time
    import dagster as dg
    from resources.instance import open_instance
    from tests.conftest import throwaway_settings
    from pathlib import Path

    @dg.op
    def forever():
        print("begun", flush=True)
        while True:
            time.sleep(60)

    @dg.job(executor_def=dg.in_process_executor)
    def endless():
        forever()

    with open_instance(throwaway_settings(Path(sys.argv[1]))) as instance:
        endless.execute_in_process(instance=instance)
"""

STARTING = dg.DagsterRunStatus.STARTING


@dg.job
def about_to_begin():
    """A run that does nothing."""


def test_a_run_is_failed_once_its_worker_is_gone_and_not_before(tmp_path: Path):
    command = [sys.executable, "-c", textwrap.dedent(WORKER), str(tmp_path)]
    worker = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=PROJECT_ROOT)
    try:
        assert worker.stdout is not None
        while worker.stdout.readline() != b"begun\n":
            assert worker.poll() is None
        with open_instance(throwaway_settings(tmp_path)) as instance:
            (run,) = instance.get_runs()
            found = worker_of(instance, run.run_id)
            assert found is not None
            assert found[0] == worker.pid
            assert fail_lost_runs(instance) == []
            worker.kill()
            # Not waited for: the dead process is still in the table.
            while psutil.Process(worker.pid).status() != psutil.STATUS_ZOMBIE:
                time.sleep(0.01)
            assert fail_lost_runs(instance) == [run.run_id]
            (failed,) = instance.get_runs()
            assert failed.status == dg.DagsterRunStatus.FAILURE
            assert fail_lost_runs(instance) == []
    finally:
        worker.kill()
        worker.communicate()


def test_a_run_whose_worker_is_gone_before_it_began_is_failed(tmp_path: Path):
    """It has the place of the one run at a time, and nobody else would ever say that it does not start."""
    worker = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        with open_instance(throwaway_settings(tmp_path)) as instance:
            run = instance.create_run_for_job(about_to_begin, status=STARTING)
            instance.report_engine_event("Asked for.", run)
            assert worker_of(instance, run.run_id) is None
            assert fail_lost_runs(instance) == []
            instance.report_engine_event("Started.", run, EngineEventData.in_process(worker.pid))
            assert fail_lost_runs(instance) == []
            worker.kill()
            worker.wait()
            assert fail_lost_runs(instance) == [run.run_id]
            (failed,) = instance.get_runs()
            assert failed.status == dg.DagsterRunStatus.FAILURE
    finally:
        worker.kill()
        worker.communicate()


def test_a_process_id_that_another_process_got_is_no_worker():
    mine = psutil.Process()
    assert is_alive(mine.pid, time.time())
    assert not is_alive(mine.pid, mine.create_time() - 60)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert not is_alive(gone.pid, time.time())
    assert os.getpid() == mine.pid
