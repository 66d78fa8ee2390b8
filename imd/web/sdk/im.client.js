/*!
 * im.client.js, the browser SDK of imd: its REST API and its WebSocket, without any dependency.
 *
 * One file for a script tag (global `im`), `import` and `require`; ES2017 as it stands, no build.
 * Comments that begin with two stars are the reference in docs/sdk.md.
 */
(function (root) {
  "use strict";

  const VERSION = "0.1.0";

  // ---- REST: one line a function. tests/browser/test_table.py holds it against the OpenAPI document.
  // A parameter with two names is called differently by the document and by the row it belongs to.

  const OPERATIONS = {
    Application: {
      getBadge: "GET /application/badge_no",
    },
    Users: {
      login: "POST /users/login",
      logout: "POST /users/logout",
      logoutDelete: "DELETE /users/logout",
      getUser: "GET /users/{user_id}",
      putUser: "PUT /users/{user_id}",
      putUsers: "PUT /users",
      getUserStatus: "GET /users/{user_id}/status",
      setUserStatus: "PUT /users/{user_id}/status",
      setUserStatusPost: "POST /users/{user_id}/status",
      getConsultTime: "GET /users/{user_id}/consult/time",
    },
    Sessions: {
      openSession: "POST /sessions",
      listSessions: "GET /sessions",
      getSession: "GET /sessions/{session_id}/session",
      listSessionsByType: "GET /sessions/sessionListByType",
      countSessionsByType: "GET /sessions/sessionCountByType",
      pinSession: "PUT /sessions/{session_id}/sticky",
      unpinSession: "DELETE /sessions/{session_id}/sticky",
      muteSession: "PUT /sessions/{session_id}/mute",
      unmuteSession: "DELETE /sessions/{session_id}/mute",
      setSessionStatus: "PUT /sessions/{session_id}/status",
      setSessionStatusPost: "POST /sessions/{session_id}/status",
      renameSession: "POST /sessions/{session_id}/name",
      renameSessionPut: "PUT /sessions/{session_id}/name",
      listRecentSessions: "GET /sessions/recent",
      sessionExists: "GET /sessions/isExist",
      postMessage: "POST /sessions/{session_id}/messages",
      listMessages: "GET /sessions/{session_id}/messages",
      listUnread: "GET /sessions/{session_id}/messages/unread",
      getMessage: "GET /sessions/{session_id}/messages/{message_id}",
      editMessage: "PUT /sessions/{session_id}/messages/{message_id}",
      recallMessage: "DELETE /sessions/{session_id}/messages/{message_id}",
      markRead: "PUT /sessions/{session_id}/read",
      listSessionTopicMessages: "GET /sessions/{session_id}/topics/{topic_id}/messages",
      listTopicMessages: "GET /sessions/topic/{topic_id}/messages",
      countAllUnread: "GET /sessions/unread_message_count",
      countUnread: "GET /sessions/{session_id}/unread_message_count",
      startTopic: "POST /sessions/{session_id}/topics",
      startTopicInSession: "POST /sessions/topics",
      getTopic: "GET /sessions/topics/{topic_id}",
      getTopicAlias: "GET /sessions/{session_id|topic_id}/topics",
      updateTopic: "PUT /sessions/topics/{topic_id}",
      updateTopicPost: "POST /sessions/topics/{topic_id}",
      topicEnded: "GET /sessions/{session_id}/topics/{topic_id}/ended",
      endTopic: "PUT /sessions/{session_id}/topics/{topic_id}/ended",
      endTopicPost: "POST /sessions/{session_id}/topics/{topic_id}/ended",
      enterTopic: "PUT /sessions/{session_id}/topics/{topic_id}/into",
      enterTopicPost: "POST /sessions/{session_id}/topics/{topic_id}/into",
      listTopics: "GET /sessions/topics",
      listHealthTopics: "GET /sessions/healthTopics",
      listHealthTeamTopics: "GET /sessions/healthTeamTopics",
      listTopicsByType: "GET /sessions/topicListByType",
      countTopicsByType: "GET /sessions/topicListCountByType",
      countTopicReplies: "GET /sessions/topics/count/reply",
      listParticipants: "GET /sessions/{session_id}/participants",
      listAvatars: "GET /sessions/{session_id}/participants/avatars",
      getParticipants: "GET /sessions/{session_id}/participants/{participant_ids}",
      putParticipants: "PUT /sessions/{session_id}/participants/{participant_ids}",
      putParticipantsPost: "POST /sessions/{session_id}/participants/{participant_ids}",
      removeParticipants: "DELETE /sessions/{session_id}/participants/{participant_ids}",
      getAvatar: "GET /sessions/{session_id}/participants/{participant_id}/avatars",
      replaceParticipants: "POST /sessions/{session_id}/participant/update",
      replaceParticipantsPut: "PUT /sessions/{session_id}/participant/update",
    },
  };

  // The socket's refusals have a word and no status; REST's table gives it (anything else is 409).
  const STATUSES = {
    400: "bad_request bad_json",
    401: "unauthenticated",
    403: "forbidden forbidden_user missing_scope not_a_member server_only_type not_the_sender",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media_type",
    422: "invalid reserved_id session_type_retired",
    429: "rate_limited",
    500: "internal",
    503: "unavailable",
  };

  // ---- times (ms) and sizes

  const FIRST_DELAY = 500; // before the first new attempt; it doubles up to
  const LAST_DELAY = 30000;
  const SPREAD = 1000; // how much later than reconnect_in asks, at most
  const ANSWER = 10000; // a connection that does not answer for so long is lost
  const ASLEEP = 120000; // a heartbeat later than this: the page slept, and the server has gone
  const ACK_GAP = 250; // acknowledgements are gathered, they count as requests
  const TYPING_GAP = 3000; // the server relays no more
  const FRAME = 262144; // bytes; a larger frame would end the connection
  const BURST = 8; // sends that may be under way together; then one after another,
  const REFILL = 200; // with one more for each 200 ms: less than the server allows a user

  const settings = { base: ownOrigin(), token: undefined, apiKey: undefined };

  // ---- small things

  /** Where this file came from: a script tag says so, a module's stack too. */
  function ownOrigin() {
    const tag = root.document && root.document.currentScript;
    const found =
      /^https?:\/\/[^/]+/.exec((tag && tag.src) || "") ||
      /https?:\/\/[^/\s]+(?=\/\S*im\.client\.m?js)/.exec(new Error().stack || "") ||
      /^https?:\/\/[^/]+/.exec((root.location && root.location.href) || "");
    return found ? found[0] : undefined;
  }

  function baseOf(options) {
    const base = String(options.base || settings.base || "").replace(/\/+$/, "");
    if (!/^https?:\/\//.test(base)) {
      throw new TypeError("im: say im.setup({ base: 'https://host:port' }) first");
    }
    return base;
  }

  function statusOf(code) {
    if (/not_found$/.test(code)) return 404;
    return Number(Object.keys(STATUSES).find((status) => STATUSES[status].split(" ").includes(code)) || 409);
  }

  /** The one kind of Error that a refused call rejects with. */
  function refusal(status, code, detail, more) {
    const error = new Error(detail || code);
    return Object.assign(error, { status, code, errors: [] }, more);
  }

  /** What a callback throws is the page's fault: it is shown, and stops nothing of ours. */
  function safely(call, value) {
    try {
      call(value);
    } catch (error) {
      if (root.reportError) root.reportError(error);
      else console.error(error);
    }
  }

  /** The jQuery habit: `success` or `error` is called once; then nobody need take the promise. */
  function settle(promise, success, error) {
    if (success || error) {
      promise.then(
        (answer) => success && safely(success, answer),
        (failure) => error && safely(error, failure)
      );
    }
    return promise;
  }

  /** A copy without undefined members, and without the callbacks. */
  function fieldsOf(options) {
    const fields = {};
    for (const [name, value] of Object.entries(options || {})) {
      if (value !== undefined && name !== "success" && name !== "error") fields[name] = value;
    }
    return fields;
  }

  function newKey() {
    const bytes = new Uint8Array(16);
    if (root.crypto && root.crypto.getRandomValues) root.crypto.getRandomValues(bytes);
    else bytes.forEach((_, place) => (bytes[place] = Math.random() * 256));
    return Array.from(bytes, (byte) => (byte + 256).toString(16).slice(1)).join("");
  }

  // ---- REST

  /** Puts the path's parameters in their places and takes them out of `fields`. */
  function pathOf(template, fields) {
    return template.replace(/\{([a-z_|]+)\}/g, (_, names) => {
      const camel = (name) => name.replace(/_([a-z])/g, (hit, letter) => letter.toUpperCase());
      const known = names.split("|").reduce((all, name) => all.concat(name, camel(name)), []);
      const name = known.find((one) => fields[one] !== undefined);
      const value = [].concat(fields[name]).map(String).join(",");
      // Dots would be taken for a way up, whatever they are encoded as.
      if (name === undefined || /^\.{0,2}$/.test(value)) {
        const message = "is needed in the path";
        throw refusal(422, "invalid", `${known[0]}: ${message}`, { errors: [{ field: known[0], message }] });
      }
      delete fields[name];
      return encodeURIComponent(value);
    });
  }

  /** Lists with commas, yes and no as 1 and 0, objects as JSON. */
  function queryOf(fields) {
    const query = new root.URLSearchParams();
    for (const [name, value] of Object.entries(fields)) {
      if (value === null) continue;
      const plain = typeof value === "boolean" ? Number(value) : value;
      const text = typeof plain === "object" && !Array.isArray(plain) ? JSON.stringify(plain) : plain;
      query.append(name, String(text));
    }
    const text = query.toString();
    return text && `?${text}`;
  }

  async function credential() {
    const token = await ask(settings.token);
    if (token) return { Authorization: `Bearer ${token}` };
    return settings.apiKey ? { "X-Api-Key": settings.apiKey } : {};
  }

  /** A token may be a text, a promise of one, or a function that gives either. */
  function ask(token) {
    return typeof token === "function" ? token() : token;
  }

  async function request(operation, fields) {
    const [verb, template] = operation.split(" ");
    let url = `${baseOf(settings)}/api/v2${pathOf(template, fields)}`;
    const options = { method: verb, headers: await credential(), cache: "no-store" };
    if (verb === "GET" || verb === "DELETE") {
      url += queryOf(fields);
    } else {
      options.body = JSON.stringify(fields);
      options.headers["Content-Type"] = "application/json";
    }
    let response, text;
    try {
      response = await root.fetch(url, options);
      text = await response.text();
    } catch (error) {
      throw refusal(0, "unreachable", "The server cannot be reached.", { cause: error });
    }
    return answerOf(response, text);
  }

  function answerOf(response, text) {
    let body = null;
    try {
      body = text ? JSON.parse(text) : null;
    } catch (error) {
      // A proxy's page: what matters is the status.
      body = undefined;
    }
    if (response.ok && body !== undefined) return body;
    const problem = body || {};
    const wait = Number(response.headers.get("Retry-After"));
    throw refusal(response.status, problem.code || "unexpected_answer", problem.detail || response.statusText, {
      errors: problem.errors || [],
      problem,
      retry_after: wait || undefined,
    });
  }

  function restOf(operations) {
    const group = {};
    for (const [name, operation] of Object.entries(operations)) {
      group[name] = (options) => {
        const given = options || {};
        return settle(request(operation, fieldsOf(given)), given.success, given.error);
      };
    }
    return group;
  }

  // ---- the socket

  /** A page's connection, made by `im.connect`; it lasts until `close`, whatever the network does. */
  class Chat {
    constructor(options) {
      if (!root.WebSocket) throw new TypeError("im: there is no WebSocket here");
      this._options = options;
      this._url = `${baseOf(options).replace(/^http/, "ws")}/ws`;
      this._session = options.session_id;
      this._state = "connecting";
      this._listeners = new Map();
      this._events = []; // what listeners have not been told yet
      this._calls = []; // requests of the page that are not answered, in their order
      this._flying = new Map(); // what was asked on this socket, by JSON-RPC id
      this._seqs = new Map(); // the last seq that was shown, by session
      this._held = new Map(); // messages that came early, by seq
      this._timers = {};
      this._id = this._attempt = this._bad = this._heard = 0;
      this._credit = BURST;
      this._credited = Date.now();
      this._outside = [];
      this._listen(root, "online", () => this._online());
      this._listen(root, "offline", () => this._socket && this._lost(1006));
      this._listen(root.document, "visibilitychange", () => hidden() || this._shown());
      this._connect();
    }

    /** `connecting`, `open`, `offline` or `closed`. */
    get state() {
      return this._state;
    }

    /** The session it is in; undefined for a `_system` type. */
    get session_id() {
      return this._session;
    }

    /** The seq of the newest message that was shown of this session; 0 before the first. */
    get last_seq() {
      return this._seqs.get(this._session) || 0;
    }

    /**
     * chat.on(event, listener) → a function that removes the listener
     *
     * | event | brings | when |
     * |---|---|---|
     * | `open` | the login result | logged in for the first time (a `_system` type: each time) |
     * | `message` | the message | messages of the login result, later ones, one's own; by seq, each once |
     * | `recovered` | the login result | back after a loss; what was missed follows as `message` |
     * | `reload` | the login result | back, and too much was missed: load `history`; the newest follow |
     * | `offline` | `{code}` | the connection was lost; it is being tried again |
     * | `closed` | `{code, reason}` | the end: 4401 (token), 4403 (no member, revoked), or `close()` |
     * | `notice`, `badge` | the notification's params | `_system` types: elsewhere something came |
     * | `update`, `session`, `topic`, `read`, `typing` | the notification's params | something changed |
     */
    on(event, listener) {
      const one = { listener };
      if (!this._listeners.has(event)) this._listeners.set(event, new Set());
      this._listeners.get(event).add(one);
      return () => {
        this._listeners.get(event).delete(one);
      };
    }

    /**
     * chat.send({ type, content, topic_id?, session_id?, client_msg_id? }) → the stored message
     *
     * Waits while there is no connection, and is sent again under the same `client_msg_id` until it is
     * stored, to the session that was current when it was called; sends keep their order. Rejects with an
     * Error (`code`, `status`, `errors`) when the server refuses it, or when the connection is closed for good.
     */
    send(message) {
      const fields = Object.assign({ client_msg_id: newKey() }, fieldsOf(message));
      return this._call("send", fields, message);
    }

    /** chat.history({ before?, after?, size?, session_id? }) → `{ items, next }`; moves no marks */
    history(options) {
      return this._call("history", fieldsOf(options), options);
    }

    /** chat.read(seq?) → `{ read_seq, unread }`: read up to `seq`, by default everything */
    read(seq) {
      const options = typeof seq === "object" ? seq : { seq };
      return this._call("read", fieldsOf(options), options);
    }

    /** chat.sessions({ kind?, business_type?, type?, since?, cursor?, size? }) → the user's recent sessions */
    sessions(options) {
      return this._call("sessions", fieldsOf(options), options);
    }

    /** chat.topic() → the session's live topic, or null */
    topic(options) {
      return this._call("topic", fieldsOf(options), options);
    }

    /**
     * chat.enter(session_id) → a login result: moves to another session
     *
     * Its messages come as `message`: the newest, or after an earlier visit what was missed. Nothing of the
     * former session follows. Rejects where the server refuses; then nothing has changed.
     */
    enter(session_id, options) {
      return this._call("enter", { session_id }, options);
    }

    /** chat.typing(): tells the others that this user is writing; may be called at every key */
    typing() {
      if (this._state !== "open" || this._runs("typing")) return;
      this._put({ method: "typing", params: { session_id: this._session } });
      this._after("typing", TYPING_GAP, () => {});
    }

    /** chat.close(): the end; sends that are not stored reject with the code `closed` */
    close() {
      this._end(1000, "");
    }

    // -- requests of the page

    /** Queues a request; it goes out as soon as there is a connection, in its order. */
    _call(method, params, options) {
      const { success, error } = options && typeof options === "object" ? options : {};
      const promise = new Promise((resolve, reject) => {
        if (this._state === "closed") throw refusal(0, "closed", "The connection is closed.");
        // The session that is current now, not the one that is when it goes out.
        const where = this._session && method !== "sessions" ? { session_id: this._session } : {};
        // A copy: the page may change its object, a resent message must be the same.
        const text = JSON.stringify(Object.assign(where, params));
        const size = new root.TextEncoder().encode(text).length + 200;
        if (size > FRAME) throw refusal(413, "too_large", "The message is larger than allowed.");
        this._calls.push({ method, params: JSON.parse(text), size, id: 0, tries: 0, resolve, reject });
        this._flush();
      });
      return settle(promise, success, error);
    }

    /** Sends what waits, in order; a refusal for the rate must not let a later send overtake. */
    _flush() {
      if (this._state !== "open" || this._runs("pause") || this._bad) return;
      for (const call of this._calls) {
        if (call.id) continue;
        if (call.method === "send" && !this._maySend()) return;
        this._fly(call);
      }
    }

    _maySend() {
      const now = Date.now();
      this._credit = Math.min(BURST, this._credit + Math.max(0, now - this._credited) / REFILL);
      this._credited = now;
      if (this._credit < 1 && this._calls.some((call) => call.id && call.method === "send")) return false;
      this._credit = Math.max(0, this._credit - 1);
      return true;
    }

    _fly(call) {
      const entering = call.method === "enter";
      const params = entering ? Object.assign(this._place(call.params.session_id), call.params) : call.params;
      const asked = params.after_seq !== undefined;
      call.tries += 1;
      call.id = ++this._id;
      this._ask(
        call.id,
        call.method,
        params,
        (result) => {
          this._forget(call);
          if (entering) this._entered(call.params.session_id, result, asked);
          const message = call.method === "send" && result.message;
          // The answer to a repeat may come before messages that stand before it.
          if (message) this._take(message, call.tries > 1);
          call.resolve(message || result);
        },
        (error) => this._refused(call, error)
      );
    }

    _refused(call, error) {
      call.id = 0;
      if (error.code !== "rate_limited" && error.code !== "unavailable") {
        this._forget(call);
        call.reject(error);
        return;
      }
      // Nothing was decided: the same again after the pause, and what stands behind it waits too.
      this._credit = 0;
      const wait = Math.ceil((error.retry_after || 1) * 1000);
      this._after("pause", wait, () => this._flush());
    }

    _forget(call) {
      this._calls = this._calls.filter((one) => one !== call);
    }

    /** A frame that the server could not read has no id: it is the one that stays unanswered. */
    _blame() {
      const flying = this._calls.filter((call) => call.id);
      if (!this._bad || flying.length > this._bad) return;
      this._bad = 0;
      for (const call of flying) {
        this._forget(call);
        call.reject(refusal(400, "bad_json", "The server cannot read this request."));
      }
    }

    // -- one connection

    /** One attempt. The token is asked for first: the server gives a silent socket only 10 s. */
    _connect() {
      this._clear();
      const own = this._options.token;
      let token;
      try {
        token = ask(own === undefined ? settings.token : own);
        if (!token || !token.then) return this._dial(token);
      } catch (error) {
        token = Promise.reject(error);
      }
      const waiting = (this._waiting = {});
      const still = (act) => (value) => this._waiting === waiting && act(value);
      return token.then(
        still((given) => this._dial(given)),
        still(() => this._lost(0))
      );
    }

    _dial(token) {
      this._waiting = undefined;
      let socket;
      try {
        socket = new root.WebSocket(this._url);
      } catch (error) {
        // Such as a page under https that asks for plain ws.
        safely(() => {
          throw error;
        });
        this._lost(1006);
        return;
      }
      this._socket = socket;
      socket.onopen = () => this._login(token);
      socket.onmessage = (event) => this._frame(event.data);
      socket.onclose = (event) => this._lost(event.code, event.reason);
      socket.onerror = () => {}; // a close follows
      this._after("answer", ANSWER, () => this._lost(1006));
    }

    _login(token) {
      const { client_type, user_id } = this._options;
      const params = Object.assign({ client_type, user_id, token }, this._place(this._session));
      if (this._session) params.session_id = this._session;
      const asked = params.after_seq !== undefined;
      this._after("answer", ANSWER, () => this._lost(1006));
      this._ask(
        ++this._id,
        "login",
        params,
        (result) => this._loggedIn(result, asked),
        (error) => {
          // The close follows and says the rest.
          this._wait = error.retry_after;
        }
      );
    }

    _loggedIn(result, asked) {
      this._stop("answer");
      this._state = "open";
      this._attempt = 0;
      this._heartbeat = result.heartbeat_ms || 25000;
      this._hear();
      this._tell(asked ? (result.recovered ? "recovered" : "reload") : "open", result);
      this._arrive(result, asked);
    }

    _entered(session_id, result, asked) {
      this._session = session_id;
      this._held.clear();
      if (asked && !result.recovered) this._tell("reload", result);
      this._arrive(result, asked);
    }

    /** What is known of a session, for a recovery. */
    _place(session_id) {
      const after_seq = this._seqs.get(session_id);
      return after_seq === undefined ? {} : { after_seq, epoch: this._epoch };
    }

    /** The messages of a login's or an enter's result. */
    _arrive(result, asked) {
      if (result.epoch !== this._epoch) {
        // Another life of the store: its seqs are not the ones that were shown.
        this._seqs.clear();
        this._epoch = result.epoch;
      } else if (asked && !result.recovered) {
        this._seqs.delete(this._session);
      }
      if (!this._session) return;
      for (const message of result.messages || []) this._show(message);
      if (!this._seqs.has(this._session)) {
        this._seqs.set(this._session, (result.session && result.session.last_seq) || 0);
      }
      this._unacknowledged = this.last_seq > 0;
    }

    /** The connection has gone, or has to be given up; code 0: there was no token. */
    _lost(code, reason) {
      if (this._state === "closed") return;
      this._clear();
      if (code === 4401 || code === 4403) {
        this._end(code, reason);
        return;
      }
      if (code === 1009) this._giveUpLargest();
      this._delay(/reconnect_in=(\d+)/.exec(reason || ""));
      if (this._state !== "offline") {
        this._state = "offline";
        this._tell("offline", { code });
      }
      this._say();
    }

    _delay(asked) {
      const top = Math.min(LAST_DELAY, FIRST_DELAY * Math.pow(2, ++this._attempt));
      const jittered = top / 2 + (Math.random() * top) / 2;
      const least = (this._wait || 0) * 1000;
      this._wait = 0;
      this._bidden = Boolean(asked);
      const delay = asked ? Number(asked[1]) + Math.random() * SPREAD : Math.max(least, jittered);
      this._after("retry", delay, () => this._connect());
    }

    /** The server takes smaller frames than this file believes: what is too large would be so again. */
    _giveUpLargest() {
      const largest = this._calls.filter((call) => call.tries).sort((one, two) => two.size - one.size)[0];
      if (!largest) return;
      this._forget(largest);
      largest.reject(refusal(413, "too_large", "The message is larger than allowed."));
    }

    /** Forgets the socket and everything that belongs to it. */
    _clear() {
      const socket = this._socket;
      this._socket = this._waiting = undefined;
      for (const name of Object.keys(this._timers)) this._stop(name);
      this._flying.clear();
      this._held.clear();
      this._bad = 0;
      for (const call of this._calls) call.id = 0;
      if (!socket) return;
      socket.onopen = socket.onmessage = socket.onclose = null;
      try {
        socket.close(1000);
      } catch (error) {
        // It never opened.
      }
    }

    _end(code, reason) {
      if (this._state === "closed") return;
      this._clear();
      this._state = "closed";
      for (const [target, event, listener] of this._outside) target.removeEventListener(event, listener);
      const why = { 4401: "unauthenticated", 4403: "forbidden" }[code] || "closed";
      const calls = this._calls;
      this._calls = [];
      for (const call of calls) {
        call.reject(refusal(why === "closed" ? 0 : statusOf(why), why, reason || "The connection is closed."));
      }
      this._events = [];
      this._tell("closed", { code, reason: reason || "" });
      this._say();
    }

    // -- frames

    _put(frame) {
      this._socket.send(JSON.stringify(Object.assign({ jsonrpc: "2.0" }, frame)));
    }

    /** Asks on this socket; when it is lost nobody is told. */
    _ask(id, method, params, done, failed) {
      this._flying.set(id, { done, failed });
      this._put({ id, method, params });
    }

    _frame(data) {
      let frame;
      try {
        frame = JSON.parse(data);
      } catch (error) {
        return;
      }
      if (this._state === "open") this._hear();
      if (!frame.method) this._answered(frame);
      else if (this._state !== "open") return;
      else if (frame.method === "message") this._take(frame.params, false);
      else this._tell(frame.method, frame.params);
      this._say();
      if (this._state !== "open") return;
      if (this._unacknowledged) this._acknowledge();
      this._blame();
      this._flush();
    }

    _answered({ id, result, error }) {
      const asked = this._flying.get(id);
      this._flying.delete(id);
      if (!asked) {
        if (error && id === null) this._bad += 1;
      } else if (error) {
        const data = error.data || {};
        const code = data.code || (error.code === -32700 ? "bad_json" : "bad_request");
        asked.failed(
          refusal(statusOf(code), code, error.message, {
            errors: data.errors || [],
            problem: data,
            retry_after: data.retry_after,
          })
        );
      } else {
        asked.done(result);
      }
    }

    // -- messages, each once and in order

    /** `early`: it may have overtaken others, which then follow; it waits for them. */
    _take(message, early) {
      if (message.session_id !== undefined && message.session_id !== this._session) return;
      this._held.set(message.seq, message);
      if (early && message.seq > this.last_seq + 1) return;
      for (const seq of Array.from(this._held.keys()).sort((one, two) => one - two)) {
        if (seq > message.seq && seq > this.last_seq + 1) return;
        const next = this._held.get(seq);
        this._held.delete(seq);
        this._show(next);
      }
    }

    _show(message) {
      if (message.seq <= (this._seqs.has(this._session) ? this.last_seq : -1)) return;
      this._seqs.set(this._session, message.seq);
      this._unacknowledged = true;
      this._tell("message", message);
    }

    _tell(event, detail) {
      this._events.push([event, detail]);
    }

    /** Tells the listeners, after our own state is in order: they may do anything, such as close. */
    _say() {
      if (this._saying) return;
      this._saying = true;
      while (this._events.length) {
        const [event, detail] = this._events.shift();
        const listeners = this._listeners.get(event) || new Set();
        for (const one of Array.from(listeners)) {
          if (listeners.has(one)) safely(one.listener, detail);
        }
      }
      this._saying = false;
    }

    _mark() {
      const mark = { seq: this.last_seq };
      if (this._session) mark.session_id = this._session;
      if (hidden()) mark.read = false;
      return mark;
    }

    _acknowledge() {
      if (this._runs("ack")) return;
      this._unacknowledged = false;
      this._put({ method: "ack", params: this._mark() });
      this._after("ack", ACK_GAP, () => this._unacknowledged && this._acknowledge());
    }

    // -- signs of life

    /** A frame came. */
    _hear() {
      this._heard = Date.now();
      this._after("heartbeat", this._heartbeat, () => this._probe());
    }

    /** Acknowledges once more, and wants an answer. */
    _probe() {
      if (Date.now() - this._heard > this._heartbeat + ASLEEP) {
        this._lost(1006);
        return;
      }
      if (this._runs("answer")) return;
      const alive = () => this._stop("answer");
      this._after("answer", ANSWER, () => this._lost(1006));
      this._ask(++this._id, "ack", this._mark(), alive, alive);
    }

    /** The page is seen again: what it shows is read now, and the connection may have died meanwhile. */
    _shown() {
      if (this._state === "open") {
        this._stop("answer");
        this._probe();
      } else if (this._runs("retry")) {
        this._online();
      }
    }

    /** Tries at once, unless the server asked to wait; an open connection is looked at. */
    _online() {
      if (this._state === "open") this._probe();
      else if (!this._waiting && !(this._runs("retry") && this._bidden)) this._connect();
    }

    _listen(target, event, listener) {
      if (!target || !target.addEventListener) return;
      target.addEventListener(event, listener);
      this._outside.push([target, event, listener]);
    }

    _after(name, delay, act) {
      clearTimeout(this._timers[name]);
      this._timers[name] = setTimeout(() => {
        delete this._timers[name];
        act();
      }, delay);
    }

    _runs(name) {
      return name in this._timers;
    }

    _stop(name) {
      clearTimeout(this._timers[name]);
      delete this._timers[name];
    }
  }

  function hidden() {
    const page = root.document;
    return Boolean(page && (page.hidden || page.visibilityState === "hidden"));
  }

  // ---- what a page sees

  const im = {
    version: VERSION,

    /**
     * im.setup({ base?, token?, apiKey? }): where the server is and who asks
     *
     * `base` is by default the origin that this file was loaded from. `token` is a user's token, a promise of
     * one, or a function that gives either, asked at each call and each login. `apiKey` is a service's.
     */
    setup(options) {
      Object.assign(settings, options);
      return im;
    },

    /**
     * im.connect({ client_type, session_id?, user_id?, token?, base? }) → a chat
     *
     * Opens a socket and keeps it. `client_type` is `patient`, `pc_patient`, `doctor` or `pc_doctor`, inside
     * `session_id`; with `_system` behind it, it hears of all sessions of the user and needs none. `token` and
     * `base` are setup's by default; a server in trusted mode takes `user_id` instead of a token.
     */
    connect(options) {
      return new Chat(Object.assign({}, options));
    },
  };

  for (const [group, operations] of Object.entries(OPERATIONS)) im[group] = restOf(operations);
  // Page 3.5 of the contract shows this shorter name; it is no operationId, so it is not listed.
  Object.defineProperty(im.Sessions, "listRecent", { value: im.Sessions.listRecentSessions });
  Object.defineProperty(im, "default", { value: im });

  root.im = im;
  if (typeof module === "object" && module.exports) module.exports = im;
})(typeof globalThis !== "undefined" ? globalThis : self);
