/**
 * The live page: polls overview.json, updates map, panels and figures, and keeps the filter in the
 * URL. Text from packets and databases is only inserted as text, never as markup.
 */

/** The ranges of time: name in the URL and in queries, text, and milliseconds between two requests. */
const RANGES = [
  { name: "10m", text: "10 min", poll: 2000 },
  { name: "1h", text: "1 h", poll: 5000 },
  { name: "24h", text: "24 h", poll: 10000 },
  { name: "7d", text: "7 d", poll: 30000 },
  { name: "30d", text: "30 d", poll: 30000 },
];
const TIMEOUT = 8000;
const SUMMARY_EVERY = 60000;
const SVG = "http://www.w3.org/2000/svg";
const LEVELS = 6;
/** Minimum part of a running slice from which a rate can be extrapolated. */
const MIN_RUNNING = 0.2;

/** The panels: the key of their list in the overview, and their titles. */
const DIMENSIONS = {
  country: { list: "countries", title: "Countries", one: "country" },
  port: { list: "ports", title: "Ports", one: "port" },
  prefix: { list: "prefixes", title: "Prefixes", one: "prefix" },
  network: { list: "networks", title: "Networks", one: "network" },
  proto: { list: "protocols", title: "Protocols", one: "protocol" },
};
/** Maximum rows of a panel. On a wall screen, the panel of countries has as many as fit. */
const ROWS = 10;
const COUNTRY_ROWS = 14;
const ROW_HEIGHT = 26;
/** Height by which the row of folded values is set apart. */
const FOLDED_GAP = 6;
const WALL = matchMedia("(min-width: 1600px) and (min-height: 900px)");

const $ = (id) => document.getElementById(id);
const state = { filter: readFilter(), range: readRange(), view: null, lastAnswer: 0, names: new Map() };

// ---- Texts and numbers ------------------------------------------------------------------------

const whole = new Intl.NumberFormat("en");
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
const count = (value) => (value < 1e6 ? whole.format(value) : compact.format(value));

/** Packets per second: three digits, and never "0" for a rate above zero. */
function rate(value) {
  if (value === 0) return "0";
  if (value < 0.1) return "<0.1";
  if (value < 100) return value.toFixed(1);
  return value < 10000 ? whole.format(Math.round(value)) : compact.format(value);
}

function share(part, all) {
  const percent = all > 0 ? (100 * part) / all : 0;
  return `${percent > 0 && percent < 0.1 ? "<0.1" : percent.toFixed(1)} %`;
}

function ago(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return seconds < 129600 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} d`;
}

/** A time of day, with the date if the range of time is longer than a day. */
function moment(unix, seconds) {
  const date = seconds > 86400 || Date.now() / 1000 - unix > 86400 ? { month: "short", day: "numeric" } : {};
  const second = seconds > 3600 ? {} : { second: "2-digit" };
  return new Date(unix * 1000).toLocaleString([], { ...date, hour: "2-digit", minute: "2-digit", ...second, hour12: false });
}

function bytes(value) {
  const steps = ["B", "KiB", "MiB", "GiB", "TiB"];
  const step = Math.min(steps.length - 1, Math.floor(Math.log2(Math.max(1, value)) / 10));
  return `${(value / 1024 ** step).toFixed(step && value / 1024 ** step < 100 ? 1 : 0)} ${steps[step]}`;
}

/** The name of a value: [main text, second text]. */
function label(dimension, row) {
  if (dimension === "country") return row.iso3 ? [row.name, row.value] : [row.name || row.value, ""];
  if (dimension === "prefix" && row.value === "") return ["(no prefix)", ""];
  if (dimension === "port" && row.value === "none") return ["no port", ""];
  if (isFolded(row)) return ["other", ""];
  return [row.value, row.name ?? ""];
}

// ---- Elements ---------------------------------------------------------------------------------

/** Sets a text or an attribute only if it changes, so that screen readers do not repeat it. */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function put(element, name, value) {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

function make(tag, className = "", text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}

function makeSvg(tag, attributes = {}) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

/**
 * Updates the children of `parent` to `items`: one element for each key, kept while the key exists.
 * An element with the focus stays until it loses the focus.
 */
function keyed(parent, items, keyOf, build, update) {
  parent.known ??= new Map();
  const gone = new Set(parent.known.keys());
  const focused = document.activeElement;
  let before = null;
  items.forEach((item, index) => {
    const key = keyOf(item);
    gone.delete(key);
    let element = parent.known.get(key);
    if (!element) {
      element = build(item);
      parent.known.set(key, element);
    }
    update(element, item, index);
    const next = before ? before.nextSibling : parent.firstChild;
    if (element !== next) {
      if (element.isConnected && parent.moveBefore) parent.moveBefore(element, next);
      else parent.insertBefore(element, next);
    }
    before = element;
  });
  for (const key of gone) {
    const element = parent.known.get(key);
    if (element.contains(focused)) continue;
    element.remove();
    parent.known.delete(key);
  }
  if (focused !== document.activeElement && focused?.isConnected) focused.focus({ preventScroll: true });
}

// ---- Filter -----------------------------------------------------------------------------------

/** The filter is in the fragment of the URL, so that a view can be linked. */
function readFilter() {
  const given = new URLSearchParams(location.hash.slice(1));
  return new Map(Object.keys(DIMENSIONS).filter((name) => given.has(name)).map((name) => [name, given.get(name)]));
}

function readRange() {
  const given = new URLSearchParams(location.hash.slice(1)).get("range");
  return RANGES.find((range) => range.name === given) ?? RANGES[0];
}

/** The filter and, unless it is the shortest, the range, as the parameters of a URL. */
function parameters() {
  const range = state.range === RANGES[0] ? [] : [["range", state.range.name]];
  return new URLSearchParams([...state.filter, ...range]).toString();
}

function storeInUrl() {
  const hash = parameters();
  history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
}

function setRange(range) {
  state.range = range;
  storeInUrl();
  showRange();
  poller.now();
}

function buildRanges() {
  for (const range of RANGES) {
    const button = make("button", "plain", range.text);
    button.type = "button";
    button.dataset.range = range.name;
    button.addEventListener("click", () => setRange(range));
    $("ranges").append(button);
  }
  showRange();
}

function showRange() {
  for (const button of $("ranges").children) put(button, "aria-pressed", button.dataset.range === state.range.name);
}

function setFilter(dimension, value) {
  if (dimension === null) state.filter.clear();
  else if (value === null || state.filter.get(dimension) === value) state.filter.delete(dimension);
  else state.filter.set(dimension, value);
  storeInUrl();
  showFilter();
  poller.now();
}

function filterName(dimension, value) {
  const name = state.names.get(`${dimension} ${value}`) ?? (value === "" ? "(none)" : value);
  return `${DIMENSIONS[dimension].one}: ${name}`;
}

function showFilter() {
  const box = $("filters");
  const chips = [...state.filter].map(([dimension, value]) => ({ dimension, value, text: filterName(dimension, value) }));
  if (chips.length > 0) chips.push({ dimension: null, value: null, text: "Clear all" });
  keyed(
    box,
    chips,
    (chip) => `${chip.dimension} ${chip.value}`,
    (chip) => {
      const button = make("button", chip.dimension ? "chip" : "plain");
      button.type = "button";
      button.addEventListener("click", () => setFilter(chip.dimension, null));
      return button;
    },
    (button, chip) => {
      setText(button, chip.text);
      if (chip.dimension) put(button, "aria-label", `Remove the filter ${chip.text}`);
    },
  );
  box.hidden = chips.length === 0;
  for (const element of document.querySelectorAll("[data-filter]")) {
    put(element, "aria-pressed", state.filter.get(element.dataset.filter) === element.dataset.value);
  }
  const chosen = state.filter.get("country");
  world.group?.classList.toggle("chosen", chosen !== undefined);
  for (const [code, shape] of world.shapes) {
    if (shape.dataset.level) put(shape, "aria-pressed", code === chosen);
  }
}

// ---- Lines over time --------------------------------------------------------------------------

/** Whether the running slice is omitted. */
function isTooShort({ seconds, slices, running }) {
  return running < (MIN_RUNNING * seconds) / slices;
}

/**
 * A timeline of full slices. The running slice is shorter than the others, so it is extrapolated, or omitted
 * while it is too short.
 */
function full(timeline, view) {
  const { seconds, slices, running } = view.window;
  const past = timeline.slice(0, -1);
  return isTooShort(view.window) ? past : [...past, (timeline.at(-1) * seconds) / slices / running];
}

/** A line over `values` in a box of `width` by `height`, and the area below it. */
function linePath(values, width, height, maximum = Math.max(1, ...values)) {
  const step = width / Math.max(1, values.length - 1);
  const points = values.map((value, i) => `${(i * step).toFixed(1)},${(height - (height * value) / maximum).toFixed(1)}`);
  const line = `M${points.join("L")}`;
  return { line, area: `${line}L${width},${height}L0,${height}Z` };
}

/** The seconds of a range that have passed: its last slice is running. */
function covered({ seconds, slices, running }) {
  return seconds - seconds / slices + running;
}

/** Packets a second over the last half minute of the shortest range, or over all of another one or of a capture. */
function recentRate(row, view) {
  const { seconds, slices, capture, range } = view.window;
  if (capture || !row.timeline || (range && range !== RANGES[0].name)) return row.packets / covered(view.window);
  const latest = full(row.timeline, view).slice(-3);
  return latest.reduce((sum, value) => sum + value, 0) / (latest.length * (seconds / slices));
}

/**
 * The packets of a row against those in the previous range of the same length: [text, start of a text for screen readers],
 * both empty if they are not known.
 */
function change({ packets, before }, view) {
  if (before === undefined || packets === 0) return ["", ""];
  if (before === 0) return ["new", "none in the previous"];
  const ratio = packets / ((before * covered(view.window)) / view.window.seconds);
  const percent = Math.round(Math.abs(ratio - 1) * 100);
  if (percent < 1) return ["≈", "as in the previous"];
  const more = ratio > 1;
  if (more && ratio >= 10) return [`▲ ${count(Math.round(ratio))}×`, `${count(Math.round(ratio))} times as many as in the previous`];
  return [`${more ? "▲" : "▼"} ${percent} %`, `${percent} percent ${more ? "more" : "less"} than in the previous`];
}

/** The unit of rates in a view: [its text, the seconds in it]. */
function unit({ window: { seconds, capture } }) {
  return seconds > 3600 && !capture ? ["per hour", 3600] : ["per second", 1];
}

const timeline = {
  at: null,
  build() {
    const svg = makeSvg("svg", { viewBox: "0 0 600 60", preserveAspectRatio: "none", "aria-hidden": "true" });
    this.area = svg.appendChild(makeSvg("path", { class: "area" }));
    this.line = svg.appendChild(makeSvg("path", { class: "stroke" }));
    this.cursor = svg.appendChild(makeSvg("path", { class: "cursor" }));
    const box = $("timeline");
    box.append(svg);
    const move = (at) => {
      this.at = at;
      this.show();
    };
    box.addEventListener("pointermove", (event) => {
      const bounds = box.getBoundingClientRect();
      const last = (this.values?.length ?? 1) - 1;
      move(Math.max(0, Math.min(last, Math.round(((event.clientX - bounds.left) / bounds.width) * last))));
    });
    box.addEventListener("pointerleave", () => move(null));
    box.addEventListener("blur", () => move(null));
    box.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step || !this.values) return;
      event.preventDefault();
      const last = this.values.length - 1;
      move(Math.max(0, Math.min(last, (this.at ?? last + (step < 0 ? 1 : 0)) + step)));
    });
  },
  update(view) {
    this.view = view;
    this.values = full(view.timeline, view);
    const path = linePath(this.values, 600, 58);
    put(this.area, "d", path.area);
    put(this.line, "d", path.line);
    const { seconds, capture, since } = view.window;
    const what = state.filter.size > 0 ? "packets that match" : "packets";
    const span = capture ? `the capture, ${ago(seconds)}` : `last ${ago(seconds)}`;
    const [compared, spoken] = change(view.total, view);
    const from = since > view.time - seconds + seconds / view.window.slices ? ` (counted since ${moment(since, seconds)})` : "";
    setText($("timeline-title"), `${whole.format(view.total.packets)} ${what}, ${span}${from}`);
    setText($("timeline-change"), compared);
    setText($("timeline-spoken"), spoken && `${spoken} ${ago(seconds)}`);
    this.show();
  },
  show() {
    if (!this.values) return;
    const { seconds, slices } = this.view.window;
    const slice = seconds / slices;
    const maximum = Math.max(...this.values);
    let text = `peak ${rate(maximum / slice)}/s`;
    if (this.at !== null && this.at < this.values.length) {
      const x = (600 * this.at) / Math.max(1, this.values.length - 1);
      put(this.cursor, "d", `M${x} 0V60`);
      const { running } = this.view.window;
      const newest = isTooShort(this.view.window) ? running : 0;
      const end = this.view.time - newest - slice * (this.values.length - 1 - this.at);
      const when = this.view.window.capture ? `${ago(slice * this.at)} in` : moment(end, seconds);
      text = `${when}: ${rate(this.values[this.at] / slice)}/s`;
    } else put(this.cursor, "d", "");
    setText($("timeline-readout"), text);
    put($("timeline"), "aria-label", `Packets over time, ${text}. The left and right arrow keys read single values.`);
  },
};

// ---- Panels -----------------------------------------------------------------------------------

function buildPanels() {
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
  button.addEventListener("click", () => setFilter(dimension, row.value));
  const name = make("span", "name");
  name.append(document.createTextNode(""), make("small"));
  const spark = makeSvg("svg", { class: "spark", viewBox: "0 0 56 18", preserveAspectRatio: "none", "aria-hidden": "true" });
  spark.append(makeSvg("path", { class: "stroke" }));
  button.append(name, spark, make("span", "change"), make("span", "per-second"), make("span", "count"));
  item.append(button);
  return item;
}

function updateRow(item, dimension, row, view, maximum) {
  const button = item.firstChild;
  const [name, spark, changed, perSecond, packets] = button.children;
  const [main, second] = label(dimension, row);
  const [per, each] = unit(view);
  const now = recentRate(row, view) * each;
  if (name.firstChild.data !== main) name.firstChild.data = main;
  setText(name.lastChild, second);
  put(button, "title", second ? `${main} ${second}` : main);
  put(spark.firstChild, "d", row.timeline ? linePath(full(row.timeline, view), 56, 17).line : "");
  const [compared, spoken] = isFolded(row) ? ["", ""] : change(row, view);
  setText(changed, compared);
  changed.classList.toggle("new", row.before === 0);
  setText(perSecond, rate(now));
  setText(packets, count(row.packets));
  button.style.setProperty("--share", isFolded(row) ? 0 : (row.packets / maximum).toFixed(4));
  put(button, "aria-label", `${main}${second ? ` (${second})` : ""}, ${whole.format(row.packets)} packets, ${rate(now)} ${per}${spoken && `, ${spoken} ${ago(view.window.seconds)}`}`);
  put(button, "aria-pressed", state.filter.get(dimension) === row.value);
  item.classList.toggle("no-value", isFolded(row) || (dimension === "country" && !row.iso3));
  item.classList.toggle("folded", isFolded(row));
  state.names.set(`${dimension} ${row.value}`, second && dimension !== "network" ? `${main} ${second}` : main);
}

/** Whether a row is that of the values that were not counted one by one. It has no bar, and is the last of its list. */
function isFolded(row) {
  return row.value === "other";
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

function updatePanels(view) {
  // The countries are last: on a wall screen, their panel has the height that the others leave.
  const [countries, ...others] = document.querySelectorAll(".panel");
  for (const panel of [...others, countries]) {
    const { dimension } = panel.dataset;
    const list = view[DIMENSIONS[dimension].list];
    const all = list.rows ?? list;
    const height = panel.children[1].clientHeight - (all.some(isFolded) ? FOLDED_GAP : 0);
    const fit = WALL.matches ? Math.floor(height / ROW_HEIGHT) : COUNTRY_ROWS;
    const { rows, more } = cut(all, dimension === "country" ? Math.max(1, Math.min(COUNTRY_ROWS, fit)) : ROWS);
    setText(panel.querySelector(".rate"), unit(view)[0]);
    more.values += list.more?.values ?? 0;
    more.packets += list.more?.packets ?? 0;
    const maximum = Math.max(1, ...rows.filter((row) => !isFolded(row)).map((row) => row.packets));
    keyed(
      panel.children[1],
      rows,
      (row) => row.value,
      (row) => buildRow(dimension, row),
      (item, row) => updateRow(item, dimension, row, view, maximum),
    );
    setText(panel.lastChild, more.values > 0 ? `and ${whole.format(more.values)} more with ${count(more.packets)} packets` : rows.length ? "" : "none in this window");
  }
}

// ---- Map --------------------------------------------------------------------------------------

const world = {
  shapes: new Map(),
  group: null,
  places: null,

  /** The outlines are a separate file, which the browser caches. */
  async build() {
    const answer = await fetch("world.svg");
    if (!answer.ok) throw new Error(`world.svg: status ${answer.status}`);
    const parsed = new DOMParser().parseFromString(await answer.text(), "image/svg+xml").documentElement;
    const svg = document.importNode(parsed, true);
    this.bounds = svg.viewBox.baseVal;
    for (const part of svg.querySelectorAll("path, circle")) {
      const code = part.dataset.code;
      if (code) this.shapes.set(code, part);
      else part.classList.add("uncoded");
    }
    put(svg, "role", "group");
    put(svg, "aria-label", "World map. The arrow keys select countries, the one with the most packets first; Enter filters by it. The table has the same numbers.");
    for (const group of svg.querySelectorAll("g")) {
      group.removeAttribute("fill");
      group.removeAttribute("stroke");
    }
    this.group = svg;
    this.places = svg.appendChild(makeSvg("g", { "aria-hidden": "true" }));
    $("map").append(svg);
    svg.addEventListener("click", (event) => this.choose(event.target));
    svg.addEventListener("keydown", (event) => this.key(event));
    svg.addEventListener("pointermove", (event) => tooltip.over(event.target, event.clientX, event.clientY));
    svg.addEventListener("pointerleave", () => tooltip.hide());
    svg.addEventListener("focusin", (event) => {
      if (!event.target.matches(":focus-visible")) return;
      const box = event.target.getBoundingClientRect();
      tooltip.over(event.target, box.left + box.width / 2, box.top + box.height / 2);
    });
    svg.addEventListener("focusout", () => tooltip.hide());
  },

  choose(target) {
    if (target.dataset?.level) setFilter("country", target.dataset.code);
    else if (target.place) setFilter("country", target.place.country);
  },

  key(event) {
    const target = event.target;
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.choose(target);
    }
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step || !this.order?.length) return;
    event.preventDefault();
    const at = this.order.indexOf(target.dataset.code);
    const next = this.shapes.get(this.order[(at + step + this.order.length) % this.order.length]);
    put(target, "tabindex", -1);
    put(next, "tabindex", 0);
    next.focus();
  },

  /** Natural Earth projection around 11° E, as assets/map.mjs draws it. */
  project(latitude, longitude) {
    const plane = (lambda, phi) => {
      const p2 = phi * phi;
      const p4 = p2 * p2;
      return [
        lambda * (0.8707 - 0.131979 * p2 + p4 * (-0.013791 + p4 * (0.003971 * p2 - 0.001529 * p4))),
        phi * (1.007226 + p2 * (0.015085 + p4 * (-0.044475 + 0.028874 * p2 - 0.005916 * p4))),
      ];
    };
    const radians = Math.PI / 180;
    const unit = this.bounds.width / (2 * 0.8707 * Math.PI);
    const turned = ((longitude - 11 + 540) % 360) - 180;
    const [x, y] = plane(turned * radians, latitude * radians);
    const top = plane(0, 83.7 * radians)[1];
    return [this.bounds.width / 2 + x * unit, Math.min((top - y) * unit, this.bounds.height)];
  },

  update(view) {
    if (!this.group) return;
    const located = view.countries.filter((row) => this.shapes.has(row.value) && row.packets > 0);
    const maximum = Math.max(10, ...located.map((row) => row.packets));
    // Logarithmic levels: each is this many times the previous one, so that few countries have the highest.
    const step = Math.min(4, maximum ** (1 / LEVELS));
    const all = view.countries.reduce((sum, row) => sum + row.packets, 0);
    const focused = document.activeElement?.dataset?.code;
    const seen = new Set();
    this.order = located.map((row) => row.value);
    const stop = this.order.includes(focused) ? focused : this.order[0];
    for (const row of located) {
      const shape = this.shapes.get(row.value);
      seen.add(row.value);
      put(shape, "data-level", Math.max(1, LEVELS - Math.floor(Math.log(maximum / row.packets) / Math.log(step))));
      put(shape, "role", "button");
      put(shape, "tabindex", row.value === stop ? 0 : -1);
      put(shape, "aria-pressed", state.filter.get("country") === row.value);
      put(shape, "aria-label", `${row.name}, ${whole.format(row.packets)} packets, ${share(row.packets, all)}`);
      shape.tooltip = [row.name, `${whole.format(row.packets)} packets`, `${rate(recentRate(row, view))}/s · ${share(row.packets, all)} of all`];
    }
    for (const [code, shape] of this.shapes) {
      if (seen.has(code)) continue;
      for (const name of ["data-level", "role", "tabindex", "aria-pressed", "aria-label"]) put(shape, name, null);
      shape.tooltip = null;
    }
    this.updatePlaces(view);
    this.legend(located.length > 0 ? maximum : 0, view.places.length > 0);
    const off = view.countries.filter((row) => !row.iso3).map((row) => `${row.name} ${count(row.packets)}`);
    setText($("elsewhere"), off.length > 0 ? `Not on the map: ${off.join(" · ")}` : "");
    tooltip.refresh();
  },

  updatePlaces(view) {
    const heaviest = Math.max(1, ...view.places.map((place) => place.packets));
    keyed(
      this.places,
      view.places,
      (place) => `${place.latitude} ${place.longitude} ${place.city}`,
      () => makeSvg("circle", { class: "place" }),
      (circle, place) => {
        const [x, y] = this.project(place.latitude, place.longitude);
        put(circle, "cx", x.toFixed(1));
        put(circle, "cy", y.toFixed(1));
        put(circle, "r", (1.2 + 5 * Math.sqrt(place.packets / heaviest)).toFixed(2));
        circle.place = place;
        circle.tooltip = [place.city || place.country, `${whole.format(place.packets)} packets`, place.country];
      },
    );
  },

  legend(maximum, cities) {
    const key = `${maximum} ${cities}`;
    if (this.legendKey === key) return;
    this.legendKey = key;
    const parts = [];
    if (maximum > 0) {
      parts.push(make("b", "", "1"));
      for (let level = 1; level <= LEVELS; level += 1) {
        const step = make("i");
        step.dataset.level = level;
        parts.push(step);
      }
      parts.push(make("b", "", `${count(maximum)} packets`));
    }
    if (cities) parts.push(make("i", "dot"), make("b", "", "city"));
    $("legend").replaceChildren(...parts);
  },
};

const tooltip = {
  over(target, x, y) {
    this.target = target.tooltip ? target : null;
    const box = $("tooltip");
    box.hidden = !this.target;
    if (!this.target) return;
    this.refresh();
    const { width, height } = box.getBoundingClientRect();
    const left = Math.min(Math.max(8, x + 14), innerWidth - width - 8);
    const top = y + 16 + height > innerHeight ? y - height - 12 : y + 16;
    box.style.transform = `translate(${Math.round(left)}px, ${Math.round(top)}px)`;
  },
  refresh() {
    if (!this.target?.tooltip) return this.hide();
    const [name, ...lines] = this.target.tooltip;
    const text = [make("strong", "", name), ...lines.map((line, i) => make(i ? "span" : "div", "", line))];
    $("tooltip").replaceChildren(...text);
  },
  hide() {
    this.target = null;
    $("tooltip").hidden = true;
  },
};

function updateTable(view) {
  const all = view.countries.reduce((sum, row) => sum + row.packets, 0);
  const cells = (tr, texts) => texts.forEach((text, i) => setText(tr.children[i], text));
  const build = (columns) => () => {
    const tr = make("tr");
    const head = make("th");
    head.scope = "row";
    tr.append(head, ...Array.from({ length: columns - 1 }, () => make("td")));
    return tr;
  };
  keyed($("country-rows"), view.countries, (row) => row.value, build(5), (tr, row) =>
    cells(tr, [row.name || row.value, row.iso3 ? row.value : "", whole.format(row.packets), rate(recentRate(row, view)), share(row.packets, all)]));
  $("city-table").hidden = view.places.length === 0;
  keyed($("city-rows"), view.places.slice(0, 50), (place) => `${place.latitude} ${place.longitude} ${place.city}`, build(3), (tr, place) =>
    cells(tr, [place.city || "(unnamed)", place.country, whole.format(place.packets)]));
}

// ---- Figures ----------------------------------------------------------------------------------

/** A figure followed by a small text. */
function figure(id, text, small = "") {
  const element = $(id);
  element.main ??= element.replaceChildren(document.createTextNode(""), make("small")) ?? element.firstChild;
  if (element.main.data !== text) element.main.data = text;
  setText(element.lastChild, small ? ` ${small}` : "");
}

function updateFigures(view) {
  figure("rate", rate(view.now.packets_per_second));
  figure("received", whole.format(view.received));
  figure("lost", whole.format(view.lost));
  $("lost-figure").classList.toggle("bad", view.lost > 0);
  put($("lost-figure"), "title", view.groups.map((group) => `group ${group.group}: ${whole.format(group.lost)} lost, ${whole.format(group.socket_drops)} socket drops`).join("\n") || "packets that the kernel logged and the exporter did not receive");
  figure("sources", count(view.source_addresses));
  put($("sources"), "title", view.sources.map(({ prefix, addresses }) => `${prefix || "(no prefix)"}: ${whole.format(addresses)}`).join("\n"));
  const { mirror } = view;
  const box = $("mirror-figure");
  box.classList.toggle("good", mirror?.up === true && mirror.dropped === 0);
  box.classList.toggle("bad", mirror !== null && (!mirror.up || mirror.dropped > 0));
  if (!mirror) figure("mirror", "off");
  else if (!mirror.up) figure("mirror", "down", `${count(mirror.spooled + mirror.queued)} rows waiting`);
  else if (mirror.dropped > 0) figure("mirror", "dropping", `${count(mirror.dropped)} rows`);
  else figure("mirror", "up", mirror.lag_seconds < 1 ? "" : `lag ${ago(mirror.lag_seconds)}`);
  put(box, "title", mirror ? `${whole.format(mirror.written)} rows written, ${whole.format(mirror.queued)} queued, ${whole.format(mirror.spooled)} spooled, ${whole.format(mirror.dropped)} dropped; spool ${bytes(mirror.spool_bytes)} of ${bytes(mirror.spool_limit_bytes)}` : "no database is configured");
  document.title = `${rate(view.now.packets_per_second)}/s · nflog_exporter`;
}

/** The databases in use, with the attributions that their licences require. */
function updateDatabases(view) {
  const key = JSON.stringify(view.databases);
  const line = $("databases");
  if (line.dataset.key === key) return;
  line.dataset.key = key;
  const parts = [];
  const link = (text, href) => Object.assign(make("a", "", text), { href });
  const has = (pattern) => view.databases.some(({ name, edition }) => pattern.test(edition) || (name === "embedded" && pattern.test("DBIP")));
  if (has(/^DBIP/i)) parts.push([link("IP Geolocation by DB-IP", "https://db-ip.com")]);
  if (has(/^GeoLite2/i)) {
    parts.push(["This product includes GeoLite Data created by MaxMind, available from ", link("https://www.maxmind.com", "https://www.maxmind.com")]);
  }
  for (const { name, edition, built } of view.databases) {
    parts.push([`${name === "embedded" ? "built-in countries" : edition}, ${new Date(built * 1000).toISOString().slice(0, 10)}`]);
  }
  line.replaceChildren(...parts.flatMap((part, i) => (i ? [" · ", ...part] : part)));
}

function summarise(view) {
  const now = Date.now();
  const filter = [...state.filter].map(([dimension, value]) => filterName(dimension, value)).join(", ");
  if (now - (state.summarised ?? 0) < SUMMARY_EVERY && state.summarisedFilter === filter + state.range.name) return;
  state.summarised = now;
  state.summarisedFilter = filter + state.range.name;
  const first = view.countries[0];
  setText($("summary"), `${filter ? `Filter ${filter}: ` : ""}${whole.format(view.total.packets)} packets in the last ${ago(view.window.seconds)}${first ? `, most from ${first.name || first.value}` : ""}; ${whole.format(view.lost)} lost.`);
}

function show(view) {
  state.view = view;
  for (const element of document.querySelectorAll(".live")) element.hidden = false;
  document.body.dataset.ready = "";
  const nothing = view.received === 0;
  $("empty").hidden = !nothing;
  $("map").hidden = nothing || tableShown();
  $("ranges").hidden = view.window.capture;
  document.body.classList.toggle("compared", view.total.before !== undefined);
  updateFigures(view);
  timeline.update(view);
  updatePanels(view);
  world.update(view);
  updateTable(view);
  updateDatabases(view);
  showFilter();
  summarise(view);
}

function tableShown() {
  return $("as-table").getAttribute("aria-pressed") === "true";
}

/** Shows an error, or hides the line. */
function warn(text) {
  const line = $("state");
  setText(line, text ?? "");
  line.hidden = !text;
}

// ---- Polling ----------------------------------------------------------------------------------

/** One request at a time; a change of the filter replaces the current one. */
const poller = {
  async once() {
    const running = new AbortController();
    this.running = running;
    const timeout = setTimeout(() => running.abort(), TIMEOUT);
    try {
      const query = parameters();
      const answer = await fetch(`overview.json${query && "?"}${query}`, { signal: running.signal, cache: "no-store" });
      if (!answer.ok) {
        const reason = answer.headers.get("content-type")?.startsWith("text/plain") ? await answer.text() : "";
        throw new Error(`The exporter responded with status ${answer.status}: ${reason.trim().slice(0, 300)}`);
      }
      const view = await answer.json();
      if (this.running !== running) return;
      state.lastAnswer = Date.now();
      show(view);
      warn(view.health);
    } catch (error) {
      if (this.running !== running) return;
      const answered = error.message.startsWith("The exporter responded");
      const since = state.lastAnswer ? ` since ${new Date(state.lastAnswer).toLocaleTimeString([], { hour12: false })}; the numbers are of that time` : "";
      if (answered) warn(error.message);
      else if (error instanceof TypeError || error.name === "AbortError") warn(`No connection to the exporter${since}. Retrying.`);
      else {
        console.error(error);
        warn(`This page failed: ${error.message}`);
      }
    } finally {
      clearTimeout(timeout);
      if (this.running === running) {
        this.running = null;
        this.plan(state.range.poll);
      }
    }
  },
  plan(delay) {
    clearTimeout(this.timer);
    if (!document.hidden) this.timer = setTimeout(() => this.once(), delay);
  },
  now() {
    const running = this.running;
    this.running = null;
    running?.abort();
    this.plan(0);
  },
};

// ---- Light and dark ---------------------------------------------------------------------------

const theme = {
  /** The user's choice; browsers can forbid to store it. */
  stored() {
    try {
      return localStorage.getItem("theme");
    } catch {
      return null;
    }
  },
  system: matchMedia("(prefers-color-scheme: dark)"),
  current() {
    return document.documentElement.dataset.theme ?? (this.system.matches ? "dark" : "light");
  },
  show() {
    setText($("theme"), this.current() === "dark" ? "Light" : "Dark");
    put($("theme"), "aria-label", `Show in ${this.current() === "dark" ? "light" : "dark"} colours`);
  },
  build() {
    const stored = this.stored();
    if (stored === "light" || stored === "dark") document.documentElement.dataset.theme = stored;
    this.show();
    this.system.addEventListener("change", () => this.show());
    $("theme").addEventListener("click", () => {
      const wanted = this.current() === "dark" ? "light" : "dark";
      const system = this.system.matches ? "dark" : "light";
      if (wanted === system) delete document.documentElement.dataset.theme;
      else document.documentElement.dataset.theme = wanted;
      try {
        if (wanted === system) localStorage.removeItem("theme");
        else localStorage.setItem("theme", wanted);
      } catch {
        // The choice is not stored.
      }
      this.show();
    });
  },
};

// ---- Start ------------------------------------------------------------------------------------

theme.build();
buildRanges();
buildPanels();
timeline.build();
$("as-table").addEventListener("click", () => {
  put($("as-table"), "aria-pressed", !tableShown());
  $("map-table").classList.toggle("unseen", !tableShown());
  $("map").hidden = tableShown() || state.view?.received === 0;
});
addEventListener("hashchange", () => {
  state.filter = readFilter();
  state.range = readRange();
  showRange();
  poller.now();
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) poller.now();
});
addEventListener("resize", () => state.view && updatePanels(state.view));
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && state.filter.size > 0) setFilter(null, null);
});
world
  .build()
  .then(() => state.view && show(state.view))
  .catch((error) => warn(`Loading the map failed: ${error.message}`));
poller.now();
