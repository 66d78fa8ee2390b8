// A page of its own for each test: the SDK in a fresh global scope, with a clock that only the test
// moves, sockets that the test speaks for, and a network that answers what the test has laid out.
"use strict";

const fs = require("node:fs");
const path = require("node:path");
const vm = require("node:vm");

const SDK = path.join(__dirname, "../../imd/web/sdk/im.client.js");
const SOURCE = fs.readFileSync(SDK, "utf8");

class Clock {
  constructor() {
    this.now = 1767225600000;
    this.timers = [];
    this.last = 0;
  }

  setTimeout(act, delay) {
    const timer = { id: this.last++, at: this.now + Math.max(0, delay || 0), act };
    this.timers.push(timer);
    return timer.id;
  }

  clearTimeout(id) {
    this.timers = this.timers.filter((timer) => timer.id !== id);
  }

  /** Lets time pass; promises settle between timers, as they do in a browser. */
  async advance(ms) {
    const end = this.now + ms;
    for (;;) {
      await settled();
      const due = this.timers.filter((timer) => timer.at <= end).sort((a, b) => a.at - b.at || a.id - b.id)[0];
      if (!due) break;
      this.clearTimeout(due.id);
      this.now = Math.max(this.now, due.at);
      due.act();
    }
    this.now = end;
    await settled();
  }

  /** The page slept: the clock jumps, then every overdue timer fires, late. */
  async sleep(ms) {
    this.now += ms;
    await this.advance(0);
  }
}

async function settled() {
  for (let turn = 0; turn < 20; turn++) await null;
}

class Targets {
  constructor() {
    this.listeners = [];
  }

  addEventListener(event, listener) {
    this.listeners.push([event, listener]);
  }

  removeEventListener(event, listener) {
    this.listeners = this.listeners.filter(([e, l]) => e !== event || l !== listener);
  }

  fire(event) {
    for (const [name, listener] of this.listeners.slice()) if (name === event) listener({ type: event });
  }
}

/** A page, its network and its time. */
class Page {
  constructor({ location = "https://im.test/page" } = {}) {
    const page = this;
    this.clock = new Clock();
    this.sockets = [];
    this.random = 0.5;
    this.reported = [];
    this.requests = [];
    this.answers = [];
    this.events = new Targets();
    this.document = Object.assign(new Targets(), { hidden: false, visibilityState: "visible", currentScript: null });
    this.epoch = "e1";

    class Socket {
      constructor(url) {
        this.url = url;
        this.sent = [];
        this.closed = false;
        page.sockets.push(this);
      }

      send(text) {
        this.sent.push(JSON.parse(text));
      }

      close(code) {
        this.closed = true;
        this.closeCode = code;
      }
    }

    const math = Object.create(Math);
    math.random = () => this.random;
    math.min = Math.min;
    math.max = Math.max;
    math.ceil = Math.ceil;
    math.pow = Math.pow;
    this.global = vm.createContext({
      WebSocket: Socket,
      document: this.document,
      location: { href: location },
      addEventListener: (event, listener) => this.events.addEventListener(event, listener),
      removeEventListener: (event, listener) => this.events.removeEventListener(event, listener),
      setTimeout: (act, delay) => this.clock.setTimeout(act, delay),
      clearTimeout: (id) => this.clock.clearTimeout(id),
      Date: { now: () => this.clock.now },
      Math: math,
      fetch: (url, options) => this.fetch(url, options),
      URLSearchParams,
      TextEncoder,
      crypto: globalThis.crypto,
      reportError: (error) => this.reported.push(error),
      console,
    });
    vm.runInContext(SOURCE, this.global, { filename: "im.client.js" });
    this.im = this.global.im;
  }

  async fetch(url, options) {
    this.requests.push(Object.assign({ url }, options));
    const answer = this.answers.shift() || { status: 200, body: {} };
    if (answer.fail) throw new TypeError("Failed to fetch");
    const headers = new Map(Object.entries(answer.headers || {}));
    return {
      ok: answer.status < 300,
      status: answer.status,
      statusText: "",
      headers: { get: (name) => (headers.has(name) ? headers.get(name) : null) },
      text: async () => (typeof answer.body === "string" ? answer.body : JSON.stringify(answer.body)),
    };
  }

  /** A chat whose every event is kept in `seen`. */
  connect(options) {
    const chat = this.im.connect(
      Object.assign({ client_type: "patient", session_id: "s1", user_id: "p1", token: "t" }, options)
    );
    chat.seen = [];
    for (const event of EVENTS) chat.on(event, (detail) => chat.seen.push([event, detail]));
    return chat;
  }

  get socket() {
    return this.sockets[this.sockets.length - 1];
  }

  /** Opens the newest socket and answers its login. */
  async accept(result) {
    this.socket.onopen({});
    await settled();
    const login = this.socket.sent[0];
    this.answer(login, this.loginResult(Object.assign({ recovered: "after_seq" in login.params }, result)));
    await settled();
    return login.params;
  }

  loginResult(more) {
    return Object.assign(
      {
        user_id: "p1",
        client_type: "patient",
        epoch: this.epoch,
        server_time: this.clock.now,
        heartbeat_ms: 25000,
        session: { id: "s1", last_seq: 0 },
        messages: [],
        recovered: false,
        unread_total: 0,
      },
      more
    );
  }

  say(frame, socket = this.socket) {
    socket.onmessage({ data: JSON.stringify(Object.assign({ jsonrpc: "2.0" }, frame)) });
  }

  answer(request, result, socket) {
    this.say({ id: request.id, result }, socket);
  }

  refuse(request, code, more = {}, rpc = -32000) {
    this.say({ id: request.id, error: { code: rpc, message: "No.", data: Object.assign({ code }, more) } });
  }

  notify(method, params) {
    this.say({ method, params });
  }

  /** The connection ends. */
  drop(code = 1006, reason = "") {
    const { socket } = this;
    if (socket.onclose) socket.onclose({ code, reason });
  }

  /** Requests of this method on the newest socket. */
  sent(method, socket = this.socket) {
    return socket.sent.filter((frame) => frame.method === method);
  }

  hide(yes) {
    this.document.hidden = yes;
    this.document.visibilityState = yes ? "hidden" : "visible";
    this.document.fire("visibilitychange");
  }
}

const EVENTS = [
  "open", "recovered", "message", "notice", "update", "session", "topic", "read", "typing", "badge",
  "offline", "reload", "closed",
]; // prettier-ignore

const message = (seq, more) => Object.assign({ id: `m${seq}`, session_id: "s1", seq, type: 1, content: `c${seq}` }, more);
const messages = (from, to) => Array.from({ length: to - from + 1 }, (_, place) => message(from + place));
const seqs = (chat) => chat.seen.filter(([event]) => event === "message").map(([, one]) => one.seq);
const names = (chat) => chat.seen.map(([event]) => event);

module.exports = { Page, SOURCE, SDK, message, messages, seqs, names, settled };
