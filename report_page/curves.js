// Curves of several runs over each other, of a number that is chosen.

const COLOURS = 8;  // of page.css
const DASHES = ["", "7 3", "2 3", "10 3 2 3", "14 4", "5 2 1 2 1 2", "4 6"];
const TICKED = 8;  // runs at first: more are no picture

function startCurves(section, charts) {
  const runs = [...new Set(charts.map((each) => each.run))];
  const key = ({ data }) => `${data.title}, ${data.label}`;
  const numbers = new Map();  // key -> its charts, one a run
  for (const each of charts) numbers.set(key(each), [...(numbers.get(key(each)) ?? []), each]);
  const select = section.querySelector("select");
  for (const number of numbers.keys()) select.add(new Option(number, number));
  // At first what most runs have.
  select.value = [...numbers].reduce((most, each) => (each[1].length > most[1].length ? each : most))[0];

  const entries = runs.map((run, i) => {
    const entry = document.createElement("label");
    const box = document.createElement("input");
    box.type = "checkbox";
    box.checked = i < TICKED;
    const dashes = DASHES[(i + Math.floor(i / COLOURS)) % DASHES.length];
    const sample = element(entry, "svg", { class: "sample", viewBox: "0 0 36 10", "aria-hidden": "true" });
    const line = element(sample, "path", { d: "M0 5H36", "stroke-dasharray": dashes });
    const colour = `var(--curve-${i % COLOURS})`;
    line.style.stroke = colour;
    const name = document.createElement("span");
    name.className = "name";
    name.textContent = run.querySelector("h2").textContent.trim();
    const value = document.createElement("output");
    entry.prepend(box);
    entry.append(name, value);
    section.querySelector("fieldset").append(entry);
    box.addEventListener("change", update);
    return { run, entry, box, value, colour, dashes, name: name.textContent };
  });

  let shown = [];
  const plot = startPlot(section.querySelector(".drawing"), (iteration, values) => {
    const texts = values.map((value) => (value === undefined ? "–" : valueText(value)));
    for (const { value } of entries) value.textContent = "";
    shown.forEach((entry, i) => { entry.value.textContent = texts[i]; });
    section.querySelector(".value").textContent = `iteration ${iteration}`;
    return `iteration ${iteration}: ${shown.map((entry, i) => `${entry.name} ${texts[i]}`).join("; ")}`;
  }, "No run is ticked, or none has a finite value.");

  function update() {
    const having = new Map(numbers.get(select.value).map((each) => [each.run, each.data]));
    for (const { run, entry, box, value } of entries) {
      entry.hidden = !having.has(run);
      if (!box.checked) value.textContent = "";
    }
    shown = entries.filter(({ run, box }) => box.checked && having.has(run));
    section.querySelector(".value").textContent = "";
    const { label, log } = [...having.values()][0];
    const curves = shown.map(({ run, colour, dashes }) => ({ ...having.get(run), colour, dashes }));
    plot(curves, { label, log });
    const without = entries.length - having.size;
    section.querySelector(".note").textContent =
      without ? `${without} of ${entries.length} runs have no such number.` : "";
  }
  select.addEventListener("change", update);
  section.hidden = false;
  update();
}

const curvesSection = document.querySelector(".curves");
if (curvesSection && new Set(CHARTS.map((each) => each.run)).size > 1) {
  startCurves(curvesSection, CHARTS);
}
