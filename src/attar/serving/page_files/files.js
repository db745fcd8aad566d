// A whole file: uploaded, scored in the background, taken back, forgotten.
import { language, N_, number, t, tn } from "./messages.js";
import { ask, json, upload, words } from "./service.js";

const TEXT_NAMES = ["text", "评论", "评论内容", "内容", "评价", "评价内容", "review", "content", "comment", "正文"];
const TERM_NAMES = ["term", "keyword", "关键词", "词", "属性", "方面", "aspect"];
const LOOK_MS = 400;
const FORMATS = { csv: "CSV", xlsx: "Excel", tsv: "TSV", jsonl: "JSONL", parquet: "Parquet" };
const SAME = { xlsm: "xlsx", ndjson: "jsonl" };
const REASONS = {
  bad_row: N_("not a row of its format"),
  bad_offsets: N_("start and end are no place in its text"),
  bad_text: N_("half of a character"),
  empty_term: N_("no term"),
  empty_text: N_("no text"),
  not_utf8: N_("not UTF-8"),
  term_not_found: N_("the text does not hold the term"),
  too_many_mentions: N_("its terms occur too often"),
};
const $ = (id) => document.getElementById(id);

let cards = [];
let about = null; // limits and formats
let held = null; // the file as the service describes it
let turn = 0; // a newer file makes an older one's replies stale
let isStarted = false;

/** Show the part of the page for files, if the service takes some. */
export async function startFiles(models) {
  cards = models;
  try {
    about = await json("v1/files");
  } catch {
    return;
  }
  $("files").hidden = false;
  if (isStarted) return draw();
  isStarted = true;
  $("file").accept = about.formats.join(",");
  $("file").addEventListener("change", () => {
    const [file] = $("file").files;
    $("file").value = ""; // so that the same file, once mended, can be chosen again
    if (file) take(file);
  });
  const zone = $("drop");
  for (const name of ["dragenter", "dragover"]) zone.addEventListener(name, (event) => { event.preventDefault(); zone.classList.add("over"); });
  for (const name of ["dragleave", "drop"]) zone.addEventListener(name, (event) => { event.preventDefault(); zone.classList.remove("over"); });
  zone.addEventListener("drop", (event) => { if (event.dataTransfer.files[0]) take(event.dataTransfer.files[0]); });
  $("file-form").addEventListener("submit", (event) => { event.preventDefault(); start(); });
  $("file-model").addEventListener("change", drawForm);
  $("file-forget").addEventListener("click", () => { forget(); reset(); $("file").focus(); });
  $("file-save").addEventListener("click", () => save("scored"));
  $("file-save-rejected").addEventListener("click", () => save("rejected"));
  document.addEventListener("language", draw);
  addEventListener("pagehide", () => forget(true));
  draw();
}

function reset() {
  turn += 1;
  held = null;
  problem("");
  for (const id of ["file-form", "file-progress", "file-done", "file-forget-row"]) $(id).hidden = true;
}

function forget(keepalive = false) {
  if (held) ask("v1/files/" + held.id, { method: "DELETE", keepalive }).catch(() => {});
  held = null;
}

const named = (reason) => (Object.hasOwn(REASONS, reason) ? t(REASONS[reason]) : reason);

const problem = (said) => { $("file-problem").textContent = said; };

async function take(file) {
  forget();
  reset();
  const mine = turn;
  if (file.size > about.limits.max_file_bytes) return problem(t("This file is longer than {size}.", { size: size(about.limits.max_file_bytes) }));
  progress(t("Uploading"), 0, 1);
  try {
    const path = "v1/files?name=" + encodeURIComponent(file.name);
    const reply = await upload(path, file, (done, all) => { if (mine === turn) progress(t("Uploading"), done, all); });
    if (mine !== turn) return ask("v1/files/" + reply.id, { method: "DELETE" });
    held = reply;
    fillForm();
    draw();
    $("file-text").focus();
  } catch (error) {
    if (mine === turn) problem(words(error));
  }
  if (mine === turn) $("file-progress").hidden = true;
}

const guess = (names, columns) => names.map((name) => columns.find((one) => one.trim().toLowerCase() === name)).find(Boolean);

function fillForm() {
  const { columns } = held;
  const text = guess(TEXT_NAMES, columns) || columns[0];
  const term = guess(TERM_NAMES, columns.filter((one) => one !== text));
  $("file-text").replaceChildren(...columns.map((one) => new Option(one, one, false, one === text)));
  $("file-term").dataset.guess = term || "";
  $("file-model").replaceChildren(...cards.map((one) => new Option(one.name, one.name)));
  $("file-model-label").hidden = cards.length < 2;
  const own = held.name.split(".").pop().toLowerCase();
  const formats = Object.keys(FORMATS).filter((one) => about.formats.includes("." + one));
  $("file-format").replaceChildren(...formats.map((one) => new Option(FORMATS[one], one, false, one === (SAME[own] || own))));
  $("file-form").hidden = false;
  $("file-term").replaceChildren();
  drawForm();
}

function drawForm() {
  const model = cards.find((one) => one.name === $("file-model").value) || cards[0];
  $("file-name").textContent = held.name;
  $("file-term-label").hidden = model.style === "single";
  const chosen = $("file-term").options.length ? $("file-term").value : $("file-term").dataset.guess;
  const options = held.columns.map((one) => new Option(one, one, false, one === chosen));
  if (about.terms && model.style !== "sentence_pair") options.unshift(new Option(t("None: look for the {n} known terms", { n: number(about.terms) }), "", false, !chosen));
  $("file-term").replaceChildren(...options);
}

async function start() {
  const mine = turn;
  const body = {
    text: $("file-text").value,
    term: $("file-term-label").hidden ? null : $("file-term").value || null,
    model: $("file-model").value,
    format: $("file-format").value,
    language: language(),
  };
  problem("");
  $("file-done").hidden = true;
  try {
    held = await json(`v1/files/${held.id}/score`, { method: "POST", body: JSON.stringify(body) });
    $("file-start").disabled = true;
    while (mine === turn && (held.state === "waiting" || held.state === "running")) {
      draw();
      await new Promise((resume) => setTimeout(resume, LOOK_MS));
      const now = mine === turn && (await json("v1/files/" + held.id));
      if (mine === turn) held = now;
    }
  } catch (error) {
    if (mine === turn) problem(words(error));
  }
  $("file-start").disabled = false;
  if (mine === turn) draw();
}

function draw() {
  const { limits } = about;
  $("file-limits").textContent = t("{formats}; at most {size}, {rows} rows, {mentions} mentions. Kept for {minutes} minutes.", {
    formats: Object.keys(FORMATS).filter((one) => about.formats.includes("." + one)).map((one) => FORMATS[one]).join(t(", ")), size: size(limits.max_file_bytes), rows: number(limits.max_file_rows),
    mentions: number(limits.max_file_mentions), minutes: number(Math.round(limits.kept_s / 60)),
  });
  $("file-pick").textContent = about.formats.includes(".xlsx") ? t("Choose a CSV or Excel file") : t("Choose a CSV file");
  const state = held?.state;
  $("file-forget-row").hidden = !held;
  $("file-forget").textContent = state === "waiting" || state === "running" ? t("Stop and remove the file") : t("Remove the file");
  $("file-progress").hidden = state !== "waiting" && state !== "running";
  $("file-done").hidden = state !== "done";
  if (!held) return;
  drawForm();
  $("file-form").hidden = state === "done";
  if (state === "waiting") progress(held.before ? tn("{n} file before this one", "{n} files before this one", held.before) : t("Waiting"));
  else if (state === "running" && held.rows === null) progress(t("Reading"));
  else if (state === "running") progress(t("{done} of {all} rows", { done: number(held.rows_done), all: number(held.rows) }), held.rows_done, held.rows);
  else if (state === "failed") problem(held.problem);
  else if (state === "done") drawDone();
}

function drawDone() {
  const { facts } = held;
  const said = tn("{n} mention of {rows} rows scored by {model}.", "{n} mentions of {rows} rows scored by {model}.", facts.mentions, { rows: number(facts.rows), model: facts.model });
  $("file-result").textContent = `${held.name}: ${said}`;
  const notes = Object.entries(facts.rejected).map(([reason, count]) => tn("{n} row rejected: {reason}", "{n} rows rejected: {reason}", count, { reason: named(reason) }));
  if (facts.without_term) notes.unshift(tn("{n} row names no known term and is not written", "{n} rows name no known term and are not written", facts.without_term));
  $("file-notes").replaceChildren(...[...notes, ...facts.notes].map((one) => {
    const item = document.createElement("li");
    item.textContent = one;
    return item;
  }));
  $("file-save-rejected").hidden = !held.has_rejected;
  $("file-status").textContent = said;
}

function progress(said, done, all) {
  $("file-progress").hidden = false;
  $("file-said").textContent = said;
  if (all) Object.assign($("file-bar"), { max: all, value: done });
  else $("file-bar").removeAttribute("value");
}

async function save(what) {
  try {
    const response = await ask(`v1/files/${held.id}/${what}`);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await response.blob());
    link.download = decodeURIComponent((response.headers.get("content-disposition") || "").split("UTF-8''")[1] || what);
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  } catch (error) {
    problem(words(error));
  }
}

const size = (bytes) => `${number(Math.round(bytes / (1 << 20)))} MiB`;
