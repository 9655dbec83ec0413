/** The line of unusual conditions, in the words of the exporter, with the numbers of the browser's language. */

import { $, keyed, make, put } from "./elements.js";
import { valueName } from "./labels.js";
import { ago, count, rate, share } from "./text.js";

const UNITS = {
  share: (value) => share(value, 1),
  count: (value) => count(Math.round(value)),
  per_second: rate,
  seconds: ago,
};

function subjectText({ dimension, subject }) {
  return dimension ? valueName(dimension, subject) : subject;
}

/** The words of a condition as nodes; its number and its subject stand out. */
function words(condition) {
  const values = { value: UNITS[condition.unit](condition.value), subject: subjectText(condition) };
  const parts = condition.text.split(/\{(\w+)\}/);
  return parts.map((part, index) => (index % 2 ? make("b", "", values[part]) : document.createTextNode(part)));
}

export function updateConditions({ conditions }) {
  const list = $("conditions");
  list.hidden = conditions.length === 0;
  keyed(
    list,
    conditions,
    ({ alert, subject }) => `${alert} ${subject ?? ""}`,
    () => make("li"),
    (item, condition) => {
      put(item, "data-severity", condition.severity);
      const more = condition.more > 0 ? `, and ${count(condition.more)} more` : "";
      const nodes = [make("span", "unseen", `${condition.severity}: `), ...words(condition), document.createTextNode(more)];
      const text = nodes.map((node) => node.textContent).join("");
      // Only if it changes, so that a selection stays.
      if (item.textContent !== text) item.replaceChildren(...nodes);
      put(item, "title", condition.alert);
    },
  );
}
