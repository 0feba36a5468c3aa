
// The table, the controls and the keyboard.
const FIRST = 400; // rows that are built at once
let everything = false; // whether all rows are to be built

function line(row) {
  if (row.line) return row.line;
  const cells = COLUMNS[row.view].map((column) => {
    const content = shown(column, row);
    const kind = [
      column.id,
      column.number ? "number" : "",
      content === ABSENT ? "absent" : "",
      column.id === "status" ? row.status : "",
    ];
    return element("td", { role: "cell", "data-title": column.title, class: kind.filter(Boolean).join(" ") }, content);
  });
  row.line = element("tr", { role: "row" }, ...cells);
  row.button = row.line.querySelector(".open");
  row.line.addEventListener("click", () => {
    if (String(getSelection())) return; // text was marked to be copied
    row.button.focus();
    openDetail(row);
  });
  return row.line;
}

function head() {
  const cells = COLUMNS[state.view].map((column) => {
    const sort = state.sort !== column.id ? null : state.descending ? "descending" : "ascending";
    const button = element("button", { type: "button", onclick: () => sortBy(column.id) }, column.title);
    return element(
      "th",
      {
        role: "columnheader",
        scope: "col",
        "aria-sort": sort,
        class: column.number ? "number" : null,
        id: `by-${column.id}`,
      },
      button,
    );
  });
  const focused = document.activeElement?.closest?.("#head th")?.id;
  $("head").replaceChildren(...cells);
  if (focused) $(focused)?.firstChild.focus();
}

function sortBy(id) {
  state.descending = state.sort === id && !state.descending;
  state.sort = id;
  update();
}

function update() {
  const all = rowsOf[state.view];
  const found = sorted(selected(all));
  const built = everything ? found : found.slice(0, FIRST);
  head();
  for (const row of built) line(row);
  $("body").replaceChildren(...built.map((row) => row.line));
  built.forEach((row, i) => (row.button.tabIndex = i ? -1 : 0));
  $("results").querySelector(".more")?.remove();
  if (built.length < found.length) {
    $("results").append(
      element("button", { type: "button", class: "more", onclick: showEverything }, `Show all ${found.length} rows`),
    );
  }
  if (!found.length)
    $("body").append(
      element(
        "tr",
        { role: "row" },
        element("td", { role: "cell", class: "none", colspan: COLUMNS[state.view].length }, "No row fits."),
      ),
    );
  const hidden = state.oracle ? 0 : all.filter((row) => !row.reported).length;
  $("count").textContent = `${found.length} of ${all.length - hidden} rows`;
  for (const view of ["means", "records"]) $(`view-${view}`).setAttribute("aria-pressed", String(state.view === view));
  controls();
  saveState();
}

function showEverything() {
  everything = true;
  update();
}

function saveState() {
  const hash = stateToHash();
  if (hash !== location.hash.slice(1)) history.replaceState(null, "", hash ? `#${hash}` : "#");
}

// What the controls show follows the state.
function controls() {
  $("query").value = state.query;
  $("oracle").checked = state.oracle;
  $("oracle-label").hidden = state.view !== "means" || means.every((row) => row.reported);
  $("sort").replaceChildren(
    element("option", { value: "" }, "table order"),
    ...COLUMNS[state.view].map((column) => element("option", { value: column.id }, column.title)),
  );
  $("sort").value = state.sort;
  $("direction").textContent = state.descending ? "Descending" : "Ascending";
  for (const [name, title] of FILTERS) {
    const values = state.filters[name] ?? [];
    const details = $(`filter-${name}`);
    if (!details) continue;
    const summary = details.querySelector("summary");
    summary.textContent = values.length
      ? `${title}: ${values.length > 2 ? `${values.length} chosen` : values.join(", ")}`
      : title;
    summary.classList.toggle("active", values.length > 0);
    for (const box of details.querySelectorAll("input")) box.checked = values.includes(box.value);
  }
}

function buildFilters() {
  for (const [name, title] of FILTERS) {
    const order = (row) => (name === "method" ? row.column : row[name] === null || row[name] === "" ? null : row[name]);
    const values = new Map([...means, ...evaluations].map((row) => [filterValue(row, name), order(row)]));
    if (values.size < 2) continue; // nothing to choose
    const compare = ([, a], [, b]) =>
      a === null || b === null ? (a === null) - (b === null) : typeof a === "number" ? a - b : 0;
    const boxes = [...values]
      .sort(compare)
      .map(([value]) => element("label", {}, element("input", { type: "checkbox", value }), value));
    const fieldset = element("fieldset", { "aria-label": title }, ...boxes);
    fieldset.addEventListener("change", () => {
      const chosen = [...fieldset.querySelectorAll("input:checked")].map((box) => box.value);
      if (chosen.length) state.filters[name] = chosen;
      else delete state.filters[name];
      update();
    });
    $("filters").append(
      element("details", { id: `filter-${name}`, name: "filter" }, element("summary", {}, title), fieldset),
    );
  }
}

function closeFilters(except = null) {
  for (const open of document.querySelectorAll("#filters details[open]")) if (open !== except) open.open = false;
}

function listen() {
  for (const view of ["means", "records"]) {
    $(`view-${view}`).addEventListener("click", () => {
      state.view = view;
      if (!COLUMNS[view].some((column) => column.id === state.sort)) [state.sort, state.descending] = ["", false];
      update();
    });
  }
  $("query").addEventListener("input", () => {
    state.query = $("query").value;
    update();
  });
  $("oracle").addEventListener("change", () => {
    state.oracle = $("oracle").checked;
    update();
  });
  $("sort").addEventListener("change", () => {
    state.sort = $("sort").value;
    update();
  });
  $("direction").addEventListener("click", () => {
    state.descending = !state.descending;
    update();
  });
  $("controls").addEventListener("submit", (event) => event.preventDefault());
  $("controls").addEventListener("reset", (event) => {
    event.preventDefault();
    state = { ...initial(), view: state.view };
    closeFilters();
    update();
  });
  $("skip").addEventListener("click", (event) => {
    event.preventDefault();
    $("results").focus();
    $("results").scrollIntoView();
  });
  document.addEventListener("click", (event) => closeFilters(event.target.closest("#filters details")));
  $("filters").addEventListener("keydown", (event) => {
    const open = event.target.closest("details[open]");
    if (event.key !== "Escape" || !open) return;
    open.open = false;
    open.querySelector("summary").focus();
  });
  $("body").addEventListener("keydown", (event) => {
    const lines = [...$("body").children];
    const at = lines.indexOf(event.target.closest("tr"));
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: lines.length - 1 }[event.key];
    const button = lines[to]?.querySelector(".open");
    if (!button) return;
    event.preventDefault();
    event.target.tabIndex = -1;
    button.tabIndex = 0;
    button.focus();
  });
  $("detail").addEventListener("close", () => {
    state.row = "";
    saveState();
  });
  $("detail").addEventListener("click", (event) => {
    if (event.target === $("detail")) $("detail").close();
  });
  addEventListener("beforeprint", () => {
    if (!everything) showEverything();
  });
  addEventListener("hashchange", restore);
}

function restore() {
  state = stateFromHash(location.hash);
  const wanted = state.row;
  update();
  const row = [...means, ...evaluations].find((each) => each.id === wanted);
  if (row) openDetail(row);
  else if ($("detail").open) $("detail").close();
}

function say() {
  const failed = records.filter((record) => record.error !== null).length;
  $("summary").textContent = `${records.length} records` + (failed ? `, ${failed} of them failed` : "");
  $("captions").append(
    ...[...data.captions, ...data.headlines.map((headline) => headline.caption)].map((text) => element("p", {}, text)),
  );
  for (const [heading, lines] of data.remarks) {
    $("remarks").append(element("h2", {}, heading), element("ul", {}, ...lines.map((text) => element("li", {}, text))));
  }
}

say();
buildFilters();
listen();
restore();
