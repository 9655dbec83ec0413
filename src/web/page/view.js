/**
 * What the user chose to see: the filter and the range of time. Both are in the fragment of the URL, so that a view
 * can be linked.
 */

import { DIMENSIONS } from "./labels.js";

/** The ranges of time: name in the URL and in queries, text, and milliseconds between two requests. */
export const RANGES = [
  { name: "10m", text: "10 min", poll: 2000 },
  { name: "1h", text: "1 h", poll: 5000 },
  { name: "24h", text: "24 h", poll: 10000 },
  { name: "7d", text: "7 d", poll: 30000 },
  { name: "30d", text: "30 d", poll: 30000 },
];

/**
 * The value of each label of the filter, the range, and the address whose packets are listed. Changed by the functions of
 * this module only.
 */
export const view = { filter: readFilter(), range: readRange(), address: readAddress() };
const listeners = [];

/** Calls `listener` after each change of the filter or the range. */
export function onChange(listener) {
  listeners.push(listener);
}

function changed() {
  for (const listener of listeners) listener();
}

function readFilter() {
  const given = new URLSearchParams(location.hash.slice(1));
  return new Map(Object.keys(DIMENSIONS).filter((name) => given.has(name)).map((name) => [name, given.get(name)]));
}

function readRange() {
  const given = new URLSearchParams(location.hash.slice(1)).get("range");
  return RANGES.find((range) => range.name === given) ?? RANGES[0];
}

/** The address whose packets are listed; null for all. */
function readAddress() {
  return new URLSearchParams(location.hash.slice(1)).get("address");
}

/** The filter and, unless it is the shortest, the range, as the parameters of a URL. */
export function parameters() {
  const range = view.range === RANGES[0] ? [] : [["range", view.range.name]];
  return new URLSearchParams([...view.filter, ...range]).toString();
}

function storeInUrl() {
  const given = new URLSearchParams(parameters());
  if (view.address) given.set("address", view.address);
  const hash = given.toString();
  history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
  changed();
}

export function setRange(range) {
  view.range = range;
  storeInUrl();
}

/** Sets or, if it is set already, removes a value of the filter. */
export function toggleFilter(dimension, value) {
  if (isChosen(dimension, value)) view.filter.delete(dimension);
  else view.filter.set(dimension, value);
  storeInUrl();
}

/** Removes the value of one label, or with null the whole filter. */
export function clearFilter(dimension) {
  if (dimension === null) {
    view.filter.clear();
    view.address = null;
  } else view.filter.delete(dimension);
  storeInUrl();
}

/** Sets the address whose packets are listed, or with null removes it. */
export function setAddress(address) {
  view.address = address;
  storeInUrl();
}

/** Whether sources and packets are listed: of the filter, or of the address. */
export function isDrilled() {
  return view.filter.size > 0 || view.address !== null;
}

/** Whether the filter has this value. */
export function isChosen(dimension, value) {
  return view.filter.get(dimension) === value;
}

addEventListener("hashchange", () => {
  view.filter = readFilter();
  view.range = readRange();
  view.address = readAddress();
  changed();
});
