// The words of the page. An English string is its own key; the service has the other languages' from attar's catalogs.
const TAGS = { zh: "zh-CN", en: "en" };
let catalog = {};
let current = "en";

export const language = () => current;

/** The language of the address, else the first of the browser's that there is. */
export function preferred() {
  const asked = new URLSearchParams(location.search).get("lang");
  const wanted = [asked, ...(navigator.languages || [navigator.language])];
  return wanted.map((one) => (one || "").slice(0, 2).toLowerCase()).find((one) => one in TAGS) || "en";
}

/** Read a language's words; the page's own text follows with translate(). */
export async function choose(name) {
  catalog = name === "en" ? {} : await (await fetch(new URL(name + ".json", import.meta.url))).json();
  current = name;
  document.documentElement.lang = TAGS[name];
}

/** Marks a string that t() translates later. */
export const N_ = (key) => key;

/** A string in the chosen language, with {names} filled in. */
export function t(key, values = {}) {
  const text = catalog[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/** The same for a number: English has one form for 1 and another for the rest. */
export const tn = (one, many, count, values = {}) =>
  t(count === 1 && current === "en" ? one : many, { n: number(count), ...values });

export const number = (value) => new Intl.NumberFormat(TAGS[current]).format(value);
export const percent = (value) =>
  new Intl.NumberFormat(TAGS[current], { style: "percent", maximumFractionDigits: value > 0.995 || value < 0.005 ? 1 : 0 }).format(value);

/** Fill the elements that name a string: data-msg their text, data-msg-label and -placeholder an attribute. */
export function translate(root) {
  for (const one of root.querySelectorAll("[data-msg]")) one.textContent = t(one.dataset.msg);
  for (const one of root.querySelectorAll("[data-msg-label]")) one.setAttribute("aria-label", t(one.dataset.msgLabel));
  for (const one of root.querySelectorAll("[data-msg-placeholder]")) one.placeholder = t(one.dataset.msgPlaceholder);
}
