"use strict";
// Pictures for slides: a drawing as PNG, in the light colours, its title and the state of correction above it.
const LIGHT = document.styleSheets[0].cssRules[0].style, HEAD = 56, FOOT = 26, PIXELS = 2;
const lit = text => text.replace(/var\((--[a-z]+)\)/g, (_, name) => LIGHT.getPropertyValue(name).trim());
const wide = char => char.codePointAt(0) > 0x2e7f ? 13 : 7.3;

/** As much of a text as a width of pixels holds at 13 px. */
function fitted(text, width) {
  let left = width, made = "";
  for (const char of text) {
    left -= wide(char);
    if (left < 13 && made.length < text.length - 1) return made + "…";
    made += char;
  }
  return made;
}

function slide(drawing, title, note) {
  const [, , width, height] = drawing.getAttribute("viewBox").split(" ").map(Number), whole = height + HEAD + FOOT;
  const made = svg("svg", {viewBox: `0 0 ${width} ${whole}`, width: PIXELS * width, height: PIXELS * whole, "font-family": getComputedStyle(document.body).fontFamily, "font-size": 12, fill: "var(--soft)"});
  made.append(svg("rect", {width, height: whole, fill: "var(--card)"}),
    svg("text", {x: 16, y: 28, fill: "var(--ink)", "font-size": 17, "font-weight": 650}, fitted(title, 0.72 * width)),
    svg("text", {x: 16, y: 47, fill: D.corrected ? "var(--good)" : "var(--bad)", "font-size": 12.5, "font-weight": 600}, D.status),
    svg("text", {x: 16, y: whole - 12}, fitted(note, width)));
  const inner = svg("g", {transform: `translate(0 ${HEAD})`});
  inner.append(...[...drawing.cloneNode(true).childNodes]);
  for (const name of inner.querySelectorAll("text.line")) name.setAttribute("font-weight", 600);
  made.append(inner);
  return made;
}

async function savePicture(drawing, title, note) {
  const made = slide(drawing, title, note), image = new Image();
  image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(lit(new XMLSerializer().serializeToString(made)));
  await image.decode();
  const canvas = el("canvas", {width: +made.getAttribute("width"), height: +made.getAttribute("height")});
  canvas.getContext("2d").drawImage(image, 0, 0);
  const blob = await new Promise(resolve => canvas.toBlob(resolve, "image/png"));
  const link = el("a", {href: URL.createObjectURL(blob), download: `${title}.png`});
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}
const pictureButton = make => el("button", {type: "button", className: "save", title: M.save_png_note, on: {click: () => savePicture(...make())}}, M.save_png);
