// Small questions over the page, with the browser's own dialog: it keeps the focus, Escape closes it.

import { h, iconButton } from "./dom.js";
import { t } from "./words.js";

function open(dialog) {
  document.body.append(dialog);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.showModal();
  return dialog;
}

/** Asks for the fields `[name, label, lines, required]`; a promise of their values, or of null. */
export function askFor(title, fields, yes, values) {
  return new Promise((resolve) => {
    const inputs = {};
    let answer = null;
    const rows = fields.map(([name, label, lines, required]) => {
      const props = { required, value: (values && values[name]) || "", maxlength: lines > 1 ? "2000" : "200" };
      inputs[name] = lines > 1 ? h("textarea", Object.assign({ rows: String(lines) }, props)) : h("input", Object.assign({ type: "text" }, props));
      return h("label", { class: "field" }, h("span", { text: label }), inputs[name]);
    });
    const form = h("form", { method: "dialog", onsubmit: () => { answer = {}; for (const name of Object.keys(inputs)) answer[name] = inputs[name].value.trim(); } },
      h("h2", { text: title }), rows,
      h("div", { class: "dialog-foot" },
        h("button", { type: "button", class: "plain", onclick: () => dialog.close(), text: t("cancel") }),
        h("button", { type: "submit", class: "strong", text: yes })));
    const dialog = h("dialog", { class: "dialog", "aria-label": title }, form);
    dialog.addEventListener("close", () => resolve(answer));
    open(dialog);
  });
}

/** Shows a picture as large as the window allows. */
export function enlarge(source) {
  const dialog = h("dialog", { class: "dialog-picture", "aria-label": t("picture") },
    h("img", { src: source, alt: t("picture") }), iconButton("close", t("close"), () => dialog.close()));
  open(dialog);
}

/** Says something for a few seconds, to those who see and those who listen. */
export function toast(text) {
  let place = document.querySelector(".toasts");
  if (!place) {
    place = h("div", { class: "toasts", role: "status" });
    document.body.append(place);
  }
  const node = h("div", { class: "toast", text });
  place.append(node);
  setTimeout(() => node.remove(), 5000);
}

/** What a refused call says to a person. */
export function complain(error) {
  const field = error && error.errors && error.errors[0];
  const why = field ? `${field.field} ${field.message}` : (error && error.message) || "?";
  toast(t("failedCall", { why }));
}
