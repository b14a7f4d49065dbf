"use strict";
// Text of gateways and people is set as text, never as markup.
const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 480, HEIGHT = 150, LEFT = 52, BOTTOM = 18, TOP = 8;
const byId = (id) => document.getElementById(id);

function make(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

function draw(tag, attributes, text) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

function path(points, x, y) {
  return points.map(([at, value], index) => `${index ? "L" : "M"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`).join(" ");
}

function chart(curve, view) {
  const figure = make("figure");
  const last = curve.points[curve.points.length - 1];
  const shown = (value) => `${value.toPrecision(3)} ${curve.unit}`;
  const limits = curve.points.filter(([, , limit]) => limit !== null).map(([at, , limit]) => [at, limit]);
  const now = last ? `${shown(last[1])}${last[2] === null ? "" : `, limit ${shown(last[2])}`}` : "no value yet";
  figure.append(make("figcaption", "", `${curve.clause} ${curve.name}: ${now}`));
  const svg = draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": figure.textContent });
  const most = Math.max(1e-9, ...curve.points.map((point) => Math.max(point[1], point[2] ?? 0))) * 1.15;
  const end = Math.max(view.window_s, view.now_s, 1);
  const x = (at) => LEFT + (at / end) * (WIDTH - LEFT - 8);
  const y = (value) => HEIGHT - BOTTOM - (value / most) * (HEIGHT - BOTTOM - TOP);
  svg.append(draw("text", { x: 4, y: TOP + 10 }, shown(most)), draw("text", { x: 4, y: HEIGHT - BOTTOM }, `0 ${curve.unit}`));
  svg.append(draw("text", { x: LEFT, y: HEIGHT - 4 }, "0 s"));
  svg.append(draw("text", { x: WIDTH - 8, y: HEIGHT - 4, "text-anchor": "end" }, `${Math.round(end)} s`));
  for (const at of view.stages_at_s) svg.append(draw("line", { class: "stage", x1: x(at), x2: x(at), y1: TOP, y2: HEIGHT - BOTTOM }));
  svg.append(draw("path", { class: "limit", d: path(limits, x, y) }), draw("path", { class: "curve", d: path(curve.points, x, y) }));
  figure.append(svg);
  return figure;
}

function triggers(rows) {
  const table = make("table");
  table.append(make("caption", "", "Triggers"));
  const head = make("tr");
  const names = ["Trigger", "State", "Value", "Limit", "Samples"];
  for (const name of names) head.append(make("th", "", name));
  const top = make("thead");
  top.append(head);
  const body = make("tbody");
  for (const row of rows) {
    const line = make("tr");
    const cells = [`${row.clause} ${row.title}`, "", row.value, row.limit, row.samples.toLocaleString("en")];
    cells.forEach((text, index) => {
      const cell = make("td", index > 1 ? "number" : "", text);
      cell.dataset.label = names[index];
      line.append(cell);
    });
    line.children[1].append(make("span", `state ${row.state.replaceAll(" ", "-")}`, row.state));
    if (row.state !== "holding") line.children[1].append(make("div", "", row.message));
    body.append(line);
  }
  table.append(top, body);
  return table;
}

function showWindow(card, view) {
  card.append(make("p", "left", view.left));
  for (const text of [view.hold, view.extension]) if (text) card.append(make("p", "alarm", text));
  const charts = make("div", "charts");
  charts.append(...view.curves.map((curve) => chart(curve, view)));
  card.append(charts);
  if (view.triggers.length) card.append(triggers(view.triggers));
  card.append(make("p", view.is_alive ? "facts" : "facts alarm", view.way_back));
}

function showRollout(rollout, wasOpen) {
  const card = make("article", rollout.state);
  card.id = rollout.id;
  if (rollout.trouble) {
    card.append(make("h2", "", rollout.id), make("p", "alarm", rollout.trouble));
    return card;
  }
  card.append(make("h2", "", `${rollout.change} on ${rollout.target}`));
  const standing = make("p", "facts");
  standing.append(make("span", "word", rollout.word), rollout.why ? `: ${rollout.why}` : "");
  card.append(standing);
  card.append(make("p", "facts", `${rollout.who}; ticket ${rollout.ticket}; since ${rollout.since}; run by ${rollout.run_by || "not known"}`));
  if (rollout.window) showWindow(card, rollout.window);
  if (rollout.stop) {
    for (const text of rollout.window && rollout.state === "watched" ? rollout.window.advice : []) card.append(make("p", "facts", text));
    const stop = make("p", "facts", "To roll it back: ");
    stop.append(make("code", "", rollout.stop));
    card.append(stop);
  } else {
    const link = make("a", "", "report");
    link.href = `reports/${encodeURIComponent(rollout.id)}/report.html`;
    const line = make("p", "facts");
    line.append(link);
    card.append(line);
  }
  const events = make("details");
  events.open = wasOpen;
  events.append(make("summary", "", `The latest ${rollout.events.length} events of ${rollout.id}`));
  const list = make("ul");
  list.append(...rollout.events.map((text) => make("li", "", text)));
  events.append(list);
  card.append(events);
  return card;
}

let indexBefore = null;

function loadIndex(isThere) {
  byId("no-index").hidden = isThere;
  byId("index").hidden = !isThere;
  if (isThere) byId("index").src = "reports/index.html";
}

function fitIndex() {
  const inner = byId("index").contentDocument;
  if (!inner || !inner.body) return;
  for (const link of inner.querySelectorAll("a")) if (!link.getAttribute("href").startsWith("#")) link.target = "_top";
  const fit = () => { byId("index").style.height = `${inner.documentElement.scrollHeight}px`; };
  new ResizeObserver(fit).observe(inner.body);
  fit();
}

function show(state) {
  byId("read").textContent = `As of ${state.read_at}, ${state.closed} of the journal's rollouts are closed. It is read twice a second.`;
  byId("trouble").hidden = !state.trouble;
  byId("trouble").textContent = state.trouble ?? "";
  const open = new Set([...document.querySelectorAll("article details[open]")].map((node) => node.parentElement.id));
  const focused = document.activeElement?.closest("article")?.id;
  const tag = document.activeElement?.localName;
  byId("live").replaceChildren(...state.rollouts.map((rollout) => showRollout(rollout, open.has(rollout.id))));
  if (focused) document.getElementById(focused)?.querySelector(tag)?.focus();
  byId("none").hidden = state.rollouts.length > 0;
  byId("owing").hidden = !state.owed.length;
  byId("owed").replaceChildren(...state.owed.map((owed) => make("li", owed.overdue ? "alarm" : "", `${owed.rollout}: ${owed.text}`)));
  const index = `${state.has_index} ${state.closed}`;
  if (index !== indexBefore) loadIndex(state.has_index);
  indexBefore = index;
}

byId("index").addEventListener("load", fitIndex);
const source = new EventSource("events");
source.onmessage = (event) => show(JSON.parse(event.data));
source.onerror = () => {
  byId("trouble").hidden = false;
  byId("trouble").textContent = "The connection to `rollout serve` is lost: what is shown is not up to date. It is tried again.";
};
