/** The buttons of the ranges of time, and those that remove a filter. */

import { $, keyed, make, put, setText } from "./elements.js";
import { filterName } from "./labels.js";
import { RANGES, clearFilter, isChosen, isDrilled, onChange, setRange, view } from "./view.js";

export function buildControls() {
  for (const range of RANGES) {
    const button = make("button", "plain", range.text);
    button.type = "button";
    button.dataset.range = range.name;
    button.addEventListener("click", () => setRange(range));
    $("ranges").append(button);
  }
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && isDrilled()) clearFilter(null);
  });
  onChange(updateControls);
  updateControls();
}

/** Shows the filter and the range on all buttons that set them. */
export function updateControls() {
  for (const button of $("ranges").children) put(button, "aria-pressed", button.dataset.range === view.range.name);
  updateChips();
  for (const element of document.querySelectorAll("[data-filter]")) {
    put(element, "aria-pressed", isChosen(element.dataset.filter, element.dataset.value));
  }
}

function updateChips() {
  const chips = [...view.filter].map(([dimension, value]) => ({ dimension, value, text: filterName(dimension, value) }));
  if (chips.length > 0) chips.push({ dimension: null, value: null, text: "Clear all" });
  keyed(
    $("filters"),
    chips,
    (chip) => `${chip.dimension} ${chip.value}`,
    (chip) => {
      const button = make("button", chip.dimension ? "chip" : "plain");
      button.type = "button";
      button.addEventListener("click", () => clearFilter(chip.dimension));
      return button;
    },
    (button, chip) => {
      setText(button, chip.text);
      if (chip.dimension) put(button, "aria-label", `Remove the filter ${chip.text}`);
    },
  );
  $("filters").hidden = chips.length === 0;
}
