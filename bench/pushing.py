"""What telling people outside the sockets costs those who send (page 4.4).

Three servers, in turns, and the same sends to patients who are known to WeChat and not connected:
``none`` has no push channel; ``taken`` writes its outbox with each message and pushes to a WeChat
that takes everything; ``hung`` has one that accepts connections and never answers. Once as fast as
they go, for the CPU, and once at a steady rate, for the time of an answer.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from contextlib import ExitStack

from bench import requests
from bench.contest import LIGHT_RATE, PAIRS
from bench.entries import Entry, Setting, Side, spec_of
from bench.servers import Generator, Served, imd, printing_port
from imd.cli.fake_wechat import APP_ID, SECRET
from tests.e2e.rest import Rest
from tests.service.running import imdctl

WECHAT = {
    "IMD_PUSH_WECHAT_APP_ID": APP_ID,
    "IMD_PUSH_WECHAT_APP_SECRET": SECRET,
    "IMD_PUSH_WECHAT_TEMPLATE_ID": "T1",
    "IMD_PUSH_WECHAT_FIELDS": '{"thing1": "{session_name}"}',
}
#: a WeChat of its own process, which prints its port and keeps no log
_TAKING = """
import sys, time
from twisted.internet import reactor
from twisted.web.server import Site
from imd.push.fake_getui import FakeGetui
from imd.push.fake_wechat import Providers
site = Site(Providers(time.time, FakeGetui(time.time), *sys.argv[1:]))
site.log = lambda request: None
print(reactor.listenTCP(0, site, interface="127.0.0.1").getHost().port, flush=True)
reactor.run()
"""


def entries(setting: Setting, stack: ExitStack) -> list[Entry]:
    """Start the servers, their WeChats and the loads; ``stack`` ends them."""
    made: list[Entry] = []
    names = [f"push{number}" for number in range(PAIRS)]
    hung = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=4096))
    taking = stack.enter_context(printing_port([sys.executable, "-c", _TAKING, APP_ID, SECRET]))
    ports = {"none": None, "taken": taking.port, "hung": hung.getsockname()[1]}
    for kind, port in ports.items():
        setting.say(f"starting a server whose pushes are {kind}")
        at = {**WECHAT, "IMD_PUSH_WECHAT_BASE_URL": f"http://127.0.0.1:{port}"} if port else {}
        url = setting.postgres.create_database()
        # A server knows the keys that were there when it started.
        added = imdctl("--json", "key", "add", "hospital", "--scope", "admin", IMD_DATABASE_URL=url)
        key = json.loads(added.stdout)["key"]
        state = setting.folder / f"push-{kind}"
        server = stack.enter_context(imd(state, setting.postgres, url=url, **at))
        requests.open_pairs(server.port, names)
        asyncio.run(_introduce(server.port, key, names))
        served = Served(server.port, server.pid, setting.postgres.pid)
        senders = requests.rest_senders(names)
        for name, mode in ((f"push {kind}", "closed"), (f"push {kind} steady", "open")):
            spec = spec_of(mode, served.port, setting.seconds, senders, rate=2 * LIGHT_RATE)
            made.append(Side(name, served, stack.enter_context(Generator(spec))))
    return made


async def _introduce(port: int, key: str, names: list[str]) -> None:
    """Tell the server the patients' names at WeChat."""
    async with Rest(port, key) as rest:
        for name in names:
            entry = {"kind": "patient", "name": name, "openid": f"o-{name}"}
            (await rest.ask("PUT", f"/users/p-{name}", entry)).must(200, 201)
