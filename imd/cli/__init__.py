"""``imdctl``, the operator's command (page 5.3): reads settings as the server would, then acts.

One module a command; it holds no rule of its own and is imported by nobody but its console script.
"""

from __future__ import annotations
