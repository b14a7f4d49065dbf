"use strict";
const rows = [...document.querySelectorAll("tbody tr")], field = document.getElementById("filter");
const show = () => {
  const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const row of rows) row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
  const left = rows.filter((row) => !row.hidden).length;
  document.getElementById("shown").textContent = words.length ? `${left} of ${rows.length} shown` : "";
};
field.addEventListener("input", show);
document.getElementById("filtering").hidden = !rows.length;
show();
