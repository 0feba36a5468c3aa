
// Numbers as text.
const perCent = (value) => (100 * value).toFixed(1);
const decimals = (value) => value.toFixed(3);
const number = (value) => (value === null || value === undefined ? ABSENT : String(value));

function duration(seconds) {
  if (seconds === null) return ABSENT;
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const [whole, minutes] = [Math.round(seconds), Math.round(seconds / 60)];
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

function withInterval(value, form, best = false) {
  if (value === null || value[0] === null) return ABSENT;
  const [mean, std, low, high] = value;
  const text = form(mean) + (std === null ? "" : ` ± ${form(std)}`);
  const made = element(best ? "strong" : "span", { class: "value" }, text);
  if (low === null || high === null) return made;
  const interval = element("span", { class: "interval" }, `[${form(low)}, ${form(high)}]`);
  return element("span", {}, made, " ", interval);
}

function rateText(row) {
  const text = [
    row.rate === null ? "" : String(row.rate),
    row.weight === null || row.weight === undefined ? "" : `w ${row.weight}`,
  ];
  return text.filter(Boolean).join(", ") || ABSENT;
}

const badge = (text) => element("span", { class: "badge" }, text);
const swatch = (row) => {
  const made = element("span", { class: "swatch", "aria-hidden": "true" });
  made.style.backgroundColor = row.colour;
  return made;
};

// How many examples the ECE is of, where the confidence of others is not known.
function ofSome(row) {
  const [ece, known, examples] = row.diagram ?? [];
  if (ece == null || known === examples) return "";
  return element("span", { class: "interval" }, ` of ${known} in ${examples}`);
}

// A name that a narrow column breaks after its underscores.
function inParts(name) {
  if (!name) return ABSENT;
  return element("span", {}, ...name.split(/(?<=_)/).flatMap((part, i) => (i ? [element("wbr"), part] : [part])));
}

// Columns: `key` is what is sorted by (null: missing), `show` what is seen.
const SETTING = [
  { id: "method", title: "Method", key: (row) => row.column, show: methodCell },
  { id: "base", title: "Base", key: (row) => row.base },
  { id: "adapter", title: "Adapter", key: (row) => row.adapter || null, show: (row) => inParts(row.adapter) },
  ...(data.groups.some((group) => group[6])
    ? [{ id: "labels", title: "Labels", key: (row) => row.labels || null, show: (row) => inParts(row.labels) }]
    : []),
  { id: "protocol", title: "Protocol", key: (row) => row.protocol },
  { id: "source", title: "Source", key: (row) => row.source },
  {
    id: "eval",
    title: "Eval",
    key: (row) => row.eval,
    show: (row) => (row.ood ? element("span", {}, row.eval, badge("OOD")) : row.eval),
  },
  { id: "n", title: "N", number: true, key: (row) => row.n },
];
const SCORES = [
  {
    id: "accuracy",
    title: "Accuracy\u00a0%",
    number: true,
    key: (row) => row.accuracy?.[0] ?? null,
    show: (row) => withInterval(row.accuracy, perCent, row.best?.[0]),
  },
  {
    id: "calibration",
    title: "ECE",
    number: true,
    key: (row) => row.calibration?.[0] ?? null,
    show: (row) => element("span", {}, withInterval(row.calibration, decimals, row.best?.[1]), ofSome(row)),
  },
  { id: "examples", title: "n", number: true, key: (row) => row.n_examples },
];
const RATE = {
  id: "rate",
  title: "Learning rate",
  number: true,
  key: (row) => row.rate,
  show: (row) =>
    row.view === "means" && row.selection !== "none"
      ? element("span", {}, rateText(row), badge(row.selection))
      : rateText(row),
};
const COLUMNS = {
  means: [
    ...SETTING,
    RATE,
    ...SCORES,
    { id: "seeds", title: "Seeds", number: true, key: (row) => row.seeds, show: seedsCell },
  ],
  records: [
    ...SETTING,
    { id: "seed", title: "Seed", number: true, key: (row) => row.seed },
    RATE,
    ...SCORES,
    { id: "status", title: "Status", key: (row) => row.status, show: statusCell },
    { id: "time", title: "Time", number: true, key: (row) => row.seconds, show: (row) => duration(row.seconds) },
  ],
};

function methodCell(row) {
  return element(
    "span",
    { class: "name" },
    swatch(row),
    element("button", { type: "button", class: "open", tabindex: "-1" }, row.method),
  );
}

function seedsCell(row) {
  if (row.expected === null) return row.complete ? ABSENT : element("span", { class: "warn" }, "missing");
  const text = `${row.seeds}/${row.expected}`;
  if (row.complete) return text;
  return element(
    "span",
    { class: "warn", title: "Cells are missing." },
    row.seeds === row.expected ? `${text} †` : `${text} missing`,
  );
}

function statusCell(row) {
  return row.status === "ok" ? "ok" : element("span", { class: "bad" }, `failed: ${row.record.error}`);
}

const shown = (column, row) =>
  column.show ? column.show(row) : number(column.key(row) === "" ? null : column.key(row));
