"""Write what is known elsewhere into the SDK's papers: ``python docs/sdk_reference.py [--check]``.

The types of the REST functions come from the OpenAPI document into ``im.client.d.ts``. The
reference in ``sdk.md`` comes from the comments of ``im.client.js``, its table of functions from the
table in that file, the SRI hash from its bytes. The Chinese page gets the hash and the table, too;
what is said there of a function stays as it was translated. ``--check`` only says whether all that
is current.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from imd.rest.openapi import document
from imd.rest.routes import ROUTES
from imd.rest.table import Table
from imd.web.sdk import FOLDER, integrity
from imd.wire.codec import encode

PAPER = Path(__file__).with_name("sdk.md")
CHINESE = Path(__file__).with_name("sdk.zh.md")
TYPES = FOLDER / "im.client.d.ts"
SOURCE = FOLDER / "im.client.js"
GROUPS = ("Application", "Users", "Sessions")

_GROUP = re.compile(r"^    (\w+): \{\n((?: {6}\w+: \".*\",\n)+)    \},", re.MULTILINE)
_ENTRY = re.compile(r"(\w+): \"(\w+) (\S+)\"")
_ROW = re.compile(r"^\| `(\w+)` \| [A-Z]+ `[^`]+` \| (.+) \|$", re.MULTILINE)
_COMMENT = re.compile(r"/\*\*((?:(?!\*/).)*)\*/", re.DOTALL)
_SPOKEN = re.compile(r"(?P<call>(?P<on>chat|im)\.\w+\(.*?\))(?:: | (?P<gives>→ )|$)(?P<said>.*)")

Json = dict[str, Any]


def openapi() -> Json:
    """The OpenAPI document of this checkout."""
    told: Json = json.loads(encode(document(Table(ROUTES), "-")))
    return told


def functions() -> dict[str, dict[str, tuple[str, str]]]:
    """Group, name, then verb and path template, as im.client.js has them."""
    found = _GROUP.findall(SOURCE.read_text("utf-8"))
    return {
        group: {name: (verb, path) for name, verb, path in _ENTRY.findall(body)}
        for group, body in found
    }


# ---- types


def type_of(schema: Json) -> str:
    """A schema as a TypeScript type."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " | ".join(dict.fromkeys(type_of(one) for one in schema["anyOf"]))
    if "enum" in schema or "const" in schema:
        values = schema.get("enum") or [schema["const"]]
        return " | ".join(json.dumps(value) for value in values)
    kind = schema.get("type")
    if kind == "array":
        item = type_of(schema.get("items", {}))
        return f"({item})[]" if "|" in item else f"{item}[]"
    if kind == "object":
        return _object(schema)
    plain = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean"}
    return "null" if kind == "null" else plain.get(str(kind), "unknown")


def _object(schema: Json) -> str:
    if "properties" in schema:
        required = set(schema.get("required", ()))
        fields = (
            f"{name}{'' if name in required else '?'}: {type_of(one)}"
            for name, one in schema["properties"].items()
        )
        return "{ " + "; ".join(fields) + " }"
    return f"Record<string, {type_of(schema.get('additionalProperties', {}))}>"


def _fields(operation: Json) -> str:
    """What a function takes; one namespace, whatever stands in the path."""
    fields: dict[str, tuple[str, bool]] = {}
    for one in operation.get("parameters", ()):
        if one["in"] == "header":
            continue
        said = type_of(one["schema"])
        if one["in"] == "path" and said == "string" and one["name"].endswith("_ids"):
            said = "string | string[]"
        elif one["in"] == "query" and said.endswith("[]"):
            said += " | string"
        fields[one["name"]] = (said, bool(one.get("required")))
    body = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if body:
        required = set(body["schema"].get("required", ()))
        for name, schema in body["schema"]["properties"].items():
            fields.setdefault(name, (type_of(schema), name in required))
    if not fields:
        return "{}"
    said = (f"{n}{'' if must else '?'}: {kind}" for n, (kind, must) in fields.items())
    return "{ " + "; ".join(said) + " }"


def _answer(operation: Json) -> str:
    kinds = []
    for status, response in operation["responses"].items():
        if status.startswith("2"):
            content = response.get("content", {}).get("application/json")
            kinds.append(type_of(content["schema"]) if content else "null")
    return " | ".join(dict.fromkeys(kinds))


def types() -> str:
    """The made part of im.client.d.ts."""
    told = openapi()
    lines = []
    for name, schema in told["components"]["schemas"].items():
        if name != "Problem":
            lines += [f"export interface {name} {_object(schema)}", ""]
    for group in GROUPS:
        lines.append(f"export interface {group} {{")
        for item in told["paths"].values():
            for operation in item.values():
                if operation["tags"] == [group]:
                    answer = _answer(operation)
                    taken = f"{_fields(operation)} & Callbacks<{answer}>"
                    lines.append(f"  /** {operation['summary']} */")
                    lines.append(
                        f"  {operation['operationId']}(options: {taken}): Promise<{answer}>;"
                    )
        lines += ["}", ""]
    return "\n".join(lines)


# ---- the reference


def reference() -> str:
    """The comments that speak of ``im.…(`` or ``chat.…(``, each under its call."""
    parts: dict[str, list[str]] = {"im": [], "chat": []}
    for comment in _COMMENT.findall(SOURCE.read_text("utf-8")):
        text = "\n".join(re.sub(r"^\s*\* ?", "", line) for line in comment.strip().splitlines())
        first, _, rest = text.partition("\n")
        spoken = _SPOKEN.match(first)
        if spoken:
            said = (spoken["gives"] or "") + _sentence(spoken["said"])
            body = "\n\n".join(part for part in (said, rest.strip()) if part)
            parts[spoken["on"]].append(f"### `{spoken['call']}`\n\n{body}")
    return "\n\n".join([*parts["im"], *parts["chat"]]) + "\n"


def _sentence(text: str) -> str:
    return text if not text or text.endswith(".") else text + "."


def table(head: str, translated: dict[str, str]) -> str:
    """The REST functions; English is what has not been translated."""
    summaries = {
        operation["operationId"]: operation["summary"]
        for item in openapi()["paths"].values()
        for operation in item.values()
    } | translated
    lines = []
    for group, entries in functions().items():
        lines += [f"### `im.{group}`", "", head, "|---|---|---|"]
        lines += [
            f"| `{name}` | {verb} `{path.replace('|', ' or ')}` | {summaries.get(name, '')} |"
            for name, (verb, path) in entries.items()
        ]
        lines.append("")
    return "\n".join(lines)


def written(path: Path, parts: dict[str, str]) -> tuple[str, str]:
    """A file's text now, and what it should be: each part between its two marks."""
    text = now = path.read_text("utf-8")
    for mark, made in parts.items():
        begin, end = (
            (f"// <{mark}>\n", f"// </{mark}>")
            if path.suffix == ".ts"
            else (f"<!-- {mark} -->\n", f"<!-- /{mark} -->")
        )
        head, found, tail = text.partition(begin)
        _, closed, rest = tail.partition(end)
        assert found and closed, f"{path.name} has no marks for {mark}"
        text = f"{head}{begin}{made}{end}{rest}"
    return now, text


def papers() -> dict[Path, tuple[str, str]]:
    """Each file with its text and what it should be."""
    script = (
        f'```html\n<script src="https://im.example/sdk/im.client.js"\n'
        f'        integrity="{integrity()}"\n        crossorigin="anonymous"></script>\n```\n'
    )
    english = table("| function | request | |", {})
    chinese = table("| 函数 | 请求 | |", dict(_ROW.findall(CHINESE.read_text("utf-8"))))
    return {
        TYPES: written(TYPES, {"made": types()}),
        PAPER: written(PAPER, {"reference": reference(), "functions": english, "sri": script}),
        CHINESE: written(CHINESE, {"functions": chinese, "sri": script}),
    }


def main(arguments: list[str]) -> int:
    stale = [path for path, (now, wanted) in papers().items() if now != wanted]
    for path in stale:
        if "--check" in arguments:
            sys.stderr.write(f"{path.name} is stale: run python docs/sdk_reference.py\n")
        else:
            path.write_text(papers()[path][1], "utf-8")
    return int(bool(stale) and "--check" in arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
