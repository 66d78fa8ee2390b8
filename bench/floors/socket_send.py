"""The kernel's floor of a fan-out: a loop of ``socket.send`` to everybody, no server around it.

Prints its port. The first connection commands: each byte from it is one message to all others.
"""

from __future__ import annotations

import socket

#: as long as the frame of imd that the bench sends (300 bytes of JSON, four of head)
FRAME = b"\x81\x7e\x01\xc4" + b"x" * 452


def main() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listening:
        print(listening.getsockname()[1], flush=True)
        commander, _ = listening.accept()
        count = int(commander.recv(16))
        others = [listening.accept()[0] for _ in range(count)]
        commander.sendall(b"r")
        for one in others:
            one.setblocking(False)
        while commands := commander.recv(64):
            for _ in commands:
                for one in others:
                    one.send(FRAME)


if __name__ == "__main__":
    main()
