// What a message shows, by its type. Contents are strangers' texts: they become text nodes, and
// an address becomes a link or picture only after format.js has judged it.

import { h, icon } from "./dom.js";
import { fieldsOf, ownPicture, webAddress } from "./format.js";
import { fieldName, t, typeName } from "./words.js";

const MOST_FIELDS = 12;
const MOST_LENGTH = 4000;
const HIDDEN = new Set(["title", "id", "url", "link", "img", "picture", "messageids", "source", "sessionType"]);

/** The inside of a bubble. */
export function bodyOf(message) {
  const { type, content } = message;
  const fields = fieldsOf(content);
  if (type === 2 || type === 9) return picture(content, fields);
  if (type === 3) return voice(content, fields);
  if (type === 12) return media(content, fields, "externalMedia");
  if (type === 4 || type === 5) return fields ? article(type, fields) : text(content);
  if (type === 18 && fields) return nameCard(fields);
  if (type === 19 && fields) return bundle(fields);
  if (type === 28 && fields) return rating(fields);
  if (type === 29) return video(fields);
  if (fields) return card(type, fields);
  if (type > 14) return card(type, { text: content });
  return text(content);
}

/** Whether the body brings its own frame, so that the bubble must not draw another. */
export function isFramed(message) {
  return ![0, 1, 3, 8].includes(message.type);
}

function text(content) {
  const plain = typeof content === "string" ? content : JSON.stringify(content);
  return h("p", { class: "body-text", text: plain.slice(0, 65536) });
}

function addressIn(content, fields) {
  if (typeof content === "string" && !fields) return content;
  if (!fields) return "";
  for (const name of ["url", "path", "img", "picture", "src", "link"]) {
    if (typeof fields[name] === "string") return fields[name];
  }
  return "";
}

function outside(address, label, name) {
  return h("a", { class: "body-outside", href: address, target: "_blank", rel: "noopener noreferrer" },
    h("span", { class: "body-outside-icon" }, icon(name)),
    h("span", { class: "body-outside-text" }, h("b", { text: label }), h("span", { text: new URL(address).host })),
    h("span", { class: "body-outside-go", title: t("openElsewhere") }, icon("out"), h("span", { class: "unseen", text: t("openElsewhere") })));
}

function picture(content, fields) {
  const address = addressIn(content, fields);
  const own = ownPicture(address);
  if (own) {
    return h("button", { type: "button", class: "body-picture", "data-act": "enlarge", "aria-label": t("enlarge") },
      h("img", { src: own, alt: typeName(2), decoding: "async", loading: "lazy" }));
  }
  return media(content, fields, "externalPicture");
}

function media(content, fields, label) {
  const url = webAddress(addressIn(content, fields));
  if (url) return outside(url, t(label), "picture");
  return text(content);
}

function voice(content, fields) {
  const seconds = fields && Number(fields.duration || fields.seconds);
  const known = seconds > 0 && seconds < 36000 ? Math.round(seconds) : null;
  const url = webAddress(addressIn(content, fields));
  const bar = [icon("voice"), waves(known || 4), h("span", { class: "body-voice-time", text: known ? `${known}″` : typeName(3) })];
  const said = fields && typeof fields.text === "string" ? h("p", { class: "body-voice-said", text: fields.text }) : null;
  if (!fields && !url) return text(content);
  const shown = url
    ? h("a", { class: "body-voice", href: url, target: "_blank", rel: "noopener noreferrer", "aria-label": `${typeName(3)}, ${t("openElsewhere")}` }, bar, icon("out"))
    : h("span", { class: "body-voice" }, bar);
  return h("div", {}, shown, said);
}

function waves(seconds) {
  const count = Math.min(26, 8 + Math.round(seconds * 0.9));
  const bars = [];
  for (let place = 0; place < count; place += 1) {
    bars.push(h("i", { class: `wave wave-${(place * 7 + seconds * 3) % 5}` }));
  }
  return h("span", { class: "body-waves", "aria-hidden": "true" }, bars);
}

function frame(kind, title, ...inside) {
  return h("div", { class: `body-card body-card-${kind}` }, h("div", { class: "body-card-head", text: title }), inside);
}

function short(value) {
  return String(value).slice(0, MOST_LENGTH);
}

function article(type, fields) {
  const url = webAddress(fields.url || fields.link || fields.path || "");
  const own = ownPicture(fields.img || fields.picture || "");
  const inside = [
    own ? h("img", { class: "body-article-picture", src: own, alt: "" }) : null,
    h("b", { class: "body-article-title", text: short(fields.title || fields.name || typeName(type)) }),
    fields.summary || fields.content ? h("p", { class: "body-article-text", text: short(fields.summary || fields.content) }) : null,
    h("span", { class: "body-article-foot" }, icon("article"), h("span", { text: url ? new URL(url).host : typeName(type) }), url ? icon("out") : null),
  ];
  return url
    ? h("a", { class: "body-article", href: url, target: "_blank", rel: "noopener noreferrer" }, inside)
    : h("div", { class: "body-article" }, inside);
}

function nameCard(fields) {
  return frame("name", typeName(18),
    h("b", { class: "body-name", text: short(fields.name || fields.id || "") }),
    h("p", { class: "body-quiet", text: [fields.title, fields.department].filter((one) => typeof one === "string").join(" · ") }));
}

function bundle(fields) {
  const count = String(fields.messageids || "").split(",").filter(Boolean).length;
  return frame("bundle", typeName(19),
    h("b", { class: "body-name", text: short(fields.title || "") }),
    h("p", { class: "body-quiet", text: t("forwarded", { n: count }) }));
}

function rating(fields) {
  const score = Math.max(0, Math.min(5, Math.round(Number(fields.score) || 0)));
  return frame("rating", short(fields.title || typeName(28)),
    h("p", { class: "body-stars", role: "img", "aria-label": t("stars", { n: score }) }, "★".repeat(score), h("span", { text: "★".repeat(5 - score) })),
    fields.comment ? h("p", { class: "body-plain", text: short(fields.comment) }) : null);
}

function video(fields) {
  const taken = fields && Number(fields.answer_status) === 1;
  return frame("video", t("video"), h("p", { class: "body-plain", text: t(taken ? "videoTaken" : "videoAsked") }));
}

function card(type, fields) {
  if (Array.isArray(fields)) return frame("plain", typeName(type), list(fields));
  const names = Object.keys(fields).filter((name) => !HIDDEN.has(name) && fields[name] !== null && fields[name] !== "");
  const rows = names.slice(0, MOST_FIELDS).map((name) => [
    h("dt", { text: short(name === "text" ? "" : fieldName(name)) }),
    h("dd", { class: name === "text" ? "wide" : null }, valueOf(fields[name])),
  ]);
  const title = typeof fields.title === "string" && fields.title ? fields.title : typeName(type);
  return frame("plain", short(title), h("dl", { class: "body-fields" }, rows));
}

function valueOf(value) {
  if (Array.isArray(value)) return list(value);
  if (value && typeof value === "object") return h("span", { text: short(JSON.stringify(value)) });
  return h("span", { text: short(value) });
}

function list(values) {
  const items = values.slice(0, MOST_FIELDS).map((value) => {
    if (!value || typeof value !== "object") return h("li", { text: short(value) });
    const [first, ...rest] = Object.values(value).filter((one) => one !== null && typeof one !== "object");
    return h("li", {}, h("b", { text: short(first === undefined ? "" : first) }), h("span", { class: "body-quiet", text: short(rest.join(" · ")) }));
  });
  return h("ul", { class: "body-list" }, items);
}
