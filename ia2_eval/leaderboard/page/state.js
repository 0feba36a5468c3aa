
// State: what is shown, kept in the address so that a view can be shared.
const FILTERS = [
  ["source", "Source"],
  ["eval", "Eval"],
  ["base", "Base"],
  ["n", "N"],
  ["method", "Method"],
  ["adapter", "Adapter"],
  ["labels", "Labels"],
  ["protocol", "Protocol"],
];
const initial = () => ({ view: "means", query: "", sort: "", descending: false, oracle: false, row: "", filters: {} });
let state = initial();

const filterValue = (row, name) => (row[name] === null || row[name] === "" ? "none" : String(row[name]));

function stateToHash() {
  const parameters = new URLSearchParams();
  for (const name of ["view", "query", "sort", "row"])
    if (state[name] !== initial()[name]) parameters.set(name, state[name]);
  for (const name of ["descending", "oracle"]) if (state[name]) parameters.set(name, "1");
  for (const [name, values] of Object.entries(state.filters))
    for (const value of values) parameters.append(name, value);
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
  row.text ??= COLUMNS[row.view]
    .map((column) => {
      const cell = shown(column, row);
      return typeof cell === "string" ? cell : cell.textContent;
    })
    .concat(row.record ? [row.record.key] : [])
    .join(" ")
    .toLowerCase();
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
