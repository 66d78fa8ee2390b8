// One message as a row of a conversation: a bubble beside its sender, or a quiet line in the middle.

import { bodyOf, isFramed } from "./bodies.js";
import { h, icon } from "./dom.js";
import { fieldsOf, initials, longTime, tint } from "./format.js";
import { t, typeName } from "./words.js";

/** ms between two messages from which on the time is shown */
const PAUSE = 5 * 60 * 1000;
/** ms in which a sender may take a message back, by the server's default */
export const RECALL_WINDOW = 120000;

export function avatar(name, id) {
  return h("span", { class: `avatar tint-${tint(name || id)}`, "aria-hidden": "true", text: initials(name) });
}

/** The row; `previous` is the message above it where that is known, `people` knows the members. */
export function rowOf(message, previous, me, people) {
  const node = h("li", { class: "row", "data-seq": message.seq });
  if (message.type === 2105) {
    node.classList.add("row-none");
    return node;
  }
  if (!previous || message.timestamp - previous.timestamp > PAUSE) {
    node.append(h("div", { class: "row-time", text: longTime(message.timestamp) }));
  }
  const name = people.nameOf(message.sender_id, message.sender_name);
  const mine = message.sender_id === me;
  const line = lineOf(message, name, mine);
  if (line) node.append(line);
  else if (message.type === 10) node.append(note(message, name));
  else node.append(bubble(message, previous, name, mine, people));
  return node;
}

/** What is said in the middle of the page instead of by somebody. */
function lineOf(message, name, mine) {
  if (message.recalled || message.content === null) {
    return h("div", { class: "row-line", text: mine ? t("recalledByMe") : t("recalledBy", { name }) });
  }
  const words = { 6: "topicStart", 7: "topicEnd", 14: "topicInto" }[message.type];
  if (words) {
    const fields = fieldsOf(message.content);
    const topic = fields && typeof fields.name === "string" ? fields.name : "";
    return h("div", { class: `row-topic row-topic-${message.type}` },
      h("span", { class: "row-topic-what", text: t(words, { name }) }),
      topic && message.type !== 14 ? h("b", { class: "row-topic-name", text: topic }) : null);
  }
  if (message.type === 0) {
    const fields = fieldsOf(message.content);
    return h("div", { class: "row-line", text: fields ? fields.text || fields.title || typeName(0) : String(message.content) });
  }
  return null;
}

function note(message, name) {
  const text = typeof message.content === "string" ? message.content : JSON.stringify(message.content);
  return h("div", { class: "row-note" },
    h("div", { class: "row-note-head" }, icon("end"), h("span", { text: t("endNote") }), h("span", { class: "quiet", text: name })),
    h("p", { text: text.slice(0, 65536) }));
}

function bubble(message, previous, name, mine, people) {
  const follows = previous && previous.sender_id === message.sender_id && !previous.recalled
    && ![6, 7, 10, 14].includes(previous.type) && message.timestamp - previous.timestamp <= PAUSE;
  const framed = isFramed(message);
  const inside = h("div", { class: `bubble${framed ? " bubble-framed" : ""}` }, bodyOf(message));
  const foot = mine ? [recallButton(message), h("span", { class: "row-read" })] : null;
  return h("div", { class: `row-talk${mine ? " mine" : ""}${follows ? " follows" : ""}` },
    avatar(name, message.sender_id),
    h("div", { class: "row-main" },
      mine || follows || people.count <= 2 ? null : h("div", { class: "row-name", text: name }),
      inside, foot));
}

function recallButton(message) {
  if (Date.now() - message.timestamp > RECALL_WINDOW) return null;
  return h("button", { type: "button", class: "row-recall", "data-act": "recall", "data-id": message.id, "data-until": message.timestamp + RECALL_WINDOW },
    icon("undo"), h("span", { text: t("recall") }));
}

/** A message that is on its way. */
export function pendingRow(content, type, me, name) {
  const state = h("span", { class: "row-read", text: t("sending") });
  const body = bodyOf({ type, content });
  const framed = isFramed({ type });
  const node = h("li", { class: "row row-pending" },
    h("div", { class: "row-talk mine follows" }, avatar(name, me),
      h("div", { class: "row-main" }, h("div", { class: `bubble${framed ? " bubble-framed" : ""}` }, body), state)));
  return { node, state };
}
