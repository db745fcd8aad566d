"use strict";
// The routes come from openapi.json; a route without an example here is shown with an empty body.
const EXAMPLES = {
  "POST /v1/score": JSON.stringify({ rows: [
    { id: 1, text: "口红颜色好看，口红不持久", terms: ["口红", "颜色"] },
    { id: 2, text: "粉底液遮瑕好", term: "遮瑕", start: 3, end: 5 },
  ] }, null, 1),
  "POST /v1/files": "text,term\n口红颜色好看,口红\n",
  "POST /v1/files/{id}/score": '{"text": "text", "term": "term"}',
  "POST /api/predict": '{"data": [["口红颜色好看", "口红"]]}',
  "POST /api/predict_truncate": '{"data": [["口红颜色好看", "口红"], ["口红颜色好看", "颜色", 2, 4]]}',
};
const QUERIES = { "POST /v1/files": "name=reviews.csv" };
const PLAIN = '{"data": []}';
const $ = (parent, selector) => parent.querySelector(selector);
const key = () => document.getElementById("key").value.trim();
const quoted = (text) => "'" + text.replaceAll("'", "'\\''") + "'";

function curl(method, address, body) {
  const parts = ["curl", quoted(address)];
  if (method !== "GET") parts.push("-X", method);
  if (key()) parts.push("-H", "'Authorization: Bearer ...'");
  if (body) parts.push("-d", quoted(body));
  return parts.join(" ");
}

function show(path, method, route) {
  const section = document.getElementById("route").content.cloneNode(true).firstElementChild;
  const name = method + " " + path;
  $(section, ".method").textContent = method;
  $(section, ".path").textContent = path;
  $(section, ".summary").textContent = route.summary || "";
  const body = $(section, "textarea");
  const query = $(section, ".query");
  body.value = method === "POST" && path !== "/admin/reload" ? EXAMPLES[name] || PLAIN : "";
  $(section, ".body").hidden = !body.value;
  query.value = QUERIES[name] || "";
  query.parentElement.hidden = !(route.parameters || []).some((one) => one.in === "query");
  const id = $(section, ".id");
  id.parentElement.hidden = !path.includes("{id}");
  const filled = () => path.replace("{id}", encodeURIComponent(id.value.trim() || "ID"));
  const address = () => new URL("." + filled() + (query.value ? "?" + query.value : ""), document.baseURI).href;
  const refresh = () => { $(section, ".curl").textContent = curl(method, address(), body.value); };
  refresh();
  section.addEventListener("input", refresh);
  document.getElementById("key").addEventListener("input", refresh);
  $(section, "form").addEventListener("submit", (event) => {
    event.preventDefault();
    send(section, method, address(), body.value);
  });
  document.getElementById("routes").append(section);
}

async function send(section, method, address, body) {
  const status = $(section, ".status");
  const reply = $(section, ".reply");
  status.textContent = "…";
  const started = performance.now();
  try {
    const headers = key() ? { Authorization: "Bearer " + key() } : {};
    const answer = await fetch(address, { method, headers, body: body || undefined });
    const text = await answer.text();
    const took = Math.round(performance.now() - started);
    status.textContent = `${answer.status} ${answer.statusText}, ${took} ms, request ${answer.headers.get("x-request-id")}`;
    reply.textContent = text;
    try { reply.textContent = JSON.stringify(JSON.parse(text), null, 1); } catch { /* not JSON */ }
  } catch (error) {
    status.textContent = "No answer: " + error.message;
    reply.textContent = "";
  }
  reply.hidden = !reply.textContent;
}

fetch("openapi.json").then((answer) => answer.json()).then((schema) => {
  document.getElementById("version").textContent = schema.info.version;
  for (const [path, methods] of Object.entries(schema.paths))
    for (const [method, route] of Object.entries(methods)) show(path, method.toUpperCase(), route);
});
