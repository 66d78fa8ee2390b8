"""``python -m bench.document RESULT.json``: the tables of docs/performance.md from a run.

They go to the standard output; with ``--write`` they take the place of those in the document, and
the picture is drawn anew. What a run has left out is left out here too.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.entries import Figures
from bench.plot import plot
from bench.report import markdown, markdown_rates, markdown_rows, medians, row_of

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


def sections(told: Mapping[str, Any]) -> dict[str, str]:
    """Each table by the name of its place in the document."""
    about, scale = told["conditions"], told["conditions"]["scale"]
    said = (
        f"{about['when']}; {about['cores']} cores, Python {about['python']},"
        f" PostgreSQL {told['postgres']}; {scale['rounds']} rounds of {scale['seconds']:g} s; load"
        f" average {about['load'][0]:.1f} before and {about['load after'][0]:.1f} after."
    )
    for line in told["left_out"]:
        said += f"\nLeft out: {line}."
    made = {
        "conditions": said,
        "targets": markdown_rows([row_of(one) for one in told["targets"]]),
        "rates": markdown_rates(medians(told["rounds"])),
        "others": markdown_rows([row_of(one) for one in told["rows"] if one["unit"] != "cpu ms"]),
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
    parser.add_argument("result", type=Path)
    parser.add_argument("--write", action="store_true", help="into docs/performance.md")
    asked = parser.parse_args(arguments)
    told = json.loads(asked.result.read_text())
    made = sections(told)
    if not asked.write:
        print("\n\n".join(made.values()))
        return
    page = DOCS / "performance.md"
    page.write_text(written_into(page.read_text(), made))
    rows = [row_of(one) for one in told["targets"]]
    (DOCS / "performance.svg").write_text(plot(rows, TITLE))


if __name__ == "__main__":
    main()
