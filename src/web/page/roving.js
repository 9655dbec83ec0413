/** One stop of the Tab key for many elements: the arrow keys move the focus among them. */

import { put } from "./elements.js";

const STEPS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };

/** Makes the focused one of `elements`, or else the first one, the stop of the Tab key. */
export function setTabStop(elements) {
  const stop = elements.includes(document.activeElement) ? document.activeElement : elements[0];
  for (const element of elements) put(element, "tabindex", element === stop ? 0 : -1);
}

/** Moves the focus if `event` is an arrow key on one of `elements`; returns the element that gets it. */
export function moveFocus(event, elements) {
  const step = STEPS[event.key];
  const at = elements.indexOf(event.target);
  if (!step || at < 0) return null;
  event.preventDefault();
  const next = elements[(at + step + elements.length) % elements.length];
  put(event.target, "tabindex", -1);
  put(next, "tabindex", 0);
  next.focus({ preventScroll: true });
  return next;
}
