"""The floor of storing: psycopg2 puts rows in, so many a commit, and nothing else is done.

``inserts.py URL`` prints its port; each line ``GROUP SECONDS`` from its one connection is a run,
answered by how many rows it stored.
"""

from __future__ import annotations

import socket
import sys
import time
import uuid

import psycopg2
from psycopg2.extras import execute_values

CONTENT = "医生您好，我最近两天血压有点高，早上一百五十，晚上一百四十，需要调整药量吗？谢谢。"


def main() -> None:
    connection = psycopg2.connect(sys.argv[1])
    with socket.create_server(("127.0.0.1", 0)) as listening:
        print(listening.getsockname()[1], flush=True)
        commander = listening.accept()[0].makefile("rw")
        for line in commander:
            group, seconds = line.split()
            count, end = 0, time.monotonic() + float(seconds)
            while time.monotonic() < end:
                now = time.time_ns() // 1_000_000
                rows = [
                    (uuid.uuid4().hex, f"s{n % 64}", "d", 1, CONTENT, uuid.uuid4().hex, now)
                    for n in range(int(group))
                ]
                with connection, connection.cursor() as cursor:
                    execute_values(cursor, "INSERT INTO n_messages VALUES %s", rows, page_size=1000)
                count += len(rows)
            commander.write(f"{count}\n")
            commander.flush()


if __name__ == "__main__":
    main()
