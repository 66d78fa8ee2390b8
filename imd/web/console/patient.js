// The patient's page, as it looks inside WeChat: their sessions, or one conversation.

import { complain } from "./dialogs.js";
import { h } from "./dom.js";
import { SessionList } from "./sessions.js";
import { Talk } from "./talk.js";
import { t } from "./words.js";

export class PatientSide {
  constructor({ access, user, onread }) {
    this.user = user;
    this.sessions = new SessionList({ user, onopen: (session) => this.open(session).catch(complain), onbadge: onread });
    this.talk = new Talk({ access, user, role: "patient", clientType: "patient", short: true, tell: (event, value) => this._told(event, value), onback: () => this._leave() });
    this.node = h("section", { class: "patient", id: "patient", "aria-label": t("patient") },
      h("div", { class: "phone" },
        h("div", { class: "phone-list" },
          h("header", { class: "phone-head" }, h("h2", { text: t("myDoctor") }), h("span", { class: "quiet", text: user.name || user.user_id })),
          this.sessions.node),
        this.talk.node));
    this._outer = im.connect(access.socket(user, "patient_system"));
    this._outer.on("notice", (notice) => this.sessions.noticed(notice));
    this._outer.on("session", (session) => this.sessions.changed(session));
    this._outer.on("recovered", () => this.sessions.load().catch(() => {}));
  }

  async start() {
    await this.sessions.load();
  }

  async open(session) {
    this.node.classList.add("reading");
    this.sessions.choose(session.id);
    await this.talk.open(session);
  }

  /** Ends its sockets: another patient takes the place. */
  end() {
    this._outer.close();
    this.talk.close();
  }

  _leave() {
    this.node.classList.remove("reading");
    this.talk.close();
    this.sessions.choose(null);
    const first = this.sessions.node.querySelector(".item");
    if (first) first.focus({ preventScroll: true });
  }

  _told(event, value) {
    if (event === "message") this.sessions.received(value);
    if (event === "update") this.sessions.updated(value);
    if (event === "read") this.sessions.read(value);
    if (event === "session") this.sessions.changed(value);
  }
}
