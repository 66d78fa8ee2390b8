"""What keeps the topics that wait for an answer side by side, and notes which days have changed.

A part of the step 0005, in a file of its own for its length. Knows the tables of the first step
and its own, and nothing else.
"""

from __future__ import annotations


def _waits(row: str) -> str:
    return f"{row}.status = 0 AND {row}.reply = 0"


_COME = (
    "INSERT INTO topics_waiting (topic_id, session_type, create_time)"
    " VALUES (NEW.id, NEW.session_type, NEW.create_time);"
)
_GO = "DELETE FROM topics_waiting WHERE topic_id = OLD.id;"
_STAY = (
    "UPDATE topics_waiting SET session_type = NEW.session_type, create_time = NEW.create_time"
    " WHERE topic_id = NEW.id;"
)
_WAITED, _WAITS = f"({_waits('OLD')})", f"({_waits('NEW')})"
_STAYS = f"{_WAITED} AND {_WAITS} AND NEW.id = OLD.id"
_COLUMNS = ("id", "session_type", "create_time", "status", "reply")
_SAME = " AND ".join(f"NEW.{name} = OLD.{name}" for name in _COLUMNS)
_OF = f"UPDATE OF {', '.join(_COLUMNS)} ON topics"
#: what a figure of a day depends on
_COUNTED = ("create_time", "type", "status", "reply", "team_code", "reply_by", "reply_time")


def _note(row: str) -> str:
    return f"INSERT INTO consult_changes (create_time) VALUES ({row}.create_time);"


def _differ(how: str) -> str:
    return " OR ".join(f"NEW.{name} {how} OLD.{name}" for name in _COUNTED)


SQLITE = tuple(
    f"CREATE TRIGGER {name} AFTER {event} BEGIN {body} END"
    for name, event, body in (
        ("topics_wait", f"INSERT ON topics WHEN {_WAITS}", _COME),
        ("topics_wait_again", f"{_OF} WHEN {_WAITS} AND NOT ({_STAYS})", _COME),
        ("topics_wait_on", f"{_OF} WHEN {_STAYS} AND NOT ({_SAME})", _STAY),
        ("topics_waited", f"{_OF} WHEN {_WAITED} AND NOT ({_STAYS})", _GO),
        ("topics_gone", f"DELETE ON topics WHEN {_WAITED}", _GO),
        ("topics_new_figures", "INSERT ON topics", _note("NEW")),
        (
            "topics_figures",
            f"UPDATE OF {', '.join(_COUNTED)} ON topics WHEN {_differ('IS NOT')}",
            f"{_note('OLD')} {_note('NEW')}",
        ),
        ("topics_gone_figures", "DELETE ON topics", _note("OLD")),
    )
)
POSTGRES = (
    f"""
    CREATE FUNCTION wait_for_answer() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'UPDATE' THEN
            IF {_STAYS} THEN {_STAY} RETURN NULL; END IF;
        END IF;
        IF TG_OP <> 'INSERT' THEN {_GO} END IF;
        IF TG_OP <> 'DELETE' THEN
            IF {_WAITS} THEN {_COME} END IF;
        END IF;
        RETURN NULL;
    END
    $$
    """,
    f"""
    CREATE TRIGGER topics_wait AFTER INSERT ON topics
    FOR EACH ROW WHEN ({_WAITS}) EXECUTE FUNCTION wait_for_answer()
    """,
    f"""
    CREATE TRIGGER topics_waited AFTER {_OF}
    FOR EACH ROW WHEN (({_WAITED} OR {_WAITS}) AND NOT ({_SAME})) EXECUTE FUNCTION wait_for_answer()
    """,
    f"""
    CREATE TRIGGER topics_gone AFTER DELETE ON topics
    FOR EACH ROW WHEN ({_WAITED}) EXECUTE FUNCTION wait_for_answer()
    """,
    f"""
    CREATE FUNCTION note_figures() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP <> 'INSERT' THEN {_note("OLD")} END IF;
        IF TG_OP = 'INSERT' THEN {_note("NEW")}
        ELSIF TG_OP = 'UPDATE' THEN
            IF NEW.create_time <> OLD.create_time THEN {_note("NEW")} END IF;
        END IF;
        RETURN NULL;
    END
    $$
    """,
    """
    CREATE TRIGGER topics_figures AFTER INSERT OR DELETE ON topics
    FOR EACH ROW EXECUTE FUNCTION note_figures()
    """,
    f"""
    CREATE TRIGGER topics_change_figures AFTER UPDATE OF {", ".join(_COUNTED)} ON topics
    FOR EACH ROW WHEN ({_differ("IS DISTINCT FROM")})
    EXECUTE FUNCTION note_figures()
    """,
)
