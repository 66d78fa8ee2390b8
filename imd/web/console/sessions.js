// A user's sessions: pinned ones first, then by their newest message, with what is unread.

import { complain } from "./dialogs.js";
import { framed, h, icon, say } from "./dom.js";
import { preview, shortTime } from "./format.js";
import { avatar } from "./rows.js";
import { sessionTypeName, t } from "./words.js";

const PAGE = 30;

export class SessionList {
  constructor({ user, onopen, onbadge, withPin }) {
    Object.assign(this, { user, onopen, onbadge, withPin, current: null });
    this._sessions = new Map();
    this._rows = new Map();
    this._next = null;
    this._list = h("ul", { class: "list", "aria-label": t("sessions") });
    this._more = h("button", { type: "button", class: "list-more", hidden: true, text: t("more"), onclick: () => this._page() });
    this._none = h("p", { class: "list-none", hidden: true, text: t("none") });
    this.node = h("div", { class: "list-pane" }, this._list, this._none, this._more);
    this._draw = framed(() => this._redraw(), 200);
  }

  async load() {
    this._next = null;
    await this._page();
  }

  async _page() {
    const answer = await im.Sessions.listSessions({ user_id: this.user.user_id, size: PAGE, cursor: this._next || undefined });
    for (const session of answer.items) this._sessions.set(session.id, session);
    this._next = answer.next;
    this._redraw();
  }

  get(id) {
    return this._sessions.get(id);
  }

  get all() {
    return [...this._sessions.values()].sort(order);
  }

  /** The session by its id, asked for where the list does not hold it yet. */
  async find(id) {
    if (!this._sessions.has(id)) {
      this._sessions.set(id, await im.Sessions.getSession({ session_id: id, user_id: this.user.user_id }));
      this._draw();
    }
    return this._sessions.get(id);
  }

  /** A `notice` of the outer socket. */
  noticed({ session_id, unread, last_message }) {
    const session = this._sessions.get(session_id);
    if (!session) {
      this.find(session_id).catch(() => {});
      return;
    }
    session.unread = session_id === this.current && !document.hidden ? 0 : unread;
    this._newer(session, last_message);
  }

  /** A message of the open conversation. */
  received(message) {
    const session = this._sessions.get(message.session_id);
    if (session && message.type !== 2105) this._newer(session, message);
  }

  /** A message of the open conversation was recalled, or its card changed. */
  updated(message) {
    const session = this._sessions.get(message.session_id);
    if (!session || !session.last_message || session.last_message.seq !== message.seq) return;
    session.last_message = message;
    this._draw();
  }

  _newer(session, message) {
    if (message && (!session.last_message || message.seq >= session.last_message.seq)) {
      session.last_message = message;
      session.last_message_time = message.timestamp;
      session.last_seq = Math.max(session.last_seq, message.seq);
    }
    this._draw();
  }

  /** The user's own mark moved. */
  read(mark) {
    const session = this._sessions.get(mark.session_id);
    if (!session || mark.user_id !== this.user.user_id) return;
    session.read_seq = Math.max(session.read_seq || 0, mark.read_seq);
    if (session.read_seq >= session.last_seq) session.unread = 0;
    this._draw();
  }

  /** Name, members or status changed; the personal fields stay. */
  changed(session) {
    const known = this._sessions.get(session.id);
    if (known) Object.assign(known, session);
    else this.find(session.id).catch(() => {});
    this._draw();
  }

  choose(id) {
    this.current = id;
    const session = this._sessions.get(id);
    if (session) session.unread = 0;
    this._draw();
  }

  async _pin(session) {
    const call = session.sticky ? im.Sessions.unpinSession : im.Sessions.pinSession;
    try {
      session.sticky = (await call({ session_id: session.id, user_id: this.user.user_id })).sticky;
      this._draw();
    } catch (error) {
      complain(error);
    }
  }

  // ---- drawing: a row a session, kept and moved, so that nothing flickers and the focus stays

  _redraw() {
    let before = this._list.firstChild;
    let unread = 0;
    for (const session of this.all) {
      unread += session.unread || 0;
      let row = this._rows.get(session.id);
      if (!row) this._rows.set(session.id, (row = this._row(session)));
      row.show(session);
      if (row.node === before) before = before.nextSibling;
      else this._list.insertBefore(row.node, before);
    }
    this._more.hidden = !this._next;
    this._none.hidden = this._sessions.size > 0;
    if (this.onbadge) this.onbadge(unread);
  }

  _row(session) {
    const id = session.id;
    const name = h("span", { class: "item-name" });
    const time = h("time", { class: "item-time" });
    const text = h("span", { class: "item-text" });
    const badge = h("span", { class: "badge" });
    const kind = h("span", { class: `kind kind-${session.type}`, text: sessionTypeName(session.type) });
    const live = h("span", { class: "item-live", title: t("liveTopic") });
    const pin = h("button", { type: "button", class: "item-pin", onclick: () => this._pin(this._sessions.get(id)) }, icon("pin"));
    const open = h("button", { type: "button", class: "item", onclick: () => this.onopen(this._sessions.get(id)) },
      session.type === 3 || session.type === 4 ? groupAvatar(id) : avatar(personIn(shownName(session, this.user)), id),
      h("span", { class: "item-main" }, h("span", { class: "item-top" }, name, live, time), h("span", { class: "item-bottom" }, kind, text, badge)));
    const node = h("li", { class: "item-row" }, open, this.withPin ? pin : null);
    return {
      node,
      show: (now) => {
        say(name, shownName(now, this.user));
        say(time, shortTime(now.last_message_time || now.create_time));
        const last = now.last_message;
        const who = last && now.type !== 0 && last.sender_id !== this.user.user_id && last.type < 6 && (now.type === 3 || now.type === 5) ? `${last.sender_name || last.sender_id}${t("colon")}` : "";
        say(text, who + preview(last));
        const count = now.unread || 0;
        badge.hidden = !count;
        say(badge, count > 99 ? "99+" : String(count));
        badge.setAttribute("aria-label", `${count} ${t("unread")}`);
        live.hidden = now.status !== 1;
        kind.hidden = (now.name || "").includes(kind.textContent);
        node.classList.toggle("sticky", Boolean(now.sticky));
        node.classList.toggle("chosen", id === this.current);
        if (id === this.current) open.setAttribute("aria-current", "true");
        else open.removeAttribute("aria-current");
        pin.setAttribute("aria-label", t(now.sticky ? "unpin" : "pin"));
        pin.title = t(now.sticky ? "unpin" : "pin");
        pin.setAttribute("aria-pressed", String(Boolean(now.sticky)));
      },
    };
  }
}

/** Between two people a session is called by the other one. */
export function shownName(session, user) {
  const name = session.name || session.id;
  const people = name.split("、");
  const others = people.filter((one) => one !== user.name);
  return people.length === 2 && others.length === 1 ? others[0] : name;
}

/** A session about a person is drawn with the person's letters. */
export function personIn(name) {
  return String(name).split(/的|\s·|、/)[0];
}

function groupAvatar(id) {
  const node = avatar("", id);
  node.replaceChildren(icon("people"));
  return node;
}

function order(one, other) {
  if (Boolean(one.sticky) !== Boolean(other.sticky)) return one.sticky ? -1 : 1;
  return (other.last_message_time || other.create_time) - (one.last_message_time || one.create_time);
}
