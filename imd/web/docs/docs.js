// The reader of the two API documents. Everything that it shows is put in as text; nothing is loaded
// from elsewhere, and nothing is kept but the language.
"use strict";

(() => {
  const REST = "/api/v2/openapi.json", SOCKET = "/api/v2/asyncapi.json";
  const WORDS = {
    en: {
      language: "中文", search: "Search: path, name, field, error …", rest: "REST", socket: "Socket",
      intro: "All REST operations and socket methods of this server.", loading: "Loading …",
      failed: "The documents could not be loaded.", nothing: "Nothing matches.",
      parameters: "Parameters", body: "Body (JSON or form)", answers: "Answers", errors: "Errors", example: "Example",
      params: "Params", result: "Result", name: "Name", where: "In", type: "Type", meaning: "Meaning",
      status: "Status", code: "Code", words: "Error words", scope: "Scope of a service key", open: "Open to anyone",
      methods: "Socket methods", notifications: "Socket notifications", codes: "Socket errors and closing",
      close: "Close code", client: "The client should", clients: "Client types", role: "Role", inside: "Inside a session",
      schemas: "Objects", required: "required", yes: "yes", no: "no", request: "Request",
      Application: "Application", Users: "Users", Sessions: "Sessions", Server: "Server",
    },
    zh: {
      language: "English", search: "搜索:路径、名称、字段、错误码 …", rest: "REST", socket: "WebSocket",
      intro: "本服务器的全部 REST 接口与 WebSocket 方法。", loading: "加载中 …",
      failed: "无法加载接口文档。", nothing: "没有匹配的内容。",
      parameters: "参数", body: "请求体(JSON 或表单)", answers: "响应", errors: "错误", example: "示例",
      params: "参数", result: "结果", name: "名称", where: "位置", type: "类型", meaning: "说明",
      status: "状态", code: "代码", words: "错误码", scope: "服务密钥的权限", open: "无需凭证",
      methods: "WebSocket 方法", notifications: "WebSocket 通知", codes: "WebSocket 错误与关闭",
      close: "关闭码", client: "客户端应当", clients: "客户端类型", role: "角色", inside: "在会话内",
      schemas: "数据对象", required: "必填", yes: "是", no: "否", request: "请求",
      Application: "应用", Users: "用户", Sessions: "会话", Server: "服务器",
    },
  };
  const find = (id) => document.getElementById(id);
  let language = remembered() || ((navigator.language || "").startsWith("zh") ? "zh" : "en");
  let documents = null;

  const say = (word) => WORDS[language][word] ?? word;

  function remembered() {
    try {
      const found = localStorage.getItem("imd.docs.language");
      return found in WORDS ? found : null;
    } catch { return null; }
  }

  // ---- building

  function make(tag, options, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(options || {})) element.setAttribute(name, value);
    for (const child of children.flat()) if (child !== null && child !== undefined) element.append(child);
    return element;
  }

  const code = (text) => make("code", null, String(text));
  const pretty = (value) => make("pre", null, JSON.stringify(value, null, 2));

  function table(heads, rows) {
    const top = make("tr", null, heads.map((head) => make("th", null, say(head))));
    return make("div", { class: "wide" }, make("table", null, make("thead", null, top), make("tbody", null, rows)));
  }

  function row(...cells) {
    return make("tr", null, cells.map((cell) => (cell instanceof Node && cell.nodeName === "TD" ? cell : make("td", null, cell))));
  }

  // ---- schemas

  const nameOf = (reference) => reference.slice(reference.lastIndexOf("/") + 1);
  const anchorOf = (name) => "object-" + name;

  function typeOf(schema) {
    if (!schema) return [];
    if (schema.$ref) return [make("a", { href: "#" + anchorOf(nameOf(schema.$ref)) }, nameOf(schema.$ref))];
    if ("const" in schema) return [JSON.stringify(schema.const)];
    if (schema.enum) return [schema.enum.map((value) => JSON.stringify(value)).join(" | ")];
    const several = schema.anyOf || schema.oneOf;
    if (several) return several.flatMap((one, place) => (place ? [" | ", ...typeOf(one)] : typeOf(one)));
    if (schema.type === "array") return [...typeOf(schema.items), "[]"];
    const kind = Array.isArray(schema.type) ? schema.type.join(" | ") : schema.type || "any";
    return [kind + limitsOf(schema)];
  }

  function limitsOf(schema) {
    const low = schema.minimum ?? schema.minLength, high = schema.maximum ?? schema.maxLength;
    const shown = (value) => (value > 1e15 ? "2⁶³−1" : value);
    if (low === undefined && high === undefined) return "";
    return ` ${low === undefined ? "" : shown(low)}…${high === undefined ? "" : shown(high)}`;
  }

  function nameCell(name, must) {
    const mark = must ? make("span", { class: "must", title: say("required") }, "*") : null;
    return make("td", null, code(name), mark);
  }

  function meaningOf(schema, described) {
    const text = described || (schema && schema.description) || "";
    const plain = schema && schema.default;
    if (plain === undefined || plain === null || typeof plain === "object") return text;
    return `${text}${text ? " · " : ""}= ${JSON.stringify(plain)}`;
  }

  function fields(schema) {
    const needed = new Set((schema && schema.required) || []);
    const entries = Object.entries((schema && schema.properties) || {});
    if (!entries.length) return null;
    entries.sort(([a], [b]) => needed.has(b) - needed.has(a));
    return table(["name", "type", "meaning"], entries.map(([name, one]) =>
      row(nameCell(name, needed.has(name)), make("td", { class: "type" }, typeOf(one)), meaningOf(one))));
  }

  // ---- REST

  function card(id, kind, verb, path, summary, body) {
    const head = make("summary", null,
      make("span", { class: "verb " + kind }, verb), make("span", { class: "path" }, path), make("span", { class: "said" }, summary));
    return make("details", { class: "op", id }, head, make("div", { class: "body" }, body));
  }

  function operation(path, verb, told) {
    const parts = [make("p", { class: "facts" }, code(told.operationId), " · ",
      told["x-scope"] ? `${say("scope")}: ${told["x-scope"]}` : say("open"))];
    if (told.parameters) {
      parts.push(make("h3", null, say("parameters")), table(["name", "where", "type", "meaning"], told.parameters.map((one) =>
        row(nameCell(one.name, one.required), one.in, make("td", { class: "type" }, typeOf(one.schema)), meaningOf(one.schema, one.description)))));
    }
    const media = told.requestBody && told.requestBody.content["application/json"];
    if (media) parts.push(make("h3", null, say("body")), fields(media.schema), pretty(media.example));
    parts.push(make("h3", null, say("answers")), ...answers(told.responses));
    return card("op-" + told.operationId, verb, verb.toUpperCase(), path, told.summary, parts);
  }

  function answers(responses) {
    const good = [], bad = [];
    for (const [status, response] of Object.entries(responses)) {
      const problem = response.content && response.content["application/problem+json"];
      if (problem) {
        const words = Object.keys(problem.examples || {}).map(code);
        bad.push(row(make("span", { class: "status bad" }, status), make("div", { class: "words" }, words)));
        continue;
      }
      const media = response.content && response.content["application/json"];
      good.push(make("p", { class: "facts" }, make("span", { class: "status good" }, status), " ", response.description, " ",
        make("span", { class: "type" }, media ? typeOf(media.schema) : [])));
      if (media && !good.example) good.example = pretty(media.example);
    }
    return [...good, good.example, bad.length ? make("h3", null, say("errors")) : null, bad.length ? table(["status", "code"], bad) : null];
  }

  // ---- the socket

  const payloadOf = (name) => documents.socket.components.messages[name];

  function method(name, told) {
    const asked = payloadOf(name + ".request"), given = payloadOf(name + ".result");
    const params = asked.payload.properties.params;
    return card("call-" + name, "call", say("request"), name, told.summary, [
      make("h3", null, say("params")), fields(params) || make("p", { class: "facts" }, "–"), pretty(asked.examples[0].payload),
      make("h3", null, say("result")), make("p", { class: "facts type" }, typeOf(given.payload.properties.result)), pretty(given.examples[0].payload),
    ]);
  }

  function notification(name, told) {
    const news = payloadOf(name + ".notification");
    return card("news-" + name, "news", "→", name, told.summary, [
      make("p", { class: "facts" }, told.description), make("h3", null, say("params")),
      make("p", { class: "facts type" }, typeOf(news.payload.properties.params)), pretty(news.examples[0].payload),
    ]);
  }

  function closing(told) {
    const channel = told.channels.socket;
    return [
      card("socket-errors", "", "error", "error.code", "JSON-RPC", [
        table(["code", "meaning"], told["x-error-codes"].map((one) => row(code(one.code), one.meaning))),
        make("h3", null, say("words")),
        table(["code", "meaning"], Object.entries(told["x-refusals"]).map(([word, said]) => row(code(word), said)))]),
      card("socket-closes", "", "close", say("close"), "", table(["close", "meaning", "client"],
        channel["x-close-codes"].map((one) => row(code(one.code), one.reason, one.client)))),
      card("socket-clients", "", "login", say("clients"), "", table(["type", "role", "inside"],
        Object.entries(told["x-client-types"]).map(([name, one]) => row(code(name), one.role, say(one.inside ? "yes" : "no"))))),
    ];
  }

  // ---- the page

  function groups() {
    const { rest, socket } = documents, byTag = new Map(rest.tags.map((tag) => [tag.name, []]));
    for (const [path, item] of Object.entries(rest.paths))
      for (const [verb, told] of Object.entries(item)) byTag.get(told.tags[0]).push([told.operationId, operation(path, verb, told)]);
    const found = [...byTag].map(([tag, list]) => [`${say("rest")} · ${say(tag)}`, list]);
    const calls = Object.entries(socket.operations);
    found.push([say("methods"), calls.filter(([, told]) => told.action === "receive").map(([name, told]) => [name, method(name, told)])]);
    found.push([say("notifications"), calls.filter(([, told]) => told.action === "send").map(([name, told]) => {
      const plain = name.replace(/\.notify$/, "");
      return [plain, notification(plain, told)];
    })]);
    found.push([say("codes"), closing(socket).map((one) => [one.querySelector(".path").textContent, one])]);
    const schemas = { ...socket.components.schemas, ...rest.components.schemas };
    found.push([say("schemas"), Object.keys(schemas).sort().map((name) =>
      [name, card(anchorOf(name), "", "object", name, schemas[name].description || "", fields(schemas[name]))])]);
    return found.filter(([, list]) => list.length);
  }

  function show() {
    document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
    find("language").textContent = say("language");
    find("search").placeholder = say("search");
    find("search").setAttribute("aria-label", say("search"));
    if (!documents) return;
    find("version").textContent = documents.rest.info.version;
    const index = [], content = [make("h1", null, "imd API"), make("p", { class: "lead" }, say("intro"), " ",
      make("a", { href: REST }, "OpenAPI"), " · ", make("a", { href: SOCKET }, "AsyncAPI"))];
    for (const [title, list] of groups()) {
      const group = make("section", null, make("h2", null, title), list.map(([, one]) => one));
      const links = make("div", null, make("h2", null, title), list.map(([name, one]) => make("a", { href: "#" + one.id }, name)));
      content.push(group);
      index.push(links);
    }
    content.push(make("p", { class: "none", id: "none", hidden: "" }, say("nothing")));
    find("content").replaceChildren(...content);
    find("index").replaceChildren(...index);
    filter();
    follow();
  }

  function filter() {
    const wanted = find("search").value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    let any = false;
    for (const section of document.querySelectorAll("main section")) {
      let some = false;
      for (const one of section.querySelectorAll("details.op")) {
        one.textLower ??= one.textContent.toLowerCase();
        one.hidden = !wanted.every((word) => one.textLower.includes(word));
        const link = find("index").querySelector(`a[href="#${CSS.escape(one.id)}"]`);
        if (link) link.hidden = one.hidden;
        some ||= !one.hidden;
      }
      section.hidden = !some;
      any ||= some;
    }
    for (const group of find("index").children) group.hidden = !group.querySelector("a:not([hidden])");
    if (find("none")) find("none").hidden = any;
  }

  function follow() {
    let name = "";
    try { name = decodeURIComponent(location.hash.slice(1)); } catch { return; }
    const target = name && document.getElementById(name);
    if (!target || !target.matches("details.op")) return;
    target.hidden = target.closest("section").hidden = false;
    target.open = true;
    target.scrollIntoView();
  }

  async function load(path) {
    const answer = await fetch(path, { credentials: "omit" });
    if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
    return answer.json();
  }

  find("search").addEventListener("input", filter);
  find("language").addEventListener("click", () => {
    language = language === "zh" ? "en" : "zh";
    try { localStorage.setItem("imd.docs.language", language); } catch { /* it is asked again next time */ }
    show();
  });
  addEventListener("hashchange", follow);
  addEventListener("keydown", (event) => {
    if (event.key === "/" && document.activeElement !== find("search")) { event.preventDefault(); find("search").focus(); }
  });
  find("content").replaceChildren(make("p", { class: "none" }, say("loading")));
  show();
  Promise.all([load(REST), load(SOCKET)]).then(([rest, socket]) => { documents = { rest, socket }; show(); })
    .catch(() => find("content").replaceChildren(make("p", { class: "none" }, say("failed"))));
})();
