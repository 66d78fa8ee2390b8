"""``imdctl fake-wechat``: a WeChat and a Getui on this machine, to try pushes with (page 4.4).

:mod:`imd.cli.main` finds it by name. It prints the settings that point imd at it; what was sent
shows at ``/_sent``. The fakes themselves are the push room's.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import click

from imd.cli.line import Line

APP_ID, SECRET = "wx0123456789abcdef", "0123456789abcdef0123456789abcdef"


@click.command("fake-wechat")
@click.option("--port", type=click.IntRange(0, 65535), default=3099, show_default=True)
@click.pass_obj
def fake_wechat(line: Line, port: int) -> None:
    """Serve a strict fake of WeChat and of Getui on 127.0.0.1 until interrupted."""
    from twisted.internet import reactor
    from twisted.web.server import Site

    from imd.push.fake_getui import FakeGetui
    from imd.push.fake_wechat import Providers

    providers = Providers(time.time, FakeGetui(time.time), APP_ID, SECRET)
    tcp: Any = reactor
    listening = tcp.listenTCP(port, Site(providers), interface="127.0.0.1")
    base = f"http://127.0.0.1:{listening.getHost().port}"
    value: dict[str, str] = {
        "IMD_PUSH_WECHAT_APP_ID": APP_ID,
        "IMD_PUSH_WECHAT_APP_SECRET": SECRET,
        "IMD_PUSH_WECHAT_BASE_URL": base,
        "IMD_PUSH_WECHAT_TEMPLATE_ID": "T1",
        "IMD_PUSH_WECHAT_FIELDS": '{"thing1": "{session_name}"}',
        "IMD_PUSH_GETUI_APP_ID": "gt-app",
        "IMD_PUSH_GETUI_APP_KEY": "gt-key",
        "IMD_PUSH_GETUI_MASTER_SECRET": "gt-master",
        "IMD_PUSH_GETUI_BASE_URL": base,
    }
    line.answer(value, [f"export {name}='{text}'" for name, text in value.items()])
    sys.stdout.flush()
    tcp.run()
