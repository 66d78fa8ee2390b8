// Where one writes: text, and samples of the other common types for a first look.

import { h, icon, iconButton } from "./dom.js";
import { lang, t } from "./words.js";

const PICTURE =
  "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 320 200'><rect width='320' height='200' fill='#e7eef0'/>" +
  "<path d='M0 110h70l14-34 22 70 20-92 18 56h176' fill='none' stroke='#0f766e' stroke-width='5' stroke-linejoin='round'/>" +
  "<text x='18' y='184' font-family='sans-serif' font-size='16' fill='#46606a'>ECG II  25 mm/s</text></svg>";

const zh = lang === "zh";

// a message of each type that people send most, beside text
const SAMPLES = [
  ["picture", "picture", () => ({ type: 2, content: `data:image/svg+xml;base64,${btoa(PICTURE)}` })],
  ["voice", "voice", () => ({ type: 3, content: { duration: 8, text: zh ? "今天感觉好多了，早上走了二十分钟。" : "Much better today, I walked for twenty minutes." } })],
  ["article", "article", () => ({ type: 4, content: {
    title: zh ? "在家怎样正确量血压" : "Measuring blood pressure at home",
    summary: zh ? "安静坐五分钟，袖带与心脏同高，连量两次取平均。" : "Sit quietly for five minutes, cuff at heart level, twice.",
    url: "https://example.org/articles/blood-pressure" } })],
  ["card", "card", () => ({ type: 26, content: {
    title: zh ? "随访建议" : "Follow-up advice",
    advice: zh ? "两周后复查血压与血钾" : "Pressure and potassium again in two weeks",
    items: zh ? ["早晚各量一次血压", "每天食盐少于 5 克"] : ["Measure morning and evening", "Less than 5 g of salt a day"] } })],
];

const TALLEST = 132;

/** `send(message)` and `typing()` are the conversation's. */
export function composer({ send, typing, short }) {
  const box = h("textarea", {
    rows: "1", class: "composer-text", placeholder: t(short || matchMedia("(max-width: 760px)").matches ? "writeShort" : "write"), "aria-label": t("writeShort"), maxlength: "20000",
    oninput: changed, onkeydown: pressed,
  });
  const go = h("button", { type: "submit", class: "send", disabled: true }, icon("send"), h("span", { text: t("send") }));
  const menu = h("div", { class: "samples", role: "menu", hidden: true, onkeydown: (event) => event.key === "Escape" && toggle(false) },
    SAMPLES.map(([key, name, make]) =>
      h("button", { type: "button", role: "menuitem", class: "sample", onclick: () => { toggle(false); send(make()); } }, icon(name), h("span", { text: t(key) }))));
  const plus = iconButton("plus", t("attach"), () => toggle(menu.hidden), { "aria-haspopup": "menu", "aria-expanded": "false" });

  function toggle(open) {
    menu.hidden = !open;
    plus.setAttribute("aria-expanded", String(open));
    if (open) menu.firstElementChild.focus();
    else if (menu.contains(document.activeElement)) plus.focus();
  }
  function changed() {
    go.disabled = !box.value.trim();
    box.style.height = "auto";
    box.style.height = `${Math.min(box.scrollHeight, TALLEST)}px`;
    if (box.value) typing();
  }
  function pressed(event) {
    // While an input method composes, Enter chooses characters.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    submit();
  }
  function submit() {
    const text = box.value.trim();
    if (!text) return;
    box.value = "";
    changed();
    send({ type: 1, content: text });
  }
  const form = h("form", { class: "composer", onsubmit: (event) => { event.preventDefault(); submit(); } }, menu, plus, box, go);
  return { node: form, focus: () => box.focus({ preventScroll: true }) };
}
