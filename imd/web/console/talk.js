// A conversation as one member has it: header, consult banner, messages, and where one writes.
// Both sides of the page are made of it; what differs is its frame and what it offers.

import { composer } from "./composer.js";
import { askFor, complain, enlarge } from "./dialogs.js";
import { fill, framed, h, iconButton, say } from "./dom.js";
import { lasted } from "./format.js";
import { People } from "./people.js";
import { pendingRow, rowOf } from "./rows.js";
import { shownName } from "./sessions.js";
import { Timeline } from "./timeline.js";
import { sessionTypeName, t } from "./words.js";

/** ms for which somebody is shown to be writing */
const WRITING = 4000;
const WITH_TOPICS = new Set([1, 2, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17]);

export class Talk {
  /** `access.socket(user, type, session)` are the options of `im.connect`; `tell(event, value)` informs the page. */
  constructor({ access, user, role, clientType, tell, onback, short }) {
    Object.assign(this, { access, user, role, clientType, tell, session: null, chat: null, topic: null });
    this.people = new People(user.user_id);
    this.timeline = new Timeline({
      label: t("sessions"),
      load: (wanted) => this._history(wanted),
      render: (message, previous) => rowOf(message, previous, user.user_id, this.people),
      shown: () => this._marks(),
    });
    this.timeline.node.addEventListener("click", (event) => this._act(event));
    this._title = h("h2", { class: "talk-title" });
    this._under = h("span", { class: "talk-under" });
    this._state = h("div", { class: "talk-state", role: "status", hidden: true });
    this._banner = h("div", { class: "talk-banner", hidden: true });
    this._action = h("div", { class: "talk-action" });
    this._writing = h("div", { class: "talk-writing", "aria-live": "polite" });
    this.composer = composer({ send: (message) => this.send(message), typing: () => this.chat && this.chat.typing(), short });
    this._empty = h("div", { class: "talk-empty", text: t("pick") });
    this._body = h("div", { class: "talk-body", hidden: true }, this._state, this._banner, this.timeline.node, this._writing, this.composer.node);
    this.node = h("section", { class: "talk", "aria-label": t("sessions") },
      h("header", { class: "talk-head" },
        iconButton("back", t("back"), onback, { class: "icon-button talk-back" }),
        h("div", { class: "talk-names" }, this._title, this._under), this._action),
      this._body, this._empty);
    this._marks = framed(() => this._markRows(this.timeline.rows), 200);
  }

  // ---- opening

  /** Shows a session, at its end or around one of its messages. */
  async open(session, seq) {
    this.session = session;
    this._body.hidden = false;
    this._empty.hidden = true;
    this.timeline.clear();
    this.people.clear();
    this._setTopic(null);
    this._head();
    const turn = (this._turn = (this._turn || 0) + 1);
    try {
      await Promise.all([this.people.load(session.id), this._enter(session.id)]);
      if (turn !== this._turn) return;
      this._head();
      this._setTopic(await this.chat.topic({ session_id: session.id }));
      if (turn !== this._turn) return;
      await (seq ? this.timeline.openAt(seq, this._seq()) : this.timeline.openAtEnd(this._seq()));
    } catch (error) {
      if (turn === this._turn && error.code !== "closed") complain(error);
    }
  }

  close() {
    this._turn = (this._turn || 0) + 1;
    if (this.chat) this.chat.close();
    this.chat = null;
    this.session = null;
    this._body.hidden = true;
    this._empty.hidden = false;
    fill(this._action);
    say(this._title, "");
    say(this._under, "");
  }

  _seq() {
    return Math.max(this.session.last_seq || 0, this.chat ? this.chat.last_seq : 0);
  }

  async _enter(id) {
    if (this.chat && this.chat.state !== "closed") {
      if (this.chat.session_id !== id) await this.chat.enter(id);
      return;
    }
    const chat = im.connect(this.access.socket(this.user, this.clientType, id));
    this.chat = chat;
    this._say(t("connecting"));
    const on = (event, listener) => chat.on(event, (value) => this.chat === chat && listener(value));
    on("open", () => this._say(null));
    on("recovered", () => this._say(null));
    on("offline", () => this._say(t("offline")));
    on("reload", () => { this._say(null); this.timeline.clear(); this.timeline.openAtEnd(this._seq()); });
    on("closed", ({ code }) => this._closed(code));
    on("message", (message) => this._received(message));
    on("update", (message) => { if (this._ours(message)) this.timeline.update(message); this.tell("update", message); });
    on("read", (mark) => { if (this._ours(mark)) { this.people.readUpTo(mark.user_id, mark.read_seq); this._marks(); } this.tell("read", mark); });
    on("typing", (who) => this._ours(who) && this._wrote(who.user_id));
    on("topic", (topic) => { if (this._ours(topic)) this._setTopic(topic.status === 0 ? topic : null); this.tell("topic", topic); });
    on("session", (session) => { if (session.id === this.session.id) { Object.assign(this.session, session); this._head(); } this.tell("session", session); });
  }

  _ours(one) {
    return Boolean(this.session) && one.session_id === this.session.id;
  }

  async _history({ before, after, size }) {
    const session_id = this.session.id;
    const answer = await this.chat.history({ session_id, before, after, size });
    return after === undefined ? answer.items.slice().reverse() : answer.items;
  }

  // ---- what comes

  _received(message) {
    this.tell("message", message);
    if (!this._ours(message)) return;
    this.people.readUpTo(message.sender_id, message.seq);
    this.timeline.receive(message);
    if (message.sender_id !== this.user.user_id) this._wrote(null);
    this._marks();
  }

  _wrote(id) {
    clearTimeout(this._pause);
    say(this._writing, id ? t("typing", { name: this.people.nameOf(id) }) : "");
    if (id) this._pause = setTimeout(() => this._wrote(null), WRITING);
  }

  _say(text) {
    this._state.hidden = !text;
    if (text) fill(this._state, text);
  }

  _closed(code) {
    if (!this.session) return;
    const again = h("button", { type: "button", class: "plain", text: t("reconnect"), onclick: () => this.open(this.session) });
    this._state.hidden = false;
    fill(this._state, t("closed", { code }), again);
  }

  _markRows(rows) {
    // From the newest up: the same word under each of several messages would only be noise.
    let below = null;
    for (let place = rows.length - 1; place >= 0; place -= 1) {
      const { message, node } = rows[place];
      const mine = message.sender_id === this.user.user_id && !message.recalled;
      const text = mine ? this.people.readText(message.seq, message.sender_id) : null;
      const said = mine && node.querySelector(".row-read");
      if (said) say(said, text === below ? "" : text);
      below = text === null && message.sender_id !== this.user.user_id ? below : text;
      if (!mine) continue;
      const recall = node.querySelector(".row-recall");
      if (recall && Number(recall.dataset.until) < Date.now()) recall.remove();
    }
  }

  // ---- header and consult

  _head() {
    const session = this.session;
    const others = this.people.all.filter((one) => one.participant_id !== this.user.user_id);
    const named = session.name ? shownName(session, this.user) : others.map((one) => one.name || one.participant_id).join("、");
    say(this._title, named || session.id);
    const parts = [sessionTypeName(session.type)];
    if (this.people.count) parts.push(t("members", { n: this.people.count }));
    say(this._under, parts.join(" · "));
    this._offer();
  }

  _setTopic(topic) {
    this.topic = topic;
    this._banner.hidden = !topic;
    if (topic) {
      const waits = topic.reply === 0;
      fill(this._banner, h("span", { class: `state state-${waits ? "unreplied" : "ongoing"}`, text: t(waits ? "unreplied" : "ongoing") }),
        h("b", { class: "talk-topic", text: topic.name || t("liveTopic") }),
        h("span", { class: "quiet", text: waits ? t("waitingSince", { time: lasted(Date.now() - topic.create_time) }) : lasted(Date.now() - topic.create_time) }));
    }
    this._offer();
  }

  _offer() {
    if (!this.session || !WITH_TOPICS.has(this.session.type)) {
      fill(this._action);
      return;
    }
    const live = Boolean(this.topic);
    const text = t(live ? "endConsult" : "startConsult");
    if (this._action.textContent === text) return;
    fill(this._action, h("button", { type: "button", class: live ? "plain small" : "plain small", onclick: () => (live ? this._endTopic() : this._startTopic()) }, text));
  }

  async _startTopic() {
    const given = await askFor(t("startConsult"), [["name", t("consultName"), 1, true], ["text", t("consultText"), 3, false]], t("start"));
    if (!given) return;
    const me = this.user.user_id;
    const topic_id = `C${Date.now()}${Math.floor(Math.random() * 1000)}`;
    const messages = given.text ? [{ type: 1, content: given.text, sender_id: me }] : [];
    im.Sessions.startTopic({ session_id: this.session.id, topic_id, name: given.name, description: given.text || null, start_by: me, user_id: me, messages }).catch(complain);
  }

  async _endTopic() {
    const given = await askFor(t("endConsult"), [["note", t("consultNote"), 3, false]], t("end"));
    if (!given) return;
    const me = this.user.user_id;
    im.Sessions.endTopic({ session_id: this.session.id, topic_id: this.topic ? this.topic.id : "current", end_by: me, user_id: me, note: given.note || undefined }).catch(complain);
  }

  // ---- what one does

  /** Sends a message; until it is stored it stands at the end as on its way. */
  send(message) {
    if (!this.chat) return;
    const { node, state } = pendingRow(message.content, message.type, this.user.user_id, this.user.name || this.user.user_id);
    this.timeline.pending.append(node);
    this.timeline.toEnd();
    this.composer.focus();
    const gone = this.chat.send(message);
    gone.then(() => node.remove(), (error) => {
      state.classList.add("failed");
      fill(state, t("failed"), " ", h("button", { type: "button", class: "row-retry", text: t("retry"), onclick: () => { node.remove(); this.send(message); } }));
      if (error.code !== "closed") complain(error);
    });
  }

  _act(event) {
    const button = event.target.closest("[data-act]");
    if (!button) return;
    if (button.dataset.act === "enlarge") enlarge(button.querySelector("img").src);
    if (button.dataset.act === "recall") {
      im.Sessions.recallMessage({ session_id: this.session.id, message_id: button.dataset.id, user_id: this.user.user_id }).catch(complain);
    }
  }
}
