/** The panels: for each label, the values with the most packets. */

import { linePath, keyed, make, makeSvg, put, setText } from "./elements.js";
import { DIMENSIONS, isFolded, label } from "./labels.js";
import { change, full, recentRate, unit } from "./rates.js";
import { ago, count, rate, whole } from "./text.js";
import { isChosen, toggleFilter } from "./view.js";

/** Maximum rows of a panel. On a wall screen, the panel of countries has as many as fit. */
const ROWS = 10;
const COUNTRY_ROWS = 14;
const ROW_HEIGHT = 26;
/** Height by which the row of folded values is set apart. */
const FOLDED_GAP = 6;
const WALL = matchMedia("(min-width: 1600px) and (min-height: 900px)");

export function buildPanels() {
  for (const panel of document.querySelectorAll(".panel")) {
    const { dimension } = panel.dataset;
    const head = make("div", "panel-head");
    const title = make("h2", "", DIMENSIONS[dimension].title);
    title.id = `${dimension}-title`;
    head.append(title, make("span", "unit change", "change"), make("span", "unit rate", "per second"), make("span", "unit", "packets"));
    const rows = make("ul", "rows");
    rows.setAttribute("role", "list");
    panel.append(head, rows, make("p", "more"));
  }
}

function buildRow(dimension, row) {
  const item = make("li");
  const button = make("button", "row");
  button.type = "button";
  button.dataset.filter = dimension;
  button.dataset.value = row.value;
  button.addEventListener("click", () => toggleFilter(dimension, row.value));
  const name = make("span", "name");
  name.append(document.createTextNode(""), make("small"));
  const spark = makeSvg("svg", { class: "spark", viewBox: "0 0 56 18", preserveAspectRatio: "none", "aria-hidden": "true" });
  spark.append(makeSvg("path", { class: "stroke" }));
  const changed = make("span", "change");
  changed.setAttribute("aria-hidden", "true");
  const spoken = (text) => make("span", "unseen", text);
  button.append(name, spark, changed, spoken(" "), make("span", "per-second"), spoken(" "), make("span", "count"), spoken(" packets"));
  item.append(button);
  return item;
}

function updateRow(item, dimension, row, overview, maximum) {
  const button = item.firstChild;
  const [name, spark, changed, spokenChange, perSecond, spokenUnit, packets] = button.children;
  const [main, second] = label(dimension, row);
  const [per, each] = unit(overview);
  const now = recentRate(row, overview) * each;
  if (name.firstChild.data !== main) name.firstChild.data = main;
  setText(name.lastChild, second);
  put(button, "title", second ? `${main} ${second}` : main);
  put(spark.firstChild, "d", row.timeline ? linePath(full(row.timeline, overview), 56, 17).line : "");
  const [compared, spoken] = isFolded(row) ? ["", ""] : change(row, overview);
  setText(changed, compared);
  changed.classList.toggle("new", row.before === 0);
  setText(perSecond, rate(now));
  setText(packets, count(row.packets));
  button.style.setProperty("--share", isFolded(row) ? 0 : (row.packets / maximum).toFixed(4));
  // The name of the button is its text, with these words for screen readers.
  setText(spokenChange, spoken ? `, ${spoken} ${ago(overview.window.seconds)}, ` : ", ");
  setText(spokenUnit, ` ${per}, `);
  put(button, "aria-pressed", isChosen(dimension, row.value));
  item.classList.toggle("no-value", isFolded(row) || (dimension === "country" && !row.iso3));
  item.classList.toggle("folded", isFolded(row));
}

/** At most so many rows, with that of the folded values, and a sum of the others. */
function cut(all, most) {
  const folded = all.filter(isFolded);
  const values = all.filter((row) => !isFolded(row));
  const shown = Math.max(1, most - folded.length);
  const rest = values.slice(shown);
  const more = { values: rest.length, packets: rest.reduce((sum, row) => sum + row.packets, 0) };
  return { rows: [...values.slice(0, shown), ...folded], more };
}

export function updatePanels(overview) {
  // The countries are last: on a wall screen, their panel has the height that the others leave.
  const [countries, ...others] = document.querySelectorAll(".panel");
  for (const panel of [...others, countries]) {
    const { dimension } = panel.dataset;
    const list = overview[DIMENSIONS[dimension].list];
    const all = list.rows ?? list;
    const height = panel.children[1].clientHeight - (all.some(isFolded) ? FOLDED_GAP : 0);
    const fit = WALL.matches ? Math.floor(height / ROW_HEIGHT) : COUNTRY_ROWS;
    const { rows, more } = cut(all, dimension === "country" ? Math.max(1, Math.min(COUNTRY_ROWS, fit)) : ROWS);
    setText(panel.querySelector(".rate"), unit(overview)[0]);
    more.values += list.more?.values ?? 0;
    more.packets += list.more?.packets ?? 0;
    const maximum = Math.max(1, ...rows.filter((row) => !isFolded(row)).map((row) => row.packets));
    keyed(
      panel.children[1],
      rows,
      (row) => row.value,
      (row) => buildRow(dimension, row),
      (item, row) => updateRow(item, dimension, row, overview, maximum),
    );
    setText(panel.lastChild, more.values > 0 ? `and ${whole.format(more.values)} more with ${count(more.packets)} packets` : rows.length ? "" : "none in this window");
  }
}
