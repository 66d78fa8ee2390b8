"""Statistics of consults for services (page 7.3); they span all sessions, so no user sees them."""

from __future__ import annotations

from imd.actions.ports import House
from imd.domain.caller import Caller
from imd.domain.errors import Forbidden, Unavailable
from imd.wire import stats


async def count_consults(
    house: House, caller: Caller, request: stats.CountConsults
) -> stats.ConsultCounts:
    """How many consults each team, doctor, leader, organisation or type took."""
    if not caller.is_service:
        raise Forbidden("Statistics are for services.")
    if house.statistics is None:
        raise Unavailable("Statistics are not kept here.")
    found = await house.statistics.consults(
        request.by, request.org, request.type, (request.since, request.until), request.listed
    )
    return stats.consult_counts(found)
