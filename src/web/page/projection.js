/** From coordinates to positions on the map: the projection Natural Earth around 11° E, as assets/map.mjs draws it. */

const RADIANS = Math.PI / 180;
/** Where the map is cut: its upper edge, and the meridian in its middle. */
const TOP = plane(0, 83.7 * RADIANS)[1];
const MIDDLE = 11;

/** The projection of an angle from the middle and a latitude, in radians. */
function plane(lambda, phi) {
  const p2 = phi * phi;
  const p4 = p2 * p2;
  return [
    lambda * (0.8707 - 0.131979 * p2 + p4 * (-0.013791 + p4 * (0.003971 * p2 - 0.001529 * p4))),
    phi * (1.007226 + p2 * (0.015085 + p4 * (-0.044475 + 0.028874 * p2 - 0.005916 * p4))),
  ];
}

/** The position of degrees on a map of this size. */
export function project(latitude, longitude, { width, height }) {
  const unit = width / (2 * 0.8707 * Math.PI);
  const turned = ((longitude - MIDDLE + 540) % 360) - 180;
  const [x, y] = plane(turned * RADIANS, latitude * RADIANS);
  return [width / 2 + x * unit, Math.min((TOP - y) * unit, height)];
}
