/**
 * Sources and packets of the filter, from the rows of the mirror's database: loaded when the filter, the range or the page
 * changes, one request at a time.
 */

import { $, keyed, make, put, setText } from "./elements.js";
import { PACKETS, SOURCES, cell, head, showOrder } from "./drilldown_columns.js";
import { DIMENSIONS, isFolded } from "./labels.js";
import { ago, whole } from "./text.js";
import { isDrilled, onChange, parameters, setAddress, view } from "./view.js";

/** Rows of a page; the server decides it. */
const PAGE = 100;

/** Attempts while the server is busy with other queries. */
const ATTEMPTS = 10;

/**
 * The two lists: their key in paths and responses, their columns, the order of their rows if it can be chosen, the tokens of
 * the pages up to the current one, and whether that one is shown.
 */
const LISTS = [
  { name: "sources", one: "source", columns: SOURCES, order: "-packets", tokens: [""], next: null, isShown: false },
  { name: "packets", one: "packet", columns: PACKETS, order: null, tokens: [""], next: null, isShown: false },
];

/** What the overview says: whether the client may read rows. */
let state = null;
let allHosts = false;
/** Ends the requests of a view that is no longer shown. */
let running = null;

/** The parameters of a request for rows. */
function query(extra = []) {
  const address = view.address ? [["address", view.address]] : [];
  const host = allHosts ? [["host", "*"]] : [];
  const given = new URLSearchParams(parameters());
  return new URLSearchParams([...given, ...address, ...host, ...extra]).toString();
}

const part = (list, name) => $(`drilldown-${list.name}-${name}`);

export function buildDrilldown() {
  for (const list of LISTS) {
    part(list, "head").append(...list.columns.map((column) => head(column, (order) => sort(list, order))));
    showOrder(part(list, "head").children, list.columns, list.order);
    part(list, "previous").addEventListener("click", () => list.tokens.length > 1 && turn(list, list.tokens.slice(0, -1)));
    part(list, "next").addEventListener("click", () => list.next && turn(list, [...list.tokens, list.next]));
  }
  $("drilldown-refresh").addEventListener("click", () => load());
  $("drilldown-address").addEventListener("click", () => {
    setAddress(null);
    // The button with the focus is hidden.
    if (!$("drilldown").hidden) $("drilldown-refresh").focus();
  });
  $("drilldown-hosts").addEventListener("click", () => {
    allHosts = !allHosts;
    load();
  });
  onChange(load);
}

/** Takes the state of the overview; loads rows when they become available. */
export function updateDrilldown({ drilldown }) {
  const was = state?.available;
  state = drilldown;
  if (state.available !== was) load();
}

/** Loads the first pages, or hides the section if there is nothing to show. */
function load() {
  running?.abort();
  running = null;
  const section = $("drilldown");
  section.hidden = !state?.enabled || !isDrilled();
  section.removeAttribute("aria-busy");
  document.body.classList.toggle("drilled", !section.hidden);
  if (section.hidden) return;
  showChoices();
  const reason = whyNothing();
  $("drilldown-lists").hidden = reason !== null;
  say(reason ? `Sources and packets are not shown: ${reason}.` : "");
  if (reason) return;
  for (const list of LISTS) Object.assign(list, { tokens: [""], isShown: false });
  run();
}

/** Why the view has no lists; null if it has them. */
function whyNothing() {
  if (!state.available) return state.reason;
  const folded = [...view.filter].find(([dimension, value]) => dimension !== "prefix" && isFolded({ value }));
  if (folded) return `rows have their true value, and not "other", for ${DIMENSIONS[folded[0]].one}`;
  const isEncrypted = state.anonymize === "cryptopan" && view.filter.has("network");
  return isEncrypted ? "the addresses of the rows are encrypted, so a network cannot be found in them" : null;
}

/** Shows another page of a list. */
function turn(list, tokens) {
  running?.abort();
  Object.assign(list, { tokens, next: null, isShown: false });
  run();
}

/** Shows the first page of a list in another order, which the server has of all rows. */
function sort(list, order) {
  list.order = order;
  showOrder(part(list, "head").children, list.columns, order);
  showCsv(list);
  turn(list, [""]);
}

/** The parameters of a list for its order. */
const sorting = ({ order }) => (order ? [["sort", order]] : []);

function showCsv(list) {
  const link = part(list, "csv");
  link.href = `${list.name}.csv?${query(sorting(list))}`;
  setText(link, `CSV, up to ${whole.format(state[`csv_${list.name}`])} rows`);
}

function showChoices() {
  const chip = $("drilldown-address");
  chip.hidden = !view.address;
  setText(chip, `address: ${view.address ?? ""}`);
  put(chip, "aria-label", `Remove the address ${view.address ?? ""}`);
  put($("drilldown-hosts"), "aria-pressed", allHosts);
  const notes = [];
  if (state.host) notes.push(allHosts ? "all hosts" : `host ${state.host}`);
  if (state.sample > 1) notes.push(`each row represents ${whole.format(state.sample)} packets`);
  if (state.anonymize === "truncate") notes.push("addresses are truncated to networks");
  if (state.anonymize === "cryptopan") notes.push("addresses are encrypted");
  setText($("drilldown-note"), notes.join(" · "));
  for (const list of LISTS) showCsv(list);
}

/** Says what happens, to screen readers too. */
function say(text) {
  setText($("drilldown-state"), text);
  $("drilldown-state").hidden = !text;
}

/** Loads the lists whose page is not shown. An error of one does not keep the other back. */
async function run() {
  const stop = new AbortController();
  running = stop;
  $("drilldown").setAttribute("aria-busy", "true");
  const errors = [];
  for (const list of LISTS.filter(({ isShown }) => !isShown)) {
    say(`Loading ${list.name} …`);
    try {
      const answer = await request(list, stop.signal);
      if (running !== stop) return;
      show(list, answer);
    } catch (error) {
      if (running !== stop) return;
      hide(list);
      errors.push(error instanceof TypeError ? "No connection to the exporter." : error.message);
    }
  }
  say([...new Set(errors)].join(" "));
  $("drilldown").removeAttribute("aria-busy");
}

/** The response with a page of a list. Waits while the server is busy. */
async function request(list, signal) {
  const after = list.tokens.at(-1);
  const path = `${list.name}.json?${query([...sorting(list), ...(after ? [["after", after]] : [])])}`;
  for (let attempt = 1; ; attempt += 1) {
    const answer = await fetch(path, { signal, cache: "no-store" });
    if (answer.ok) return answer.json();
    if (answer.status === 503 && attempt < ATTEMPTS) {
      say(`Waiting for other queries to load ${list.name} …`);
      await pause(1000 * Number(answer.headers.get("retry-after") ?? 2), signal);
      continue;
    }
    const text = answer.headers.get("content-type")?.startsWith("text/plain") ? await answer.text() : "";
    throw new Error(`Loading ${list.name} failed: ${text.trim().slice(0, 500) || `status ${answer.status}`}`);
  }
}

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => reject(signal.reason));
  });
}

/** Hides the rows of another page or filter. */
function hide(list) {
  list.next = null;
  part(list, "table").hidden = true;
  setText(part(list, "count"), "");
  updateButtons(list);
}

/** A button that disappears would lose the focus. */
function updateButtons(list) {
  put(part(list, "previous"), "aria-disabled", list.tokens.length === 1);
  put(part(list, "next"), "aria-disabled", !list.next);
}

function show(list, answer) {
  const rows = answer[list.name];
  const seconds = (Date.parse(answer.until) - Date.parse(answer.since)) / 1000;
  Object.assign(list, { next: answer.next, isShown: true });
  keyed(
    part(list, "rows"),
    rows.map((row, index) => ({ row, index })),
    ({ index }) => index,
    () => make("tr"),
    (tr, { row }) => {
      tr.replaceChildren(...list.columns.map((column) => cell(column, row, seconds)));
    },
  );
  const first = PAGE * (list.tokens.length - 1);
  const none = `No ${list.one} in the rows of the last ${ago(seconds)}.`;
  const shown = `${whole.format(first + 1)} to ${whole.format(first + rows.length)}${list.next ? " and more" : ""}`;
  setText(part(list, "count"), rows.length ? shown : none);
  part(list, "table").hidden = rows.length === 0;
  updateButtons(list);
}
