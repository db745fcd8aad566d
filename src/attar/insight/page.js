const D = JSON.parse(document.getElementById("data").textContent);
const L = D.labels.length, K = D.outcomes.length, SCALE = 10000;
const ORDER = D.scores ? [L, ...[...Array(L).keys()].reverse()] : [...Array(L).keys()];
const NET = D.scores ? L : null, MAIN = NET ?? L - 1;
const SERIES = ["#b03a5b", "#2f74a8", "#c98a1b", "#4c8f55", "#7a5ab0", "#7d7277"];

// Each string has the form of any number last, and that of one first where the language has another.
const M = Object.fromEntries(Object.entries(D.msgs).map(([id, forms]) => [id, forms[forms.length - 1]]));
const num = n => typeof n === "number" ? n.toLocaleString("en-US") : n;
const say = (id, values = {}) => (values.num === 1 ? D.msgs[id][0] : M[id]).replace(/\{(\w+)\}/g, (whole, name) => name in values ? num(values[name]) : whole);
const joined = (sentence, next) => say("joined", {sentence, next});
const percent = (x, digits = 1) => say("percent", {value: (100 * x).toFixed(digits)});
function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") for (const [event, act] of Object.entries(value)) made.addEventListener(event, act);
    else if (name === "style") Object.assign(made.style, value);
    else if (name in made && name !== "list") made[name] = value;
    else made.setAttribute(name, value);
  }
  for (const child of children) if (child !== null && child !== undefined) made.append(child);
  return made;
}
function svg(tag, attributes = {}, text = null) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== null) made.textContent = text;
  return made;
}

// A cell of a view: codes, mentions, reviews, counts, then of each outcome said, best, low, high, pooled.
const viewOf = dims => D.views.find(view => view.dims.join() === dims.join());
const valueOf = (place, code) => D.values[place][code] || (D.dims[place].period ? M.no_date : M.missing);
const nameOf = (view, row) => view.dims.length ? view.dims.map((place, i) => valueOf(place, row[i])) : [M.all];
const mentions = (view, row) => row[view.dims.length];
const reviews = (view, row) => row[view.dims.length + 1];
function outcome(view, row, k) {
  const at = view.dims.length + 2 + L + 5 * k;
  const [said, best, low, high, pooled] = row.slice(at, at + 5).map(x => x / SCALE);
  return {said, best, low, high, pooled};
}
const counted = (view, row) => say("subtitle", {mentions: say("num_mentions", {num: mentions(view, row)}), reviews: say("num_reviews", {num: reviews(view, row)})});
const isSmall = (view, row) => mentions(view, row) < D.small;
const minus = text => text.replace("-", "−");
const shown = (x, k) => k === NET ? minus((100 * x > 0 ? "+" : "") + (100 * x).toFixed(1)) : percent(x);
const range = (o, k) => k === NET
  ? minus((100 * o.low).toFixed(1)) + " … " + minus((100 * o.high).toFixed(1))
  : (100 * o.low).toFixed(1) + "–" + percent(o.high);

function colourOf(k) {
  if (!D.scores) return SERIES[k % SERIES.length];
  return D.scores[k] > 0 ? "var(--good)" : D.scores[k] < 0 ? "var(--bad)" : "var(--mid)";
}
function heatColour(x, k) {
  const isNet = k === NET, strength = Math.min(1, Math.abs(x) / (isNet ? 0.8 : 1));
  const colour = isNet ? (x < 0 ? "var(--bad)" : "var(--good)") : D.scores ? colourOf(k) : "var(--accent)";
  return `color-mix(in srgb, ${colour} ${Math.round(6 + 58 * strength)}%, var(--card))`;
}
function stack(view, row) {
  const bar = el("span", {className: "stack"});
  for (let k = 0; k < L; k++) {
    bar.append(el("i", {title: D.labels[k], style: {width: 100 * outcome(view, row, k).best + "%", background: colourOf(k)}}));
  }
  return bar;
}
function choice(label, options, value, act) {
  const box = el("select", {on: {change: () => act(box.value)}});
  for (const [id, text] of options) box.append(el("option", {value: id, selected: String(id) === String(value)}, text));
  return el("label", {}, label, box);
}
const outcomeChoice = (value, act) => choice(M.outcome, D.outcomes.map((name, k) => [k, name]), value, v => act(+v));
function section(title, note, ...children) {
  const made = el("section", {}, el("h2", {}, title), note ? el("p", {className: "note"}, note) : null, ...children);
  document.getElementById("main").append(made);
  return made;
}

function head() {
  const view = viewOf([]), row = view.rows[0], time = D.dims.findIndex(d => d.period);
  const periods = time < 0 ? [] : viewOf([time]).rows.map(r => D.values[time][r[0]]).filter(Boolean).sort();
  const place = document.getElementById("head");
  let sub = counted(view, row);
  if (periods.length) sub += " · " + say("period", {first: periods[0], last: periods[periods.length - 1]});
  place.append(el("h1", {}, D.title), el("p", {className: "sub"}, sub));
  let status = D.status;
  if (D.accuracy !== null) status += " · " + say("accuracy_note", {accuracy: percent(D.accuracy)});
  place.append(el("span", {className: "stamp " + (D.corrected ? "good" : "bad")}, status));
  if (D.warnings.length) place.append(el("ul", {className: "warnings"}, ...D.warnings.map(text => el("li", {}, text))));
  const tiles = el("div", {className: "tiles"});
  const order = ORDER;
  for (const k of order) {
    const o = outcome(view, row, k);
    tiles.append(el("div", {className: "tile"},
      el("span", {className: "name"}, D.outcomes[k]), el("b", {}, shown(o.best, k)),
      el("span", {}, M.interval + " ", el("span", {className: "range"}, range(o, k))),
      D.corrected ? el("span", {}, say("as_said", {value: shown(o.said, k)})) : null,
      k === NET ? el("span", {}, M.net_note) : null));
  }
  place.append(tiles);
}

function findings() {
  if (!D.numCompared) return void section(M.findings, say("no_comparisons", {small: D.small}));
  const best = D.foremost;
  if (!best.length) return void section(M.findings, say("nothing_found", {num: D.numCompared}));
  const list = el("ul", {className: "findings"});
  for (const f of best) {
    const v = f.v[0] / SCALE, points = minus((v > 0 ? "+" : "") + (100 * v).toFixed(1));
    list.append(el("li", {}, el("b", {className: v > 0 ? "up" : "down"}, points),
      el("span", {}, "★ " + f.text, el("small", {}, M.interval + " " + f.v.slice(1).map(x => minus((x / 100).toFixed(1))).join(" … ")))));
  }
  section(M.findings, say("findings_note", {num: D.numCompared}), list);
}

function trend() {
  const time = D.dims.findIndex(d => d.period);
  if (time < 0) return;
  const periods = viewOf([time]).rows.filter(r => D.values[time][r[0]]).map(r => r[0]).sort((a, b) => a - b);
  if (periods.length < 2) return;
  const others = D.dims.map((_, i) => i).filter(i => i !== time);
  const state = {by: others.length ? others[0] : -1, k: MAIN};
  const figure = el("figure"), controls = el("div", {className: "controls"});
  const lines = [[-1, M.all], ...others.map(i => [i, D.dims[i].name])];
  controls.append(choice(M.lines, lines, state.by, v => { state.by = +v; draw(); }), outcomeChoice(state.k, k => { state.k = k; draw(); }),
    pictureButton(() => [figure.firstChild, `${D.title} · ${M.trend} · ${D.outcomes[state.k]}`, M.trend_note]));
  function series() {
    if (state.by < 0) return [{name: M.all, view: viewOf([time]), rows: viewOf([time]).rows, at: 0}];
    const dims = [state.by, time].sort((a, b) => a - b), view = viewOf(dims), mine = dims.indexOf(state.by);
    const top = viewOf([state.by]).rows.filter(r => D.values[state.by][r[0]]).slice(0, 6);
    return top.map(t => ({name: valueOf(state.by, t[0]), view, at: 1 - mine, rows: view.rows.filter(r => r[mine] === t[0])}));
  }
  function draw() {
    const all = series(), k = state.k, W = 1060, H = 330, left = 52, right = 150, top = 14, bottom = 34;
    const points = all.map(s => periods.map((p, i) => {
      const row = s.rows.find(r => r[s.at] === p);
      return row ? {i, o: outcome(s.view, row, k), small: isSmall(s.view, row), n: mentions(s.view, row)} : null;
    }).filter(Boolean));
    const sure = points.flat().filter(p => !p.small), used = sure.length ? sure : points.flat();
    let low = Math.min(...used.map(p => p.o.low)), high = Math.max(...used.map(p => p.o.high));
    const pad = Math.max(0.02, (high - low) * 0.06); low -= pad; high += pad;
    if (k !== NET) { low = Math.max(0, low); high = Math.min(1, high); }
    const x = i => left + 14 + (W - left - right - 28) * (periods.length === 1 ? 0.5 : i / (periods.length - 1));
    const y = v => top + (H - top - bottom) * (1 - (Math.max(low, Math.min(high, v)) - low) / (high - low));
    const picture = svg("svg", {viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": M.trend});
    const step = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5].find(s => (high - low) / s <= 7) || 0.5;
    for (let v = Math.ceil(low / step) * step; v <= high; v += step) {
      picture.append(svg("line", {x1: left, x2: W - right, y1: y(v), y2: y(v), stroke: "var(--grid)"}));
      picture.append(svg("text", {x: left - 8, y: y(v) + 4, "text-anchor": "end"}, k === NET ? minus((100 * v).toFixed(0)) : percent(v, 0)));
    }
    const every = Math.ceil(periods.length / 12);
    periods.forEach((p, i) => { if (i % every === 0) picture.append(svg("text", {x: x(i), y: H - 10, "text-anchor": "middle"}, D.values[time][p])); });
    const ends = [];
    all.forEach((s, number) => {
      const colour = SERIES[number % SERIES.length], mine = points[number];
      if (!mine.length) return;
      const shift = all.length > 1 ? (number - (all.length - 1) / 2) * 3 : 0;
      picture.append(svg("polyline", {points: mine.map(p => `${x(p.i) + shift},${y(p.o.best)}`).join(" "), fill: "none", stroke: colour, "stroke-width": 2}));
      for (const p of mine) {
        picture.append(svg("line", {x1: x(p.i) + shift, x2: x(p.i) + shift, y1: y(p.o.low), y2: y(p.o.high), stroke: colour, "stroke-opacity": 0.4, "stroke-width": 1.5}));
        const dot = svg("circle", {cx: x(p.i) + shift, cy: y(p.o.best), r: 3.6, fill: p.small ? "var(--card)" : colour, stroke: colour, "stroke-width": 1.5});
        dot.append(svg("title", {}, `${s.name} · ${D.values[time][periods[p.i]]}: ${shown(p.o.best, k)} (${range(p.o, k)}), n = ${num(p.n)}`));
        picture.append(dot);
      }
      ends.push({y: y(mine[mine.length - 1].o.best), name: s.name, colour});
    });
    ends.sort((a, b) => a.y - b.y);
    ends.forEach((e, i) => { if (i && e.y < ends[i - 1].y + 15) e.y = ends[i - 1].y + 15; });
    const over = ends.length ? Math.max(0, ends[ends.length - 1].y - (H - bottom)) : 0;
    for (const e of ends) {
      const name = e.name.length > 14 ? e.name.slice(0, 13) + "…" : e.name;
      picture.append(svg("text", {x: W - right + 14, y: e.y + 4 - over, class: "line", style: `fill:${e.colour}`}, name));
    }
    figure.replaceChildren(picture);
  }
  draw();
  section(M.trend, M.trend_note, controls, figure);
}

function heat() {
  const places = D.dims.map((_, i) => i);
  if (places.length < 2) return;
  const plain = places.filter(i => !D.dims[i].period);
  const state = plain.length > 1 ? {r: plain[0], c: plain[1], k: MAIN} : {r: plain[0], c: places.find(i => i !== plain[0]), k: MAIN};
  const box = el("div", {className: "scroll heat"}), controls = el("div", {className: "controls"});
  let picture = null;
  function first(place, count) {
    const rows = viewOf([place]).rows.map(r => r[0]);
    if (!D.dims[place].period) return rows.slice(0, count);
    return rows.sort((a, b) => a - b).slice(-count);
  }
  function draw() {
    const names = places.map(i => [i, D.dims[i].name]);
    controls.replaceChildren(
      choice(M.rows, names, state.r, v => { if (+v === state.c) state.c = state.r; state.r = +v; draw(); }),
      choice(M.columns, names, state.c, v => { if (+v === state.r) state.r = state.c; state.c = +v; draw(); }),
      outcomeChoice(state.k, k => { state.k = k; draw(); }),
      pictureButton(() => [picture, `${D.title} · ${D.dims[state.r].name} × ${D.dims[state.c].name} · ${D.outcomes[state.k]}`, D.smallNote]));
    const dims = [state.r, state.c].sort((a, b) => a - b), view = viewOf(dims), r = dims.indexOf(state.r);
    const found = new Map(view.rows.map((row, i) => [row[r] + ":" + row[1 - r], i]));
    const cols = first(state.c, 14), lines = first(state.r, 20), table = el("table");
    const W = 76, H = 32, left = 176, top = 30, middle = {"text-anchor": "middle", "font-size": 13};
    picture = svg("svg", {viewBox: `0 0 ${left + W * cols.length + 16} ${top + H * lines.length + 16}`});
    cols.forEach((c, at) => picture.append(svg("text", {x: left + W * (at + 0.5), y: 18, ...middle}, fitted(valueOf(state.c, c), W - 6))));
    table.append(el("thead", {}, el("tr", {}, el("th"), ...cols.map(c => el("th", {title: valueOf(state.c, c)}, valueOf(state.c, c))))));
    const body = el("tbody");
    lines.forEach((line, place) => {
      const tr = el("tr", {}, el("th", {title: valueOf(state.r, line), scope: "row"}, valueOf(state.r, line))), y = top + H * place;
      picture.append(svg("text", {x: left - 12, y: y + 21, fill: "var(--ink)", "font-size": 13, "text-anchor": "end"}, fitted(valueOf(state.r, line), left - 28)));
      for (const [at, c] of cols.entries()) {
        const i = found.get(line + ":" + c);
        if (i === undefined) { tr.append(el("td")); continue; }
        const row = view.rows[i], o = outcome(view, row, state.k);
        const text = state.k === NET ? minus((100 * o.best > 0 ? "+" : "") + (100 * o.best).toFixed(0)) : percent(o.best, 0);
        const about = `${nameOf(view, row).join(" · ")}: ${shown(o.best, state.k)} (${range(o, state.k)}), n = ${num(mentions(view, row))}`;
        tr.append(el("td", {className: isSmall(view, row) ? "small" : ""},
          el("button", {type: "button", title: about, style: {background: heatColour(o.best, state.k)}, on: {click: () => drill(view, i)}}, text)));
        const few = isSmall(view, row), x = left + W * at;
        picture.append(svg("rect", {x: x + 1, y: y + 1, width: W - 2, height: H - 2, rx: 5, style: few ? "fill:var(--card);stroke:var(--grid);stroke-dasharray:3 3" : `fill:${heatColour(o.best, state.k)}`}),
          svg("text", {x: x + W / 2, y: y + 21, fill: few ? "var(--soft)" : "var(--ink)", ...middle}, text));
      }
      body.append(tr);
    });
    table.append(body);
    box.replaceChildren(table);
  }
  draw();
  section(M.heat, joined(M.heat_note, D.smallNote), controls, box);
}

function figures() {
  const views = D.views.filter(v => v.dims.length), title = v => v.dims.map(i => D.dims[i].name).join(" × ");
  const state = {view: 0, sort: null, down: true, search: "", hide: false, count: 50};
  const controls = el("div", {className: "controls"}), box = el("div", {className: "scroll"}), foot = el("div", {className: "foot"});
  const search = el("input", {type: "search", on: {input: () => { state.search = search.value.toLowerCase(); state.count = 50; draw(); }}});
  const hide = el("input", {type: "checkbox", on: {change: () => { state.hide = hide.checked; draw(); }}});
  controls.append(choice(M.group, views.map((v, i) => [i, title(v)]), 0, v => { Object.assign(state, {view: +v, sort: null, count: 50}); draw(); }),
    el("label", {}, M.search, search), el("label", {}, hide, " " + M.hide_small));
  function draw() {
    const view = views[state.view], width = view.dims.length;
    const order = ORDER;
    const columns = [
      ...view.dims.map((place, i) => ({name: D.dims[place].name, text: true, key: r => D.dims[place].period ? D.values[place][r[i]] : valueOf(place, r[i])})),
      {name: M.mentions, key: r => mentions(view, r)}, {name: M.reviews, key: r => reviews(view, r)}, {name: M.shares},
      ...order.map(k => ({name: D.outcomes[k], k, key: r => outcome(view, r, k).best})),
    ];
    let rows = view.rows.map((_, i) => i);
    if (state.search) rows = rows.filter(i => nameOf(view, view.rows[i]).some(n => n.toLowerCase().includes(state.search)));
    if (state.hide) rows = rows.filter(i => !isSmall(view, view.rows[i]));
    if (state.sort !== null) {
      const key = columns[state.sort].key, keys = new Map(rows.map(i => [i, key(view.rows[i])]));
      const compare = columns[state.sort].text ? (a, b) => keys.get(a).localeCompare(keys.get(b), "zh") : (a, b) => keys.get(a) - keys.get(b);
      rows.sort((a, b) => state.down ? compare(b, a) : compare(a, b));
    }
    const heads = columns.map((c, place) => el("th", {className: c.text ? "text" : "", "aria-sort": state.sort === place ? (state.down ? "descending" : "ascending") : "none"},
      c.key ? el("button", {type: "button", on: {click: () => { state.down = state.sort === place ? !state.down : !c.text; state.sort = place; draw(); }}},
        c.name + (state.sort === place ? (state.down ? " ▾" : " ▴") : "")) : c.name));
    const body = el("tbody");
    for (const i of rows.slice(0, state.count)) {
      const row = view.rows[i], tr = el("tr", {className: "open" + (isSmall(view, row) ? " small" : ""), on: {click: () => drill(view, i)}});
      nameOf(view, row).forEach((name, n) => tr.append(el("td", {className: "text", title: name}, n ? name : el("button", {type: "button"}, name))));
      tr.append(el("td", {}, num(mentions(view, row))), el("td", {}, num(reviews(view, row))), el("td", {}, stack(view, row)));
      for (const k of order) { const o = outcome(view, row, k); tr.append(el("td", {}, shown(o.best, k), el("small", {}, range(o, k) + (isSmall(view, row) ? " · " + M.pooled + " " + shown(o.pooled, k) : "")))); }
      body.append(tr);
    }
    box.replaceChildren(el("table", {}, el("thead", {}, el("tr", {}, ...heads)), body));
    foot.replaceChildren(el("span", {}, say("shown_of", {shown: Math.min(state.count, rows.length), total: rows.length})));
    if (rows.length > state.count) foot.append(el("button", {type: "button", on: {click: () => { state.count += 200; draw(); }}}, M.more));
    if (view.omitted[0]) foot.append(el("span", {}, say("omitted", {num: view.omitted[0], mentions: say("num_mentions", {num: view.omitted[1]})})));
  }
  draw();
  section(M.table, joined(M.table_note, D.smallNote), controls, box, foot);
}

function comparisons() {
  if (!D.findings.length) return;
  const state = {marked: D.findings.some(f => f.star), search: "", count: 25};
  const controls = el("div", {className: "controls"}), box = el("div", {className: "scroll"}), foot = el("div", {className: "foot"});
  const search = el("input", {type: "search", on: {input: () => { state.search = search.value.toLowerCase(); draw(); }}});
  const marked = el("input", {type: "checkbox", checked: state.marked, on: {change: () => { state.marked = marked.checked; draw(); }}});
  controls.append(el("label", {}, M.search, search), el("label", {}, marked, " " + M.only_marked));
  const kinds = {difference: M.difference, change: M.change, trend: M.trend_kind};
  function draw() {
    const rows = D.findings.filter(f => (!state.marked || f.star) && f.text.toLowerCase().includes(state.search));
    const heads = ["", M.kind, M.what, M.points, M.interval, M.adjusted];
    const body = el("tbody", {}, ...rows.slice(0, state.count).map(f => el("tr", {},
      el("td", {}, f.star ? "★" : ""), el("td", {className: "text"}, kinds[f.kind]), el("td", {className: "text long"}, f.text),
      el("td", {}, minus((f.v[0] > 0 ? "+" : "") + (f.v[0] / 100).toFixed(1))),
      el("td", {}, f.v.slice(1).map(x => minus((x / 100).toFixed(1))).join(" … ")), el("td", {}, f.p < 0.001 ? "< 0.001" : f.p.toFixed(3)))));
    box.replaceChildren(el("table", {}, el("thead", {}, el("tr", {}, ...heads.map((h, i) => el("th", {className: i === 1 || i === 2 ? "text" : ""}, h)))), body));
    foot.replaceChildren(el("span", {}, say("shown_of", {shown: Math.min(state.count, rows.length), total: rows.length})));
    if (rows.length > state.count) foot.append(el("button", {type: "button", on: {click: () => { state.count += 100; draw(); }}}, M.more));
  }
  draw();
  section(M.comparisons, say("findings_note", {num: D.numCompared}), controls, box, foot);
}

function drill(view, i) {
  const row = view.rows[i], box = document.getElementById("drill");
  const table = el("table"), order = ORDER;
  table.append(el("thead", {}, el("tr", {}, ...["", D.corrected ? M.model_alone : "", D.corrected ? M.corrected_share : M.shares, M.interval, M.pooled].map(h => el("th", {}, h)))));
  table.append(el("tbody", {}, ...order.map(k => {
    const o = outcome(view, row, k);
    return el("tr", {}, el("td", {className: "text"}, D.outcomes[k]), el("td", {}, D.corrected ? shown(o.said, k) : ""), el("td", {}, el("b", {}, shown(o.best, k))), el("td", {}, range(o, k)), el("td", {}, shown(o.pooled, k)));
  })));
  const note = counted(view, row) + (isSmall(view, row) ? " · " + M.small : "");
  box.replaceChildren(el("button", {type: "button", className: "close", on: {click: () => box.close()}}, M.close),
    el("h2", {id: "drill-title"}, nameOf(view, row).join(" · ")), el("p", {className: "note"}, note), el("div", {className: "scroll"}, table));
  const shownOnes = (view.examples[i] || []).map(at => D.pool[at]);
  box.append(el("h3", {}, M.examples), el("p", {className: "note"}, shownOnes.length ? M.examples_note : M.no_examples));
  for (let k = L - 1; k >= 0; k--) {
    const mine = shownOnes.filter(e => e[3] === k);
    if (!mine.length) continue;
    box.append(el("h3", {style: {color: D.scores && !D.scores[k] ? "var(--soft)" : colourOf(k)}}, D.labels[k]), el("ul", {className: "reviews"}, ...mine.map(([left, term, right, , prob]) =>
      el("li", {}, left, term ? el("mark", {}, term) : null, right, prob === null ? null : el("small", {}, prob.toFixed(2))))));
  }
  box.showModal();
  box.scrollTop = 0;
}

head(); findings(); trend(); heat(); figures(); comparisons();
document.getElementById("foot").append(el("h2", {}, M.method), ...D.method.map(text => el("p", {}, text)));
document.getElementById("drill").addEventListener("click", event => { if (event.target.id === "drill") event.target.close(); });
