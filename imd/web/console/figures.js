// The server's vital signs: a strip that is always there, and the rest on demand.

import { fill, h, icon, iconButton, say } from "./dom.js";
import { t } from "./words.js";

const EVERY = 2000;
const SVG = "http://www.w3.org/2000/svg";
const WIDE = 60;

export class Figures {
  constructor(access) {
    this._access = access;
    this._vitals = ["connections", "perSecond", "p99", "pushQueue"].map((key) => {
      const value = h("b", { class: "vital-value", text: "–" });
      return { key, value, node: h("span", { class: "vital" }, h("span", { class: "vital-name", text: t(key) }), value) };
    });
    this._line = sparkline("vital-line");
    this._vitals[1].node.append(this._line.node);
    this.strip = h("button", { type: "button", class: "vitals", "aria-expanded": "false", "aria-controls": "figures", onclick: () => this.toggle() },
      icon("pulse"), this._vitals.map((one) => one.node));
    this._body = h("div", { class: "figures-body" });
    this.node = h("aside", { class: "figures", id: "figures", "aria-label": t("figures") },
      h("header", { class: "figures-head" }, h("h2", { text: t("figures") }), iconButton("close", t("close"), () => this.toggle(false))), this._body);
    this._build();
  }

  toggle(open) {
    const on = open === undefined ? !document.body.classList.contains("with-figures") : open;
    document.body.classList.toggle("with-figures", on);
    this.strip.setAttribute("aria-expanded", String(on));
  }

  start() {
    const turn = async () => {
      if (!document.hidden) await this._ask();
      this._timer = setTimeout(turn, EVERY);
    };
    turn();
  }

  async _ask() {
    try {
      const answer = await fetch("/console/figures", { headers: this._access.headers, cache: "no-store", credentials: "omit" });
      if (answer.ok) this._show(await answer.json());
      else if (answer.status === 403 || answer.status === 401) fill(this._body, h("p", { class: "list-none", text: t("noFigures") }));
    } catch (error) {
      for (const one of this._vitals) say(one.value, "–");
    }
  }

  _build() {
    this._big = sparkline("figures-line");
    this._peak = h("span", { class: "quiet" });
    this._types = h("ul", { class: "figures-types" });
    this._cells = {};
    const cells = ["requests", "commit", "deliveries", "dbQueue", "lag", "stored", "uptime"].map((key) => {
      this._cells[key] = h("dd", { text: "–" });
      return h("div", { class: "figure" }, h("dt", { text: t(key) }), this._cells[key]);
    });
    this._tiles = {};
    const tiles = ["connections", "perSecond", "p99", "pushQueue"].map((key) => {
      this._tiles[key] = h("b", { text: "–" });
      return h("div", { class: "tile" }, h("span", { text: t(key) }), this._tiles[key]);
    });
    fill(this._body, h("div", { class: "tiles" }, tiles),
      h("h3", {}, t("lastMinute"), this._peak), this._big.node,
      h("h3", { text: t("byType") }), this._types, h("dl", { class: "figures-grid" }, cells));
  }

  _show(now) {
    const values = {
      connections: String(now.sockets.total),
      perSecond: number(now.messages.per_second),
      p99: ms(now.requests.p99_ms),
      pushQueue: now.push ? String(now.push.total) : t("noPush"),
    };
    for (const one of this._vitals) say(one.value, values[one.key]);
    for (const [key, node] of Object.entries(this._tiles)) say(node, values[key]);
    const history = now.messages.history.slice(-WIDE);
    this._line.draw(history.slice(-30), 30);
    this._big.draw(history, WIDE);
    const most = Math.max(0, ...history);
    say(this._peak, most ? `max ${most}/s` : "");
    this._showTypes(now.sockets.by_type);
    const cells = {
      requests: number(now.requests.per_second),
      commit: ms(now.commits.p99_ms),
      deliveries: number(now.deliveries.per_second),
      dbQueue: String(now.database.queue + now.database.writer_queue),
      lag: ms(now.reactor_lag_ms),
      stored: String(now.messages.stored),
      uptime: span(now.uptime),
    };
    for (const [key, value] of Object.entries(cells)) say(this._cells[key], value);
  }

  _showTypes(types) {
    const entries = Object.entries(types).sort((one, other) => other[1] - one[1]);
    if (!entries.length) {
      fill(this._types, h("li", { class: "quiet", text: t("noSockets") }));
      return;
    }
    const most = Math.max(...entries.map((entry) => entry[1]));
    fill(this._types, entries.map(([name, count]) =>
      h("li", {}, h("span", { class: "figures-type", text: name }), h("meter", { min: "0", max: String(most), value: String(count), "aria-label": name }), h("b", { text: String(count) }))));
  }
}

function number(value) {
  return value >= 100 ? String(Math.round(value)) : value ? value.toFixed(1) : "0";
}

function ms(value) {
  if (value === null) return "–";
  return value >= 1000 ? `${(value / 1000).toFixed(1)} s` : `${value >= 10 ? Math.round(value) : value.toFixed(1)} ms`;
}

function span(seconds) {
  if (seconds < 60) return t("seconds", { n: seconds });
  if (seconds < 3600) return t("minutes", { n: Math.floor(seconds / 60) });
  return seconds < 86400 ? t("hours", { n: Math.floor(seconds / 3600) }) : t("days", { n: Math.floor(seconds / 86400) });
}

/** A line whose newest value is at the right. */
function sparkline(name) {
  const svg = document.createElementNS(SVG, "svg");
  const area = document.createElementNS(SVG, "path");
  const line = document.createElementNS(SVG, "path");
  svg.setAttribute("viewBox", "0 0 100 24");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("class", name);
  svg.setAttribute("aria-hidden", "true");
  area.setAttribute("class", "spark-area");
  line.setAttribute("class", "spark-line");
  svg.append(area, line);
  return {
    node: svg,
    draw(values, wide) {
      if (values.length < 5) return; // no line yet
      const most = Math.max(4, ...values);
      const points = values.map((value, place) => {
        const x = ((wide - values.length + place) / Math.max(1, wide - 1)) * 100;
        return `${x.toFixed(1)} ${(22 - (value / most) * 20).toFixed(1)}`;
      });
      const path = points.length ? `M${points.join("L")}` : "";
      line.setAttribute("d", path);
      area.setAttribute("d", path ? `${path}L100 24L${points[0].split(" ")[0]} 24Z` : "");
    },
  };
}
