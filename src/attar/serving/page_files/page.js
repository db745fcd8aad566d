// The page: what is asked, the answers of one or two models, and the link that holds them.
import { Panel } from "./answer.js";
import { startFiles } from "./files.js";
import { choose, number, preferred, t, tn, translate } from "./messages.js";
import { Refused, json, setKey, words } from "./service.js";

const EXAMPLES = [
  "粉底液遮瑕不错，持妆只有两小时，价格还行。",
  "口红颜色好看，就是味道有点重，包装一般。",
  "面霜很滋润，吸收快，客服态度差。",
];
const PAUSE_MS = 350; // after a keystroke
const MAX_TERMS = 40;
const $ = (id) => document.getElementById(id);

let cards = [];
let panels = [];
let models = [];
let terms = [];
let second = "";
let pending = 0;
let running = null;

const card = (name) => cards.find((one) => one.name === name);
const styles = () => models.map((name) => card(name).style);
const takesTerms = () => styles().some((one) => one === "marked_pair" || one === "pair");
const takesSecond = () => styles().includes("sentence_pair");

// What is asked.

function addTerm(term) {
  const plain = term.trim();
  if (!plain || terms.length >= MAX_TERMS) return;
  if (!terms.includes(plain)) terms.push(plain);
  drawTerms();
  score();
}

function drawTerms() {
  $("terms").replaceChildren(...terms.map((term) => {
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.lang = "zh-CN";
    button.textContent = term;
    button.setAttribute("aria-label", t("Take {term} out", { term }));
    button.addEventListener("click", () => {
      terms = terms.filter((one) => one !== term);
      drawTerms();
      $("term").focus();
      score();
    });
    item.append(button);
    return item;
  }));
}

/** A selection in the review, by mouse or keyboard, is the next term. */
function takeSelection() {
  const box = $("review");
  if (document.activeElement !== box || !takesTerms()) return;
  const selected = box.value.slice(box.selectionStart, box.selectionEnd).trim();
  if (selected && selected.length < box.value.trim().length) $("term").value = selected;
}

function drawQuestion() {
  const length = Array.from($("review").value).length;
  const most = Math.min(...models.map((name) => card(name).limits.max_chars));
  $("count").textContent = t("{n} of {most} characters", { n: number(length), most: number(most) });
  $("count").className = length > most ? "problem" : "";
  $("term-form").hidden = !takesTerms() && !takesSecond();
  $("term-label").textContent = takesTerms() ? t("Ask about another term") : t("Second sentence");
  const known = card(models[0])?.terms || 0;
  let help = t("The label is that of the whole text.");
  if (takesTerms() && known) help = tn("{n} known term is looked for. Select any other with the mouse or the keyboard.", "{n} known terms are looked for. Select any other with the mouse or the keyboard.", known);
  else if (takesTerms()) help = t("Select a term with the mouse or the keyboard, or type it below.");
  else if (takesSecond()) help = t("The label is that of the two sentences together.");
  $("help").textContent = help;
  $("ask").hidden = !takesTerms();
  $("terms").hidden = !takesTerms();
  if (takesSecond() && !takesTerms()) $("term").value = second;
  const other = cards.find((one) => !models.includes(one.name));
  $("compare").hidden = cards.length < 2;
  $("compare").textContent = models.length > 1 ? t("One model") : t("Compare two models");
  $("compare").dataset.other = other?.name || "";
}

// What is answered.

function scoreSoon() {
  clearTimeout(pending);
  pending = setTimeout(score, PAUSE_MS);
}

async function score() {
  clearTimeout(pending);
  running?.abort();
  running = new AbortController();
  const { signal } = running;
  const text = $("review").value;
  drawQuestion();
  keepLink();
  if (!text.trim()) {
    say("");
    for (const one of panels) one.show("", [], null, t("Paste a review above, and the answer stands here."));
    return;
  }
  document.body.classList.add("busy");
  try {
    const answers = await Promise.all(models.map((name) => answerOf(card(name), text, signal)));
    say("");
    answers.forEach(({ mentions, said }, index) => {
      panels[index].show(text, mentions, answers.length > 1 ? answers[1 - index].mentions : null, said);
    });
    $("status").textContent = panels.map((one) => `${one.card.name}: ${one.find(".summary").textContent}`).join(" ");
  } catch (error) {
    if (error.name === "AbortError") return;
    if (error.status === 401) askForKey();
    say(words(error));
  }
  if (running?.signal === signal) document.body.classList.remove("busy");
}

async function answerOf(model, text, signal) {
  const rows = [];
  if (model.style === "single") rows.push({ text });
  else if (model.style === "sentence_pair") rows.push({ text, term: second });
  else {
    if (model.terms) rows.push({ text });
    if (terms.length) rows.push({ text, terms, asked: true });
  }
  if (!rows.length) return { mentions: [], said: t("Select a term in the text to ask about it.") };
  const body = JSON.stringify({ rows, window: true });
  const reply = await json("v1/score?model=" + encodeURIComponent(model.name), { method: "POST", body, signal });
  const mentions = [];
  for (const row of reply.rows.reverse()) // what was asked for comes first, and is not shown twice
    for (const one of row.mentions)
      if (!mentions.some((other) => other.start === one.start && other.end === one.end)) mentions.push({ ...one, asked: row.asked });
  mentions.sort((a, b) => a.start - b.start || b.end - a.end);
  const hard = reply.rows.map((row) => row.error).find((one) => one && one.code !== "term_not_found");
  if (hard) throw new Refused(422, hard.code, hard.message);
  const missing = reply.rows.flatMap((row) => row.not_found || []);
  let said = "";
  if (!mentions.length) said = terms.length ? t("The text holds none of these terms.") : t("The text holds no known term. Select one to ask about it.");
  else if (missing.length) said = t("Not in the text: {terms}.", { terms: missing.join("、") });
  return { mentions, said };
}

function say(problem) {
  $("problem").textContent = problem;
}

// The models.

function useModels(names) {
  models = [...new Set(names)].filter(card).slice(0, 2);
  if (!models.length) models = [cards[0].name];
  panels = models.map((name, index) => {
    const panel = new Panel((chosen) => useModels(models.map((one, i) => (i === index ? chosen : one))), addTerm);
    panel.showModel(card(name), cards);
    return panel;
  });
  $("panels").replaceChildren(...panels.map((one) => one.root));
  $("panels").className = `panels n${panels.length}`;
  score();
}

async function connect() {
  try {
    cards = (await json("v1/models")).models;
  } catch (error) {
    $("main").hidden = false;
    if (error.status === 401) return askForKey();
    $("review-card").hidden = false;
    return say(words(error));
  }
  $("key-form").hidden = true;
  for (const id of ["main", "review-card", "answer-card"]) $(id).hidden = false;
  readLink();
  startFiles(cards);
}

function askForKey() {
  $("key-problem").textContent = $("key").value ? t("The key is missing or wrong.") : "";
  $("key-form").hidden = false;
  $("key").focus();
}

// The link: the sentence stands behind the #, which no browser sends to a server.

function keepLink() {
  const query = new URLSearchParams(location.search);
  query.delete("model");
  if (models.length > 1 || models[0] !== cards[0].name) for (const name of models) query.append("model", name);
  const held = new URLSearchParams();
  if ($("review").value) held.append("text", $("review").value);
  for (const term of terms) held.append("term", term);
  if (second) held.append("second", second);
  const search = query.toString() ? "?" + query : "";
  const hash = held.toString() ? "#" + held : "";
  try {
    history.replaceState(null, "", location.pathname + search + hash);
  } catch { /* a browser that has had too many of them in a short time */ }
}

function readLink() {
  const held = new URLSearchParams(location.hash.slice(1));
  $("review").value = held.get("text") || $("review").value;
  terms = held.getAll("term").slice(0, MAX_TERMS);
  second = held.get("second") || "";
  drawTerms();
  useModels(new URLSearchParams(location.search).getAll("model"));
}

async function copyLink() {
  keepLink();
  let said = t("The link is in the address bar.");
  try {
    await navigator.clipboard.writeText(location.href);
    said = t("Copied.");
  } catch { /* not allowed, or not over https */ }
  $("link-said").textContent = said;
  setTimeout(() => { $("link-said").textContent = ""; }, 4000);
}

// The language.

async function speak(name) {
  await choose(name);
  translate(document);
  document.title = t("attar: what a review says about each of its terms");
  for (const link of document.querySelectorAll("[data-lang]")) {
    if (link.dataset.lang === name) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
}

function switchLanguage(event) {
  event.preventDefault();
  const name = event.currentTarget.dataset.lang;
  const query = new URLSearchParams(location.search);
  query.set("lang", name);
  history.replaceState(null, "", `${location.pathname}?${query}${location.hash}`);
  speak(name).then(() => {
    if (!cards.length) return;
    drawTerms();
    useModels(models);
    document.dispatchEvent(new Event("language"));
  });
}

function start() {
  for (const text of EXAMPLES) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "example";
    button.lang = "zh-CN";
    button.textContent = text;
    button.addEventListener("click", () => {
      $("review").value = text;
      terms = [];
      drawTerms();
      score();
    });
    $("examples").append(button);
  }
  $("review").addEventListener("input", scoreSoon);
  document.addEventListener("selectionchange", takeSelection);
  $("review").addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    takeSelection();
    if (takesTerms() && $("term").value) $("term-form").requestSubmit();
    else score();
  });
  $("term-form").addEventListener("submit", (event) => {
    event.preventDefault();
    if (!takesTerms()) return;
    addTerm($("term").value);
    $("term").value = "";
  });
  $("term").addEventListener("input", () => {
    if (takesTerms() || !takesSecond()) return;
    second = $("term").value;
    scoreSoon();
  });
  $("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    setKey($("key").value);
    connect();
  });
  $("compare").addEventListener("click", () => {
    useModels(models.length > 1 ? models.slice(0, 1) : [...models, $("compare").dataset.other]);
  });
  $("link").addEventListener("click", copyLink);
  for (const link of document.querySelectorAll("[data-lang]")) link.addEventListener("click", switchLanguage);
  addEventListener("hashchange", () => { if (cards.length) readLink(); });
}

start();
speak(preferred()).then(connect);
