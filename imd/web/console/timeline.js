// A conversation of any length in a bounded page. Seqs have no holes, so a message's place is known
// before it is loaded: the rows near the view are real, what lies above and below is empty space of
// about the right height. Memory and DOM hold at most MOST rows, whatever arrives.

import { framed, h, icon, say } from "./dom.js";
import { t } from "./words.js";

/** rows that are kept; how many more may gather before the far end is dropped */
const MOST = 140;
const SLACK = 40;
const PAGE = 50;
/** px from an end of the rows at which more are fetched */
const EDGE = 700;
const NEAR = 48;
/** ms between two drawings of what arrives: a flood comes in handfuls, a single message at once */
const GAP = 120;
/** px that the empty space may take on either side: browsers have a limit */
const TALLEST = 4000000;

export class Timeline {
  /** `load({before, after, size})` brings messages by seq, oldest first; `render(message, previous)` a row. */
  constructor({ load, render, shown, label }) {
    this._load = load;
    this._render = render;
    this._shown = shown;
    this._above = h("div", { class: "space" });
    this._below = h("div", { class: "space" });
    this._list = h("ol", { class: "rows" });
    this.pending = h("ol", { class: "rows" });
    this.scroller = h("div", { class: "scroller", role: "log", "aria-label": label, tabindex: "0" },
      this._above, this._list, this._below, this.pending);
    this._count = h("span", {});
    this._button = h("button", { type: "button", class: "to-end", hidden: true, onclick: () => this.toEnd() }, this._count, icon("down"));
    this.node = h("div", { class: "timeline" }, this.scroller, this._button);
    this._look = framed(() => this._settle());
    this._flush = framed(() => this._append(), GAP);
    this.scroller.addEventListener("scroll", () => this._scrolled(), { passive: true });
    const grown = new ResizeObserver(() => this._pinned && this._stick());
    for (const node of [this.scroller, this._list, this.pending]) grown.observe(node);
    this.clear();
  }

  clear() {
    this._turn = (this._turn || 0) + 1;
    this._rows = [];
    this._fresh = [];
    this._total = 0;
    this._height = 76;
    this._unseen = 0;
    this._pinned = true;
    this._at = this._tall = 0;
    this._busy = false;
    this._list.replaceChildren();
    this.pending.replaceChildren();
    this._space();
    this._offer();
  }

  get rows() {
    return this._rows;
  }

  get _first() {
    return this._rows.length ? this._rows[0].message.seq : this._total + 1;
  }

  get _last() {
    return this._rows.length ? this._rows[this._rows.length - 1].message.seq : this._total;
  }

  /** Shows the newest messages. */
  async openAtEnd(total) {
    this._total = Math.max(this._total, total);
    await this._replace({ before: this._total + 1, size: PAGE }, null);
    this._pinned = true;
    this._stick();
    this._look();
  }

  /** Shows the messages around one. */
  async openAt(seq, total) {
    this._total = Math.max(this._total, total);
    if (await this._replace({ after: Math.max(0, seq - 8), size: PAGE }, seq)) {
      const row = this._rows.find((one) => one.message.seq >= seq);
      if (row) row.node.classList.add("found");
    }
    this._look();
  }

  async toEnd() {
    if (this._last < this._total) await this.openAtEnd(this._total);
    this._pinned = true;
    this._stick();
    this.scroller.focus({ preventScroll: true });
  }

  /** A message that came; it is drawn in the next frame when the end is in view. */
  receive(message) {
    if (message.seq <= this._total && message.seq <= this._last) return;
    const known = this._total;
    this._total = Math.max(this._total, message.seq);
    if (this._pinned) {
      this._fresh.push(message);
      this._flush();
    } else if (message.seq > known) {
      this._unseen += 1;
      this._offer();
      this._flush();
    }
  }

  /** A message that is drawn has changed. */
  update(message) {
    const place = this._rows.findIndex((row) => row.message.seq === message.seq);
    if (place < 0) return;
    this._redraw(place, message);
    if (this._pinned) this._stick();
  }

  // ---- drawing

  _redraw(place, message) {
    const row = this._rows[place];
    const previous = place ? this._rows[place - 1].message : null;
    const node = this._render(message, previous);
    row.node.replaceWith(node);
    this._rows[place] = { message, node };
    this._shown([this._rows[place]]);
  }

  _append() {
    if (this._busy) return; // when it has been fetched what is under way, this is called again
    const fresh = this._fresh;
    this._fresh = [];
    if (!fresh.length) {
      this._space();
      return;
    }
    fresh.sort((one, other) => one.seq - other.seq);
    const fitting = [];
    for (const message of fresh) {
      const last = fitting.length ? fitting[fitting.length - 1].seq : this._last;
      if (message.seq === last + 1 || (!this._rows.length && !fitting.length)) fitting.push(message);
    }
    if (fitting.length) this._addBelow(fitting);
    if (this._pinned) this._stick();
    if (this._last < this._total) this._look();
  }

  _made(messages, previous) {
    const made = [];
    for (const message of messages) {
      made.push({ message, node: this._render(message, previous) });
      previous = message;
    }
    return made;
  }

  _addBelow(messages) {
    const made = this._made(messages, this._rows.length ? this._rows[this._rows.length - 1].message : null);
    this._list.append(...made.map((row) => row.node));
    this._rows.push(...made);
    const over = this._rows.length - MOST;
    if (over > (this._pinned ? SLACK : 0)) {
      for (const row of this._rows.splice(0, over)) row.node.remove();
    }
    this._shown(made);
    this._space();
  }

  _addAbove(messages) {
    const made = this._made(messages, null);
    this._list.prepend(...made.map((row) => row.node));
    this._rows.unshift(...made);
    for (const row of this._rows.splice(MOST)) row.node.remove();
    this._shown(made);
    if (this._rows.length > made.length) this._redraw(made.length, this._rows[made.length].message);
    this._space();
  }

  _space() {
    const above = Math.max(0, this._first - 1);
    // At the end nothing is left empty below: what is missing there is about to be drawn.
    const below = this._pinned ? 0 : Math.max(0, this._total - this._last);
    this._unit = Math.min(this._height, TALLEST / Math.max(1, above, below));
    this._above.style.height = `${Math.round(above * this._unit)}px`;
    this._below.style.height = `${Math.round(below * this._unit)}px`;
  }

  _measure() {
    const height = this._list.offsetHeight;
    if (this._rows.length > 10) this._height = Math.max(24, height / this._rows.length);
  }

  _stick() {
    this.scroller.scrollTop = this.scroller.scrollHeight;
    this._at = this.scroller.scrollTop;
    this._tall = this.scroller.scrollHeight;
    this._unseen = 0;
    this._offer();
  }

  _offer() {
    const away = !this._pinned && this._total > 0;
    if (this._button.hidden === away) this._button.hidden = !away;
    if (away) say(this._count, this._unseen ? t("newMessages", { n: this._unseen > 999 ? "999+" : this._unseen }) : t("toEnd"));
  }

  // ---- moving

  _scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    const close = scrollHeight - scrollTop - clientHeight < NEAR;
    // Only a person scrolls up in a page that has not become shorter; what grew below, such as a
    // picture that has come, is no wish to look elsewhere.
    const up = scrollTop < this._at - 2 && scrollHeight >= this._tall;
    const end = this._pinned ? close || !up : close && this._last >= this._total;
    this._at = scrollTop;
    this._tall = scrollHeight;
    if (end !== this._pinned) {
      this._pinned = end;
      if (end) this._unseen = 0;
      this._offer();
    }
    this._look();
  }

  /** Fetches what the view needs: more at an end, or what lies where the view has jumped to. */
  _settle() {
    if (this._busy || !this._total || !this.scroller.clientHeight) return;
    if (this._pinned && this._fresh.length) return; // about to be drawn
    const top = this.scroller.scrollTop;
    const bottom = top + this.scroller.clientHeight;
    const start = this._above.offsetHeight;
    const finish = start + this._list.offsetHeight;
    if (this._rows.length && bottom < start) this._jump(Math.floor(top / this._unit) + 1);
    else if (this._rows.length && top > finish && this._last < this._total) this._jump(this._last + Math.floor((top - finish) / this._unit) + 1);
    else if (this._first > 1 && top - start < EDGE) this._extend({ before: this._first, size: PAGE });
    else if (this._last < this._total && finish - bottom < EDGE) this._extend({ after: this._last, size: PAGE });
  }

  /** The view was dragged into the empty space: wait until it rests, then show what belongs there. */
  _jump(seq) {
    clearTimeout(this._resting);
    const where = this.scroller.scrollTop;
    this._resting = setTimeout(() => {
      if (this.scroller.scrollTop !== where) this._look();
      else this._replace({ after: Math.max(0, Math.min(seq, this._total) - 10), size: PAGE }, seq).then(this._look, () => {});
    }, 90);
  }

  async _fetch(wanted) {
    const turn = this._turn;
    this._busy = true;
    try {
      const messages = await this._load(wanted);
      return turn === this._turn ? messages : null;
    } catch (error) {
      return null; // the connection's state says why; the next look tries again
    } finally {
      if (turn === this._turn) {
        this._busy = false;
        this._flush();
      }
    }
  }

  async _extend(wanted) {
    const messages = await this._fetch(wanted);
    if (!messages || !messages.length) return;
    const anchor = this._rows.find((row) => row.node.getBoundingClientRect().bottom > this.scroller.getBoundingClientRect().top);
    const before = anchor ? anchor.message.seq : 0;
    const place = anchor ? anchor.node.getBoundingClientRect().top : 0;
    const stick = this._pinned;
    if (wanted.after === undefined) this._addAbove(messages.filter((one) => one.seq < this._first));
    else this._addBelow(messages.filter((one) => one.seq > this._last));
    const same = this._rows.find((row) => row.message.seq === before);
    if (stick && this._last >= this._total) this._stick();
    else if (same) this.scroller.scrollTop += same.node.getBoundingClientRect().top - place;
    this._look();
  }

  async _replace(wanted, seq) {
    const messages = await this._fetch(wanted);
    if (!messages) return false;
    this._list.replaceChildren();
    this._rows = [];
    if (messages.length) {
      this._pinned = false;
      this._addBelow(messages);
      this._measure();
      this._total = Math.max(this._total, this._last);
    }
    this._space();
    if (seq !== null) {
      const row = this._rows.find((one) => one.message.seq >= seq);
      if (row) this.scroller.scrollTop = row.node.offsetTop - 40;
      this._scrolled();
    }
    return true;
  }
}
