/** Elements of the page: how they are made and updated. */

const SVG = "http://www.w3.org/2000/svg";

export const $ = (id) => document.getElementById(id);

/** Sets a text or an attribute only if it changes, so that screen readers do not repeat it. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function put(element, name, value) {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

export function make(tag, className = "", text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}

export function makeSvg(tag, attributes = {}) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

/**
 * Updates the children of `parent` to `items`: one element for each key, kept while the key exists.
 * An element with the focus stays until it loses the focus.
 */
export function keyed(parent, items, keyOf, build, update) {
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

/** A line over `values` in a box of `width` by `height`, and the area below it. */
export function linePath(values, width, height, maximum = Math.max(1, ...values)) {
  // A capture can have a single value.
  const ends = values.length === 1 ? [values[0], values[0]] : values;
  const step = width / Math.max(1, ends.length - 1);
  const points = ends.map((value, i) => `${(i * step).toFixed(1)},${(height - (height * value) / maximum).toFixed(1)}`);
  const line = `M${points.join("L")}`;
  return { line, area: `${line}L${width},${height}L0,${height}Z` };
}
