// Saves a figure as it is seen, scales, switched series and colours included, with its title and its legend: SVG or PNG.
(() => {
  const SVG = document.querySelector("svg")?.namespaceURI; // of its own figures: the page names no address
  const STYLES = ["fill", "stroke", "stroke-width", "stroke-dasharray", "opacity", "font-size", "font-family"];
  const ENTRY = 20, LETTER = 7.6, TITLE = 34, WIDTH = 720;

  // An image has no style sheet: each element gets what the page's has made of it, as attributes.
  const styled = (element) => {
    const found = getComputedStyle(element);
    if (found.display === "none") return null;
    const made = element.cloneNode(false);
    for (const name of ["class", "role", "tabindex"]) made.removeAttribute(name);
    for (const name of STYLES) made.setAttribute(name, found.getPropertyValue(name));
    for (const child of element.childNodes) {
      const copy = child.nodeType === Node.ELEMENT_NODE ? styled(child) : child.cloneNode(false);
      if (copy) made.append(copy);
    }
    return made;
  };
  const text = (words, x, y, size, colour) => {
    const made = document.createElementNS(SVG, "text");
    const shown = { x, y, fill: colour, "font-size": size, "font-family": "system-ui, sans-serif" };
    for (const [name, value] of Object.entries(shown)) made.setAttribute(name, value);
    made.textContent = words;
    return made;
  };
  const picture = (figure) => {
    const svg = figure.querySelector(".plot svg"), page = getComputedStyle(document.body);
    const height = svg.viewBox.baseVal.height;
    const made = styled(svg), body = document.createElementNS(SVG, "g");
    body.append(...made.childNodes);
    body.setAttribute("transform", `translate(0 ${TITLE})`);
    let x = 14, y = TITLE + height + 14;
    const legend = [];
    for (const button of figure.querySelectorAll('.legend button[aria-pressed="true"]')) {
      const width = 34 + LETTER * button.textContent.length;
      if (x + width > WIDTH && x > 14) { x = 14; y += ENTRY; }
      const key = styled(button.querySelector("path"));
      key.setAttribute("transform", `translate(${x} ${y - 11})`);
      legend.push(key, text(button.textContent, x + 19, y, 13, page.color));
      x += width;
    }
    const back = document.createElementNS(SVG, "rect");
    for (const [name, value] of [["width", WIDTH], ["height", y + 12], ["fill", page.backgroundColor]]) back.setAttribute(name, value);
    made.append(back, text(figure.querySelector("h3").textContent, 14, 22, 15, page.color), body, ...legend);
    made.setAttribute("viewBox", `0 0 ${WIDTH} ${y + 12}`);
    made.setAttribute("width", WIDTH);
    made.setAttribute("height", y + 12);
    return made;
  };
  const save = (blob, name) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000); // some browsers read it after the click has returned
  };
  const drawn = (made, done) => {
    const image = new Image(), canvas = document.createElement("canvas"), scale = 2;
    canvas.width = scale * made.getAttribute("width");
    canvas.height = scale * made.getAttribute("height");
    image.onload = () => {
      canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
      canvas.toBlob(done, "image/png");
    };
    // a data address, as the page's policy lets no other image in
    image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(new XMLSerializer().serializeToString(made));
  };
  for (const tools of document.querySelectorAll("figure > .tools")) for (const kind of ["SVG", "PNG"]) {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.image = kind;
    button.textContent = kind;
    button.title = `save this figure as ${kind}`;
    tools.append(button);
  }
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-image]");
    if (!button) return;
    const figure = button.closest("figure"), made = picture(figure);
    if (button.dataset.image === "PNG") drawn(made, (blob) => save(blob, figure.id + ".png"));
    else save(new Blob([new XMLSerializer().serializeToString(made)], { type: "image/svg+xml" }), figure.id + ".svg");
  });
})();
