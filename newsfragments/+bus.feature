Several processes on one database: with `bus.url` they hear of each other's messages through Redis, and find what a lost hint did not tell within `bus.sweep` seconds.
