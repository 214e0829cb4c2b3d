// Stacked lines of cost over time. Plotly stands above, see figures.py.
const Plotly = module.exports.default ?? module.exports;

function traces({ x, lines }) {
  return lines.map(({ name, colour, y }) => ({
    name, x, y, type: "scatter", mode: "lines", stackgroup: "sites",
    line: { width: 1, color: colour }, hovertemplate: "%{y:.4f}",
  }));
}

function render({ model, el }) {
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

export default { render };
