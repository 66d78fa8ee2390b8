// What page 3.5 says of im.connect, sentence by sentence, on scripted sockets and a clock of our own.
"use strict";

const test = require("node:test");
const assert = require("node:assert/strict");
const { Page, message, messages, seqs, names, settled } = require("./stage.js");

const plain = (value) => JSON.parse(JSON.stringify(value));

/** A page with an open chat that has shown messages 1 to 3. */
async function opened(options, result) {
  const page = new Page();
  const chat = page.connect(options);
  await page.accept(Object.assign({ messages: messages(1, 3) }, result));
  return { page, chat };
}

async function rejected(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("it was not refused");
}

// ---- login and events

test("login carries what connect was given, in the frame and not in the URL", async () => {
  const page = new Page();
  page.connect({ token: "T0KEN" });
  const params = await page.accept();
  assert.deepEqual(plain(params), { client_type: "patient", user_id: "p1", token: "T0KEN", session_id: "s1" });
  assert.equal(page.socket.url, "wss://im.test/ws");
});

test("the token is setup's by default, and connect's own goes first", async () => {
  const page = new Page();
  page.im.setup({ base: "http://other:3000/", token: "A" });
  page.connect({ token: undefined });
  assert.equal((await page.accept()).token, "A");
  assert.equal(page.socket.url, "ws://other:3000/ws");
  page.connect({ token: "B" });
  assert.equal((await page.accept()).token, "B");
});

test("a token may be a function or a promise, and is asked for at each login", async () => {
  const page = new Page();
  let count = 0;
  page.connect({ token: () => `t${++count}` });
  assert.equal((await page.accept()).token, "t1");
  page.drop();
  await page.clock.advance(1000);
  assert.equal((await page.accept()).token, "t2");
  page.connect({ token: async () => "later" });
  await settled();
  assert.equal((await page.accept()).token, "later");
  page.connect({ token: Promise.resolve("promised") });
  await settled();
  assert.equal((await page.accept()).token, "promised");
});

test("a token that cannot be had is asked for again, and a close meanwhile is final", async () => {
  const page = new Page();
  let count = 0;
  const chat = page.connect({ token: () => (++count < 3 ? Promise.reject(new Error("no")) : "t") });
  await page.clock.advance(5000);
  assert.equal(count, 3);
  await page.accept();
  assert.deepEqual(plain(chat.seen[0]), ["offline", { code: 0 }]);
  let give;
  const other = page.connect({ token: () => new Promise((resolve) => (give = resolve)) });
  other.close();
  const before = page.sockets.length;
  give("late");
  await settled();
  assert.equal(page.sockets.length, before);
});

test("open brings the login result, then come its messages", async () => {
  const { chat } = await opened();
  assert.deepEqual(names(chat), ["open", "message", "message", "message"]);
  assert.equal(chat.seen[0][1].user_id, "p1");
  assert.deepEqual(seqs(chat), [1, 2, 3]);
  assert.equal(chat.state, "open");
  assert.equal(chat.last_seq, 3);
});

test("every other notification is an event with its params", async () => {
  const { page, chat } = await opened();
  for (const event of ["notice", "update", "session", "topic", "read", "typing", "badge"]) {
    page.notify(event, { of: event });
    assert.deepEqual(plain(chat.seen.pop()), [event, { of: event }]);
  }
});

test("on returns a function that removes the listener, that one and at once", async () => {
  const { page, chat } = await opened();
  const got = [];
  const listener = (one) => got.push(one.seq);
  const first = chat.on("message", listener);
  const second = chat.on("message", listener);
  page.notify("message", message(4));
  assert.deepEqual(got, [4, 4]);
  first();
  first();
  page.notify("message", message(5));
  assert.deepEqual(got, [4, 4, 5]);
  chat.on("badge", () => remove());
  const remove = chat.on("badge", () => got.push("removed too late"));
  second();
  page.notify("badge", {});
  assert.deepEqual(got, [4, 4, 5]);
});

test("a listener that throws is reported and stops nothing", async () => {
  const { page, chat } = await opened();
  const got = [];
  chat.on("message", () => {
    throw new Error("mine");
  });
  chat.on("message", (one) => got.push(one.seq));
  page.notify("message", message(4));
  page.notify("message", message(5));
  assert.deepEqual(got, [4, 5]);
  assert.equal(page.reported.length, 2);
});

// ---- messages

test("each seq once: repeats are dropped", async () => {
  const { page, chat } = await opened();
  page.notify("message", message(4));
  page.notify("message", message(4));
  page.notify("message", message(2));
  assert.deepEqual(seqs(chat), [1, 2, 3, 4]);
});

test("one's own sends stand among the messages", async () => {
  const { page, chat } = await opened();
  const sending = chat.send({ type: 1, content: "x" });
  page.notify("message", message(4));
  page.answer(page.sent("send")[0], { message: message(5) });
  page.notify("message", message(6));
  assert.equal((await sending).seq, 5);
  assert.deepEqual(seqs(chat), [1, 2, 3, 4, 5, 6]);
});

test("an answer to a repeat that comes early waits for what stands before it", async () => {
  const { page, chat } = await opened();
  const sending = chat.send({ type: 1, content: "x" });
  page.drop();
  await page.clock.advance(1000);
  await page.accept({ messages: [] });
  page.answer(page.sent("send")[0], { message: message(6) });
  assert.equal((await sending).seq, 6);
  assert.deepEqual(seqs(chat), [1, 2, 3]);
  for (const seq of [4, 5, 6, 7]) page.notify("message", message(seq));
  assert.deepEqual(seqs(chat), [1, 2, 3, 4, 5, 6, 7]);
});

test("live goes on after last_seq where the login brought nothing", async () => {
  const { page, chat } = await opened({}, { messages: [], session: { last_seq: 9 } });
  page.notify("message", message(9));
  page.notify("message", message(10));
  assert.deepEqual(seqs(chat), [10]);
});

// ---- coming back

test("it comes back by after_seq and epoch, without a hole and without a repeat", async () => {
  const { page, chat } = await opened();
  page.drop();
  assert.deepEqual(plain(chat.seen.pop()), ["offline", { code: 1006 }]);
  assert.equal(chat.state, "offline");
  await page.clock.advance(1000);
  const params = await page.accept({ recovered: true, messages: messages(4, 6) });
  assert.equal(params.after_seq, 3);
  assert.equal(params.epoch, "e1");
  page.notify("message", message(7));
  assert.deepEqual(seqs(chat), [1, 2, 3, 4, 5, 6, 7]);
  assert.equal(names(chat).filter((name) => name === "recovered").length, 1);
  assert.equal(names(chat).filter((name) => name === "open").length, 1);
  assert.ok(names(chat).indexOf("recovered") < names(chat).lastIndexOf("message"));
});

test("reload: recovery was refused, it goes on with the newest", async () => {
  const { page, chat } = await opened();
  page.drop(4408);
  await page.clock.advance(1000);
  await page.accept({ recovered: false, messages: messages(400, 402) });
  page.notify("message", message(403));
  assert.deepEqual(seqs(chat), [1, 2, 3, 400, 401, 402, 403]);
  assert.deepEqual(names(chat).slice(4, 7), ["offline", "reload", "message"]);
});

test("reload in another epoch: the seqs begin anew", async () => {
  const { page, chat } = await opened();
  page.drop();
  page.epoch = "e2";
  await page.clock.advance(1000);
  await page.accept({ recovered: false, messages: messages(1, 2) });
  assert.deepEqual(seqs(chat), [1, 2, 3, 1, 2]);
  page.drop();
  await page.clock.advance(1000);
  const params = await page.accept({ recovered: true });
  assert.deepEqual([params.epoch, params.after_seq], ["e2", 2]);
});

test("the delays double from 0.5 s to 30 s, and are jittered", async () => {
  for (const [random, wanted] of [
    [0, [500, 1000, 2000, 4000, 8000, 15000, 15000]],
    [0.999999, [1000, 2000, 4000, 8000, 16000, 30000, 30000]],
  ]) {
    const page = new Page();
    page.random = random;
    page.connect();
    for (const delay of wanted) {
      const count = page.sockets.length;
      page.drop();
      await page.clock.advance(delay - 2);
      assert.equal(page.sockets.length, count, `not before ${delay}`);
      await page.clock.advance(3);
      assert.equal(page.sockets.length, count + 1, `at ${delay}`);
    }
  }
});

test("after a login the delays begin anew", async () => {
  const page = new Page();
  page.random = 0;
  page.connect();
  for (let turn = 0; turn < 5; turn++) {
    page.drop();
    await page.clock.advance(30000);
  }
  await page.accept();
  page.drop();
  const count = page.sockets.length;
  await page.clock.advance(501);
  assert.equal(page.sockets.length, count + 1);
});

test("offline is told once for a loss, however long it lasts", async () => {
  const { page, chat } = await opened();
  for (let turn = 0; turn < 4; turn++) {
    page.drop(turn ? 1006 : 1001);
    await page.clock.advance(30000);
  }
  assert.deepEqual(plain(chat.seen.slice(4)), [["offline", { code: 1001 }]]);
});

test("reconnect_in is honoured: not earlier, and at most 2 s later", async () => {
  for (const random of [0, 0.999999]) {
    const { page, chat } = await opened();
    page.random = random;
    page.drop(4503, "reconnect_in=7000");
    assert.deepEqual(plain(chat.seen.pop()), ["offline", { code: 4503 }]);
    page.events.fire("online");
    page.hide(true);
    page.hide(false);
    page.events.fire("offline");
    await page.clock.advance(6999);
    assert.equal(page.sockets.length, 1);
    await page.clock.advance(2001);
    assert.equal(page.sockets.length, 2);
  }
});

test("at once when the browser says online, or the page is seen again", async () => {
  for (const wake of [(page) => page.events.fire("online"), (page) => page.document.fire("visibilitychange")]) {
    const page = new Page();
    page.connect();
    for (let turn = 0; turn < 6; turn++) {
      page.drop();
      if (turn < 5) await page.clock.advance(30000);
    }
    const count = page.sockets.length;
    wake(page);
    await settled();
    assert.equal(page.sockets.length, count + 1);
    await page.accept();
  }
});

test("the browser's offline is a loss, and online an end of it", async () => {
  const { page, chat } = await opened();
  page.events.fire("offline");
  assert.equal(chat.state, "offline");
  assert.ok(page.socket.closed);
  page.events.fire("online");
  assert.equal((await page.accept({ recovered: true })).after_seq, 3);
});

test("online on a connection that seems open: it is looked at", async () => {
  const { page, chat } = await opened();
  page.events.fire("online");
  assert.equal(page.sent("ack").filter((frame) => frame.id).length, 1);
  await page.clock.advance(10000);
  assert.equal(chat.state, "offline");
});

test("a socket that does not open, or does not answer the login, is given up after 10 s", async () => {
  const page = new Page();
  page.connect();
  await page.clock.advance(10000);
  assert.ok(page.socket.closed);
  await page.clock.advance(1000);
  assert.equal(page.sockets.length, 2);
  page.socket.onopen({});
  await page.clock.advance(12000);
  assert.equal(page.sockets.length, 3);
});

test("an old socket that speaks once more is not heard", async () => {
  const { page, chat } = await opened();
  const { onmessage, onclose } = page.socket;
  page.events.fire("offline");
  page.events.fire("online");
  await page.accept({ recovered: true });
  const late = page.sockets[0];
  assert.equal(late.onmessage, null);
  assert.equal(late.onclose, null);
  assert.ok(onmessage && onclose);
  assert.equal(chat.state, "open");
});

test("a login refused for the rate waits as long as it is told", async () => {
  const page = new Page();
  const chat = page.connect();
  page.socket.onopen({});
  page.refuse(page.socket.sent[0], "rate_limited", { retry_after: 12 });
  page.drop(4429, "rate limit");
  await page.clock.advance(11999);
  assert.equal(page.sockets.length, 1);
  await page.clock.advance(2);
  assert.equal(page.sockets.length, 2);
  assert.deepEqual(plain(chat.seen), [["offline", { code: 4429 }]]);
});

test("1000, 1001, 1011, 4400, 4408, 4429 are tried again", async () => {
  for (const code of [1000, 1001, 1006, 1011, 4400, 4408, 4429]) {
    const { page, chat } = await opened();
    page.drop(code);
    assert.deepEqual(plain(chat.seen.pop()), ["offline", { code }]);
    await page.clock.advance(1000);
    assert.equal(page.sockets.length, 2);
  }
});

// ---- acknowledging

test("it acknowledges what it delivered, gathered", async () => {
  const { page, chat } = await opened();
  assert.deepEqual(page.sent("ack").map((frame) => plain(frame.params)), [{ seq: 3, session_id: "s1" }]);
  for (let seq = 4; seq <= 50; seq++) page.notify("message", message(seq));
  await page.clock.advance(300);
  const acks = page.sent("ack");
  assert.ok(acks.length <= 3);
  assert.equal(acks[acks.length - 1].params.seq, 50);
  assert.equal(chat.last_seq, 50);
});

test("read:false while the page is hidden, and again when it is shown", async () => {
  const { page } = await opened();
  page.hide(true);
  await page.clock.advance(300);
  page.notify("message", message(4));
  assert.deepEqual(plain(page.sent("ack").pop().params), { seq: 4, session_id: "s1", read: false });
  page.hide(false);
  assert.deepEqual(plain(page.sent("ack").pop().params), { seq: 4, session_id: "s1" });
});

test("it acknowledges after a recovery", async () => {
  const { page } = await opened();
  page.drop();
  await page.clock.advance(1000);
  await page.accept({ recovered: true, messages: messages(4, 5) });
  assert.equal(page.sent("ack")[0].params.seq, 5);
});

// ---- signs of life

test("a heartbeat without a frame: it acknowledges its last seq and wants an answer in 10 s", async () => {
  const { page, chat } = await opened();
  await page.clock.advance(24999);
  const before = page.sent("ack").length;
  await page.clock.advance(1);
  const beat = page.sent("ack").pop();
  assert.equal(page.sent("ack").length, before + 1);
  assert.equal(beat.params.seq, 3);
  assert.notEqual(beat.id, undefined);
  await page.clock.advance(9000);
  page.answer(beat, { delivered_seq: 3, read_seq: 3 });
  await page.clock.advance(24000);
  assert.equal(chat.state, "open");
  await page.clock.advance(1000 + 9999);
  assert.equal(chat.state, "open");
  await page.clock.advance(1);
  assert.equal(chat.state, "offline");
  assert.deepEqual(plain(chat.seen.pop()), ["offline", { code: 1006 }]);
  assert.ok(page.socket.closed);
});

test("any frame puts the heartbeat off; heartbeat_ms is the server's", async () => {
  const { page } = await opened({}, { heartbeat_ms: 5000 });
  for (let turn = 0; turn < 10; turn++) {
    await page.clock.advance(4000);
    page.notify("typing", {});
  }
  assert.equal(page.sent("ack").filter((frame) => frame.id !== undefined).length, 0);
  await page.clock.advance(5000);
  assert.equal(page.sent("ack").filter((frame) => frame.id !== undefined).length, 1);
});

test("a _system chat: no session, heartbeats, open at each login", async () => {
  const page = new Page();
  const chat = page.connect({ client_type: "doctor_system", session_id: undefined });
  const params = await page.accept({ session: null });
  assert.ok(!("session_id" in params));
  page.notify("notice", { session_id: "s9", unread: 2 });
  assert.equal(page.sent("ack").length, 0);
  await page.clock.advance(25000);
  page.refuse(page.sent("ack")[0], "invalid", {}, -32602);
  await page.clock.advance(20000);
  assert.equal(chat.state, "open");
  page.drop();
  await page.clock.advance(1000);
  assert.ok(!("after_seq" in (await page.accept({ session: null }))));
  assert.deepEqual(names(chat), ["open", "notice", "offline", "open"]);
});

test("a page that sleeps for an hour shows neither a hole nor a repeat", async () => {
  const { page, chat } = await opened();
  const sending = chat.send({ type: 1, content: "before" });
  await page.clock.sleep(3600000);
  assert.equal(chat.state, "offline");
  await page.clock.advance(1000);
  const params = await page.accept({ recovered: true, messages: messages(4, 80) });
  assert.equal(params.after_seq, 3);
  page.answer(page.sent("send")[0], { message: message(40) });
  page.notify("message", message(81));
  assert.equal((await sending).seq, 40);
  assert.deepEqual(seqs(chat), messages(1, 81).map((one) => one.seq));
});

// ---- sending

test("send waits for the connection, and fields go as they are", async () => {
  const page = new Page();
  const chat = page.connect();
  const sending = chat.send({ type: 2, content: { a: 1 }, topic_id: "t1", client_msg_id: "k1" });
  assert.equal(page.socket.sent.length, 0);
  await page.accept();
  const [frame] = page.sent("send");
  assert.deepEqual(plain(frame.params), {
    session_id: "s1", type: 2, content: { a: 1 }, topic_id: "t1", client_msg_id: "k1",
  }); // prettier-ignore
  page.answer(frame, { message: message(1) });
  assert.equal((await sending).id, "m1");
});

test("what was not acknowledged is sent again, in order, under the same keys", async () => {
  const { page, chat } = await opened();
  const sendings = ["a", "b", "c", "d"].map((content) => chat.send({ type: 1, content }));
  const first = page.sent("send");
  assert.deepEqual(first.map((frame) => frame.params.content), ["a", "b", "c", "d"]);
  assert.equal(new Set(first.map((frame) => frame.params.client_msg_id)).size, 4);
  page.answer(first[0], { message: message(4) });
  page.drop();
  await page.clock.advance(1000);
  await page.accept({ recovered: true, messages: [message(5)] });
  const second = page.sent("send");
  assert.deepEqual(plain(second.map((frame) => frame.params)), plain(first.slice(1).map((frame) => frame.params)));
  second.forEach((frame, place) => page.answer(frame, { message: message(5 + place) }));
  assert.deepEqual((await Promise.all(sendings)).map((one) => one.seq), [4, 5, 6, 7]);
  assert.deepEqual(seqs(chat), [1, 2, 3, 4, 5, 6, 7]);
});

test("a resent message is the one that was given, whatever the page did to it since", async () => {
  const { page, chat } = await opened();
  const content = { text: "before" };
  chat.send({ type: 1, content });
  content.text = "after";
  page.drop();
  await page.clock.advance(1000);
  await page.accept({ recovered: true });
  assert.deepEqual(plain(page.sent("send")[0].params.content), { text: "before" });
});

test("it goes to the session that was current when send was called", async () => {
  const { page, chat } = await opened();
  chat.send({ type: 1, content: "for s1" });
  const entering = chat.enter("s2");
  chat.send({ type: 1, content: "for s1 too" });
  page.drop();
  await page.clock.advance(1000);
  const login = await page.accept({ recovered: true });
  assert.equal(login.session_id, "s1");
  assert.deepEqual(page.socket.sent.slice(2).map((frame) => frame.method), ["send", "enter", "send"]);
  page.answer(page.sent("enter")[0], page.loginResult({ session: { id: "s2", last_seq: 0 } }));
  await entering;
  chat.send({ type: 1, content: "for s2" });
  assert.deepEqual(page.sent("send").map((frame) => frame.params.session_id), ["s1", "s1", "s2"]);
});

test("a refused send rejects with the word and REST's status", async () => {
  const { page, chat } = await opened();
  for (const [code, status] of [
    ["topic_ended", 409], ["session_not_found", 404], ["server_only_type", 403], ["too_large", 413],
    ["invalid", 422], ["idempotency_conflict", 409], ["internal", 500], ["unauthenticated", 401],
  ]) { // prettier-ignore
    const sending = chat.send({ type: 1, content: code });
    const errors = code === "invalid" ? [{ field: "type", message: "no" }] : undefined;
    page.refuse(page.sent("send").pop(), code, { errors }, code === "invalid" ? -32602 : -32000);
    const error = await rejected(sending);
    assert.deepEqual([error.code, error.status], [code, status]);
    assert.deepEqual(plain(error.errors), errors || []);
    assert.equal(error.message, "No.");
  }
  page.drop();
  await page.clock.advance(1000);
  await page.accept({ recovered: true });
  assert.equal(page.sent("send").length, 0, "a refused one is not sent again");
});

test("rate_limited is tried again after retry_after, and nothing overtakes it", async () => {
  const { page, chat } = await opened();
  const one = chat.send({ type: 1, content: "one" });
  page.refuse(page.sent("send")[0], "rate_limited", { retry_after: 0.75 });
  const two = chat.send({ type: 1, content: "two" });
  await page.clock.advance(749);
  assert.equal(page.sent("send").length, 1);
  await page.clock.advance(1);
  const [, again] = page.sent("send");
  assert.equal(again.params.client_msg_id, page.sent("send")[0].params.client_msg_id);
  page.answer(again, { message: message(4) });
  page.answer(page.sent("send")[2], { message: message(5) });
  assert.deepEqual([(await one).seq, (await two).seq], [4, 5]);
});

test("unavailable decides nothing: the same again", async () => {
  const { page, chat } = await opened();
  const sending = chat.send({ type: 1, content: "x" });
  page.refuse(page.sent("send")[0], "unavailable", { retry_after: 1 });
  await page.clock.advance(1000);
  page.answer(page.sent("send")[1], { message: message(4) });
  assert.equal((await sending).seq, 4);
});

test("a burst does not run into the limit ten times in a row", async () => {
  const { page, chat } = await opened();
  for (let place = 0; place < 50; place++) chat.send({ type: 1, content: place });
  assert.ok(page.sent("send").length < 10);
  let seq = 3;
  for (let turn = 0; turn < 50; turn++) page.answer(page.sent("send")[turn], { message: message(++seq) });
  assert.deepEqual(page.sent("send").map((frame) => frame.params.content), Array.from({ length: 50 }, (_, n) => n));
});

test("4401, 4403 and close() are the end: closed, and sends that are not stored reject", async () => {
  for (const [code, word, status] of [[4401, "unauthenticated", 401], [4403, "forbidden", 403]]) { // prettier-ignore
    const { page, chat } = await opened();
    const sending = chat.send({ type: 1, content: "x" });
    page.drop(code, "because");
    const error = await rejected(sending);
    assert.deepEqual([error.code, error.status], [word, status]);
    assert.deepEqual(plain(chat.seen.pop()), ["closed", { code, reason: "because" }]);
    await page.clock.advance(3600000);
    page.events.fire("online");
    page.hide(false);
    assert.equal(page.sockets.length, 1);
    assert.equal(page.events.listeners.length + page.document.listeners.length, 0);
  }
  const { page, chat } = await opened();
  const sending = chat.send({ type: 1, content: "x" });
  const page2 = rejected(sending);
  chat.close();
  chat.close();
  assert.equal((await page2).code, "closed");
  assert.deepEqual(names(chat).filter((name) => name === "closed"), ["closed"]);
  assert.ok(page.socket.closed);
  assert.equal((await rejected(chat.send({ type: 1, content: "y" }))).code, "closed");
  await page.clock.advance(3600000);
  assert.equal(page.sockets.length, 1);
  assert.equal(page.clock.timers.length, 0);
});

test("a login refused for good is the end as well", async () => {
  const page = new Page();
  const chat = page.connect();
  page.socket.onopen({});
  page.refuse(page.socket.sent[0], "unauthenticated");
  page.drop(4401, "no valid login");
  assert.deepEqual(plain(chat.seen), [["closed", { code: 4401, reason: "no valid login" }]]);
});

test("a listener may close: nothing more is told", async () => {
  const page = new Page();
  const chat = page.connect();
  chat.on("message", (one) => one.seq === 2 && chat.close());
  await page.accept({ messages: messages(1, 5) });
  assert.deepEqual(names(chat), ["open", "message", "message", "closed"]);
});

test("what would break the connection is refused here", async () => {
  const { page, chat } = await opened();
  const error = await rejected(chat.send({ type: 1, content: "长".repeat(90000) }));
  assert.deepEqual([error.code, error.status], ["too_large", 413]);
  assert.equal(page.sent("send").length, 0);
  const loop = {};
  loop.loop = loop;
  await rejected(chat.send({ type: 1, content: loop }));
});

test("a server with smaller frames: the largest is given up, not tried for ever", async () => {
  const { page, chat } = await opened();
  const small = chat.send({ type: 1, content: "small" });
  const large = rejected(chat.send({ type: 1, content: "x".repeat(90000) }));
  page.drop(1009);
  assert.equal((await large).code, "too_large");
  await page.clock.advance(1000);
  await page.accept({ recovered: true });
  page.answer(page.sent("send")[0], { message: message(4) });
  assert.equal((await small).seq, 4);
});

test("a frame that the server cannot read is found by what is answered", async () => {
  const { page, chat } = await opened();
  const good = chat.send({ type: 1, content: "good" });
  const bad = rejected(chat.send({ type: 1, content: "\ud83d" }));
  page.say({ id: null, error: { code: -32700, message: "bad" } });
  page.answer(page.sent("send")[0], { message: message(4) });
  assert.equal((await good).seq, 4);
  assert.deepEqual([(await bad).code, (await bad).status], ["bad_json", 400]);
});

// ---- the other requests

test("history, read, sessions and topic ask and answer", async () => {
  const { page, chat } = await opened();
  const asked = [chat.history({ before: 40, size: 20 }), chat.read(), chat.read(7), chat.sessions({ size: 1 }), chat.topic()];
  const frames = page.socket.sent.filter((frame) => frame.id !== undefined).slice(1);
  assert.deepEqual(plain(frames.map(({ method, params }) => [method, params])), [
    ["history", { session_id: "s1", before: 40, size: 20 }],
    ["read", { session_id: "s1" }],
    ["read", { session_id: "s1", seq: 7 }],
    ["sessions", { size: 1 }],
    ["topic", { session_id: "s1" }],
  ]);
  frames.forEach((frame, place) => page.answer(frame, place === 4 ? null : { place }));
  assert.deepEqual(plain(await Promise.all(asked)), [{ place: 0 }, { place: 1 }, { place: 2 }, { place: 3 }, null]);
  const error = rejected(chat.history({ size: 0 }));
  page.refuse(page.sent("history").pop(), "invalid", {}, -32602);
  assert.equal((await error).status, 422);
});

test("they wait for the connection, and are asked again after a loss", async () => {
  const page = new Page();
  const chat = page.connect();
  const history = chat.history();
  await page.accept();
  assert.equal(page.sent("history").length, 1);
  page.drop();
  await page.clock.advance(1000);
  await page.accept({ recovered: true });
  page.answer(page.sent("history")[0], { items: [], next: null });
  assert.deepEqual(plain(await history), { items: [], next: null });
});

test("callbacks, too: one of them, once, and no promise left behind", async () => {
  const { page, chat } = await opened();
  const got = [];
  chat.send({ type: 1, content: "x", success: (one) => got.push(one.seq), error: () => got.push("error") });
  assert.ok(!("success" in page.sent("send")[0].params));
  page.answer(page.sent("send")[0], { message: message(4) });
  chat.read({ success: () => got.push("read"), error: (error) => got.push(error.code) });
  page.refuse(page.sent("read")[0], "session_not_found");
  await settled();
  assert.deepEqual(got, [4, "session_not_found"]);
});

test("typing is told at most once in 3 s, and only on an open connection", async () => {
  const page = new Page();
  const chat = page.connect();
  chat.typing();
  await page.accept();
  for (let key = 0; key < 10; key++) chat.typing();
  assert.equal(page.sent("typing").length, 1);
  assert.equal(page.sent("typing")[0].id, undefined);
  await page.clock.advance(3000);
  chat.typing();
  assert.equal(page.sent("typing").length, 2);
});

test("enter moves: messages of the new session, nothing of the former", async () => {
  const { page, chat } = await opened();
  const entering = chat.enter("s2");
  page.notify("message", message(4));
  const [frame] = page.sent("enter");
  assert.deepEqual(plain(frame.params), { session_id: "s2" });
  page.answer(frame, page.loginResult({ session: { id: "s2", last_seq: 2 }, messages: [message(2, { session_id: "s2" })] }));
  assert.equal((await entering).session.id, "s2");
  assert.equal(chat.session_id, "s2");
  page.notify("message", message(5));
  page.notify("message", message(3, { session_id: "s2" }));
  const got = chat.seen.filter(([event]) => event === "message").map(([, one]) => [one.session_id, one.seq]);
  assert.deepEqual(got, [["s1", 1], ["s1", 2], ["s1", 3], ["s1", 4], ["s2", 2], ["s2", 3]]);
  page.drop();
  await page.clock.advance(1000);
  const login = await page.accept({ recovered: true });
  assert.deepEqual([login.session_id, login.after_seq], ["s2", 3]);
});

test("back in a session that was left: what was missed, no repeat", async () => {
  const { page, chat } = await opened();
  chat.enter("s2");
  page.answer(page.sent("enter")[0], page.loginResult({ session: { id: "s2", last_seq: 0 } }));
  chat.enter("s1");
  const [, frame] = page.sent("enter");
  assert.deepEqual(plain(frame.params), { session_id: "s1", after_seq: 3, epoch: "e1" });
  page.answer(frame, page.loginResult({ recovered: true, messages: messages(4, 5) }));
  assert.deepEqual(seqs(chat), [1, 2, 3, 4, 5]);
  chat.enter("s2");
  chat.enter("s1");
  const [, , third, fourth] = page.sent("enter");
  page.answer(third, page.loginResult({ recovered: true }));
  page.answer(fourth, page.loginResult({ recovered: false, messages: messages(500, 501) }));
  assert.equal(names(chat).filter((name) => name === "reload").length, 1);
  assert.deepEqual(seqs(chat), [1, 2, 3, 4, 5, 500, 501]);
});

test("a refused enter changes nothing", async () => {
  const { page, chat } = await opened();
  const entering = rejected(chat.enter("s9"));
  page.refuse(page.sent("enter")[0], "session_not_found");
  assert.equal((await entering).status, 404);
  assert.equal(chat.session_id, "s1");
  page.notify("message", message(4));
  assert.deepEqual(seqs(chat), [1, 2, 3, 4]);
});

test("several connections in one page are independent", async () => {
  const page = new Page();
  const one = page.connect({ session_id: "s1", user_id: "p1" });
  await page.accept({ messages: messages(1, 2) });
  const two = page.connect({ session_id: "s2", user_id: "p2" });
  await page.accept({ messages: [message(7, { session_id: "s2" })] });
  page.say({ method: "message", params: message(3) }, page.sockets[0]);
  page.say({ method: "message", params: message(8, { session_id: "s2" }) }, page.sockets[1]);
  assert.deepEqual([seqs(one), seqs(two)], [[1, 2, 3], [7, 8]]);
  one.close();
  assert.equal(two.state, "open");
  page.drop();
  assert.equal(two.state, "offline");
  assert.equal(one.state, "closed");
});
