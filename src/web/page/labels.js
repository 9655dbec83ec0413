/** The labels that the page lists, and the names of their values. */

/** The key of their list in the overview, and the title of their panel. */
export const DIMENSIONS = {
  country: { list: "countries", title: "Countries", one: "country" },
  port: { list: "ports", title: "Ports", one: "port" },
  prefix: { list: "prefixes", title: "Prefixes", one: "prefix" },
  network: { list: "networks", title: "Networks", one: "network" },
  proto: { list: "protocols", title: "Protocols", one: "protocol" },
};

/** The names that the page has shown, for filters by values that are no longer listed. */
const shown = new Map();

/** Whether a row is that of the values that were not counted one by one. It has no bar, and is the last of its list. */
export function isFolded(row) {
  return row.value === "other";
}

/** The name of a value: [main text, second text]. */
export function label(dimension, row) {
  if (dimension === "country") return row.iso3 ? [row.name, row.value] : [row.name || row.value, ""];
  if (dimension === "prefix" && row.value === "") return ["(no prefix)", ""];
  if (dimension === "port" && row.value === "none") return ["no port", ""];
  if (isFolded(row)) return ["other", ""];
  return [row.value, row.name ?? ""];
}

/** Stores the names of all rows for `valueName`. */
export function rememberNames(overview) {
  for (const [dimension, { list }] of Object.entries(DIMENSIONS)) {
    for (const row of overview[list].rows ?? overview[list]) {
      const [main, second] = label(dimension, row);
      shown.set(`${dimension} ${row.value}`, second && dimension !== "network" ? `${main} ${second}` : main);
    }
  }
}

/** The name of a value that the page has shown, or else the value. */
export function valueName(dimension, value) {
  return shown.get(`${dimension} ${value}`) ?? (value === "" ? "(none)" : value);
}

/** The text of a filter by a value. */
export function filterName(dimension, value) {
  return `${DIMENSIONS[dimension].one}: ${valueName(dimension, value)}`;
}
