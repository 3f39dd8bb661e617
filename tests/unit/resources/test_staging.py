"""What a file's own columns prove of its records before Spark reads them."""

from __future__ import annotations

from checks.contracts.evolution import SourceColumn
from resources.mapping import load_mapping
from resources.staging import identifying_columns


def test_a_key_is_told_apart_by_the_columns_it_is_made_of():
    """Only where different values stay different: whole numbers and texts do, a rounded or joined key may not."""
    lines = load_mapping("completejourney").tables["pos_lines"]
    file = [SourceColumn("basket_id", "BIGINT"), SourceColumn("product_id", "BIGINT"), SourceColumn("week", "BIGINT")]
    assert identifying_columns(lines, file) == ("basket_id", "product_id")
    assert identifying_columns(lines, [*file[1:], SourceColumn("basket_id", "DOUBLE")]) is None
    joined = {**lines.columns, "line_id": "CONCAT(product_id, week)"}
    assert identifying_columns(lines.model_copy(update={"columns": joined}), file) is None
    whole = load_mapping("completejourney").tables["offers"]
    assert identifying_columns(whole, file) == ("basket_id", "product_id", "week")
