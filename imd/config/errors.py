"""What is said when settings are wrong, told apart so that loading and checks say it alike.

Raised by :mod:`imd.config`, shown by ``service`` and ``cli``; knows no setting by name.
"""

from __future__ import annotations

from collections.abc import Sequence


class SettingsError(Exception):
    """The settings cannot be used; ``problems`` holds one line for each thing that is wrong.

    A line names the key, its value (secrets hidden), where it stands and what is allowed
    (page 5.2).
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems: tuple[str, ...] = tuple(" ".join(line.split()) for line in problems)
        super().__init__("\n".join(self.problems))
