"use strict";

// Everything from the data goes into text nodes and attributes, never into markup.
const $ = (id) => document.getElementById(id);

function element(tag, attributes = {}, ...children) {
  const made =
    tag in SVG_TAGS ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
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
  const [base, adapter, protocol, source, n, column, labels] = data.groups[place];
  const [method, colour] = data.columns[column];
  return {
    base,
    adapter,
    protocol,
    labels,
    source: data.benchmarks[source][1],
    sourceName: data.benchmarks[source][0],
    n,
    column,
    method,
    colour,
  };
}

const records = data.records.map(
  ([key, group, cell, folder, file, created, made, seconds, mebibytes, training, error]) => ({
    key,
    group,
    created,
    seconds,
    mebibytes,
    training,
    error,
    made: data.values[made],
    cell: Object.fromEntries(data.fields.map((name, i) => [name, data.values[cell[i]]])),
    link: data.values[folder] + (file ?? `${key}.json`),
  }),
);

const evaluations = data.evaluations.map(([place, benchmark, headline, n, form, values, ends, diagram, scored]) => {
  const record = records[place];
  const [name, title] = data.benchmarks[benchmark];
  const row = {
    ...groupFields(record.group),
    view: "records",
    id: `${record.key}/${name}`,
    record,
    n_examples: n ?? null,
    eval: title,
    seed: record.cell.seed,
    rate: record.cell.learning_rate,
    weight: record.cell.sft_weight,
    seconds: record.seconds,
    status: record.error === null ? "ok" : "failed",
    metrics: {},
    accuracy: null,
    calibration: null,
    reported: true,
    diagram: diagram === undefined || diagram === null ? null : data.diagrams[diagram],
  };
  row.ood = name !== row.sourceName;
  if (form === undefined) return row;
  const [names, withInterval] = data.forms[form];
  names.forEach((metric, i) => (row.metrics[metric] = [fraction(values[i]), null, null, null]));
  withInterval.forEach((metric, i) =>
    row.metrics[metric]?.splice(2, 2, fraction(ends[2 * i]), fraction(ends[2 * i + 1])),
  );
  row.headline = data.headlines[headline];
  row.accuracy = row.metrics[row.headline.accuracy] ?? null;
  row.calibration = row.metrics[row.headline.calibration] ?? null;
  [row.scoring, ...row.notes] = data.values[scored];
  return row;
});

const means = data.means.map(
  ([
    group,
    benchmark,
    headline,
    selection,
    reported,
    [rate, weight],
    accuracy,
    calibration,
    best,
    seeds,
    expected,
    complete,
    n,
    diagram,
    parts,
  ]) => {
    const [name, title] = data.benchmarks[benchmark];
    const row = {
      ...groupFields(group),
      view: "means",
      selection,
      reported,
      rate,
      weight,
      seeds,
      expected,
      complete,
      n_examples: n,
      accuracy: accuracy?.map(fraction) ?? null,
      calibration: calibration?.map(fraction) ?? null,
      best,
      eval: title,
      headline: data.headlines[headline],
      diagram: diagram === null ? null : data.diagrams[diagram],
      parts: parts.map((part) => evaluations[part]),
    };
    row.ood = name !== row.sourceName;
    row.id = [row.base, row.adapter, row.protocol, row.sourceName, name, row.n ?? "", row.method, selection].join("|");
    for (const part of row.parts) part.mean ??= row;
    return row;
  },
);
const rowsOf = { means, records: evaluations };
