// Charts by iteration, of one curve or several, that tell their values under the pointer or by keys.

// Makes `drawing` one, and returns a function that shows curves in it: { iterations, values } each,
// with a null where a value is not finite, and `colour` and `dashes` if there are several.
// `tell` is called with the chosen iteration and a value for each curve, undefined where a curve has
// none, and returns a sentence.
function startPlot(drawing, tell, empty) {
  let curves = [];
  let about = { label: "", log: false };
  let stops = [];  // all iterations, of all curves
  let at = 0;
  let x = () => 0;
  let place = () => {};

  function valueAt({ iterations, values }, iteration) {
    if (iteration < iterations[0] || iteration > iterations.at(-1)) return undefined;
    return values[nearest(iterations, iteration)];
  }

  function say() {
    if (!stops.length) return;
    const sentence = tell(stops[at], curves.map((curve) => valueAt(curve, stops[at])));
    drawing.setAttribute("aria-valuenow", stops[at]);
    drawing.setAttribute("aria-valuetext", sentence);
    place();
  }

  function draw() {
    const [width, height] = [drawing.clientWidth, drawing.clientHeight];
    drawing.replaceChildren();
    x = () => 0;
    place = () => {};
    const range = extent(curves.flatMap((curve) => curve.values.filter((value) => value !== null)));
    if (!range) {
      drawing.textContent = empty;
      return;
    }
    const log = about.log && range[0] > 0;
    const [low, high] = widened(range);
    const scale = log ? Math.log : (value) => value;
    const [first, last] = [stops[0], Math.max(stops.at(-1), stops[0] + 2)];
    const ticks = log ? logTicks(low, high) : linearTicks(low, high);
    const labels = tickLabels(ticks);
    const left = 14 + 7 * Math.max(0, ...labels.map((label) => label.length));
    const [right, top, bottom] = [width - 14, 24, height - 36];
    x = (iteration) => left + (right - left) * (iteration - first) / (last - first);
    const y = (value) =>
      bottom - (bottom - top) * (scale(value) - scale(low)) / (scale(high) - scale(low));
    const svg = element(drawing, "svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
    element(svg, "text", { class: "unit", x: 0, y: 12 }, about.label);
    element(svg, "text", { class: "unit", x: right, y: height - 2, "text-anchor": "end" }, "iteration");
    ticks.forEach((tick, i) => {
      element(svg, "line", { x1: left, x2: right, y1: y(tick), y2: y(tick) });
      element(svg, "text", { class: "up", x: left - 6, y: y(tick) + 4, "text-anchor": "end" }, labels[i]);
    });
    for (const tick of linearTicks(first, last, true)) {
      element(svg, "line", { x1: x(tick), x2: x(tick), y1: bottom, y2: bottom + 5 });
      element(svg, "text", { class: "across", x: x(tick), y: bottom + 18, "text-anchor": "middle" }, short(tick));
    }
    const marker = element(svg, "line", { class: "marker", y1: top, y2: bottom });
    const dots = curves.map((curve) => {
      const path = element(svg, "path", { d: pathOf(curve, x, y), "stroke-dasharray": curve.dashes ?? "" });
      const dot = element(svg, "circle", { r: 4 });
      if (curve.colour) path.style.stroke = dot.style.fill = curve.colour;
      return dot;
    });
    place = () => {
      for (const end of ["x1", "x2"]) marker.setAttribute(end, x(stops[at]));
      curves.forEach((curve, i) => {
        const value = valueAt(curve, stops[at]) ?? null;
        dots[i].setAttribute("cx", x(stops[at]));
        dots[i].setAttribute("cy", y(value ?? low));
        dots[i].style.display = value === null ? "none" : "";
      });
    };
    say();
  }

  function follow(event) {
    const from = event.clientX - drawing.getBoundingClientRect().left;
    if (!stops.length) return;
    at = nearest(stops.map(x), from);
    say();
  }
  drawing.addEventListener("pointermove", follow);
  drawing.addEventListener("pointerdown", follow);  // a tap does not move
  drawing.addEventListener("keydown", (event) => {
    const end = stops.length - 1;
    const page = Math.max(1, Math.round(end / 10));
    const moves = {
      ArrowLeft: at - 1, ArrowDown: at - 1, ArrowRight: at + 1, ArrowUp: at + 1,
      PageDown: at - page, PageUp: at + page, Home: 0, End: end,
    };
    if (!(event.key in moves) || end < 0) return;
    event.preventDefault();
    at = Math.min(Math.max(moves[event.key], 0), end);
    say();
  });
  new ResizeObserver(draw).observe(drawing);

  return (shown, told) => {
    [curves, about] = [shown, told];
    stops = [...new Set(curves.flatMap((curve) => curve.iterations))].sort((a, b) => a - b);
    // The last that all curves have.
    at = stops.length ? nearest(stops, Math.min(...curves.map((curve) => curve.iterations.at(-1)))) : 0;
    drawing.setAttribute("aria-valuemin", stops[0] ?? 0);
    drawing.setAttribute("aria-valuemax", stops.at(-1) ?? 0);
    draw();
  };
}

// Where in `sorted` the number is that is closest to x.
function nearest(sorted, x) {
  let [low, high] = [0, sorted.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (sorted[middle] <= x) low = middle; else high = middle;
  }
  return x - sorted[low] <= sorted[high] - x ? low : high;
}

function extent(values) {
  if (!values.length) return null;
  return values.reduce(([low, high], x) => [Math.min(low, x), Math.max(high, x)], [Infinity, -Infinity]);
}

// A range that is a point, or next to one, is given a width.
function widened([low, high]) {
  const size = Math.max(Math.abs(low), Math.abs(high)) || 1;
  return high - low > 1e-9 * size ? [low, high] : [low - size / 2, high + size / 2];
}

function pathOf({ iterations, values }, x, y) {
  let pen = "M";
  let path = "";
  values.forEach((value, i) => {
    if (value !== null) path += `${pen}${x(iterations[i]).toFixed(1)} ${y(value).toFixed(1)}`;
    pen = value === null ? "M" : "L";
  });
  return path;
}

const valueText = (value) => (value === null ? "not finite" : short(value));

// Of each chart: the run that it is of, and what it holds.
const CHARTS = [...document.querySelectorAll(".chart")].map((chart) => ({
  chart,
  run: chart.closest(".run"),
  data: JSON.parse(chart.querySelector("script").textContent),
}));

for (const { chart, data } of CHARTS) {
  const tell = (iteration, [value]) => {
    const sentence = `iteration ${iteration}: ${valueText(value)}`;
    chart.querySelector(".value").textContent = sentence;
    return sentence;
  };
  const show = startPlot(chart.querySelector(".drawing"), tell, "No finite value was recorded.");
  show([data], data);
}
