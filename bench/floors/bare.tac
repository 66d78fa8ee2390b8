"""The floor of a start: twistd, all that imd imports, and a page that says yes on port $PORT."""

import os

from twisted.application import internet, service
from twisted.web.server import Site
from twisted.web.static import Data

import imd.service.tap
import imd.service.wiring
import imd.storage.postgres

application = service.Application("bare")
page = Data(b"yes", "text/plain")
page.isLeaf = True
site = Site(page)
internet.TCPServer(int(os.environ["PORT"]), site, interface="127.0.0.1").setServiceParent(
    application
)
