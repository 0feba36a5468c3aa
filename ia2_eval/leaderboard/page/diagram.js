
// Reliability diagrams: accuracy against confidence, bin by bin, and below it how many examples each bin has.
const PLOT = { left: 60, top: 8, size: 296, gap: 30, counts: 64 };
const NARROW = 0.03; // a narrower bar has no room for a gap: a point stands at its mean confidence and accuracy

function bars(drawn, equalWidth) {
  const flat = drawn[3];
  const step = equalWidth ? 4 : 5;
  const found = [];
  for (let i = 0; i < flat.length; i += step) {
    const [count, correct, confidence] = flat.slice(i + step - 3, i + step);
    const left = equalWidth ? flat[i] / data.bins : flat[i] / data.steps;
    const right = equalWidth ? (flat[i] + 1) / data.bins : flat[i + 1] / data.steps;
    found.push({ left, right, count, correct, accuracy: correct / count, confidence: confidence / data.steps });
  }
  return found;
}

function diagram(row) {
  const found = bars(row.diagram, row.headline.equal_width);
  const x = (value) => PLOT.left + PLOT.size * value;
  const y = (value) => PLOT.top + PLOT.size * (1 - value);
  const base = PLOT.top + PLOT.size + PLOT.gap + PLOT.counts;
  const most = Math.max(...found.map((bar) => bar.count));
  const svg = element("svg", { viewBox: `0 0 ${PLOT.left + PLOT.size + 14} ${base + 34}`, role: "img", "aria-label": spoken(row, found) });
  svg.append(
    element(
      "defs",
      {},
      element(
        "pattern",
        { id: "hatch", width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
        element("line", { class: "hatch", x1: 0, y1: 0, x2: 0, y2: 6 }),
      ),
    ),
  );
  for (const tick of [0, 0.25, 0.5, 0.75, 1]) {
    svg.append(
      element("line", { class: "grid", x1: x(0), x2: x(1), y1: y(tick), y2: y(tick) }),
      element("text", { x: PLOT.left - 6, y: y(tick) + 4, "text-anchor": "end" }, tick),
      element("text", { x: x(tick), y: PLOT.top + PLOT.size + 15, "text-anchor": "middle" }, tick),
    );
  }
  for (const bar of found) {
    const [left, width] = [x(bar.left), Math.max(PLOT.size * (bar.right - bar.left), 1)];
    const tall = (PLOT.counts * bar.count) / most;
    const group = element("g", {}, element("title", {}, barText(bar)));
    group.append(
      element("rect", {
        class: "bar",
        x: left,
        y: y(bar.accuracy),
        width,
        height: PLOT.size * bar.accuracy,
        fill: row.colour,
      }),
    );
    if (bar.right - bar.left < NARROW) {
      group.append(
        element("circle", { class: "point", cx: x(bar.confidence), cy: y(bar.accuracy), r: 4, fill: row.colour }),
      );
    } else {
      const [low, high] = [Math.min(bar.accuracy, bar.confidence), Math.max(bar.accuracy, bar.confidence)];
      group.append(
        element("rect", {
          class: "gap",
          x: left,
          y: y(high),
          width,
          height: PLOT.size * (high - low),
          fill: "url(#hatch)",
        }),
      );
    }
    group.append(element("rect", { class: "count", x: left, y: base - tall, width, height: tall }));
    svg.append(group);
  }
  svg.append(
    element("line", { class: "diagonal", x1: x(0), y1: y(0), x2: x(1), y2: y(1) }),
    element("rect", { class: "outline", x: x(0), y: y(1), width: PLOT.size, height: PLOT.size }),
    element("line", { class: "axis", x1: x(0), x2: x(1), y1: base, y2: base }),
    element("text", { x: PLOT.left - 6, y: base - PLOT.counts + 8, "text-anchor": "end" }, most),
    element("text", { x: PLOT.left - 6, y: base, "text-anchor": "end" }, 0),
    element("text", { x: x(0.5), y: base + 18, "text-anchor": "middle" }, "confidence"),
    element(
      "text",
      { x: 0, y: 0, transform: `translate(11 ${base - PLOT.counts / 2}) rotate(-90)`, "text-anchor": "middle" },
      "examples",
    ),
    element(
      "text",
      { x: 0, y: 0, transform: `translate(11 ${y(0.5)}) rotate(-90)`, "text-anchor": "middle" },
      "accuracy",
    ),
  );
  return svg;
}

const range = (bar) => `${decimals(bar.left)}–${decimals(bar.right)}`;
const barText = (bar) =>
  `confidence ${range(bar)}: ${bar.count} examples, ${bar.correct} right, ` +
  `accuracy ${decimals(bar.accuracy)}, mean confidence ${decimals(bar.confidence)}`;

function spoken(row, found) {
  return `Reliability diagram of ${row.method}: ${found.map(barText).join("; ")}`;
}

function figure(row) {
  const [ece, known, examples] = row.diagram;
  const { axis, bins } = row.headline;
  const of = known === examples ? `n ${known}` : `n ${known} of ${examples}: the others have no known confidence`;
  const points = row.headline.equal_width ? "" : "; points: narrow bins";
  const pooled = row.view === "means" && row.parts.length > 1;
  const seeds = pooled ? ` (${row.parts.length} seeds together)` : "";
  const found = bars(row.diagram, row.headline.equal_width);
  return element(
    "figure",
    {},
    diagram(row),
    element(
      "figcaption",
      {},
      element("strong", {}, `ECE ${decimals(fraction(ece))} · ${of}${seeds}`),
      element("br"),
      `${axis}, ${bins}. Hatched: gap between accuracy and mean confidence${points}.`,
      pooled ? " The ECE of all samples together is not the mean of the seeds' ECEs, which the table shows." : "",
    ),
    element(
      "details",
      {},
      element("summary", {}, "Numbers of the diagram"),
      element(
        "div",
        { class: "scroll" },
        list(
          ["Bin", "n", "Right", "Accuracy", "Confidence"],
          found.map((bar) => [range(bar), bar.count, bar.correct, decimals(bar.accuracy), decimals(bar.confidence)]),
        ),
      ),
    ),
  );
}
