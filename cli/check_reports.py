"""Check results for people and for other programs: terminal, JUnit, Markdown.

Belongs here: how results look. Does not belong here: how they come about (check).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from cli.output import out

Results = list[dict[str, Any]]


def write_junit(path: Path, results: Results) -> None:
    """A JUnit file: one suite per table, one case per rule."""
    root = ET.Element("testsuites")
    for asset in dict.fromkeys(row["asset"] for row in results):
        rows = [row for row in results if row["asset"] == asset]
        failed = [row for row in rows if row["outcome"] != "passed" and row["severity"] == "error"]
        suite = ET.SubElement(root, "testsuite", name=asset, tests=str(len(rows)), failures=str(len(failed)))
        for row in rows:
            case = ET.SubElement(suite, "testcase", classname=asset, name=row["check"])
            if row in failed:
                message = f"{row['outcome']}: {row['failing_rows']} rows"
                ET.SubElement(case, "failure", message=message).text = str(row["example"])
    ET.ElementTree(root).write(path, encoding="unicode", xml_declaration=True)


def show(results: Results, counts: dict[str, int], warned: int) -> None:
    """What did not pass, then the counts."""
    for row in results:
        if row["outcome"] != "passed":
            label = "warn" if row["severity"] == "warn" else row["outcome"]
            example = f"  e.g. {row['example'][0]}" if row["example"] else ""
            out.print(
                f"{label:<8} {row['asset']}.{row['check']} ({row['owner']}): {row['failing_rows']:,} rows{example}",
                highlight=False, soft_wrap=True,
            )  # fmt: skip
    out.print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['not_run']} not run, {warned} warnings")


def as_markdown(results: Results, counts: dict[str, int], warned: int) -> str:
    """What did not pass as a table, under one line of counts; examples stay out of what others may read."""
    title = (
        f"**{counts['passed']} passed, {counts['failed']} failed, {counts['not_run']} not run, {warned} warnings**\n"
    )
    broken = [row for row in results if row["outcome"] != "passed"]
    if not broken:
        return title
    lines = [
        f"| {row['asset']} | {row['check']} | {row['owner']} | {row['severity']} | {row['outcome']} | "
        f"{row['failing_rows']:,} |"
        for row in broken
    ]
    head = ["", "| table | rule | owner | severity | outcome | failing rows |", "|---|---|---|---|---|---:|"]
    return "\n".join([title, *head[1:], *lines]) + "\n"
