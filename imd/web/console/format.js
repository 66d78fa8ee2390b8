// Values as people read them: times, names, the one line that stands for a message in a list.

import { lang, t, typeName } from "./words.js";

const locale = lang === "zh" ? "zh-CN" : "en-GB";
const clock = new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit", hour12: false });
const day = new Intl.DateTimeFormat(locale, { month: lang === "zh" ? "numeric" : "short", day: "numeric" });
const year = new Intl.DateTimeFormat(locale, { year: "numeric", month: "numeric", day: "numeric" });

function daysAgo(time) {
  const midnight = new Date();
  midnight.setHours(0, 0, 0, 0);
  return Math.ceil((midnight.getTime() - time) / 86400000);
}

function date(time) {
  return new Date(time).getFullYear() === new Date().getFullYear() ? day.format(time) : year.format(time);
}

/** For a list: the time of today, else the day. */
export function shortTime(time) {
  if (!time) return "";
  const ago = daysAgo(time);
  return ago <= 0 ? clock.format(time) : ago === 1 ? t("yesterday") : date(time);
}

/** For a conversation: day and time. */
export function longTime(time) {
  const ago = daysAgo(time);
  if (ago <= 0) return clock.format(time);
  return `${ago === 1 ? t("yesterday") : date(time)} ${clock.format(time)}`;
}

export function lasted(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return t("justNow");
  if (seconds < 3600) return t("minutes", { n: Math.round(seconds / 60) });
  if (seconds < 86400) return t("hours", { n: Math.round(seconds / 3600) });
  return t("days", { n: Math.round(seconds / 86400) });
}

/** The letters of an avatar: the given name of a Chinese name, else initials. */
export function initials(name) {
  const text = Array.from(String(name || "?").trim());
  if (/[\u3400-\u9fff]/.test(text[0] || "")) return text.slice(0, 3).length > 2 ? text.slice(1, 3).join("") : text.join("");
  const words = text.join("").split(/[\s·_-]+/).filter(Boolean);
  return words.slice(0, 2).map((word) => Array.from(word)[0]).join("").toUpperCase() || "?";
}

/** One of eight calm colours, always the same for one id. */
export function tint(id) {
  let sum = 2166136261;
  for (const letter of String(id)) sum = Math.imul(sum ^ letter.codePointAt(0), 16777619);
  sum ^= sum >>> 15;
  return (sum >>> 0) % 8;
}

/** A card's fields, whether the content came as an object or as its JSON text. */
export function fieldsOf(content) {
  if (content && typeof content === "object") return content;
  if (typeof content === "string" && /^\s*[{[]/.test(content)) {
    try {
      const parsed = JSON.parse(content);
      return parsed && typeof parsed === "object" ? parsed : null;
    } catch (error) {
      return null; // a text that only begins like JSON
    }
  }
  return null;
}

/** One line for a message. */
export function preview(message) {
  if (!message) return "";
  if (message.recalled || message.content === null) return `[${t("recall")}]`;
  const { type, content } = message;
  if ([0, 1, 8].includes(type) && typeof content === "string") return content.slice(0, 120);
  const fields = fieldsOf(content);
  const title = type === 10 && typeof content === "string" ? content : fields && (fields.title || fields.name || fields.text);
  const label = `[${typeName(type)}]`;
  return typeof title === "string" && title && title !== typeName(type) ? `${label} ${title.slice(0, 80)}` : label;
}

/** An address that may be opened: http or https of anywhere; null for everything else. */
export function webAddress(text) {
  if (typeof text !== "string" || !/^https?:\/\//i.test(text.trim())) return null;
  try {
    const url = new URL(text.trim());
    return url.protocol === "http:" || url.protocol === "https:" ? url.href : null;
  } catch (error) {
    return null;
  }
}

/** An address that the page's policy lets an image come from: drawn in the message, or our own. */
export function ownPicture(text) {
  if (typeof text !== "string") return null;
  const trimmed = text.trim();
  if (/^data:image\/(png|jpeg|gif|webp|svg\+xml);/i.test(trimmed)) return trimmed;
  if (/^\/(?![/\\])/.test(trimmed)) return trimmed;
  const url = webAddress(trimmed);
  return url && new URL(url).origin === location.origin ? url : null;
}
