"""The code that makes each table, for the question who uses a column.

Belongs here: from the asset graph and dbt's manifest to `Consumer`. Does not belong here: how use travels
(checks.contracts.impact).
"""

import ast
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

import dagster as dg

from assets.graph import Graph
from checks.contracts.impact import Consumer, sql_derivations, words_of
from ml.features import DEMAND_FEATURES
from resources.settings import PROJECT_ROOT

FEATURE_TABLE = "gold.demand_features"
# How an asset is run and where it is written, not what its rows are.
MACHINERY = ("assets.graph", "assets.automation", "resources")
_COMMENT = re.compile(r"\{#.*?#\}|/\*.*?\*/|--[^\n]*", re.DOTALL)
# A star that stands for columns: not COUNT(*), not a product.
_STAR = re.compile(r"(?:SELECT|,|\w\.)\s*\*", re.IGNORECASE)
# SQL in which a row depends on more than one row, or may be missing.
_SHAPES_ROWS = re.compile(r"\b(WHERE|JOIN|GROUP|UNION|QUALIFY|HAVING|DISTINCT|OVER|LIMIT|EXPLODE)\b", re.IGNORECASE)


def consumers(
    graph: Graph, assets: Iterable[dg.AssetsDefinition | dg.AssetSpec], manifest: Mapping[str, Any]
) -> tuple[Consumer, ...]:
    """Every table of the graph with what its code says; dbt's ephemeral models are steps between them."""
    found = _models(graph, manifest)
    for asset in assets:
        if isinstance(asset, dg.AssetSpec):
            found.append(_aside(graph, asset))
        else:
            found += [_from_python(graph, spec, asset) for spec in asset.specs if spec.key.path[0] != "silver"]
    return tuple(found)


def read_manifest(path: Path) -> dict[str, Any]:
    """dbt's manifest as data."""
    return json.loads(path.read_text(encoding="utf-8"))


def _name(key: dg.AssetKey) -> str:
    return ".".join(key.path)


def _reads(spec: dg.AssetSpec) -> tuple[str, ...]:
    return tuple(_name(dep.asset_key) for dep in spec.deps)


def _aside(graph: Graph, spec: dg.AssetSpec) -> Consumer:
    """A table that the steps of others write: what they write there is not told by any code of its own."""
    contract = graph.contracts[spec.key.path[0], spec.key.path[1]]
    reads = _reads(spec)
    unseen = frozenset(reads)
    return Consumer(_name(spec.key), contract.column_names, contract.primary_key, reads, frozenset(), unseen=unseen)


# ---------------------------------------------------------------- dbt
def _models(graph: Graph, manifest: Mapping[str, Any]) -> list[Consumer]:
    nodes = {**manifest["nodes"], **manifest["sources"]}
    models = [node for node in manifest["nodes"].values() if node["resource_type"] == "model"]
    return [_model(graph, node, nodes, manifest["macros"]) for node in models]


def _model(graph: Graph, node: Mapping[str, Any], nodes: Mapping[str, Any], macros: Mapping[str, Any]) -> Consumer:
    """A model by its SQL and that of our macros which it calls. Without a contract its columns are all its words."""
    sql = "\n".join([node["raw_code"], *_macro_texts(node, macros)])
    sql = _COMMENT.sub(" ", sql)
    contract = graph.contracts.get(("silver", node["name"]))
    columns = contract.column_names if contract else tuple(sorted(words_of(sql)))
    # A star hands on the columns that the table keeps; what it drops again it does not use.
    starred = frozenset(columns) if _STAR.search(sql) else frozenset()
    return Consumer(
        table=_table_name(node),
        columns=columns,
        key=contract.primary_key if contract else (),
        reads=tuple(_table_name(nodes[unique_id]) for unique_id in node["depends_on"]["nodes"]),
        words=words_of(sql) | starred,
        derived=sql_derivations(sql),
        is_projection=_SHAPES_ROWS.search(sql) is None,
        is_shown=contract is not None,
    )


@dataclass(frozen=True)
class DataTest:
    """A test of dbt on rows: the tables that it reads, the words of its code, whether it reads all their columns."""

    name: str
    reads: tuple[str, ...]
    words: frozenset[str]
    is_whole: bool


def data_tests(manifest: Mapping[str, Any]) -> tuple[DataTest, ...]:
    """Every data test of the project, its own SQL and those declared beside a model; unit tests read no table."""
    nodes = {**manifest["nodes"], **manifest["sources"]}
    return tuple(_data_test(node, nodes, manifest["macros"]) for node in nodes.values() if _is_test(node))


def _is_test(node: Mapping[str, Any]) -> bool:
    return node["resource_type"] == "test"


def _data_test(node: Mapping[str, Any], nodes: Mapping[str, Any], macros: Mapping[str, Any]) -> DataTest:
    declared = (node.get("test_metadata") or {}).get("kwargs", {})
    sql = _COMMENT.sub(" ", "\n".join([node["raw_code"], *_macro_texts(node, macros)]))
    return DataTest(
        name=node["name"],
        reads=tuple(_table_name(nodes[unique_id]) for unique_id in node["depends_on"]["nodes"]),
        words=words_of(sql) | words_of(" ".join(str(value) for value in declared.values())),
        is_whole=_STAR.search(sql) is not None,
    )


def data_tests_on(hit: Mapping[str, Collection[str]], tests: Iterable[DataTest]) -> list[tuple[str, str]]:
    """(table, data test) of every test that names a hit column of a table that it reads, or reads all its columns."""
    return [
        (table, test.name)
        for test in tests
        for table in test.reads
        if hit.get(table) and (test.is_whole or set(hit[table]) & test.words)
    ]


def _table_name(node: Mapping[str, Any]) -> str:
    """The published name of a source or mart, the plain name of a model that is no table."""
    if node["resource_type"] == "source":
        return f"{node['source_name']}.{node['name']}"
    return node["name"] if node["config"]["materialized"] == "ephemeral" else f"silver.{node['name']}"


def _macro_texts(node: Mapping[str, Any], macros: Mapping[str, Any]) -> Iterator[str]:
    """Our macros that a model calls, and those that they call."""
    todo, seen = list(node["depends_on"]["macros"]), set[str]()
    while todo:
        unique_id = todo.pop()
        if unique_id.startswith("macro.liftlake.") and unique_id not in seen:
            seen.add(unique_id)
            yield macros[unique_id]["macro_sql"]
            todo += macros[unique_id]["depends_on"]["macros"]


# ---------------------------------------------------------------- Python
def _from_python(graph: Graph, spec: dg.AssetSpec, asset: dg.AssetsDefinition) -> Consumer:
    contract = graph.contracts[spec.key.path[0], spec.key.path[1]]
    trees = list(_code_of(asset))
    texts = [text for tree in trees for text in _texts(tree)]
    queries = [text for text in texts if re.search(r"\bSELECT\b", text)]
    reads = _reads(spec)
    named = {table: [text for text in texts if table in _tables_in(text)] for table in reads}
    derived = {}
    for query in queries:
        derived |= sql_derivations(query)
    if contract.published_name == FEATURE_TABLE:
        derived |= {feature.name: words_of(feature.source) for feature in DEMAND_FEATURES}
    return Consumer(
        table=contract.published_name,
        columns=contract.column_names,
        key=contract.primary_key,
        reads=reads,
        words=frozenset().union(*(_words(tree) for tree in trees)),
        whole=frozenset(table for table in reads if any(_is_whole(text) for text in named[table])),
        unseen=frozenset(table for table in reads if not named[table]),
        derived=derived,
    )


def _tables_in(text: str) -> set[str]:
    """The published names of tables in a text."""
    return set(re.findall(r"\b\w+\.\w+\b", text))


def _is_whole(text: str) -> bool:
    """Whether a text that names a table reads all its columns: a bare name, or a query with a star."""
    return not re.search(r"\bSELECT\b", text) or _STAR.search(text) is not None


def _code_of(asset: dg.AssetsDefinition) -> Iterator[ast.AST]:
    """The function of an asset, what it calls in its own module, and the modules of ours that those import."""
    function = cast("Any", asset.op.compute_fn).decorated_fn
    path = Path(function.__code__.co_filename)
    module = _module(path)
    tops = {node.name: node for node in module.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    values = {
        target.id: node
        for node in module.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    line = function.__code__.co_firstlineno
    first = next(node for node in tops.values() if _starts(node) <= line <= (node.end_lineno or 0))
    parts, todo, seen = list[ast.AST](), [first], set[int]()
    while todo:
        node = todo.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        parts.append(node)
        names = {item.id for item in ast.walk(node) if isinstance(item, ast.Name)}
        todo += [known[name] for known in (tops, values) for name in names if name in known]
    yield from parts
    used = {item.id for part in parts for item in ast.walk(part) if isinstance(item, ast.Name)}
    yield from _imported(module, used)


def _starts(node: ast.stmt) -> int:
    decorators = getattr(node, "decorator_list", [])
    return min([node.lineno, *(item.lineno for item in decorators)])


def _imported(module: ast.Module, used: set[str]) -> Iterator[ast.AST]:
    """Our modules behind imported names, and behind every import of those in turn."""
    todo = [name for name, alias in _imports(module) if alias in used]
    seen = set[str]()
    while todo:
        name = todo.pop()
        if name in seen or name.startswith(MACHINERY):
            continue
        path = PROJECT_ROOT / (name.replace(".", "/") + ".py")
        if not path.is_file():
            continue
        seen.add(name)
        tree = _module(path)
        yield tree
        todo += [other for other, _ in _imports(tree)]


# Most modules are behind many tables: what one says is found once.
@cache
def _imports(module: ast.Module) -> tuple[tuple[str, str], ...]:
    """(module, name it binds) of every import."""
    found = list[tuple[str, str]]()
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                bound = alias.asname or alias.name
                found += [(node.module, bound), (f"{node.module}.{alias.name}", bound)]
        elif isinstance(node, ast.Import):
            found += [(alias.name, (alias.asname or alias.name).split(".")[0]) for alias in node.names]
    return tuple(found)


@cache
def _module(path: Path) -> ast.Module:
    """A module without its docstrings, which name columns that the code does not read."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return tree


@cache
def _words(tree: ast.AST) -> frozenset[str]:
    return words_of(ast.unparse(tree))


@cache
def _texts(tree: ast.AST) -> tuple[str, ...]:
    """Every text of the code; what is put into a text at run time is a blank, texts side by side are one."""
    inside, found = set[int](), list[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            inside |= {id(part) for part in node.values}
            found.append("".join(str(part.value) if isinstance(part, ast.Constant) else " ? " for part in node.values))
    plain = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in inside)
    return (*found, *(node.value for node in plain if isinstance(node.value, str)))


def features_hit(columns: Sequence[str]) -> list[str]:
    """Those of the hit columns of the feature table that are features."""
    names = {feature.name for feature in DEMAND_FEATURES}
    return [column for column in columns if column in names]
