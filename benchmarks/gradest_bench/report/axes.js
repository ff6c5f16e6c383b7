// Draws a logarithmic axis anew as a linear one, and back. The numbers are read from where the static figure has them:
// its frame and the ends of its axes are attributes, so no number has to stand in the page twice.
(() => {
  const SVG = document.querySelector("svg")?.namespaceURI; // of its own figures: the page names no address
  const numbers = (text) => text.split(" ").map(Number);
  const plots = new WeakMap();

  // Every coordinate of a plot once, as [value of x, value of y, how to write it]; made when a scale is first changed.
  const read = (svg) => {
    const [left, top, right, bottom] = numbers(svg.dataset.frame);
    const axis = (name, from, to) => {
      if (!svg.dataset[name]) return null;
      const [low, high] = numbers(svg.dataset[name]).map(Math.log10);
      return { name, from, to, low, high, linear: false, most: 0,
        value: (at) => 10 ** (low + ((at - from) / (to - from)) * (high - low)) };
    };
    const plot = { svg, x: axis("x", left, right), y: axis("y", bottom, top), frame: [left, top, right, bottom], places: [] };
    const place = (x, y, write) => {
      const values = [plot.x ? plot.x.value(x) : x, plot.y ? plot.y.value(y) : y];
      if (plot.x) plot.x.most = Math.max(plot.x.most, values[0]);
      if (plot.y) plot.y.most = Math.max(plot.y.most, values[1]);
      plot.places.push([...values, write]);
    };
    for (const mark of svg.querySelectorAll(".mark")) {
      const [x, y] = numbers(mark.getAttribute("transform").slice(10, -1));
      place(x, y, (a, b) => mark.setAttribute("transform", `translate(${a} ${b})`));
    }
    for (const bar of svg.querySelectorAll(".bar")) for (const end of ["1", "2"])
      place(Number(bar.getAttribute("x" + end)), Number(bar.getAttribute("y" + end)),
        (a, b) => { bar.setAttribute("x" + end, a); bar.setAttribute("y" + end, b); });
    for (const line of svg.querySelectorAll("polyline")) {
      const points = line.getAttribute("points").split(" ").map((pair) => pair.split(",").map(Number));
      points.forEach(([x, y], k) => place(x, y, (a, b) => {
        points[k] = [a, b];
        if (k === points.length - 1) line.setAttribute("points", points.map((pair) => pair.join(",")).join(" "));
      }));
    }
    return plot;
  };

  const at = (axis, value) => {
    if (!axis) return value;
    // a linear axis begins at nothing: lengths on it are then in proportion
    const share = axis.linear ? value / (1.05 * axis.most) : (Math.log10(value) - axis.low) / (axis.high - axis.low);
    return Math.round(100 * (axis.from + share * (axis.to - axis.from))) / 100;
  };
  const element = (name, attributes, text = "") => {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.textContent = text;
    return made;
  };
  const roundStep = (raw) => {
    const power = 10 ** Math.floor(Math.log10(raw));
    return [1, 2, 5, 10].map((factor) => factor * power).find((width) => width >= raw * (1 - 1e-9));
  };
  const ticks = (plot, axis) => {
    const { svg, frame: [left, top, right, bottom] } = plot;
    const group = element("g", { class: "ticks", "data-axis": axis.name, "data-made": "" });
    const width = roundStep((1.05 * axis.most) / 6);
    for (let k = 0; k * width <= 1.05 * axis.most; k += 1) {
      const place = at(axis, k * width), text = String(Number((k * width).toPrecision(6)));
      if (axis.name === "x") group.append(
        element("line", { class: "grid", x1: place, x2: place, y1: top, y2: bottom }),
        element("text", { class: "tick", x: place, y: bottom + 19, "text-anchor": "middle" }, text));
      else group.append(
        element("line", { class: "grid", x1: left, x2: right, y1: place, y2: place }),
        element("text", { class: "tick", x: left - 7, y: place + 4, "text-anchor": "end" }, text));
    }
    const fixed = svg.querySelector(`.ticks[data-axis="${axis.name}"]:not([data-made])`);
    fixed.after(group);
    return fixed;
  };
  const change = (figure, name, linear) => {
    const svg = figure.querySelector(".plot svg");
    if (!plots.has(svg)) plots.set(svg, read(svg));
    const plot = plots.get(svg), axis = plot[name];
    axis.linear = linear;
    for (const made of svg.querySelectorAll(`.ticks[data-axis="${name}"][data-made]`)) made.remove();
    const fixed = linear ? ticks(plot, axis) : svg.querySelector(`.ticks[data-axis="${name}"]`);
    fixed.setAttribute("display", linear ? "none" : "inline");
    for (const [x, y, write] of plot.places) write(at(plot.x, x), at(plot.y, y));
    view.set(`${name}.${figure.id}`, linear ? "linear" : "");
  };

  // The switches are made here: without a script there is nothing that they could do.
  for (const figure of document.querySelectorAll("figure")) {
    const svg = figure.querySelector(".plot svg"), tools = document.createElement("div");
    tools.className = "tools";
    tools.setAttribute("role", "group");
    tools.setAttribute("aria-label", "scale and picture");
    for (const name of ["x", "y"]) {
      if (!svg.dataset[name]) continue;
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.scale = name;
      button.textContent = name + ": log";
      tools.append(button);
      if (view.get(`${name}.${figure.id}`) === "linear") { button.textContent = name + ": linear"; change(figure, name, true); }
    }
    figure.append(tools);
  }
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-scale]");
    if (!button) return;
    const linear = button.textContent.endsWith("log");
    button.textContent = `${button.dataset.scale}: ${linear ? "linear" : "log"}`;
    change(button.closest("figure"), button.dataset.scale, linear);
  });
})();
