// Everything here is HTML and XML at once: all elements are closed, attributes quoted, and what XML
// would read as markup stands in CDATA sections, which HTML takes for comments of the script.
#include <heed/viz/attention_page_parts.h>

namespace heed::viz {

// The policy lets the page load nothing, whatever it contains.
const char* const kPageBegin = R"html(<!DOCTYPE html>
<html xmlns="http://www.w3.org/1999/xhtml" lang="en">
<head>
<meta charset="utf-8"/>
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
)html";

// The weight of a cell, --w, is how much of --heat covers it.
const char* const kPageStyle = R"html(<style>
:root { color-scheme: light dark; --paper: #fff; --ink: #282c34; --faint: #6e747e; --rule: #cdd1d6;
  --heat: 24 60 130; --mark: #c83c28; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14171c; --ink: #e4e6ea; --faint: #9aa1ac; --rule: #3c424c; --heat: 140 200 255;
    --mark: #ff9a6a; } }
body { background: var(--paper); color: var(--ink); font: 16px/1.5 sans-serif; margin: 1.5rem; }
h1 { font-size: 1.4rem; margin: 0 0 .5rem; }
p { margin: .2rem 0; }
form { display: flex; flex-wrap: wrap; gap: .5rem 1.5rem; margin: 1rem 0; align-items: center; }
select { font: inherit; }
#reading { min-height: 1.5em; margin: .8rem 0; font-variant-numeric: tabular-nums; }
#hint { color: var(--faint); font-size: .85rem; }
#frame { overflow: auto; max-width: 100%; }
table { border-collapse: collapse; }
th { font-weight: normal; font-size: .9rem; white-space: pre; padding: 0 .4em; text-align: right; }
thead th { writing-mode: vertical-rl; text-orientation: sideways; transform: rotate(180deg);
  padding: .4em 0; text-align: left; }
th.on { color: var(--mark); text-decoration: underline; }
td { width: 1.5rem; min-width: 1.5rem; height: 1.5rem; padding: 0; border: 1px solid var(--rule);
  background: rgb(var(--heat) / var(--w)); cursor: crosshair; }
td.nan { background: repeating-linear-gradient(45deg, #d22 0 3px, transparent 3px 6px); }
td:hover { outline: 2px solid var(--mark); outline-offset: -2px; }
:focus-visible { outline: 3px solid var(--mark); outline-offset: -1px; }
</style>
)html";

const char* const kPageBody = R"html(<form id="choice" aria-label="which map">
<label for="kind">Kind <select id="kind"></select></label>
<label for="layer">Layer <select id="layer"></select></label>
<label for="head">Head <select id="head"></select></label>
<label for="relative"><input id="relative" type="checkbox"/>
the largest weight of the map has full colour</label>
</form>
<p id="hint">Each row is a token that looks at the tokens of the columns. Point at a cell, or move
to the map with Tab and through it with the arrow keys, Home and End.</p>
<p id="reading"></p>
<div id="frame"><table id="map" role="grid" aria-label="attention weights" aria-describedby="hint">
</table></div>
<noscript><p>This page needs JavaScript to show its maps; it loads nothing.</p></noscript>
)html";

const char* const kPageScript = R"html(<script>//<![CDATA[
"use strict";
const groups = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const kind = $("kind"), layer = $("layer"), head = $("head");
const relative = $("relative"), map = $("map");
let rows, columns, weights;      // of the map that is shown
let at = { row: 0, column: 0 };  // the cell that the keyboard is on

const cell = (row, column) => map.tBodies[0].rows[row].cells[column + 1];
const weight_text = (w) => w === null ? "not a number" : w.toFixed(4);

function make(name, text, attributes) {
  const element = document.createElement(name);
  element.textContent = text;
  for (const key in attributes) element.setAttribute(key, attributes[key]);
  return element;
}

// Names for a choice; the one at the same position stays chosen.
function fill_options(select, names) {
  const before = Math.max(0, select.selectedIndex);
  select.replaceChildren(...names.map((name) => make("option", name)));
  select.selectedIndex = Math.min(before, names.length - 1);
}
const numbered = (list) => list.map((_, i) => String(i + 1));

function describe(row, column) {
  return `\u201c${rows[row]}\u201d looks at \u201c${columns[column]}\u201d: ` +
    weight_text(weights[row][column]);
}

function show(row, column) {
  for (const marked of map.querySelectorAll("th.on")) marked.classList.remove("on");
  map.tBodies[0].rows[row].cells[0].classList.add("on");
  map.tHead.rows[0].cells[column + 1].classList.add("on");
  $("reading").textContent = describe(row, column);
}

// The one cell that Tab reaches.
function move_to(row, column, focus) {
  const within = (i, list) => Math.min(Math.max(i, 0), list.length - 1);
  cell(at.row, at.column).tabIndex = -1;
  at = { row: within(row, rows), column: within(column, columns) };
  cell(at.row, at.column).tabIndex = 0;
  if (focus) cell(at.row, at.column).focus();
  show(at.row, at.column);
}

// A new map: the table is made anew.
function draw() {
  const group = groups[kind.selectedIndex];
  ({ rows, columns } = group);
  weights = group.layers[layer.selectedIndex][head.selectedIndex];
  const largest = Math.max(1e-9, ...weights.map((row) => Math.max(...row)));
  const full = relative.checked ? largest : 1;
  const top = make("tr", "");
  top.append(make("td", "", { "aria-hidden": "true", style: "border: 0; background: none" }));
  for (const token of columns) top.append(make("th", token, { scope: "col", dir: "auto" }));
  const thead = make("thead", ""), tbody = make("tbody", "");
  thead.append(top);
  rows.forEach((token, row) => {
    const line = make("tr", "");
    line.append(make("th", token, { scope: "row", dir: "auto" }));
    columns.forEach((_, column) => {
      const w = weights[row][column], td = make("td", "", { role: "gridcell", tabindex: "-1" });
      td.setAttribute("aria-label", describe(row, column));
      td.dataset.row = row;
      td.dataset.column = column;
      td.style.setProperty("--w", Math.min(Math.max(w / full, 0), 1));
      if (w === null) td.className = "nan";
      line.append(td);
    });
    tbody.append(line);
  });
  map.replaceChildren(thead, tbody);
  const wanted = at;
  at = { row: 0, column: 0 };
  move_to(wanted.row, wanted.column, false);
}

function choose() {
  const layers = groups[kind.selectedIndex].layers;
  fill_options(layer, numbered(layers));
  fill_options(head, numbered(layers[layer.selectedIndex]));
  draw();
}

const position = (event) => {
  const td = event.target.closest("td[role=gridcell]");
  return td ? [Number(td.dataset.row), Number(td.dataset.column)] : null;
};
map.addEventListener("mouseover", (event) => { const p = position(event); if (p) show(...p); });
map.addEventListener("mouseleave", () => show(at.row, at.column));
map.addEventListener("mousedown", (event) => {
  const p = position(event);
  if (p) move_to(...p, true);
});
map.addEventListener("keydown", (event) => {
  const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1],
    Home: [0, -Infinity], End: [0, Infinity] }[event.key];
  if (!step || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  move_to(at.row + step[0], at.column + step[1], true);
});
for (const control of [kind, layer, head, relative]) control.addEventListener("change", choose);
$("choice").addEventListener("submit", (event) => event.preventDefault());
fill_options(kind, groups.map((g) => g.name));
choose();
//]]></script>
)html";

}  // namespace heed::viz
