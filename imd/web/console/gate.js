// What stands there before the conversation: a request for a credential, or an offer of demo data.

import { complain } from "./dialogs.js";
import { fill, h } from "./dom.js";
import { t } from "./words.js";

function page(place, title, ...inside) {
  fill(place, h("main", { class: "gate" }, h("div", { class: "gate-card" }, h("img", { class: "gate-mark", src: "/console/icon.svg", alt: "" }), h("h1", { text: title }), inside)));
}

/** A promise of the credential that a person gave. */
export function askCredential(place, wrong) {
  return new Promise((resolve) => {
    const input = h("input", { type: "password", required: true, autocomplete: "off", spellcheck: "false", "aria-label": t("token") });
    page(place, t("tokenTitle"),
      h("p", { text: t("tokenText") }),
      wrong ? h("p", { class: "gate-wrong", role: "alert", text: t("wrongToken") }) : null,
      h("form", { class: "gate-form", onsubmit: (event) => { event.preventDefault(); resolve(input.value.trim()); } },
        h("label", { class: "field" }, h("span", { text: t("token") }), input),
        h("button", { type: "submit", class: "strong", text: t("enter") })));
    input.focus();
  });
}

/** There is nobody to show: offers demo data where the server makes some, else says how to choose. */
export function offerDemo(place, missing, canMake) {
  const problem = missing ? h("p", { class: "gate-wrong", text: t("demoMissing", { id: missing }) }) : null;
  if (!canMake) {
    page(place, t("brand"), problem, h("p", { text: t("demoElsewhere") }));
    return;
  }
  const button = h("button", { type: "button", class: "strong", text: t("demoMake"), onclick: make });
  page(place, t("demoTitle"), problem, h("p", { text: t("demoText") }), button);
  button.focus();
  async function make() {
    button.disabled = true;
    say(t("loading"));
    try {
      const answer = await fetch("/console/demo", { method: "POST", credentials: "omit" });
      if (!answer.ok) throw new Error((await answer.json()).detail);
      const { searchParams } = new URL(location.href);
      const lang = searchParams.get("lang");
      location.assign(lang ? `/?lang=${encodeURIComponent(lang)}` : "/");
    } catch (error) {
      button.disabled = false;
      say(t("demoMake"));
      complain(error);
    }
  }
  function say(text) {
    button.textContent = text;
  }
}
