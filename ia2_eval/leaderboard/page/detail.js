
// What a row opens: the diagram, and where the numbers come from.
function facts(pairs) {
  const kept = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return element(
    "table",
    { class: "facts" },
    element(
      "tbody",
      {},
      ...kept.map(([name, value]) =>
        element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, value)),
      ),
    ),
  );
}

function list(titles, rows) {
  const kind = (i) => ({ class: i ? "number" : null });
  return element(
    "table",
    { class: "list" },
    element(
      "thead",
      {},
      element("tr", {}, ...titles.map((title, i) => element("th", { scope: "col", ...kind(i) }, title))),
    ),
    element(
      "tbody",
      {},
      ...rows.map((cells) => element("tr", {}, ...cells.map((cell, i) => element("td", kind(i), cell)))),
    ),
  );
}

const part = (title, ...content) => element("section", {}, element("h3", {}, title), ...content);

function flat(value, name = "") {
  if (value === null || value === undefined) return [];
  if (typeof value !== "object" || Array.isArray(value))
    return [[name, Array.isArray(value) ? value.join(", ") : String(value)]];
  return Object.entries(value).flatMap(([key, inner]) => flat(inner, name ? `${name}.${key}` : key));
}

function recordLink(record) {
  return element("a", { href: record.link }, decodeURIComponent(record.link.split("/").slice(-2).join("/")));
}

function metricsTable(row) {
  const value = (number) => (number === null ? "not finite" : String(number));
  return list(
    ["Metric", "Value", "95 % interval"],
    Object.entries(row.metrics).map(([name, [mean, , low, high]]) => [
      name + (name === row.headline.accuracy || name === row.headline.calibration ? " *" : ""),
      value(mean),
      low === null ? "" : `${low} to ${high}`,
    ]),
  );
}

function recordParts({ record, ...row }) {
  const { git_commit: commit, git_dirty: dirty, device, versions } = record.made;
  const parts = [];
  if (record.error !== null)
    parts.push(
      part(
        "Error",
        element("p", { class: "bad" }, record.error),
        element("p", {}, "Whole traceback: ", recordLink(record)),
      ),
    );
  if (row.headline)
    parts.push(
      part(
        "Metrics",
        element("div", { class: "scroll" }, metricsTable(row)),
        element("p", { class: "faint" }, "* reported; intervals by bootstrap over examples"),
      ),
    );
  if (record.training) {
    const [phases, labels, parameters] = record.training;
    parts.push(
      part(
        "Training",
        element(
          "div",
          { class: "scroll" },
          list(
            ["Loss", "Steps", "Kept", "Dev loss", "Train loss", "Stopped by"],
            phases.map(([loss, steps, kept, dev, train, stopped]) => [
              data.values[loss],
              steps,
              kept,
              number(dev),
              number(train),
              data.values[stopped],
            ]),
          ),
        ),
        facts([
          ["Trainable parameters", parameters.toLocaleString("en")],
          ["Extra labels", String(labels)],
        ]),
      ),
    );
  }
  const memory = record.mebibytes === null ? null : `${record.mebibytes} MiB`;
  parts.push(
    part(
      "Provenance",
      facts([
        ["Record", recordLink(record)],
        ["Created", record.created],
        ["Git commit", commit === null ? null : `${commit}${dirty ? " with uncommitted changes" : ""}`],
        ["Device", device],
        ["Wall time", duration(record.seconds)],
        ["Peak memory", memory],
        [
          "Versions",
          Object.entries(versions)
            .map(([name, version]) => `${name} ${version}`)
            .join(", "),
        ],
        ["Scoring version", row.scoring === undefined ? null : String(row.scoring)],
        ["Data", (row.notes ?? []).join("; ")],
      ]),
    ),
    part("Cell", facts(flat(record.cell))),
  );
  return parts;
}

function meanParts(row) {
  const records = row.parts.map((each) => [
    element(
      "button",
      { type: "button", class: "open", onclick: () => fillDetail(each) },
      each.seed === null ? "one evaluation" : `seed ${each.seed}`,
    ),
    each.accuracy ? perCent(each.accuracy[0]) : ABSENT,
    each.calibration ? decimals(each.calibration[0]) : ABSENT,
    recordLink(each.record),
  ]);
  return [
    part(
      "Records",
      records.length
        ? element("div", { class: "scroll" }, list(["Seed", "Accuracy %", "ECE", "Record"], records))
        : element("p", {}, "No cell has finished, or no learning rate can be chosen: see below the table."),
    ),
  ];
}

function fillDetail(row) {
  state.row = row.id;
  saveState();
  const kind = row.view === "means" ? "mean over seeds" : row.seed === null ? "one evaluation" : `seed ${row.seed}`;
  const heading = element(
    "h2",
    { id: "detail-title", tabindex: "-1" },
    swatch(row),
    [row.method, `${row.source}${row.ood ? ` → ${row.eval} (OOD)` : ""}`, row.n === null ? "" : `N ${row.n}`, kind]
      .filter(Boolean)
      .join(" · "),
  );
  const setting = [
    row.base,
    row.adapter,
    `protocol ${row.protocol}`,
    row.rate === null ? "" : `learning rate ${rateText(row)}`,
    row.selection && row.selection !== "none" ? `chosen by ${row.selection}` : "",
  ];
  const score = (name, value, form) => [name, value ? withInterval(value, form) : null];
  const scores = facts([
    score("Accuracy %", row.accuracy, perCent),
    score("ECE", row.calibration, decimals),
    ["n", row.n_examples ? `${row.n_examples} examples` : null],
    ["Seeds", row.view === "means" ? seedsCell(row) : null],
    ["Status", row.view === "records" ? row.status : null],
  ]);
  const drawn = row.diagram
    ? figure(row)
    : element(
        "p",
        { class: "faint" },
        row.headline && row.accuracy
          ? "No confidence is known, so there is no reliability diagram."
          : "There is no result.",
      );
  const back = row.mean
    ? element("button", { type: "button", onclick: () => fillDetail(row.mean) }, "Mean over seeds")
    : null;
  const about = row.view === "means" ? meanParts(row) : recordParts(row);
  $("detail").replaceChildren(
    element(
      "div",
      { class: "detail-head" },
      heading,
      element(
        "div",
        { class: "buttons" },
        back,
        element("button", { type: "button", onclick: () => $("detail").close() }, "Close"),
      ),
    ),
    element("p", { class: "faint" }, setting.filter(Boolean).join(" · ")),
    element("div", { class: "parts" }, element("div", {}, drawn), element("div", {}, part("Result", scores), about[0])),
    ...about.slice(1),
  );
  heading.focus();
  $("detail").scrollTop = 0;
}

function openDetail(row) {
  if (!$("detail").open) $("detail").showModal();
  fillDetail(row);
}
