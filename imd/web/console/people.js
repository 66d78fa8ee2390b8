// The members of the open conversation: their names, and how far each has read.

import { t } from "./words.js";

export class People {
  constructor(me) {
    this.me = me;
    this._members = new Map();
    this._read = new Map();
  }

  /** Asks who the members are; REST's `listParticipants`. */
  async load(session_id) {
    const answer = await im.Sessions.listParticipants({ session_id, user_id: this.me });
    this._members = new Map(answer.items.map((one) => [one.participant_id, one]));
    this._read = new Map(answer.items.map((one) => [one.participant_id, one.read_seq]));
  }

  clear() {
    this._members.clear();
    this._read.clear();
  }

  get count() {
    return this._members.size;
  }

  get all() {
    return [...this._members.values()];
  }

  get(id) {
    return this._members.get(id);
  }

  nameOf(id, said) {
    const member = this._members.get(id);
    return (member && member.name) || said || id;
  }

  /** The patient of the conversation; null among doctors. */
  get patient() {
    return this.all.find((one) => one.kind === "patient" || one.role === "patient") || null;
  }

  readUpTo(id, seq) {
    if (seq > (this._read.get(id) || 0)) this._read.set(id, seq);
  }

  /** What stands under one's own message: read, unread, or by how many. */
  readText(seq, sender) {
    const others = this.all.filter((one) => one.participant_id !== sender);
    if (!others.length) return "";
    const count = others.filter((one) => (this._read.get(one.participant_id) || 0) >= seq).length;
    if (others.length === 1 || count === others.length) return count ? t("read") : t("unread");
    return count ? t("readBy", { n: count, all: others.length }) : t("unread");
  }
}
