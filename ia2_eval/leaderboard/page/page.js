"use strict";

// Everything from the data goes into text nodes and attributes, never into markup.
const $ = (id) => document.getElementById(id);

function element(tag, attributes = {}, ...children) {
  const made = tag in SVG_TAGS ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "onclick") made.addEventListener("click", value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}
const SVG_TAGS = Object.fromEntries(
  ["svg", "g", "rect", "line", "path", "circle", "text", "defs", "pattern", "title"].map((tag) => [tag, true]),
);

// Data: rows with the values that they name by place.
const data = JSON.parse($("data").textContent);
const ABSENT = "–";
const fraction = (value) => (value === null || value === undefined ? null : value / data.scale);

function groupFields(place) {
  const [base, adapter, protocol, source, n, column] = data.groups[place];
  const [method, colour] = data.columns[column];
  return { base, adapter, protocol, source: data.benchmarks[source][1], sourceName: data.benchmarks[source][0], n, column, method, colour };
}

const records = data.records.map(
  ([key, group, cell, folder, file, created, made, seconds, mebibytes, training, error]) => ({
    key, group, created, seconds, mebibytes, training, error,
    made: data.values[made],
    cell: Object.fromEntries(data.fields.map((name, i) => [name, data.values[cell[i]]])),
    link: data.values[folder] + (file ?? `${key}.json`),
  }),
);

const evaluations = data.evaluations.map(([place, benchmark, headline, n, form, values, ends, diagram, scored]) => {
  const record = records[place];
  const [name, title] = data.benchmarks[benchmark];
  const row = {
    ...groupFields(record.group), view: "records", id: `${record.key}/${name}`, record, n_examples: n ?? null, eval: title,
    seed: record.cell.seed, rate: record.cell.learning_rate, weight: record.cell.sft_weight, seconds: record.seconds,
    status: record.error === null ? "ok" : "failed", metrics: {}, accuracy: null, calibration: null, reported: true,
    diagram: diagram === undefined || diagram === null ? null : data.diagrams[diagram],
  };
  row.ood = name !== row.sourceName;
  if (form === undefined) return row;
  const [names, withInterval] = data.forms[form];
  names.forEach((metric, i) => (row.metrics[metric] = [fraction(values[i]), null, null, null]));
  withInterval.forEach((metric, i) => row.metrics[metric]?.splice(2, 2, fraction(ends[2 * i]), fraction(ends[2 * i + 1])));
  row.headline = data.headlines[headline];
  row.accuracy = row.metrics[row.headline.accuracy] ?? null;
  row.calibration = row.metrics[row.headline.calibration] ?? null;
  [row.scoring, ...row.notes] = data.values[scored];
  return row;
});

const means = data.means.map(
  ([group, benchmark, headline, selection, reported, [rate, weight], accuracy, calibration, seeds, expected, complete, n, diagram, parts]) => {
    const [name, title] = data.benchmarks[benchmark];
    const row = {
      ...groupFields(group), view: "means", selection, reported, rate, weight, seeds, expected, complete, n_examples: n,
      accuracy: accuracy?.map(fraction) ?? null, calibration: calibration?.map(fraction) ?? null, eval: title,
      headline: data.headlines[headline], diagram: diagram === null ? null : data.diagrams[diagram],
      parts: parts.map((part) => evaluations[part]),
    };
    row.ood = name !== row.sourceName;
    row.id = [row.base, row.adapter, row.protocol, row.sourceName, name, row.n ?? "", row.method, selection].join("|");
    for (const part of row.parts) part.mean ??= row;
    return row;
  },
);
const rowsOf = { means, records: evaluations };

// Numbers as text.
const perCent = (value) => (100 * value).toFixed(1);
const decimals = (value) => value.toFixed(3);
const number = (value) => (value === null || value === undefined ? ABSENT : String(value));

function duration(seconds) {
  if (seconds === null) return ABSENT;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
}

function withInterval(value, form) {
  if (value === null || value[0] === null) return ABSENT;
  const [mean, std, low, high] = value;
  const text = form(mean) + (std === null ? "" : ` ± ${form(std)}`);
  if (low === null || high === null) return text;
  const interval = element("span", { class: "interval" }, `[${form(low)}, ${form(high)}]`);
  return element("span", {}, text, " ", interval);
}

function rateText(row) {
  const text = [row.rate === null ? "" : String(row.rate), row.weight === null || row.weight === undefined ? "" : `w ${row.weight}`];
  return text.filter(Boolean).join(", ") || ABSENT;
}

const badge = (text) => element("span", { class: "badge" }, text);
const swatch = (row) => {
  const made = element("span", { class: "swatch", "aria-hidden": "true" });
  made.style.backgroundColor = row.colour;
  return made;
};

// Columns: `key` is what is sorted by (null: missing), `show` what is seen.
const SETTING = [
  { id: "method", title: "Method", key: (row) => row.column, show: methodCell },
  { id: "base", title: "Base", key: (row) => row.base },
  { id: "adapter", title: "Adapter", key: (row) => row.adapter || null },
  { id: "protocol", title: "Protocol", key: (row) => row.protocol },
  { id: "source", title: "Source", key: (row) => row.source },
  { id: "eval", title: "Eval", key: (row) => row.eval, show: (row) => (row.ood ? element("span", {}, row.eval, badge("OOD")) : row.eval) },
  { id: "n", title: "N", number: true, key: (row) => row.n },
];
const SCORES = [
  { id: "accuracy", title: "Accuracy %", number: true, key: (row) => row.accuracy?.[0] ?? null, show: (row) => withInterval(row.accuracy, perCent) },
  { id: "calibration", title: "ECE", number: true, key: (row) => row.calibration?.[0] ?? null, show: (row) => withInterval(row.calibration, decimals) },
  { id: "examples", title: "n", number: true, key: (row) => row.n_examples },
];
const RATE = {
  id: "rate", title: "Learning rate", number: true, key: (row) => row.rate,
  show: (row) => (row.view === "means" && row.selection !== "none" ? element("span", {}, rateText(row), badge(row.selection)) : rateText(row)),
};
const COLUMNS = {
  means: [...SETTING, RATE, ...SCORES, { id: "seeds", title: "Seeds", number: true, key: (row) => row.seeds, show: seedsCell }],
  records: [
    ...SETTING,
    { id: "seed", title: "Seed", number: true, key: (row) => row.seed },
    RATE, ...SCORES,
    { id: "status", title: "Status", key: (row) => row.status, show: statusCell },
    { id: "time", title: "Time", number: true, key: (row) => row.seconds, show: (row) => duration(row.seconds) },
  ],
};

function methodCell(row) {
  return element("span", { class: "name" }, swatch(row), element("button", { type: "button", class: "open", tabindex: "-1" }, row.method));
}

function seedsCell(row) {
  if (row.expected === null) return row.complete ? ABSENT : element("span", { class: "warn" }, "missing");
  const text = `${row.seeds}/${row.expected}`;
  if (row.complete) return text;
  return element("span", { class: "warn", title: "Cells are missing." }, row.seeds === row.expected ? `${text} †` : `${text} missing`);
}

function statusCell(row) {
  return row.status === "ok" ? "ok" : element("span", { class: "bad" }, `failed: ${row.record.error}`);
}

const shown = (column, row) => (column.show ? column.show(row) : number(column.key(row) === "" ? null : column.key(row)));

// State: what is shown, kept in the address so that a view can be shared.
const FILTERS = [
  ["source", "Source"], ["eval", "Eval"], ["base", "Base"], ["n", "N"], ["method", "Method"], ["adapter", "Adapter"], ["protocol", "Protocol"],
];
const initial = () => ({ view: "means", query: "", sort: "", descending: false, oracle: false, row: "", filters: {} });
let state = initial();

const filterValue = (row, name) => (row[name] === null || row[name] === "" ? "none" : String(row[name]));

function stateToHash() {
  const parameters = new URLSearchParams();
  for (const name of ["view", "query", "sort", "row"]) if (state[name] !== initial()[name]) parameters.set(name, state[name]);
  for (const name of ["descending", "oracle"]) if (state[name]) parameters.set(name, "1");
  for (const [name, values] of Object.entries(state.filters)) for (const value of values) parameters.append(name, value);
  return parameters.toString();
}

function stateFromHash(hash) {
  const parameters = new URLSearchParams(hash.replace(/^#/, ""));
  const found = initial();
  found.view = parameters.get("view") === "records" ? "records" : "means";
  found.query = parameters.get("query") ?? "";
  found.row = parameters.get("row") ?? "";
  found.descending = parameters.get("descending") === "1";
  found.oracle = parameters.get("oracle") === "1";
  if (COLUMNS[found.view].some((column) => column.id === parameters.get("sort"))) found.sort = parameters.get("sort");
  for (const [name] of FILTERS) if (parameters.has(name)) found.filters[name] = parameters.getAll(name);
  return found;
}

// Rows that pass every filter, in order.
function textOf(row) {
  row.text ??= COLUMNS[row.view].map((column) => {
    const cell = shown(column, row);
    return typeof cell === "string" ? cell : cell.textContent;
  }).concat(row.record ? [row.record.key] : []).join(" ").toLowerCase();
  return row.text;
}

function selected(rows) {
  const words = state.query.toLowerCase().split(/\s+/).filter(Boolean);
  const filters = Object.entries(state.filters);
  return rows.filter(
    (row) =>
      (row.reported || state.oracle) &&
      filters.every(([name, values]) => values.includes(filterValue(row, name))) &&
      (!words.length || words.every((word) => textOf(row).includes(word))),
  );
}

const collator = new Intl.Collator("en", { numeric: true });

function sorted(rows) {
  const column = COLUMNS[state.view].find((each) => each.id === state.sort);
  if (!column) return rows;
  const sign = state.descending ? -1 : 1;
  return rows
    .map((row) => [column.key(row), row])
    .sort(([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null); // missing last in both directions
      return sign * (typeof a === "number" ? a - b : collator.compare(a, b));
    })
    .map(([, row]) => row);
}
