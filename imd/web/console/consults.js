// A doctor's consults by state: who waits for an answer, who is being answered, who was.

import { fill, h, tabs } from "./dom.js";
import { lasted, preview, shortTime } from "./format.js";
import { avatar } from "./rows.js";
import { personIn } from "./sessions.js";
import { sessionTypeName, t } from "./words.js";

const STATES = ["unreplied", "ongoing", "replied"];
const EMPTY = { unreplied: "noneUnreplied", ongoing: "noneOngoing", replied: "noneReplied" };
const PAGE = 50;
/** ms that changes are gathered before the lists are asked for again */
const GATHER = 400;

export class Consults {
  /** `onopen(session_id, seq)` goes to a consult; `oncount(n)` is told how many wait. */
  constructor({ user, onopen, oncount }) {
    Object.assign(this, { user, onopen, oncount, state: "unreplied" });
    this._list = h("ul", { class: "list", "aria-label": t("consults") });
    this._tabs = tabs(t("consults"), STATES.map((state) => [state, t(state)]), (state) => {
      this.state = state;
      this.load().catch(() => {});
    });
    for (const state of STATES) this._tabs.button(state).append(h("span", { class: "tab-count", "data-state": state }));
    this.node = h("div", { class: "list-pane consults" }, this._tabs.bar, this._list);
  }

  start() {
    this._tabs.pick(this.state);
  }

  /** Something about a topic changed: ask again, once for many changes. */
  stale() {
    clearTimeout(this._soon);
    this._soon = setTimeout(() => this.load().catch(() => {}), GATHER);
  }

  async load() {
    const user_id = this.user.user_id;
    const state = this.state;
    const [counts, page] = await Promise.all([
      im.Sessions.countTopicsByType({ user_id }),
      im.Sessions.listTopicsByType({ user_id, state, size: PAGE }),
    ]);
    if (state !== this.state) return;
    for (const one of STATES) {
      const place = this._tabs.button(one).querySelector(".tab-count");
      place.textContent = counts[one] ? String(counts[one]) : "";
    }
    this.oncount(counts.unreplied);
    if (page.items.length) fill(this._list, page.items.map((topic) => this._row(topic)));
    else fill(this._list, h("li", { class: "list-none", text: t(EMPTY[state]) }));
  }

  _row(topic) {
    const waits = topic.status === 0 && topic.reply === 0;
    const time = waits ? lasted(Date.now() - topic.create_time) : shortTime(topic.create_time);
    return h("li", { class: "item-row" },
      h("button", { type: "button", class: "item", onclick: () => this.onopen(topic.session_id, topic.start_seq) },
        avatar(personIn(topic.session_name || topic.session_id), topic.session_id),
        h("span", { class: "item-main" },
          h("span", { class: "item-top" },
            h("span", { class: "item-name", text: topic.name || topic.id }),
            h("time", { class: `item-time${waits ? " waits" : ""}`, text: time })),
          h("span", { class: "item-bottom" },
            h("span", { class: `kind kind-${topic.session_type}`, text: sessionTypeName(topic.session_type) }),
            h("span", { class: "item-text", text: `${personIn(topic.session_name || "")} ${topic.description || preview(topic.last_message)}`.trim() }),
            topic.unread ? h("span", { class: "badge", text: String(topic.unread) }) : null))));
  }
}
