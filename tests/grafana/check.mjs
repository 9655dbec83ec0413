// Checks dashboards against Grafana's libraries: names against Grafana's registries, members and values against its
// schema.
//
//   node check.mjs oldest|newest DIRECTORY DASHBOARD.json...
//
// DIRECTORY contains `node_modules`, installed from `oldest/package-lock.json` or `newest/package-lock.json`. Prints one
// line per fault, and a summary as the last line. Exit status 1 if there are faults. Members that the oldest Grafana
// does not know are not faults: it ignores them, and the check against the newest Grafana finds misspelled members.

import fs from 'node:fs';
import path from 'node:path';

import { UNKNOWN, faults, member } from './conforms.mjs';
import { load } from './libraries.mjs';

// Some members, such as `fieldMinMax`, are declared only in @grafana/data.
const TYPES = `
import type { FieldConfig as Declared } from '@grafana/schema';
import type { FieldConfig as Applied } from '@grafana/data';
export type FieldConfig = Declared | Applied;
export type { Dashboard, Panel, ColorDimensionConfig, ResourceDimensionConfig } from '@grafana/schema';
export type { ScalarDimensionConfig, ScaleDimensionConfig } from '@grafana/schema';
`;

// Members of the annotations of Grafana's data source for Prometheus, which the schema of dashboards does not declare.
const OF_PROMETHEUS = ['expr', 'step', 'titleFormat', 'textFormat', 'tagKeys', 'useValueForTime'];

const [release, place, ...files] = process.argv.slice(2);
const directory = path.resolve(place);
// Inside the directory, so that imports find its modules. The name is unique, so that checks can run in parallel.
const scratch = fs.mkdtempSync(path.join(directory, 'check-'));
process.on('exit', () => fs.rmSync(scratch, { recursive: true }));
const grafana = load(directory, scratch);
const { data, schema, chromatic, typescript: ts } = grafana;

const dashboards = files.map((file) => ({
  name: path.basename(file),
  json: JSON.parse(fs.readFileSync(file, 'utf8')),
}));
const types = readTypes();
const found = [];
let checked = 0;

for (const { name, json } of dashboards) checkDashboard(name, json);
for (const fault of found) console.log(fault);
console.log(`Grafana ${grafana.version}: ${checked} names and values, ${found.length} faults`);
process.exitCode = found.length ? 1 : 0;

/// Records a fault unless the condition is true.
function expect(condition, fault) {
  checked += 1;
  if (!condition) found.push(fault);
}

/// Reads the types of dashboards, fields, map layers and each kind of panel.
function readTypes() {
  const kinds = new Set(dashboards.flatMap(({ json }) => panelsOf(json).map((panel) => panel.type)));
  kinds.delete('row');
  const sources = new Map([...kinds].map((kind) => [kind, grafana.types(kind)]));
  const main = path.join(scratch, 'main.ts');
  fs.writeFileSync(main, TYPES);
  const program = ts.createProgram([main, ...[...sources.values()].filter(Boolean)], {
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    skipLibCheck: true,
    strict: true,
    types: [],
  });
  const checker = program.getTypeChecker();
  const exported = (file, name) => {
    const module = checker.getSymbolAtLocation(program.getSourceFile(file));
    let symbol = checker.getExportsOfModule(module).find((each) => each.name === name);
    if (symbol && symbol.flags & ts.SymbolFlags.Alias) symbol = checker.getAliasedSymbol(symbol);
    return symbol && checker.getDeclaredTypeOfSymbol(symbol);
  };
  const panels = new Map([...sources].map(([kind, file]) => [kind, file && {
    options: exported(file, 'Options'),
    custom: exported(file, 'FieldConfig'),
  }]));
  return { checker, panels, of: (name) => exported(main, name) };
}

function conforms(type, value, at) {
  checked += 1;
  const all = faults(ts, types.checker, type, value, at);
  found.push(...all.filter((fault) => release === 'newest' || !fault.includes(`: ${UNKNOWN} `)));
}

function checkDashboard(name, json) {
  const { panels, annotations, ...rest } = json;
  const list = annotations.list.map((annotation) => {
    const known = annotation.datasource.type === 'prometheus' ? OF_PROMETHEUS : [];
    return Object.fromEntries(Object.entries(annotation).filter(([member]) => !known.includes(member)));
  });
  conforms(types.of('Dashboard'), { ...rest, annotations: { list } }, name);
  // A variable such as ${country:queryparam} names one of Grafana's formats.
  const formats = Object.values(schema.VariableFormatID);
  for (const [, format] of JSON.stringify(json).matchAll(/\$\{[^}:]+:([a-z]+)\}/g)) {
    expect(formats.includes(format), `${name}: no variable format ${format}`);
  }
  for (const panel of panelsOf(json)) checkPanel(`${name}: ${panel.title}`, panel);
}

/// The items of the grid, and the panels of collapsed rows.
function panelsOf(json) {
  return json.panels.flatMap((item) => [item, ...(item.panels ?? [])]);
}

function checkPanel(at, panel) {
  const { options, fieldConfig, ...rest } = panel;
  if (panel.type === 'row') return;
  conforms(types.of('Panel'), rest, at);
  const own = types.panels.get(panel.type);
  expect(own, `${at}: no panel ${panel.type}`);
  if (!own) return;
  conforms(own.options, options, `${at} options`);
  for (const calc of [...(options.legend?.calcs ?? []), ...(options.reduceOptions?.calcs ?? [])]) {
    expect(data.fieldReducers.getIfExists(calc), `${at}: no reducer ${calc}`);
  }
  checkLegend(at, options.legend);
  for (const transformation of panel.transformations ?? []) {
    const ids = Object.values(data.standardTransformers).map((each) => each.id);
    expect(ids.includes(transformation.id), `${at}: no transformation ${transformation.id}`);
  }
  checkFields(at, own, fieldConfig);
  if (panel.type === 'heatmap') {
    const { scheme } = options.color;
    expect(chromatic[`interpolate${scheme}`], `${at}: no colour scheme ${scheme}`);
    expect(isUnit(options.cellValues.unit), `${at}: no unit ${options.cellValues.unit}`);
  }
  if (panel.type === 'geomap') {
    for (const layer of options.layers) checkLayer(`${at} ${layer.name}`, layer);
  }
}

/// A legend must be sorted by one of its own values.
function checkLegend(at, legend) {
  if (!legend?.sortBy) return;
  const names = legend.calcs.map((calc) => data.fieldReducers.getIfExists(calc)?.name);
  const { sortBy } = legend;
  expect(names.includes(sortBy), `${at}: the legend is sorted by ${sortBy}, and shows ${names}`);
}

function checkFields(at, own, { defaults, overrides }) {
  const { custom, ...standard } = defaults;
  conforms(types.of('FieldConfig'), standard, `${at} defaults`);
  if (custom) conforms(own.custom, custom, `${at} custom`);
  checkField(at, standard);
  for (const { matcher, properties } of overrides) {
    expect(data.fieldMatchers.getIfExists(matcher.id), `${at}: no matcher ${matcher.id}`);
    const where = `${at} ${matcher.options}`;
    for (const { id, value } of properties) {
      const inner = id.startsWith('custom.');
      const whole = inner ? own.custom : types.of('FieldConfig');
      const type = member(types.checker, whole, inner ? id.slice('custom.'.length) : id);
      expect(type, `${where}: no property ${id}`);
      if (type) conforms(type, value, `${where} ${id}`);
      if (!inner) checkField(where, { [id]: value });
    }
  }
}

/// Checks what only registries define: colour modes, names of colours, units.
function checkField(at, { color, unit, thresholds, mappings }) {
  const modes = data.fieldColorModeRegistry;
  if (color) expect(modes.getIfExists(color.mode), `${at}: no colour mode ${color.mode}`);
  const colors = [color?.fixedColor, ...(thresholds?.steps ?? []).map((step) => step.color)];
  for (const mapping of mappings ?? []) {
    const { options } = mapping;
    const results = mapping.type === 'value' ? Object.values(options) : [options.result];
    colors.push(...results.map((result) => result.color));
  }
  const { hues } = data.createTheme().visualization;
  const names = hues.flatMap((hue) => hue.shades.map((shade) => shade.name));
  names.push('text', 'transparent');
  for (const each of colors.filter(Boolean)) {
    expect(names.includes(each) || /^(rgba?\(|#)/.test(each), `${at}: no colour ${each}`);
  }
  if (unit !== undefined) expect(isUnit(unit), `${at}: no unit ${unit}`);
}

/// Returns whether a unit is in Grafana's menu or is `suffix:` with a text.
function isUnit(unit) {
  if (/^suffix:.+/.test(unit)) {
    const written = data.formattedValueToString(data.getValueFormat(unit)(1, 0));
    return written.endsWith(unit.slice('suffix:'.length));
  }
  return data.getValueFormats().some((group) => group.submenu.some((each) => each.value === unit));
}

/// Checks the style of a map layer, which the schema of the panel does not declare.
function checkLayer(at, layer) {
  const { color, size, rotation, symbol } = layer.config.style;
  conforms(types.of('ColorDimensionConfig'), color, `${at} color`);
  conforms(types.of('ScaleDimensionConfig'), size, `${at} size`);
  conforms(types.of('ScalarDimensionConfig'), rotation, `${at} rotation`);
  conforms(types.of('ResourceDimensionConfig'), symbol, `${at} symbol`);
}
