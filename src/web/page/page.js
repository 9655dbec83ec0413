/**
 * The live page: polls overview.json and shows it. Text from packets and databases is only inserted as text, never as
 * markup.
 */

import { updateConditions } from "./conditions.js";
import { buildControls, updateControls } from "./controls.js";
import { updateDatabases } from "./databases.js";
import { buildDrilldown, updateDrilldown } from "./drilldown.js";
import { $, setText } from "./elements.js";
import { updateFigures, updateSummary } from "./figures.js";
import { rememberNames } from "./labels.js";
import { world } from "./map.js";
import { buildPanels, updatePanels } from "./panels.js";
import { buildTables, showInstructions, updateTables } from "./tables.js";
import { clock } from "./text.js";
import { theme } from "./theme.js";
import { timeline } from "./timeline.js";
import { onChange, parameters, view } from "./view.js";

/** Maximum milliseconds until a response. */
const TIMEOUT = 8000;

/** The latest response. */
let latest = null;

function show(overview) {
  latest = overview;
  rememberNames(overview);
  for (const element of document.querySelectorAll(".live")) element.hidden = false;
  document.body.dataset.ready = "";
  showInstructions(overview.received);
  $("ranges").hidden = overview.window.capture;
  document.body.classList.toggle("compared", overview.total.before !== undefined);
  updateFigures(overview);
  timeline.update(overview);
  // Before the panels, which have the height that it leaves.
  updateConditions(overview);
  updatePanels(overview);
  world.update(overview);
  updateTables(overview);
  updateDatabases(overview);
  updateDrilldown(overview);
  updateControls();
  updateSummary(overview);
}

/** Shows an error, or hides the line. */
function warn(text) {
  const line = $("state");
  setText(line, text ?? "");
  line.hidden = !text;
}

/** One request at a time; a change of the filter replaces the current one. */
const poller = {
  lastAnswer: 0,
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
      const overview = await answer.json();
      if (this.running !== running) return;
      this.lastAnswer = Date.now();
      show(overview);
      warn(overview.health);
    } catch (error) {
      if (this.running !== running) return;
      const answered = error.message.startsWith("The exporter responded");
      const since = this.lastAnswer ? ` since ${clock(this.lastAnswer)}; the numbers are of that time` : "";
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
        this.plan(view.range.poll);
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

theme.build();
buildControls();
buildPanels();
buildTables();
buildDrilldown();
timeline.build();
onChange(() => poller.now());
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) poller.now();
});
addEventListener("resize", () => latest && updatePanels(latest));
world
  .build()
  .then(() => latest && show(latest))
  .catch((error) => warn(`Loading the map failed: ${error.message}`));
poller.now();
