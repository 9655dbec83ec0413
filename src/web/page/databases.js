/** The databases of countries and cities in use. */

import { $, make } from "./elements.js";
import { day } from "./text.js";

/** Names them, with the attributions that their licences require. */
export function updateDatabases(overview) {
  const key = JSON.stringify(overview.databases);
  const line = $("databases");
  if (line.dataset.key === key) return;
  line.dataset.key = key;
  const parts = [];
  const link = (text, href) => Object.assign(make("a", "", text), { href });
  const has = (pattern) => overview.databases.some(({ name, edition }) => pattern.test(edition) || (name === "embedded" && pattern.test("DBIP")));
  if (has(/^DBIP/i)) parts.push([link("IP Geolocation by DB-IP", "https://db-ip.com")]);
  if (has(/^GeoLite2/i)) {
    parts.push(["This product includes GeoLite Data created by MaxMind, available from ", link("https://www.maxmind.com", "https://www.maxmind.com")]);
  }
  for (const { name, edition, built } of overview.databases) {
    parts.push([`${name === "embedded" ? "built-in countries" : edition}, ${day(built)}`]);
  }
  line.replaceChildren(...parts.flatMap((part, i) => (i ? [" · ", ...part] : part)));
}
