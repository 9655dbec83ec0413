// Writes src/geoip/country_table.rs from assets/countries.tsv and Natural Earth's countries.
//
// usage: node assets/countries.mjs COUNTRIES-50M.JSON COUNTRIES.TSV > country_table.rs
//
// The point of a country is the centroid of its largest polygon: the point of France is in Europe, and Alaska does not
// move the point of the United States. If the centroid is outside of the polygon, the point is the middle of the widest
// part of the polygon on the parallel of the centroid.

import { join, measure, polygonsOf, readTable, readTopology } from "./atlas.mjs";

const [topologyPath, tablePath] = process.argv.slice(2);
const { geometries, arcs } = readTopology(topologyPath);
const RADIANS = Math.PI / 180;

/** Returns a ring in an equal-area projection: x is the longitude, y the sine of the latitude. */
function ring(indices) {
  return join(arcs, indices).map(([longitude, latitude]) => [longitude, Math.sin(latitude * RADIANS)]);
}

/** Returns the longitudes at which the rings of a polygon cross the parallel y, from west to east. */
function crossings(rings, y) {
  const found = [];
  for (const points of rings) {
    for (let i = 1; i < points.length; i += 1) {
      const [ax, ay] = points[i - 1];
      const [bx, by] = points[i];
      if (ay > y !== by > y) found.push(ax + ((y - ay) / (by - ay)) * (bx - ax));
    }
  }
  return found.sort((a, b) => a - b);
}

/** Returns the representative point of a polygon, [latitude, longitude]. */
function pointIn({ rings, centre: [x, y] }) {
  const found = crossings(rings, y);
  let best = [x, x];
  for (let i = 0; i + 1 < found.length; i += 2) {
    const [west, east] = [found[i], found[i + 1]];
    if (west <= x && x <= east) {
      best = [x, x];
      break;
    }
    if (east - west > best[1] - best[0]) best = [west, east];
  }
  const longitude = (best[0] + best[1]) / 2;
  return [Math.asin(y) / RADIANS, ((((longitude + 180) % 360) + 360) % 360) - 180];
}

/** Largest polygon by ISO number. Several geometries can have the same number. */
const largest = new Map();
for (const geometry of geometries) {
  for (const polygon of polygonsOf(geometry)) {
    const rings = polygon.map(ring);
    const candidate = { rings, ...measure(rings[0]) };
    if (!(largest.get(geometry.id)?.area >= candidate.area)) largest.set(geometry.id, candidate);
  }
}

const rows = readTable(tablePath)
  .map(([code, iso3, number, continent, name, latitude, longitude]) => {
    const polygon = largest.get(number);
    if (latitude === undefined && polygon === undefined) {
      throw new Error(`${code}: Natural Earth has no polygon ${number}, add a point to ${tablePath}`);
    }
    const point = latitude === undefined ? pointIn(polygon) : [Number(latitude), Number(longitude)];
    const [north, east] = point.map((degrees) => degrees.toFixed(2).replace(/^-(0\.00)$/, "$1"));
    return `    row("${code}", "${iso3}", "${name}", ${continent}, ${north}, ${east}),`;
  });

process.stdout.write(`//! The country table's rows, written by \`assets/refresh countries\`: edit \`assets/countries.tsv\`.

use super::country_info::{
    Continent::{AF, AN, AS, EU, NA, OC, SA},
    CountryInfo, row,
};

/// Sorted by code: the index of a row is its [\`CountryId\`](super::CountryId).
pub(super) static COUNTRIES: [CountryInfo; ${rows.length}] = [
${rows.join("\n")}
];
`);
