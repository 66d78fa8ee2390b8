"""Page 5.4: the dashboard and the alert rules in etc/ ask for what a real server tells.

The server has everything that adds figures: workers, a Redis, webhooks that fail, the platform's
database and a reply clock.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import promql_parser as promql
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.ledger import platforms
from tests.ledger.originals import build
from tests.redis_server import RedisServer
from tests.service.team import Team, until

ROOT = Path(__file__).parents[1]
RULES = ROOT / "etc" / "prometheus" / "imd.rules.yml"
CASES = ROOT / "tests" / "alerts.yml"
DASHBOARD = ROOT / "etc" / "grafana" / "imd.json"
RUNBOOK = ROOT / "docs" / "operation.md"
#: what Prometheus itself adds
ADDED = {"job", "instance"}
#: metrics that Prometheus makes of each target
OF_TARGETS = {"up"}
#: what only shows where something went wrong, by the values that the rules name
RARE: dict[str, set[str]] = {"code": {"4408"}, "state": {"dead"}, "outcome": {"reloaded"}}

Told = dict[str, dict[str, set[str]]]


class Refusing(BaseHTTPRequestHandler):
    """An endpoint that takes nothing."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(500)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        return


def told(team: Team) -> Told:
    """What ``/metrics`` has: by sample, the values of each label."""
    text = team.metrics()
    found: Told = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = found.setdefault(sample.name, {})
            for name, value in sample.labels.items():
                labels.setdefault(name, set()).add(value)
        # A family without samples is there too.
        suffix = "_total" if family.type == "counter" else ""
        found.setdefault(family.name + suffix, {})
    return found


def login(team: Team, **params: Any) -> None:
    """Enter a session, and leave; a refused one is closed by the server."""
    frame = {"jsonrpc": "2.0", "id": 1, "method": "login", "params": params}
    with connect(team.ws) as socket:
        socket.send(json.dumps(frame))
        with suppress(ConnectionClosed):
            while "error" in json.loads(socket.recv(timeout=10)):
                pass


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer) -> Iterator[Told]:
    folder = tmp_path_factory.mktemp("watched")
    endpoint = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    Thread(target=endpoint.serve_forever, daemon=True).start()
    platform = build(f"sqlite:///{folder}/platform.db", {}, platforms.metadata())
    hook = {"url": f"http://127.0.0.1:{endpoint.server_port}/x", "secret": "s" * 16}
    env = {
        "IMD_BUS_URL": redis_server.url, "IMD_WEBHOOKS": json.dumps([hook]),
        "IMD_PLATFORM_URL": platform, "IMD_RECONCILE_EVERY": "1", "IMD_CLOCK_LIMIT": "60",
    }  # fmt: skip
    try:
        with Team(folder, 2, env=env) as team:
            said = {"session_id": "s", "session_name": "n", "session_type": 9,
                    "participants": ["P:patient", "D:doctor"]}  # fmt: skip
            assert team.ask("POST", "/api/v2/sessions", said)[0] == 201
            body = {"sender_id": "P", "type": 1, "content": "x"}
            assert team.ask("POST", "/api/v2/sessions/s/messages", body)[0] == 201
            login(team, user_id="P", client_type="patient", session_id="s")
            login(team, token="none", client_type="patient", session_id="s")
            wanted = ("imd_outbox", "imd_push_results_total", "imd_reconcile_differences",
                      "imd_socket_closes_total", "imd_recoveries_total")  # fmt: skip
            until(lambda: all(told(team).get(name) for name in wanted), 60, "all has figures")
            yield told(team)
    finally:
        endpoint.shutdown()
        endpoint.server_close()


# ---- what is asked


def rules() -> list[dict[str, Any]]:
    """All alerts."""
    groups = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    """All panels that show something."""
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    return [panel for panel in found if panel["type"] != "row"]


def of_grafana(expr: str) -> str:
    """The expression as Prometheus gets it from Grafana."""
    return expr.replace("$__rate_interval", "5m").replace("$instance", ".*").replace("$job", "imd")


def asked() -> dict[str, str]:
    """Every expression by where it stands."""
    found = {f"alert {rule['alert']}": rule["expr"] for rule in rules()}
    for panel in panels():
        for target in panel["targets"]:
            found[f"panel {panel['title']} {target['refId']}"] = of_grafana(target["expr"])
    variables = json.loads(DASHBOARD.read_text("utf-8"))["templating"]["list"]
    for variable in variables:
        if values := re.fullmatch(r"label_values\((.*), (\w+)\)", str(variable["query"])):
            found[f"variable {variable['name']}"] = (
                f"sum by ({values[2]}) ({of_grafana(values[1])})"
            )
    return found


ASKED = asked()


class Question:
    """What an expression names: selectors, and the labels of its results."""

    def __init__(self, expr: str) -> None:
        self.selectors: list[Any] = []
        #: labels that ``by``, ``on`` and the like name, with the metrics below them
        self.grouped: list[tuple[set[str], set[str]]] = []
        self._walk(promql.parse(expr))

    def _walk(self, node: Any) -> set[str]:
        """The metrics below a node."""
        if isinstance(node, promql.VectorSelector):
            self.selectors.append(node)
            return {node.name or ""}
        if isinstance(node, promql.MatrixSelector):
            return self._walk(node.vector_selector)
        if isinstance(node, promql.Call):
            return {name for arg in node.args for name in self._walk(arg)}
        if isinstance(node, promql.BinaryExpr):
            return self._walk(node.lhs) | self._walk(node.rhs)
        if isinstance(node, promql.NumberLiteral | promql.StringLiteral):
            return set()
        names = self._walk(node.expr)
        if isinstance(node, promql.AggregateExpr) and node.modifier is not None:
            self.grouped.append((set(node.modifier.labels), names))
        return names


@pytest.mark.parametrize("place", ASKED)
def test_what_is_asked_for_exists_on_a_real_server(figures: Told, place: str) -> None:
    question = Question(ASKED[place])
    assert question.selectors
    for selector in question.selectors:
        assert selector.name in figures.keys() | OF_TARGETS, f"no metric {selector.name}"
        labels = figures.get(selector.name, {})
        for matcher in selector.matchers.matchers:
            if matcher.name in ADDED:
                continue
            assert matcher.name in labels, f"{selector.name} has no label {matcher.name}"
            if "Equal" in str(matcher.op) and matcher.value not in RARE.get(matcher.name, ()):
                assert matcher.value in labels[matcher.name] | {"0", "fresh"}, matcher.value
    for names, metrics in question.grouped:
        for metric in metrics - OF_TARGETS:
            unknown = names - ADDED - figures[metric].keys()
            assert not unknown, f"{metric} has no label {unknown}"


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule["alert"]))
def test_a_text_of_an_alert_names_only_labels_that_are_left(rule: dict[str, Any]) -> None:
    """An aggregation takes the others away, and the text would have a gap."""
    named = set(re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())))
    grouped = Question(rule["expr"]).grouped
    left = grouped[0][0] if grouped else ADDED | {"check"}
    assert named <= left


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule["alert"]))
def test_an_alert_says_what_it_is_and_where_to_read_on(rule: dict[str, Any]) -> None:
    said = rule["annotations"]
    assert said["summary"] and said["description"] and rule["for"]
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    assert said["runbook"] == f"operation.md#{rule['alert'].lower()}"


def test_each_alert_has_its_place_in_the_runbook_and_the_other_way_round() -> None:
    headings = re.findall(r"^### (Imd\w+)$", RUNBOOK.read_text("utf-8"), re.MULTILINE)
    assert headings == [rule["alert"] for rule in rules()]


def test_every_figure_of_imd_is_shown_or_alerted_on(figures: Told) -> None:
    """A family that nobody looks at might as well not be counted."""
    text = " ".join(ASKED.values())
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in figures}
    unseen = {name for name in families if name.startswith("imd_") and name not in text}
    assert unseen == set()


def test_panels_do_not_overlap_and_have_numbers_of_their_own() -> None:
    whole = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    assert len({panel["id"] for panel in whole}) == len(whole)
    taken: set[tuple[int, int]] = set()
    for panel in whole:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells


def promtool(*words: str | Path) -> None:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("NOT TESTED: promtool is not installed (apt install prometheus)")
    ran = subprocess.run([found, *words], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_prometheus_understands_the_rules() -> None:
    promtool("check", "rules", RULES)


def test_alerts_fire_when_they_should_and_not_before() -> None:
    promtool("test", "rules", CASES)
