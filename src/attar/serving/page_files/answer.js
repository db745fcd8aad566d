// A model's answer: the text with its mentions marked, and a table of them.
import { language, number, percent, t, tn, translate } from "./messages.js";

// Colours have a meaning where the labels have one, and are told apart by their words everywhere.
const MEANING = {
  消极: "bad", 负面: "bad", 负向: "bad", 差评: "bad", 坏: "bad", 差: "bad", negative: "bad", neg: "bad",
  中性: "even", 中立: "even", 中评: "even", 中: "even", neutral: "even", neu: "even",
  积极: "good", 正面: "good", 正向: "good", 好评: "good", 好: "good", positive: "good", pos: "good",
  是: "good", 否: "even",
};

export const colour = (label, labels) => MEANING[label.toLowerCase()] || "c" + (Math.max(0, labels.indexOf(label)) % 6);

// What Chinese labels mean, for readers of English.
const GLOSS = {
  消极: "negative", 负面: "negative", 坏: "bad", 差: "bad", 中性: "neutral", 中: "neutral",
  积极: "positive", 正面: "positive", 好: "good", 是: "yes", 否: "no",
};

/** A label as it stands, and what it means where the page's language is not the label's. */
export const named = (label) => (language() === "en" && Object.hasOwn(GLOSS, label) ? `${label} (${GLOSS[label]})` : label);

const make = (name, className, text) => {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
};

/** One panel: a model and its answer. */
export class Panel {
  constructor(onModel, onTerm) {
    this.root = document.getElementById("panel").content.cloneNode(true).firstElementChild;
    this.find = (selector) => this.root.querySelector(selector);
    this.chosen = -1;
    this.find(".model").addEventListener("change", (event) => onModel(event.target.value));
    this.find(".text").addEventListener("mouseup", () => {
      const term = selectedIn(this.find(".text"));
      if (term) onTerm(term);
    });
    this.find(".text").addEventListener("click", (event) => {
      const mark = event.target.closest("mark");
      if (mark && getSelection().isCollapsed) this.choose(Number(mark.dataset.i));
    });
    translate(this.root);
  }

  showModel(card, cards) {
    this.card = card;
    const select = this.find(".model");
    select.replaceChildren(...cards.map((one) => new Option(one.name, one.name, false, one.name === card.name)));
    select.parentElement.hidden = cards.length < 2;
    this.find(".name").textContent = card.name;
    this.find(".name").className = cards.length < 2 ? "name" : "name hidden";
    this.find(".facts").textContent = `${card.task} · ${card.precision} · ${card.version}`;
  }

  /** Show an answer: mentions in code points of the text; others are the other model's, to compare. */
  show(text, mentions, others, said = "") {
    this.points = Array.from(text);
    this.mentions = mentions;
    this.others = others;
    this.said = said;
    if (this.chosen >= mentions.length) this.chosen = -1;
    this.draw();
  }

  choose(index) {
    this.chosen = index === this.chosen ? -1 : index;
    this.draw();
  }

  draw() {
    if (!this.mentions) return;
    this.drawText();
    this.drawTable();
    this.find(".summary").textContent = this.said || this.summary();
  }

  summary() {
    const counted = new Map();
    for (const one of this.mentions) counted.set(one.label, (counted.get(one.label) || 0) + 1);
    const parts = this.card.labels.filter((one) => counted.has(one)).map((one) => `${named(one)} ${number(counted.get(one))}`);
    if (!parts.length) return "";
    const differ = this.others ? this.mentions.filter((one) => this.differs(one)).length : 0;
    const more = this.others ? " " + (differ ? tn("{n} differs from the other model.", "{n} differ from the other model.", differ) : t("Both models agree.")) : "";
    return t("{labels}.", { labels: parts.join(t(", ")) }) + more;
  }

  differs(mention) {
    const other = this.others?.find((one) => one.start === mention.start && one.end === mention.end);
    return Boolean(other) && other.label !== mention.label;
  }

  drawText() {
    const chosen = this.mentions[this.chosen];
    const window = chosen?.window;
    const place = this.find(".text");
    place.replaceChildren();
    let at = 0;
    const add = (end) => {
      // What the model did not read for the chosen mention is greyed.
      for (const cut of [...(window || []), end]) {
        const stop = Math.min(Math.max(cut, at), end);
        if (stop === at) continue;
        const unread = window && (at < window[0] || at >= window[1]);
        const piece = this.points.slice(at, stop).join("");
        place.append(unread ? make("span", "unread", piece) : piece);
        at = stop;
      }
    };
    for (const index of shown(this.mentions)) {
      const one = this.mentions[index];
      if (one.end === one.start) continue;
      add(one.start);
      const unread = window && (one.start < window[0] || one.end > window[1]);
      const mark = make("mark", `l-${colour(one.label, this.card.labels)}${index === this.chosen ? " chosen" : ""}${unread ? " unread" : ""}`);
      mark.dataset.i = index;
      mark.append(this.points.slice(one.start, one.end).join(""), make("span", "tag", `${one.label} ${percent(one.prob)}`));
      place.append(mark);
      at = one.end;
    }
    add(this.points.length);
    const legend = this.find(".legend");
    legend.replaceChildren();
    if (place.querySelector(".unread"))
      legend.append(make("span", "unread", t("hatched")), " ", t("was not read for {term}", { term: this.points.slice(chosen.start, chosen.end).join("") || t("the whole text") }));
  }

  drawTable() {
    this.find("table").hidden = !this.mentions.length;
    const body = this.find("tbody");
    const focused = body.contains(document.activeElement) ? document.activeElement.dataset.i : undefined;
    body.replaceChildren(...this.mentions.map((one, index) => this.row(one, index)));
    if (focused !== undefined) body.querySelector(`button[data-i="${focused}"]`)?.focus();
  }

  row(one, index) {
    const row = make("tr", index === this.chosen ? "chosen" : "");
    const head = make("th");
    head.scope = "row";
    row.role = "row"; // stays one where a narrow screen shows no table
    head.role = "rowheader";
    const button = make("button", "mention", this.points.slice(one.start, one.end).join("") || t("the whole text"));
    button.type = "button";
    button.lang = "zh-CN";
    button.dataset.i = index;
    button.setAttribute("aria-pressed", String(index === this.chosen));
    button.title = t("Show what was read");
    button.addEventListener("click", () => this.choose(index));
    head.append(button);
    const found = this.points.slice(one.start, one.end).join("");
    const aside = [one.term && one.term !== found ? one.term : "", one.category || ""].filter(Boolean).join(" · ");
    if (aside) head.append(make("small", "", aside));
    const label = make("td");
    label.append(make("span", `label l-${colour(one.label, this.card.labels)}`, named(one.label)));
    if (this.differs(one)) label.append(make("span", "differs", t("differs")));
    const probs = make("td");
    probs.append(this.bar(one), make("span", "probs"));
    probs.lastChild.append(...this.card.labels.map((each) => make("span", "", `${each} ${percent(one.probs[each])}`)));
    row.append(head, label, probs, make("td", "read", this.read(one)));
    for (const cell of row.querySelectorAll("td")) cell.role = "cell";
    return row;
  }

  bar(one) {
    const bar = make("span", "bar");
    bar.setAttribute("aria-hidden", "true");
    for (const label of this.card.labels) {
      const part = make("i", `l-${colour(label, this.card.labels)}`);
      part.style.flexGrow = one.probs[label];
      bar.append(part);
    }
    return bar;
  }

  read(one) {
    const [start, end] = one.window || [0, this.points.length];
    if (start <= 0 && end >= this.points.length) return t("all of it");
    return t("characters {start} to {end} of {all}", { start: number(start + 1), end: number(end), all: number(this.points.length) });
  }
}

/** Which mentions can be marked side by side: of two that overlap, the one that was asked for. */
function shown(mentions) {
  const order = mentions.map((_, index) => index).sort((a, b) =>
    Boolean(mentions[b].asked) - Boolean(mentions[a].asked) || mentions[a].start - mentions[b].start);
  const taken = [];
  for (const index of order) {
    const one = mentions[index];
    if (taken.every((other) => mentions[other].end <= one.start || one.end <= mentions[other].start)) taken.push(index);
  }
  return taken.sort((a, b) => mentions[a].start - mentions[b].start);
}

/** The selected text in an element, without the tags of its marks. */
function selectedIn(element) {
  const selection = getSelection();
  if (selection.isCollapsed || !selection.rangeCount) return "";
  const range = selection.getRangeAt(0);
  if (!element.contains(range.commonAncestorContainer)) return "";
  if (range.commonAncestorContainer.parentElement?.closest(".tag")) return "";
  const part = range.cloneContents();
  for (const tag of part.querySelectorAll(".tag")) tag.remove();
  return part.textContent.trim();
}
