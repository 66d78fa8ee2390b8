"""How often Python looks through everything that there is for garbage.

Nearly all of it goes by itself, when the last reference does; the collector is for cycles. A full
look stops the whole process for as long as it takes, 100 ms and more with some thousand sockets,
and comes most often while these come in. The wiring calls :func:`collect_seldom` once everything
stands. It knows nothing of what it looks at.
"""

from __future__ import annotations

import gc
from typing import Final

from imd.service.announcing import AT_ONCE
from imd.service.ordered import Steps

#: new objects until the young are looked at; looks at the young, then at the middle-aged, until
#: the next older ones are looked at too: everything, after a million that stayed. The middle-aged
#: are few, or a crowd that comes in makes each look at them some milliseconds long.
SELDOM: Final = (2_000, 2, 250)


def collect_seldom(steps: Steps) -> None:
    """Look at what the start made for the last time, and seldom at everything from now on."""
    usual = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*SELDOM)

    def as_before() -> None:
        gc.unfreeze()
        gc.set_threshold(*usual)

    steps.add("collecting", as_before, AT_ONCE)
