// The doctor's work: sessions and consults on the left, the conversation beside them.

import { complain } from "./dialogs.js";
import { h, tabs } from "./dom.js";
import { Consults } from "./consults.js";
import { SessionList } from "./sessions.js";
import { Talk } from "./talk.js";
import { avatar } from "./rows.js";
import { t } from "./words.js";

export class DoctorSide {
  /** `onpatient(patient, session)` is told whose conversation was opened. */
  constructor({ access, user, onpatient, onread }) {
    this.user = user;
    this._onpatient = onpatient;
    this.sessions = new SessionList({ user, withPin: true, onopen: (session) => this.open(session).catch(complain), onbadge: (n) => { this._count("sessions", n); onread(n); } });
    this.consults = new Consults({ user, onopen: (id, seq) => this._openById(id, seq), oncount: (n) => this._count("consults", n) });
    this.talk = new Talk({ access, user, role: "doctor", clientType: "doctor", tell: (event, value) => this._told(event, value), onback: () => this._reading(false) });
    this._tabs = tabs(t("doctor"), [["sessions", t("sessions")], ["consults", t("consults")]], (key) => this._show(key));
    for (const key of ["sessions", "consults"]) this._tabs.button(key).append(h("span", { class: "badge", hidden: true }));
    this.node = h("section", { class: "doctor", id: "doctor", "aria-label": t("doctor") },
      h("div", { class: "work" },
        h("div", { class: "who" }, avatar(user.name, user.user_id),
          h("div", { class: "who-names" }, h("b", { text: user.name || user.user_id }), h("span", { class: "quiet", text: user.title || user.user_id }))),
        this._tabs.bar, this.sessions.node, this.consults.node),
      this.talk.node);
    this._outer = im.connect(access.socket(user, "doctor_system"));
    this._outer.on("notice", (notice) => this.sessions.noticed(notice));
    this._outer.on("session", (session) => this.sessions.changed(session));
    this._outer.on("topic", () => this.consults.stale());
    this._outer.on("open", () => this._again());
    this._outer.on("recovered", () => this._again());
    this._tabs.pick("sessions");
  }

  async start() {
    await this.sessions.load();
    this.consults.start();
  }

  /** After a time without connection: what was missed is in the lists. */
  _again() {
    if (this._connected) this.sessions.load().then(() => this.consults.stale(), () => {});
    this._connected = true;
  }

  async open(session, seq) {
    this._reading(true);
    this.sessions.choose(session.id);
    await this.talk.open(session, seq);
    const patient = this.talk.people.patient;
    if (patient && this.talk.session === session) this._onpatient(patient, session);
  }

  async _openById(id, seq) {
    try {
      await this.open(await this.sessions.find(id), seq);
    } catch (error) {
      complain(error);
    }
  }

  _told(event, value) {
    if (event === "message") this.sessions.received(value);
    if (event === "update") this.sessions.updated(value);
    if (event === "read") this.sessions.read(value);
    if (event === "session") this.sessions.changed(value);
    if (event === "topic") this.consults.stale();
  }

  _show(key) {
    this.sessions.node.hidden = key !== "sessions";
    this.consults.node.hidden = key !== "consults";
  }

  _reading(on) {
    this.node.classList.toggle("reading", on);
    if (on) return;
    const chosen = this.node.querySelector(".chosen .item");
    if (chosen) chosen.focus({ preventScroll: true });
  }

  _count(key, number) {
    const badge = this._tabs.button(key).querySelector(".badge");
    badge.hidden = !number;
    badge.textContent = number > 99 ? "99+" : String(number);
  }
}
