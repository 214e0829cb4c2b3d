// Stacked lines of cost over time, drawn by plotly.js, which comes as bytes.
//
// It is imported beside this module, not in it: anywidget gives up on a module that takes
// longer than two seconds to load, and then drops all that is sent to its widget.
const KEPT = Symbol.for("gridnb.plotly");

async function plotly(model) {
  globalThis[KEPT] ??= import(
    URL.createObjectURL(new Blob([model.get("plotly")], { type: "text/javascript" }))
  );
  return (await globalThis[KEPT]).default;
}

function initialize({ model }) {
  // Begun when the panel is opened, so that the page is not busy with it later on.
  plotly(model).catch(() => {}); // render says what is wrong
}

function traces({ x, lines }) {
  return lines.map(({ name, colour, y }) => ({
    name, x, y, type: "scatter", mode: "lines", stackgroup: "sites",
    line: { width: 1, color: colour }, hovertemplate: "%{y:.4f}",
  }));
}

async function render({ model, el }) {
  el.textContent = "drawing…";
  const Plotly = await plotly(model);
  el.textContent = "";
  const plot = document.createElement("div");
  plot.className = "gridnb-chart";
  el.append(plot);
  const draw = () => Plotly.react(
    plot, traces(model.get("data")), structuredClone(model.get("frame")), { displayModeBar: false },
  );
  const fit = new ResizeObserver(() => { if (plot.offsetWidth) Plotly.Plots.resize(plot); });
  draw();
  model.on("change:data", draw);
  fit.observe(el);
  return () => {
    model.off("change:data", draw);
    fit.disconnect();
    Plotly.purge(plot);
  };
}

export default { initialize, render };
