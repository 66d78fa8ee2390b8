// What page 3.5 says of the REST functions and of how the file is loaded.
"use strict";

const test = require("node:test");
const assert = require("node:assert/strict");
const path = require("node:path");
const vm = require("node:vm");
const { pathToFileURL } = require("node:url");
const { execFileSync } = require("node:child_process");
const { Page, SOURCE, SDK, settled } = require("./stage.js");

async function rejected(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("it was not refused");
}

// ---- requests

test("one object in, a promise out: path, query, body and credential", async () => {
  const page = new Page();
  const { im } = page;
  im.setup({ base: "https://h:1/", token: "T" });
  page.answers = [{ status: 200, body: { items: [], next: null } }, { status: 201, body: { seq: 1 } }];
  const list = await im.Sessions.listSessionsByType({ user_id: "D1", type: [1, 2], size: undefined, cursor: null });
  assert.equal(list.next, null);
  const sent = await im.Sessions.postMessage({ session_id: "p/1 好", type: 1, content: { a: [1] } });
  assert.equal(sent.seq, 1);
  const [get, post] = page.requests;
  assert.equal(get.url, "https://h:1/api/v2/sessions/sessionListByType?user_id=D1&type=1%2C2");
  assert.deepEqual([get.method, get.headers.Authorization, get.body], ["GET", "Bearer T", undefined]);
  assert.equal(post.url, "https://h:1/api/v2/sessions/p%2F1%20%E5%A5%BD/messages");
  assert.deepEqual(JSON.parse(post.body), { type: 1, content: { a: [1] } });
  assert.equal(post.headers["Content-Type"], "application/json");
});

test("an apiKey instead, and a token that is a function or a promise", async () => {
  const page = new Page();
  page.im.setup({ apiKey: "K" });
  await page.im.Application.getBadge({ user_id: "D1" });
  page.im.setup({ token: async () => "one" });
  await page.im.Application.getBadge({ user_id: "D1" });
  page.im.setup({ token: Promise.resolve("two") });
  await page.im.Application.getBadge({ user_id: "D1" });
  const seen = page.requests.map((one) => one.headers["X-Api-Key"] || one.headers.Authorization);
  assert.deepEqual(seen, ["K", "Bearer one", "Bearer two"]);
});

test("names in camelCase, lists in the path, yes and no in the query", async () => {
  const page = new Page();
  const { Sessions } = page.im;
  await Sessions.getParticipants({ sessionId: "s1", participantIds: ["a", "b"] });
  await Sessions.listMessages({ session_id: "s1", peek: true });
  await Sessions.unpinSession({ session_id: "s1", user_id: "D1" });
  await Sessions.getTopicAlias({ topic_id: "t1" });
  const base = "https://im.test/api/v2/sessions";
  assert.deepEqual(page.requests.map((one) => [one.method, one.url]), [
    ["GET", `${base}/s1/participants/a%2Cb`],
    ["GET", `${base}/s1/messages?peek=1`],
    ["DELETE", `${base}/s1/sticky?user_id=D1`],
    ["GET", `${base}/t1/topics`],
  ]);
});

test("a path that lacks a parameter, or would lead elsewhere, is refused here", async () => {
  const page = new Page();
  for (const session_id of [undefined, "", ".", ".."]) {
    const error = await rejected(page.im.Sessions.getSession({ session_id }));
    assert.deepEqual([error.status, error.code, error.errors[0].field], [422, "invalid", "session_id"]);
  }
  await rejected(page.im.Sessions.getSession());
  assert.equal(page.requests.length, 0);
});

test("a refused call rejects with an Error that has status, code and errors", async () => {
  const page = new Page();
  const errors = [{ field: "user_id", message: "needed" }];
  const body = { status: 422, code: "invalid", detail: "user_id: needed", errors, topic_id: "t" };
  page.answers = [
    { status: 422, body },
    { status: 429, body: { code: "rate_limited" }, headers: { "Retry-After": "2" } },
    { status: 502, body: "<html>" },
    { status: 200, body: "<html>" },
    { fail: true },
    { status: 204, body: "" },
  ];
  const calls = () => rejected(page.im.Application.getBadge({}));
  const first = await calls();
  assert.ok(first instanceof vm.runInContext("Error", page.global));
  assert.deepEqual([first.status, first.code, first.message], [422, "invalid", "user_id: needed"]);
  assert.deepEqual(JSON.parse(JSON.stringify([first.errors, first.problem.topic_id])), [errors, "t"]);
  const second = await calls();
  assert.deepEqual([second.code, second.retry_after, second.errors.length], ["rate_limited", 2, 0]);
  for (const [status, code] of [[502, "unexpected_answer"], [200, "unexpected_answer"], [0, "unreachable"]]) { // prettier-ignore
    const error = await calls();
    assert.deepEqual([error.status, error.code], [status, code]);
  }
  assert.equal(await page.im.Users.logout({ user_id: "D1" }), null);
});

test("callbacks: exactly one of them, once, and no unhandled rejection", async () => {
  const unhandled = [];
  const listener = (error) => unhandled.push(error);
  process.on("unhandledRejection", listener);
  const page = new Page();
  const got = [];
  const call = (answer, callbacks) => {
    page.answers.push(answer);
    page.im.Users.getUser(Object.assign({ user_id: "D1" }, callbacks));
    return settled();
  };
  const success = (answer) => got.push(["success", answer.id]);
  const error = (failure) => got.push(["error", failure.code]);
  const good = { status: 200, body: { id: "D1" } };
  const bad = { status: 404, body: { code: "user_not_found" } };
  await call(good, { success, error });
  await call(bad, { success, error });
  await call(bad, { success });
  await call(bad, { error });
  await call(good, {
    error,
    success: () => {
      throw new Error("the page's own");
    },
  });
  await new Promise((resolve) => setImmediate(resolve));
  process.off("unhandledRejection", listener);
  assert.deepEqual(got, [["success", "D1"], ["error", "user_not_found"], ["error", "user_not_found"]]);
  assert.equal(page.reported.length, 1);
  assert.equal(unhandled.length, 0);
  assert.ok(page.requests.every((one) => !one.url.includes("success")));
});

test("listRecent, as page 3.5 writes it", async () => {
  const page = new Page();
  await page.im.Sessions.listRecent({ user_id: "D1" });
  assert.equal(page.requests[0].url, "https://im.test/api/v2/sessions/recent?user_id=D1");
  assert.ok(!Object.keys(page.im.Sessions).includes("listRecent"));
});

// ---- loading

test("base is the script's own origin, then the module's, then the page's", async () => {
  const requested = async (document, location, filename) => {
    const urls = [];
    const global = vm.createContext({
      document,
      location: location && { href: location },
      URLSearchParams,
      fetch: async (url) => {
        urls.push(url);
        return { ok: true, text: async () => "{}" };
      },
    });
    vm.runInContext(SOURCE, global, { filename });
    await global.im.Application.getBadge({ user_id: "D1" });
    return urls[0].replace(/\/api.*/, "");
  };
  const tag = { currentScript: { src: "https://cdn:7/sdk/im.client.js" } };
  assert.equal(await requested(tag, "https://page/", "x.js"), "https://cdn:7");
  const module = "https://im:8/sdk/im.client.js";
  assert.equal(await requested({ currentScript: null }, "https://page/", module), "https://im:8");
  assert.equal(await requested(undefined, "http://page:9/a", "bundle.js"), "http://page:9");
  await assert.rejects(requested(undefined, "file:///app/index.html", "bundle.js"), /base/);
});

test("require, import and import of the module give the same im, and set the global", () => {
  const folder = path.dirname(SDK);
  const run = (...args) => execFileSync(process.execPath, args, { encoding: "utf8" }).trim();
  const said = "console.log(im === globalThis.im, typeof im.connect, typeof im.Sessions.postMessage)";
  const js = JSON.stringify(SDK);
  const mjs = JSON.stringify(pathToFileURL(path.join(folder, "im.client.mjs")).href);
  const url = JSON.stringify(pathToFileURL(SDK).href);
  const wanted = "true function function";
  assert.equal(run("-e", `const im = require(${js}); ${said}`), wanted);
  assert.equal(run("--input-type=module", "-e", `import im from ${mjs}; ${said}`), wanted);
  assert.equal(run("--input-type=module", "-e", `import ${url}; const { im } = globalThis; ${said}`), wanted);
  const pack = JSON.stringify(folder);
  assert.equal(run("-e", `const im = require(${pack}); ${said}`), wanted);
});

test("beside jQuery: nothing but im is put into the page", () => {
  const global = vm.createContext({});
  const before = new Set(vm.runInContext("Object.getOwnPropertyNames(globalThis)", global));
  vm.runInContext(SOURCE, global);
  const added = vm.runInContext("Object.getOwnPropertyNames(globalThis)", global).filter((name) => !before.has(name));
  assert.deepEqual(Array.from(added), ["im"]);
});
