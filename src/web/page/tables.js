/** What stands in the panel of the map: the map, its tables, or instructions if there are no packets. */

import { $, keyed, make, put, setText } from "./elements.js";
import { recentRate } from "./rates.js";
import { count, rate, share, whole } from "./text.js";

/** Maximum rows of the table of cities. */
const CITY_ROWS = 100;

let empty = false;

export function updateTables(overview) {
  const all = overview.countries.reduce((sum, row) => sum + row.packets, 0);
  const cells = (tr, texts) => texts.forEach((text, i) => setText(tr.children[i], text));
  const build = (columns) => () => {
    const tr = make("tr");
    const head = make("th");
    head.scope = "row";
    tr.append(head, ...Array.from({ length: columns - 1 }, () => make("td")));
    return tr;
  };
  keyed($("country-rows"), overview.countries, (row) => row.value, build(5), (tr, row) =>
    cells(tr, [row.name || row.value, row.iso3 ? row.value : "", whole.format(row.packets), rate(recentRate(row, overview)), share(row.packets, all)]));
  const { rows, more } = overview.places;
  const shown = rows.slice(0, CITY_ROWS);
  $("city-table").hidden = rows.length === 0;
  keyed($("city-rows"), shown, (place) => `${place.latitude} ${place.longitude} ${place.city}`, build(3), (tr, place) =>
    cells(tr, [place.city || "(unnamed)", place.country, whole.format(place.packets)]));
  const rest = rows.slice(CITY_ROWS).reduce((sum, row) => sum + row.packets, more.packets);
  const values = rows.length - shown.length + more.values;
  setText($("more-cities"), values > 0 ? `and ${whole.format(values)} more with ${count(rest)} packets` : "");
}

/** The button that replaces the map by its tables. Screen readers can always read the tables. */
export function buildTables() {
  $("as-table").addEventListener("click", () => {
    put($("as-table"), "aria-pressed", !tableShown());
    $("map-table").classList.toggle("unseen", !tableShown());
    // It scrolls, so the keyboard must reach it.
    put($("map-table"), "tabindex", tableShown() ? 0 : null);
    $("map").hidden = empty || tableShown();
  });
}

/** Shows instructions instead of the map while no packet has been received. */
export function showInstructions(received) {
  empty = received === 0;
  $("empty").hidden = !empty;
  $("map").hidden = empty || tableShown();
}

function tableShown() {
  return $("as-table").getAttribute("aria-pressed") === "true";
}
