// Writes src/geoip/country_table.rs from assets/countries.tsv and Natural Earth's countries.
//
// usage: node assets/countries.mjs COUNTRIES-50M.JSON COUNTRIES.TSV > country_table.rs
//
// A country's point is the centroid of its largest polygon (so France is in Europe and the United
// States without Alaska), or, where that lies outside, the middle of the widest stretch of the
// polygon on the centroid's parallel.

import { readFileSync } from "node:fs";

const [topologyPath, tablePath] = process.argv.slice(2);
const topology = JSON.parse(readFileSync(topologyPath, "utf8"));
const { scale, translate } = topology.transform;
const RADIANS = Math.PI / 180;

/** Arcs of the topology as absolute [longitude, latitude]. */
const arcs = topology.arcs.map((arc) => {
  let x = 0;
  let y = 0;
  return arc.map(([dx, dy]) => {
    x += dx;
    y += dy;
    return [x * scale[0] + translate[0], y * scale[1] + translate[1]];
  });
});

/** Joins the arcs of a ring; a negative index is its complement, reversed. */
function ring(indices) {
  const points = indices.flatMap((index, position) => {
    const arc = index < 0 ? [...arcs[~index]].reverse() : arcs[index];
    return position === 0 ? arc : arc.slice(1);
  });
  // Unwrap at the antimeridian, then project to an equal-area plane (x longitude, y sine of latitude).
  let turn = 0;
  return points.map(([longitude, latitude], index) => {
    if (index > 0) {
      const step = longitude - points[index - 1][0];
      if (step > 180) turn -= 360;
      if (step < -180) turn += 360;
    }
    return [longitude + turn, Math.sin(latitude * RADIANS)];
  });
}

/** Signed area and centroid of a closed ring. */
function measure(points) {
  const [originX, originY] = points[0];
  let area = 0;
  let cx = 0;
  let cy = 0;
  for (let i = 1; i < points.length; i += 1) {
    const ax = points[i - 1][0] - originX;
    const ay = points[i - 1][1] - originY;
    const bx = points[i][0] - originX;
    const by = points[i][1] - originY;
    const cross = ax * by - bx * ay;
    area += cross / 2;
    cx += ((ax + bx) * cross) / 6;
    cy += ((ay + by) * cross) / 6;
  }
  return { area: Math.abs(area), x: originX + cx / area, y: originY + cy / area };
}

/** Where the rings of a polygon cross the parallel y, from west to east. */
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

/** The representative point of a polygon, [latitude, longitude]. */
function pointIn({ rings, x, y }) {
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

/** Largest polygon by ISO number; a number may stand at several geometries. */
const largest = new Map();
for (const geometry of topology.objects.countries.geometries) {
  const polygons = geometry.type === "Polygon" ? [geometry.arcs] : geometry.arcs;
  for (const polygon of polygons) {
    const rings = polygon.map(ring);
    const candidate = { rings, ...measure(rings[0]) };
    if (!(largest.get(geometry.id)?.area >= candidate.area)) largest.set(geometry.id, candidate);
  }
}

const rows = readFileSync(tablePath, "utf8")
  .split("\n")
  .filter((line) => line !== "" && !line.startsWith("#"))
  .map((line) => line.split("\t"))
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

use super::countries::{
    Continent::{AF, AN, AS, EU, NA, OC, SA},
    CountryInfo, row,
};

/// Sorted by code: a row's place is its [\`CountryId\`](super::CountryId).
pub(super) static COUNTRIES: [CountryInfo; ${rows.length}] = [
${rows.join("\n")}
];
`);
