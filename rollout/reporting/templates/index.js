"use strict";
const byId = (id) => document.getElementById(id);
const rows = [...document.querySelectorAll("#rollouts tbody tr")].map((row) => ({ row, facts: JSON.parse(row.dataset.facts), text: row.textContent.toLowerCase() }));
const fields = [...document.querySelectorAll("#filters [name]")];
const lists = ["target", "kind", "decision", "person"];

/* The numbers are made as rollout/reporting/rollout_facts.py makes them. */
const percent = (share) => `${(Math.floor(share * 1000 + 0.5) / 10).toFixed(1)} %`;
const took = (seconds) => {
  if (seconds < 59.95) return `${(Math.floor(seconds * 10 + 0.5) / 10).toFixed(1)} s`;
  const whole = Math.floor(seconds + 0.5);
  for (const [size, unit, part, name] of [[86400, "d", 3600, "h"], [3600, "h", 60, "min"], [60, "min", 1, "s"]]) {
    const rest = Math.floor((whole % size) / part);
    if (whole >= size) return `${Math.floor(whole / size)} ${unit}${rest ? ` ${rest} ${name}` : ""}`;
  }
  return `${whole} s`;
};
const median = (values, which) => {
  const known = values.filter((value) => value !== null).sort((one, other) => one - other), half = known.length >> 1;
  const middle = known.length % 2 ? known[half] : (known[half - 1] + known[half]) / 2;
  return [known.length ? took(middle) : "not measured", known.length, `median of ${known.length} of ${values.length} ${which}`];
};
const numbersOf = (found) => {
  const counted = found.filter((each) => each.counted), failed = counted.filter((each) => each.failed).length;
  const rate = counted.length ? percent(failed / counted.length) : "not measured";
  return [
    [`${found.length}`, found.length, "in the journal, open ones among them"],
    [rate, counted.length, `${failed} not kept of ${counted.length} applied and closed, without emergencies`],
    median(counted.filter((each) => each.rolledBack).map((each) => each.back), "rolled back"),
    median(counted.map((each) => each.lead), "applied and closed"),
  ];
};

const wanted = () => Object.fromEntries(fields.map((field) => [field.name, field.value]).filter(([, value]) => value));
const fits = ({ facts, text }, want) =>
  lists.every((name) => !want[name] || facts[name].includes(want[name])) &&
  (!want.from || facts.opened >= want.from) && (!want.to || facts.opened <= want.to) &&
  (want.words || "").toLowerCase().split(/\s+/).every((word) => text.includes(word));
const show = () => {
  const want = wanted(), isFiltered = Object.keys(want).length > 0;
  const left = rows.filter((each) => fits(each, want));
  for (const each of rows) each.row.hidden = !left.includes(each);
  const shown = new Set(left.map((each) => each.row.id));
  for (const row of document.querySelectorAll("#duties tbody tr")) row.hidden = !shown.has(row.dataset.rollout);
  const view = want.target ? `Target ${want.target}: ` : "";
  byId("shown").textContent = isFiltered ? `${view}${left.length} of ${rows.length} shown; the numbers are of these` : "";
  for (const [at, [text, population, basis]] of numbersOf(left.map((each) => each.facts)).entries()) {
    const card = document.querySelectorAll("#numbers > div")[at];
    card.querySelector("b").textContent = text;
    card.querySelector(".n").textContent = `n = ${population}`;
    card.querySelector(".basis").textContent = basis;
  }
  return want;
};
const keep = () => history.replaceState(null, "", `#${new URLSearchParams(show())}`);
const restore = () => {
  const state = location.hash.includes("=") ? new URLSearchParams(location.hash.slice(1)) : new URLSearchParams();
  for (const field of fields) {
    field.value = state.get(field.name) || "";
    /* A value that is not among the choices would filter nothing, although the address asks for it. */
    if (field.tagName === "SELECT" && state.get(field.name) && field.value !== state.get(field.name)) {
      field.add(new Option(`${state.get(field.name)} (none)`, state.get(field.name), true, true));
    }
  }
  show();
};
if (rows.length) {
  byId("filters").hidden = false;
  byId("filters").addEventListener("input", keep);
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("clear").addEventListener("click", () => { for (const field of fields) field.value = ""; keep(); fields[0].focus(); });
  addEventListener("hashchange", restore);
  restore();
}
