// Elements from words. Every text goes in as a text node; there is no way here to put in markup.

const SVG = "http://www.w3.org/2000/svg";

// 24 × 24, one stroke
const ICONS = {
  back: "M15 5l-7 7 7 7",
  send: "M4 12l16-8-6 16-3-6z",
  plus: "M12 5v14M5 12h14",
  pin: "M9 4h6l-1 6 3 3H7l3-3zM12 13v7",
  undo: "M9 7L4 12l5 5M4 12h10a6 6 0 0 1 6 6",
  close: "M6 6l12 12M18 6L6 18",
  down: "M6 10l6 6 6-6",
  out: "M9 5H5v14h14v-4M13 5h6v6M19 5l-9 9",
  picture: "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M9 9h.01",
  voice: "M12 4a2.500 2.500 0 0 1 2.500 2.500v5a2.500 2.500 0 0 1-5 0v-5A2.500 2.500 0 0 1 12 4zM6 11.500a6 6 0 0 0 12 0M12 17.500V21",
  article: "M6 4h12v16H6zM9 8h6M9 12h6M9 16h3",
  card: "M4 6h16v12H4zM4 10h16M8 14h4",
  start: "M12 4v16M4 12h16",
  end: "M5 12.500l4.500 4.500L19 7.500",
  pulse: "M3 12h4l3-7 4 14 3-7h4",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.500 1.500M17.500 17.500L19 19M5 19l1.500-1.500M17.500 6.500L19 5",
  people: "M9 11a3.500 3.500 0 1 0 0-7 3.500 3.500 0 0 0 0 7zM2.500 20a6.500 6.500 0 0 1 13 0M16 4.500a3.500 3.500 0 0 1 0 6.500M18 14.500a6 6 0 0 1 3.500 5.500",
};

/** An element; props beginning with "on" are listeners, null and false ones are left out. */
export function h(tag, props, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "text") node.textContent = value;
    else if (name === "value") node.value = value;
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  put(node, children);
  return node;
}

function put(node, children) {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    if (Array.isArray(child)) put(node, child);
    else node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

/** Takes away what is in a node and puts these in its place. */
export function fill(node, ...children) {
  node.replaceChildren();
  put(node, children);
  return node;
}

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  const path = document.createElementNS(SVG, "path");
  for (const [key, value] of [["viewBox", "0 0 24 24"], ["class", "icon"], ["aria-hidden", "true"]]) {
    svg.setAttribute(key, value);
  }
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

/** A button that shows an icon and says its name to those who do not see it. */
export function iconButton(name, label, onclick, more) {
  const props = Object.assign({ type: "button", class: "icon-button", "aria-label": label, title: label, onclick }, more);
  return h("button", props, icon(name));
}

/** Sets a text only when it is another one, so that nothing is laid out for nothing. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Does something once in the next frame, however often it is asked for, and then not for `pause` ms. */
export function framed(work, pause = 0) {
  let asked = false;
  let last = -Infinity;
  return () => {
    if (asked) return;
    asked = true;
    let late = 0;
    const go = () => {
      if (!asked) return;
      asked = false;
      clearTimeout(late);
      last = performance.now();
      work();
    };
    const draw = () => {
      requestAnimationFrame(go);
      // A hidden page has no frames, and must still let go of what came.
      late = setTimeout(go, 250);
    };
    const wait = last + pause - performance.now();
    if (wait > 0) setTimeout(draw, wait);
    else draw();
  };
}

/** One of several buttons is chosen; arrow keys move, as people expect of tabs. */
export function tabs(label, entries, choose) {
  const buttons = entries.map(([key, text]) =>
    h("button", { type: "button", role: "tab", class: "tab", "data-key": key, onclick: () => pick(key) }, h("span", { text }))
  );
  const bar = h("div", { role: "tablist", class: "tabs", "aria-label": label, onkeydown: move }, buttons);
  function pick(key) {
    for (const button of buttons) {
      const on = button.dataset.key === key;
      button.setAttribute("aria-selected", String(on));
      button.tabIndex = on ? 0 : -1;
    }
    choose(key);
  }
  function move(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const at = buttons.indexOf(document.activeElement);
    const next = buttons[(at + step + buttons.length) % buttons.length];
    next.focus();
    next.click();
  }
  return { bar, pick, button: (key) => buttons.find((one) => one.dataset.key === key) };
}
