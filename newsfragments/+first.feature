The first imd: sessions, topics, messages and read marks over REST and WebSocket on one port, kept in SQLite or PostgreSQL.
