"""`liftlake up` and `liftlake down`."""

from __future__ import annotations

from cli.output import JSON_OPTION, command, err, print_json
from resources import spark_server
from resources.instance import become_ui
from resources.settings import load_settings


@command
def up() -> None:
    """Open the Dagster UI on the lake, on the loopback address; Ctrl-C stops it."""
    settings = load_settings()
    err.print(f"Dagster UI: http://127.0.0.1:{settings.ui_port}  (Ctrl-C stops it)")
    become_ui(settings)


@command
def down(as_json: bool = JSON_OPTION) -> None:
    """Stop the lake's local Spark server, if one runs."""
    was_running = spark_server.stop(load_settings())
    if as_json:
        print_json({"stopped": was_running})
    else:
        err.print("The Spark server is stopped." if was_running else "No Spark server was running.")
