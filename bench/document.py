"""``python -m bench.document RESULT.json ...``: the tables of docs/performance.md from runs.

They go to the standard output; with ``--write`` they take the place of those in the document, and
the picture is drawn anew. Of several results each adds its sections, and a later one replaces those
that an earlier one has too. What all have left out is left out here.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import targets
from bench.entries import Figures
from bench.plot import plot
from bench.report import markdown, markdown_rates, markdown_rows, medians

DOCS = Path(__file__).parents[1] / "docs"
TITLE = "imd, as a share of its targets (left of the line is better)"
_STORES = ("small", "spread", "own")


def _flat(lists: Mapping[str, Mapping[str, Figures]]) -> str:
    """CPU and pages of each question by store; the stores that grow last."""
    touched = lists.get("pages touched", {})
    lines = []
    for kind in ("log", "lists", "growing"):
        for what, one in lists.get(kind, {}).items():
            cpu = [f"{one[name]:.3f}" if name in one else "" for name in _STORES]
            pages = [f"{touched[what][name]:.0f}" if name in one else "" for name in _STORES]
            ratio = f"{one['spread'] / one['small']:.2f}"
            growing = " (grows)" if kind == "growing" else ""
            lines.append([f"{what}{growing}", *cpu, ratio, *pages])
    head = ["", "10k", "10M", "own", "10M / 10k", "pages: 10k", "10M", "own"]
    return markdown(head, lines)


def merged(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The rounds and tables of all, the later ones first to be believed."""
    told: dict[str, Any] = {"rounds": {}, "pages": {}, "lists": {}}
    for result in results:
        for name in told:
            told[name] |= result[name]
    return told


def _conditions(told: Mapping[str, Any]) -> str:
    about, scale = told["conditions"], told["conditions"]["scale"]
    said = (
        f"{about['when']}: {', '.join(told['sections'])}; {about['cores']} cores,"
        f" Python {about['python']}, PostgreSQL {told['postgres']};"
        f" {scale['rounds']} rounds of {scale['seconds']:g} s; load average"
        f" {about['load'][0]:.1f} before and {about['load after'][0]:.1f} after."
    )
    return "\n".join([f"- {said}", *(f"  Left out: {line}." for line in told["left_out"])])


def sections(results: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Each table by the name of its place in the document."""
    told = merged(results)
    first, others = targets.every(told)
    made = {
        "conditions": "\n".join(_conditions(result) for result in results),
        "targets": markdown_rows(first),
        "rates": markdown_rates(medians(told["rounds"])),
        "others": markdown_rows([row for row in others if row.unit != "cpu ms"]),
    }
    if told["lists"]:
        made["flat"] = _flat(told["lists"])
    return made


def written_into(document: str, made: Mapping[str, str]) -> str:
    """The document with each table between the comments that name it."""
    for name, text in made.items():
        place = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        document = place.sub(lambda found, text=text: f"{found[1]}{text}\n{found[2]}", document)  # type: ignore[misc]
    return document


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.document", description=__doc__)
    parser.add_argument("results", type=Path, nargs="+")
    parser.add_argument("--write", action="store_true", help="into docs/performance.md")
    asked = parser.parse_args(arguments)
    results = [json.loads(path.read_text()) for path in asked.results]
    made = sections(results)
    if not asked.write:
        print("\n\n".join(made.values()))
        return
    page = DOCS / "performance.md"
    page.write_text(written_into(page.read_text(), made))
    first, _ = targets.every(merged(results))
    (DOCS / "performance.svg").write_text(plot(first, TITLE))


if __name__ == "__main__":
    main()
