"""The style of the page over all rollouts, and its optional script."""

from __future__ import annotations

STYLE = """
:root { color-scheme: light dark; --line: #8886; --soft: #8882; --kept: #1a7f37; --back: #9a6700; --bad: #cf222e; }
@media (prefers-color-scheme: dark) { :root { --kept: #57d977; --back: #e3b341; --bad: #ff7b72; } }
body { margin: 0; font: 1rem/1.45 system-ui, sans-serif; }
main { padding: 1rem 1.5rem 3rem; }
h1 { margin: 0 0 .25rem; }
.counts { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; margin: .75rem 0; padding: 0; list-style: none; }
table { width: 100%; border-collapse: collapse; }
caption { text-align: left; font-weight: 600; padding: .5rem 0; }
th, td { padding: .5rem .6rem; text-align: left; vertical-align: top; border-top: 1px solid var(--line);
  overflow-wrap: break-word; }
td:nth-child(2) { min-width: 18rem; }
td:first-child span, td:nth-child(5) { white-space: nowrap; }
td a { margin-right: .6rem; white-space: nowrap; }
th { white-space: nowrap; }
td:first-child { font-variant-numeric: tabular-nums; }
.sign { display: inline-block; min-width: 1.3em; border: 2px solid; border-radius: .25rem; text-align: center;
  font-weight: 700; line-height: 1.2; }
.sign.kept { color: var(--kept); }
.sign.back { color: var(--back); border-style: dashed; }
.sign.open, .sign.unknown { border-style: dotted; }
.sign.failed { color: #fff; background: #cf222e; border-color: #cf222e; border-radius: 0; }
tr.failed td { background: color-mix(in srgb, var(--bad) 16%, transparent); border-top: 3px solid var(--bad); }
tr.failed b { color: var(--bad); text-decoration: underline; }
tr:target td { outline: 2px solid; }
.id { font-size: .8em; }
input { font: inherit; padding: .3rem .5rem; min-width: 14rem; }
a:focus-visible, input:focus-visible { outline: 3px solid; outline-offset: 2px; }
[hidden] { display: none !important; }
@media (max-width: 68rem) {
  table, tbody, tr, td, caption { display: block; }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  tr { border: 2px solid var(--line); border-radius: .5rem; margin: 0 0 1rem; overflow: hidden; }
  td, tr.failed td { position: relative; border-top: 0; padding: .25rem .6rem .25rem 8rem; overflow-wrap: anywhere; }
  td::before { content: attr(data-label); position: absolute; left: .6rem; font-weight: 600; }
  td:nth-child(2) { min-width: 0; }
}
@media print {
  body { font-size: 8pt; }
  main { padding: 0; }
  #filtering { display: none !important; }
  tr { break-inside: avoid; }
  thead { display: table-header-group; }
  .sign.failed { color: #000; background: none; border-width: 3px; }
}
"""

FILTER = """
"use strict";
const rows = [...document.querySelectorAll("tbody tr")], field = document.getElementById("filter");
const show = () => {
  const words = field.value.toLowerCase().split(/\\s+/).filter(Boolean);
  for (const row of rows) row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
  const left = rows.filter((row) => !row.hidden).length;
  document.getElementById("shown").textContent = words.length ? `${left} of ${rows.length} shown` : "";
};
field.addEventListener("input", show);
document.getElementById("filtering").hidden = !rows.length;
show();
"""
