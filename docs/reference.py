"""Write the reference from the program itself: ``python docs/reference.py [FOLDER]``.

Sphinx's conf.py calls :func:`write` before it reads a page, so that routes, frames, settings,
commands, metrics and errors are described once, where they are. It refuses to know any of them.
"""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from imd import __version__
from imd.cli.main import imdctl
from imd.config.loading import allowed
from imd.config.settings import FROM_FILE, SECRETS, Profile, defaults, value_of
from imd.config.sources import KEYS
from imd.domain.errors import ImError
from imd.rest.errors import status_of
from imd.rest.openapi import document as openapi
from imd.rest.routes import ROUTES
from imd.rest.table import Table
from imd.service.metrics import BusSources, Metrics
from imd.service.sums import crew_families
from imd.service.vitals import Vitals
from imd.websocket.asyncapi import document as asyncapi
from imd.wire.codec import encode

HERE = Path(__file__).parent
PROFILES = HERE.parent / "etc" / "imd"

Json = dict[str, Any]
Lines = Iterator[str]


def cell(text: object) -> str:
    """Text inside a table."""
    return " ".join(str(text).split()).replace("|", "\\|")


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> Lines:
    """A table, or nothing without rows."""
    made = [f"| {' | '.join(map(cell, row))} |" for row in rows]
    if made:
        head = list(head)
        yield f"| {' | '.join(head)} |"
        yield "|" + "---|" * len(head)
        yield from made
        yield ""


def schema(one: Json) -> str:
    """A schema in a few words."""
    if "$ref" in one:
        return f"`{one['$ref'].rpartition('/')[2]}`"
    if "anyOf" in one:
        return " or ".join(dict.fromkeys(map(schema, one["anyOf"])))
    if "const" in one or "enum" in one:
        values = one.get("enum") or [one["const"]]
        return " or ".join(f"`{json.dumps(v, ensure_ascii=False)}`" for v in values)
    kind = one.get("type", "any")
    if kind == "array":
        return f"list of {schema(one.get('items', {}))}"
    bounds = {
        "minimum": "from {}", "maximum": "up to {}", "minLength": "at least {} characters",
        "maxLength": "at most {} characters", "maxItems": "at most {}",
    }  # fmt: skip
    said = [text.format(one[name]) for name, text in bounds.items() if name in one]
    return ", ".join([str(kind), *said])


def example(value: Any) -> Lines:
    """A value as a block of JSON."""
    yield "```json"
    yield json.dumps(value, ensure_ascii=False, indent=1)
    yield "```\n"


def fields(properties: Mapping[str, Json], required: Iterable[str]) -> Lines:
    """The members of an object."""
    must = set(required)
    yield from table(
        ("field", "", "is", "means"),
        (
            (
                f"`{name}`",
                "required" if name in must else "",
                schema(one),
                one.get("description", ""),
            )
            for name, one in properties.items()
        ),
    )


# ---- REST


def rest() -> Lines:
    """Every route."""
    told: Json = json.loads(encode(openapi(Table(ROUTES), __version__)))
    yield "# REST\n"
    yield f"{told['info']['description']}\n"
    yield "A running server gives the same as OpenAPI at `/api/v2/openapi.json` and shows"
    yield "it at `/docs`."
    yield "How callers are told apart: [security](../security-model.md). All errors:"
    yield "[errors](errors.md).\n"
    for path, item in told["paths"].items():
        for verb, operation in item.items():
            yield from _operation(f"{verb.upper()} {path}", operation)
    yield "## Objects\n"
    yield from _objects(told["components"]["schemas"])


def _operation(title: str, operation: Json) -> Lines:
    yield f"## {operation['operationId']}\n"
    yield f"`{title}`\n"
    yield f"{operation['summary']}.\n"
    if operation.get("description"):
        yield f"{operation['description']}\n"
    rows = operation.get("parameters", ())
    yield from table(
        ("parameter", "in", "", "is", "means"),
        (
            (
                f"`{one['name']}`", one["in"], "required" if one.get("required") else "",
                schema(one["schema"]), one.get("description", ""),
            )
            for one in rows
        ),
    )  # fmt: skip
    body = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if body:
        yield "Body:\n"
        yield from fields(body["schema"].get("properties", {}), body["schema"].get("required", ()))
    yield from table(("answer", ""), _answers(operation["responses"]))


def _answers(responses: Json) -> Iterator[tuple[str, str]]:
    for status, one in responses.items():
        body = one.get("content", {}).get("application/json")
        said = one.get("description", "")
        yield status, f"{said}: {schema(body['schema'])}" if body else said


def _objects(schemas: Mapping[str, Json]) -> Lines:
    for name, one in schemas.items():
        yield f"### {name}\n"
        if one.get("description"):
            yield f"{one['description']}\n"
        yield from fields(one.get("properties", {}), one.get("required", ()))


# ---- socket


def socket() -> Lines:
    """Every frame."""
    told: Json = json.loads(encode(asyncapi(__version__)))
    yield "# Socket\n"
    yield f"{told['info']['description']}\n"
    yield "A running server gives the same as AsyncAPI at `/api/v2/asyncapi.json`. A page on how to"
    yield "use it: [the WebSocket](../websocket.md).\n"
    for name, one in told["components"]["messages"].items():
        yield f"## {name}\n"
        for part in ("title", "summary", "description"):
            if one.get(part) and one[part] != name:
                yield f"{one[part]}\n"
        for case in one.get("examples", ()):
            yield from example(case["payload"])
    yield "## Client types\n"
    types = told["x-client-types"]
    yield from table(
        ("type", "role", "inside a session"),
        (
            (f"`{name}`", one["role"], "yes" if one["inside"] else "no")
            for name, one in types.items()
        ),
    )
    yield "## Close codes\n"
    closes = told["channels"]["socket"]["x-close-codes"]
    yield from table(
        ("code", "reason", "what the client does"),
        ((one["code"], one["reason"], one["client"]) for one in closes),
    )
    yield "## Error codes\n"
    yield from table(
        ("code", "meaning"), ((one["code"], one["meaning"]) for one in told["x-error-codes"])
    )
    yield "## Refusals\n"
    yield from table(
        ("code", "says"), ((f"`{code}`", said) for code, said in told["x-refusals"].items())
    )
    yield "## Objects\n"
    yield from _objects(told["components"]["schemas"])


# ---- settings


def comments() -> dict[str, str]:
    """What prod.toml says above each key; keys that follow each other share it."""
    said: dict[str, str] = {}
    section = last = ""
    above: list[str] = []
    for line in (PROFILES / "prod.toml").read_text("utf-8").splitlines():
        heading = re.fullmatch(r"#?\[+([\w.]+)\]+", line)
        key = re.match(r"#?(\w+) = ", line)
        if heading:
            section, above = heading[1], []
        elif key:
            last = said[f"{section}.{key[1]}".lstrip(".")] = " ".join(above) or last
            above = []
        elif line.startswith("# "):
            above.append(line[2:])
        else:
            above = []
    return said


def settings() -> Lines:
    """Every key."""
    said = comments()
    profiles: tuple[Profile, ...] = ("dev", "test", "prod")
    by_profile = {name: defaults(name, Path("STATE")) for name in profiles}
    yield "# Settings\n"
    yield "Where they stand and which place wins: `etc/imd/PROFILE.toml`, then `--config`"
    yield "or `IMD_CONFIG`, then"
    yield "variables (`http.port` is `IMD_HTTP_PORT`), then options. Times are seconds,"
    yield "sizes are bytes.\n"
    section = ""
    for key in KEYS:
        if key.rpartition(".")[0] != section:
            section = key.rpartition(".")[0]
            yield f"## {section or 'Beside the sections'}\n"
        yield f"### {key}\n"
        text = re.sub(r" ?(No default|Default[^.]*(\.\d[^.]*)*)\.$", "", said.get(key, ""))
        if text:
            yield f"{text}\n"
        yield from table(("", ""), _facts(key, by_profile))


def _facts(key: str, by_profile: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "allowed", allowed(key)
    values = {name: shown(value_of(one, key)) for name, one in by_profile.items()}
    if len(set(values.values())) == 1:
        yield "default", values["prod"]
    else:
        yield "default", ", ".join(f"{value} ({name})" for name, value in values.items())
    variable = "IMD_" + key.replace(".", "_").upper()
    more = f", or `{key}_file` and `{variable}_FILE`" if key in FROM_FILE else ""
    yield "variable", f"`{variable}`{more}"
    if key in SECRETS:
        yield "shown", "never"


def shown(value: object) -> str:
    """A default as TOML has it."""
    if value is None:
        return "none"
    if isinstance(value, tuple):
        value = list(value)
    text = str(value).replace(str(Path("STATE").absolute()), "/var/lib/imd")
    return f"`{text if not isinstance(value, bool) else text.lower()}`" if text else "empty"


# ---- the others


def commands() -> Lines:
    """Every command of imdctl."""
    yield "# imdctl\n"
    top = click.Context(imdctl, info_name="imdctl")
    yield f"{imdctl.help}\n"
    yield from table(("option", ""), _options(top, imdctl))
    yield from _commands(top, imdctl)


def _commands(ctx: click.Context, command: click.Command) -> Lines:
    if isinstance(command, click.Group):
        for name in command.list_commands(ctx):
            found = command.get_command(ctx, name)
            if found is not None and not found.hidden:
                yield from _commands(click.Context(found, info_name=name, parent=ctx), found)
        return
    usage = " ".join([ctx.command_path, *command.collect_usage_pieces(ctx)])
    yield f"## {ctx.command_path}\n"
    yield f"`{usage}`\n"
    yield f"{command.help or ''}\n"
    yield from table(("option", ""), _options(ctx, command))


def _options(ctx: click.Context, command: click.Command) -> Iterator[tuple[str, str]]:
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is not None and "--help" not in record[0]:
            yield f"`{record[0]}`", record[1]


class Unpushed:
    """The push room's numbers where nothing was pushed yet."""

    outbox: Mapping[tuple[str, str], int] = {}
    age = 0.0

    def results(self) -> Mapping[tuple[str, str], int]:
        """None."""
        return {}


class Unasked:
    """The number of overdue topics where nobody looked for any."""

    number = 0


def metrics() -> Lines:
    """Every family of ``/metrics`` that is imd's own."""
    made = Metrics()
    made.sources.pushes = Unpushed()
    made.sources.overdue = Unasked()
    made.sources.vitals = Vitals({}, HERE)
    made.sources.ledgers = lambda: {"missing_in_imd": 0}
    made.sources.bus = BusSources(*[lambda: 0 for _ in dataclasses.fields(BusSources)])
    rows = [
        (family.name + ("_total" if family.type == "counter" else ""), family.type,
         ", ".join(getattr(family, "_labelnames", ())), family.documentation)
        for family in made.collect()
    ]  # fmt: skip
    crew = crew_families({"serving": 0, "wanted": 0, "restarts": 0})
    rows += [(str(name), str(kind), "", str(said)) for name, said, kind, _ in crew]
    yield "# Metrics\n"
    yield "`/metrics` answers loopback, and service keys of scope `metrics`, in"
    yield "Prometheus's format. Of the bus,"
    yield "the outbox, the workers, the reply clock and the platform it tells where there are any."
    yield "Besides these: `process_*`, `python_*`.\n"
    yield from table(
        ("name", "kind", "labels", "means"), ((f"`{row[0]}`", *row[1:]) for row in rows)
    )


def kinds(of: type[ImError] = ImError) -> Iterator[type[ImError]]:
    """Every error class."""
    for kind in of.__subclasses__():
        yield kind
        yield from kinds(kind)


def refusals() -> Lines:
    """Every refusal: REST and socket share the codes."""
    yield "# Errors\n"
    yield "REST answers `application/problem+json` (RFC 9457), the socket an `error`"
    yield "whose `data` has the same `code`."
    yield "The `code` is stable; the sentence is for a person and may change.\n"
    found = {(status_of(kind), kind.code): kind.sentence for kind in kinds()}
    yield from table(
        ("status", "code", "says"),
        ((status, f"`{code}`", said) for (status, code), said in sorted(found.items())),
    )


PAGES: dict[str, Callable[[], Lines]] = {
    "rest": rest, "socket": socket, "settings": settings, "imdctl": commands,
    "metrics": metrics, "errors": refusals,
}  # fmt: skip


def write(folder: Path) -> None:
    """Write the pages; current ones stay untouched, so that Sphinx need not read them again."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in PAGES.items():
        text = "\n".join(lines()) + "\n"
        page = folder / f"{name}.md"
        if not page.exists() or page.read_text("utf-8") != text:
            page.write_text(text, "utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "reference")
