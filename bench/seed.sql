-- What a message server keeps when it is written on the first day: for the floor "naive" and the peer in Node.js.
CREATE TABLE n_sessions (id text PRIMARY KEY, last_id text, last_time bigint);
CREATE TABLE n_members (session_id text, user_id text, PRIMARY KEY (session_id, user_id));
CREATE TABLE n_messages (
    id text PRIMARY KEY, session_id text NOT NULL, sender_id text NOT NULL, type integer NOT NULL,
    content text NOT NULL, client_msg_id text, time bigint NOT NULL
);
CREATE INDEX n_messages_session ON n_messages (session_id, id);
INSERT INTO n_sessions SELECT 's' || n FROM generate_series(0, 199) n;
INSERT INTO n_members SELECT 's' || n, u FROM generate_series(0, 199) n, (VALUES ('d'), ('p')) v (u);
